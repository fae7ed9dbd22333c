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
    rounds, seconds = (2, 0.5) if quick else (9, 1.2)
    with workplace() as home:
        data = home / "data"
        with database(data) as db:
            ids = add_jobs(db, 200)
            add_points(db, ids[0], 1000)
        with trainyard(data) as service, hello(str(data / "trainyard.db")) as bare:
            job = f"/api/v1/training/{ids[0]}"
            ours = {
                "GET /healthz": "/healthz",
                "GET /training/{id}/progress": f"{job}/progress",
                "GET /training/{id}, 1,000 steps": job,
                "GET /training/list, 50 jobs": "/api/v1/training/list?limit=50",
            }
            clocks = {path: (lambda p=path: asked(bare, p, seconds)) for path in ("/hello", "/one", "/list")}
            clocks |= {name: (lambda p=path: asked(service, p, seconds)) for name, path in ours.items()}
            found = interleaved(clocks, rounds)

    def row(name: str, base: str, against: str, bound: float | None = None) -> Row:
        ratios, goal = ratio(found[name], found[base]), None if bound is None else ratio_at_least(bound)
        return Row(name, median(found[name]), "/s", median(found[base]), against, ratios, goal)

    health, progress, detail, some = ours
    hello_route, read = "Flask hello on waitress, 8 threads", "the same, with sqlite3, json and nothing else"
    return [
        row(health, "/hello", hello_route, 0.8),
        row(progress, "/hello", hello_route, 0.6),
        row(progress, "/one", read),
        row(detail, "/hello", hello_route, 0.6),
        row(some, "/hello", hello_route, 0.4),
        row(some, "/list", read),
    ]
