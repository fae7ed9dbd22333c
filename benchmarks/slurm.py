"""What going through the service adds to Slurm: from a submission to the first line, and 500 jobs that wait there.

Slurm is a real one of two nodes on loopback (root, slurm-wlm and munge are needed).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psutil

from benchmarks.report import Row, at_most, ratio_at_most
from benchmarks.service import Client, interleaved, trainer, training_request, trainyard, until, workplace
from tests.slurm.cluster import Cluster

CHILD = """
import time
print("first", repr(time.time()), flush=True)
print("TRAINING COMPLETE!", flush=True)
"""
WATCHED = 10.0  # seconds over which the waiting service's CPU time is taken


def bare(cluster: Cluster, script: Path, out: Path) -> float:
    """Seconds from before sbatch to the moment that the child's first line names."""
    out.unlink(missing_ok=True)
    began = time.time()
    wrapped = f"exec {os.path.realpath(sys.executable)} -u {script}"
    cluster.run("sbatch", "-o", str(out), "--wrap", wrapped)
    return first_line(lambda: out.read_text().split("\n")[:-1][:1] if out.exists() else []) - began


def anytime(measure: Callable[[], float]) -> float:
    """At any moment of the second in which Slurm looks at its queue once."""
    time.sleep(random.uniform(1.0, 2.0))
    return measure()


def first_line(lines: Callable[[], list[str]]) -> float:
    """The moment that it names. Asked for seldom: to look takes from the cores that are measured."""
    return float(until(lines, every=0.1)[0].split()[1])


def ours(client: Client, data: Path) -> float:
    body = training_request(data)
    began = time.time()
    job = client.data("POST", "/api/v1/training/start", body)["task_id"]

    def lines() -> list[str]:
        return [line["message"] for line in client.data("GET", f"/api/v1/training/{job}/logs?tail=10")["logs"]]

    return first_line(lines) - began


def crowd(cluster: Cluster, client: Client, data: Path, pid: int, number: int) -> tuple[float, float]:
    """Seconds until so many are handed over to a cluster without room, and the share of a core that they cost then."""
    for node in ("n1", "n2"):
        cluster.run("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=bench")
    began = time.monotonic()
    for _ in range(number):
        client.data("POST", "/api/v1/training/start", training_request(data))
    until(lambda: len(cluster.run("squeue", "-h").splitlines()) >= number, within=300, every=0.2)
    handed = time.monotonic() - began
    process = psutil.Process(pid)
    before = process.cpu_times()
    time.sleep(WATCHED)
    after = process.cpu_times()
    spent = sum(getattr(after, name) - getattr(before, name) for name in ("user", "system"))
    children = sum(getattr(after, f"children_{n}") - getattr(before, f"children_{n}") for n in ("user", "system"))
    return handed, (spent + children) / WATCHED * 100


def squeue_seconds(cluster: Cluster) -> float:
    began = time.perf_counter()
    subprocess.run(["squeue", "-h", "-t", "all"], env=cluster.environ, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def run(quick: bool) -> list[Row]:
    number = 50 if quick else 500
    cluster = Cluster()
    try:
        cluster.start()
        with workplace() as home:
            data, script = home / "data", home / "trainer" / "train.py"
            env = {
                **trainer(script.parent, CHILD),
                "SLURM_CONF": cluster.environ["SLURM_CONF"],
                "TRAINYARD_EXECUTOR": "slurm",
                "TRAINYARD_SHARED_DIR": str(home),
            }
            with trainyard(data, env=env) as service:
                client = service.client()
                clocks = {
                    "bare": lambda: anytime(lambda: bare(cluster, script, home / "bare.out")),
                    "ours": lambda: anytime(lambda: ours(client, data)),
                }
                found = interleaved(clocks, 3 if quick else 20)
                handed, share = crowd(cluster, client, data, service.process.pid, number)
                look = median(squeue_seconds(cluster) for _ in range(5))
    finally:
        cluster.close()
    mine, theirs = median(found["ours"]) * 1000, median(found["bare"]) * 1000
    return [
        Row("Slurm: submit → first line, p50", mine, "ms", theirs, "sbatch", mine / theirs, ratio_at_most(1.2)),
        Row(f"{number} submitted and handed over to Slurm", handed, "s"),
        Row(f"{number} waiting in Slurm: CPU of one core", share, "%", goal=at_most(25)),
        Row(f"{number} waiting in Slurm: one squeue", look * 1000, "ms"),
    ]
