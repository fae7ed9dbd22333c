"""From a submission to the child's first line, and from that line to a client that reads the log."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.report import Row, at_most, ratio_at_most
from benchmarks.service import Client, interleaved, quantile, trainer, training_request, trainyard, until, workplace

CHILD = """
import time
print("first", repr(time.time()), flush=True)
print("TRAINING COMPLETE!", flush=True)
"""


def spawned(script: Path) -> float:
    """Seconds from Popen to the moment that the child's first line names."""
    began = time.time()
    argv = [os.path.realpath(sys.executable), "-u", str(script)]
    text = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout
    return float(text.split()[1]) - began


def submitted(client: Client, data: Path, seen: list[float], ended: list[float]) -> float:
    """The same, from before the POST."""
    body = training_request(data)
    began = time.time()
    job = client.data("POST", "/api/v1/training/start", body)["task_id"]

    def line() -> list[dict[str, str]]:
        found: list[dict[str, str]] = client.data("GET", f"/api/v1/training/{job}/logs?tail=10")["logs"]
        return found

    first = float(until(line, every=0.005)[0]["message"].split()[1])
    seen.append(time.time() - first)

    def done() -> bool:
        state = client.data("GET", f"/api/v1/training/{job}/progress")
        return bool(state["status"] == "completed")

    until(done, every=0.005)
    ended.append(time.time() - first)
    return first - began


def run(quick: bool) -> list[Row]:
    seen: list[float] = []
    ended: list[float] = []
    with workplace() as home:
        data, script = home / "data", home / "trainer" / "train.py"
        with trainyard(data, env=trainer(script.parent, CHILD)) as service:
            client = service.client()
            clocks = {"bare": lambda: spawned(script), "ours": lambda: submitted(client, data, seen, ended)}
            found = interleaved(clocks, 3 if quick else 25)
    ours, bare = median(found["ours"]) * 1000, median(found["bare"]) * 1000
    against = "Popen of the same script"
    return [
        Row("submit → the child's first line, p50", ours, "ms", bare, against, ours / bare, at_most(150)),
        Row("submit → the child's first line, p50", ours, "ms", bare, against, ours / bare, ratio_at_most(5)),
        Row("line printed → seen by a log client, p95", quantile(seen, 0.95) * 1000, "ms", goal=at_most(250)),
        Row("last line → status completed, p50", median(ended) * 1000, "ms"),
    ]
