"""What a training pays for being followed: its own wall time, by its own clock, with the service and without.

The child works between its lines (a loop of a length that makes it print so many lines a second by itself), writes
and flushes each line. Rounds are interleaved; the ratio is that of the two best.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import Row, at_most, ratio_at_most
from benchmarks.service import Client, Service, trainer, training_request, trainyard, until, workplace

CHILD = """
import json, os, sys, time

lines, spin, out = int(os.environ["BENCH_LINES"]), int(os.environ["BENCH_SPIN"]), os.environ["BENCH_OUT"]
write, flush = sys.stdout.write, sys.stdout.flush
began, used = time.perf_counter(), time.process_time()
for n in range(1, lines + 1):
    for _ in range(spin):
        pass
    if n % 10:
        write(f"batch {n}: 4 latents of 32x32 loaded, 118 tensors on cpu, text embeddings at hand, ok\\n")
    else:
        write(f"steps: {n // 10} loss: {1 + n % 97 / 100:.4f} iter time (s): 0.167 samples/sec: 11.951\\n")
    flush()
wall, cpu = time.perf_counter() - began, time.process_time() - used
with open(out + ".new", "w") as file:
    json.dump({"wall": wall, "cpu": cpu}, file)
os.replace(out + ".new", out)
write("TRAINING COMPLETE!\\n")
"""


def settings(out: Path, lines: int, spin: int) -> dict[str, str]:
    return {"BENCH_LINES": str(lines), "BENCH_SPIN": str(spin), "BENCH_OUT": str(out)}


def alone(script: Path, home: Path, lines: int, spin: int) -> dict[str, float]:
    """Into a plain file that nobody reads."""
    out = home / "alone.json"
    with open(home / "alone.log", "wb") as log:
        argv = [os.path.realpath(sys.executable), "-u", str(script)]
        subprocess.run(argv, env={**os.environ, **settings(out, lines, spin)}, stdout=log, check=True)
    return took(out)


def followed(client: Client, data: Path, home: Path, lines: int, spin: int) -> dict[str, Any]:
    out = home / "followed.json"
    out.unlink(missing_ok=True)
    body = training_request(data, settings(out, lines, spin))
    job = client.data("POST", "/api/v1/training/start", body)["task_id"]

    def ended() -> Any:
        state = client.data("GET", f"/api/v1/training/{job}/progress")
        return state if state["status"] not in ("queued", "running") else None

    state = until(ended, 120, 0.25)
    if state["status"] != "completed":
        raise RuntimeError(f"the child ended as {state['status']}")
    logs = client.data("GET", f"/api/v1/training/{job}/logs?tail=1")
    return {**took(out), "seen": logs["total_lines"], "step": state["progress"]["current_step"]}


def took(out: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads(out.read_text())
    return found


def calibrated(script: Path, home: Path, rate: int) -> int:
    """Turns of the loop that make the child print about `rate` lines a second by itself."""
    lines = max(2000, rate // 5)
    empty = min(alone(script, home, lines, 0)["wall"] for _ in range(2)) / lines
    spinning = min(alone(script, home, lines, 1000)["wall"] for _ in range(2)) / lines
    return max(0, round((1 / rate - empty) / ((spinning - empty) / 1000)))


def run(quick: bool) -> list[Row]:
    rounds, seconds = (1, 1) if quick else (5, 4)
    rows: list[Row] = []
    with workplace() as home:
        data, script = home / "data", home / "trainer" / "train.py"
        with trainyard(data, env=trainer(script.parent, CHILD)) as service:
            client = service.client()
            for rate, bound in ((50_000, 1.10), (1_000, 1.03)):
                lines = rate * seconds
                rows += _rounds(service, client, data, script, home, rate, lines, rounds, bound)
            peak = service.memory("Rss")
    return [*rows, Row("service memory after all of that, RSS", peak, "MB", goal=at_most(200))]


def _rounds(
    service: Service,
    client: Client,
    data: Path,
    script: Path,
    home: Path,
    rate: int,
    lines: int,
    rounds: int,
    bound: float,
) -> list[Row]:
    spin = calibrated(script, home, rate)
    plain, watched, shares = [], [], []
    for _ in range(rounds):
        plain.append(alone(script, home, lines, spin))
        before = service.cpu_seconds()
        found = followed(client, data, home, lines, spin)
        if found["seen"] != lines + 1 or found["step"] != lines // 10:
            raise RuntimeError(f"lines were lost: {found} of {lines + 1}")
        watched.append(found)
        shares.append((service.cpu_seconds() - before) / found["wall"])
    share = 100 * sorted(shares)[len(shares) // 2]
    wall, base = (min(one["wall"] for one in found) for found in (watched, plain))
    cpu, cpu_base = (min(one["cpu"] for one in found) for found in (watched, plain))
    against = f"the same into a file, no reader ({lines / base:,.0f} lines/s)"
    name = f"child printing {rate:,} lines/s"
    return [
        Row(f"{name}: its wall time", wall, "s", base, against, wall / base, ratio_at_most(bound)),
        Row(f"{name}: its own CPU time", cpu, "s", cpu_base, against, cpu / cpu_base),
        Row(f"{name}: the service's CPU", share, "% of a core"),
    ]
