"""Requests a second over kept connections, to a bare Flask route on waitress."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from benchmarks.fill import add_jobs, add_points, database
from benchmarks.report import Row, ratio_at_least
from benchmarks.service import ROOT, Service, hello, interleaved, ratio, trainyard, workplace

CONNECTIONS = 8


def asked(service: Service, path: str, seconds: float) -> float:
    argv = [sys.executable, "-m", "benchmarks.load", str(service.port), path, str(CONNECTIONS), str(seconds)]
    return float(subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def run(quick: bool) -> list[Row]:
    rounds, seconds = (2, 0.5) if quick else (9, 1.5)
    with workplace() as home:
        data = home / "data"
        with database(data) as db:
            ids = add_jobs(db, 200)
            add_points(db, ids[0], 1000)
        with trainyard(data) as service, hello() as bare:
            job = f"/api/v1/training/{ids[0]}"
            paths = {
                "GET /healthz": ("/healthz", 0.8),
                "GET …/progress": (f"{job}/progress", 0.6),
                "GET /training/{id} (detail)": (job, None),
                "GET /training/list, 50 jobs": ("/api/v1/training/list?limit=50", 0.4),
            }
            clocks = {"hello": lambda: asked(bare, "/hello", seconds)}
            for name, (path, _) in paths.items():
                clocks[name] = lambda path=path: asked(service, path, seconds)
            found = interleaved(clocks, rounds)
    base = found["hello"]
    return [
        Row(
            name,
            median(found[name]),
            "/s",
            median(base),
            "Flask hello on waitress, 8 threads",
            ratio(found[name], base),
            None if bound is None else ratio_at_least(bound),
        )
        for name, (_, bound) in paths.items()
    ]
