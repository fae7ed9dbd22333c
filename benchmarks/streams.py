"""Event streams: what many of them do to everybody else, and how late an event comes.

A job is queued and withdrawn behind one that runs: three status events. The delay is from the moment that the
event was written, just before its commit, to its arrival at each client.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.report import Row, at_most, ratio_at_most
from benchmarks.service import (
    ROOT,
    Client,
    Service,
    quantile,
    trainer,
    training_request,
    trainyard,
    until,
    workplace,
)

CHILD = "import time\nprint('sleeping', flush=True)\ntime.sleep(600)\n"
START = "/api/v1/training/start"


@contextmanager
def listeners(service: Service, number: int) -> Iterator[list[tuple[int, float]]]:
    """What they have heard is in the list afterwards."""
    heard: list[tuple[int, float]] = []
    argv = [sys.executable, "-m", "benchmarks.listen", str(service.port), "/api/v1/training/events", str(number)]
    process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "open\n":
        raise RuntimeError(f"{number} streams could not be opened")
    try:
        yield heard
    finally:
        text, _ = process.communicate()
        heard += map(tuple, json.loads(text))


def asked(service: Service, body: dict[str, object], seconds: float) -> list[float]:
    """Milliseconds of each /readyz over a new connection, while events come twice a second."""
    actor, times = service.client(), []
    deadline, due = time.monotonic() + seconds, 0.0
    while time.monotonic() < deadline:
        if time.monotonic() >= due:
            due = time.monotonic() + 0.5
            job = actor.data("POST", START, body)["task_id"]
            actor.data("POST", f"/api/v1/training/stop/{job}", {})
        times.append(Client(service.port).seconds("/readyz") * 1000)
        time.sleep(0.01)
    return times


def run(quick: bool) -> list[Row]:
    seconds, rounds = (2.0, 1) if quick else (5.0, 4)
    numbers = (0, 64, 128)
    times: dict[int, list[float]] = {number: [] for number in numbers}
    heard: dict[int, list[tuple[int, float]]] = {number: [] for number in numbers}
    memory: dict[int, float] = {}
    with workplace() as home:
        data = home / "data"
        with trainyard(data, "--workers", "1", env=trainer(home / "trainer", CHILD)) as service:
            body = training_request(data)
            client = service.client()
            running = client.data("POST", START, body)["task_id"]
            until(lambda: client.data("GET", f"/api/v1/training/{running}/progress")["status"] == "running")
            for _ in range(rounds):
                for number in numbers:
                    with listeners(service, number) as found:
                        times[number] += asked(service, body, seconds)
                        time.sleep(0.5)
                        memory[number] = service.memory()
                    heard[number] += found
            # the first connection has been idle for longer than the service keeps one
            service.client().data("POST", f"/api/v1/training/stop/{running}?wait=20", {"force": True})
            written = when_written(data)
    rows = [Row("/readyz without streams, p95", quantile(times[0], 0.95), "ms")]
    for number in numbers[1:]:
        p95, base = quantile(times[number], 0.95), quantile(times[0], 0.95)
        delays = [1000 * (at - written[seq]) for seq, at in heard[number]]
        rows += [
            Row(f"/readyz beside {number} streams, p95", p95, "ms", base, "no streams", p95 / base, ratio_at_most(2)),
            Row(f"/readyz beside {number} streams, p95", p95, "ms", goal=at_most(15)),
            Row(f"event → each of {number} clients, p50", quantile(delays, 0.5), "ms"),
            Row(f"event → each of {number} clients, p99", quantile(delays, 0.99), "ms", goal=at_most(100)),
            Row(f"memory that {number} streams take, PSS", memory[number] - memory[0], "MB", goal=at_most(10)),
        ]
    return rows


def when_written(data: Path) -> dict[int, float]:
    with sqlite3.connect(f"file:{data}/trainyard.db?mode=ro", uri=True) as raw:
        return dict(raw.execute("SELECT seq, at FROM events"))
