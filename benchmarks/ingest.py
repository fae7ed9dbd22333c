"""Log lines a second through the Ingestor: read, parse, add up, commit. In this process, nothing else in the way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from api.models.job import Job, JobStatus
from api.models.workspace import Workspace
from api.services.engines.diffusion_pipe import DiffusionPipeEngine
from api.services.ingest import Ingestor
from api.services.store import jobs as store
from api.services.store.database import Database
from api.utils.memory import calm_collector
from api.utils.paths import AllowedRoots
from benchmarks.fill import add_jobs, database
from benchmarks.report import Row, at_least
from benchmarks.service import workplace

LINES = 1_000_000
CHUNK = 2**20


def plain(number: int) -> Iterator[str]:
    for n in range(number):
        yield f"loading shard {n} of the text encoder: 118 tensors, dtype bfloat16, device cpu, ok\n"


def steps(number: int) -> Iterator[str]:
    """What train.py prints for a step: two lines."""
    for n in range(1, number // 2 + 1):
        yield (
            f"[2026-11-21 07:20:46,076] [INFO] [logging.py:123:log_dist] [Rank 0] step={n}, skipped=0, "
            f"lr=[{0.0002 - n * 1e-11!r}], mom=[0.0]\n"
            f"steps: {n} loss: {1 + n % 97 / 100:.4f} iter time (s): 0.167 samples/sec: 11.951\n"
        )


def bars(number: int) -> Iterator[str]:
    """tqdm's redraws, a thousand to a line."""
    for n in range(number):
        done = n % 1000
        end = "\n" if done == 999 else ""
        bar = "█" * (done // 100)
        yield f"\rcaching latents:  {done // 10:2d}%|{bar:<10}| {done}/1000 [00:03<00:00, 305.5it/s]{end}"


def bare(path: Path) -> float:
    """Seconds to read and split, and no more."""
    began = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while data := os.read(file.fileno(), CHUNK):
            data.split(b"\n")
    return time.perf_counter() - began


def ingest(db: Database, job: Job, path: Path) -> float:
    """Seconds to take it all, turn by turn, as a worker that is behind does."""
    engine = DiffusionPipeEngine(Path("/nowhere"), "python3", "python", AllowedRoots((path.parent,)))
    home = path.parent
    with db.read() as connection:
        attempt = store.attempt(connection, job)
    reader = Ingestor(db, engine, job, attempt, Workspace(job.id, 1, home, path, home, home / "none"))
    began = time.perf_counter()
    while reader.turn(time.time()).behind:
        pass
    return time.perf_counter() - began


def run(quick: bool) -> list[Row]:
    number, rounds = (LINES // 10, 1) if quick else (LINES, 3)
    kinds: dict[str, tuple[str, Callable[[int], Iterator[str]], int]] = {
        "plain": ("plain lines", plain, number),
        "steps": ("step lines (lr and loss, 2 a step)", steps, number // 2),
        "bars": ("redraws of a bar (\\r)", bars, number // 2),
    }
    calm_collector()  # as the service does
    best: dict[str, float] = {}
    rest: dict[str, float] = {}
    with workplace() as home, database(home / "data") as db:
        for name, (_, make, count) in kinds.items():
            (home / f"{name}.log").write_text("".join(make(count)), newline="")
        for _ in range(rounds):
            for name in kinds:
                path = home / f"{name}.log"
                (job_id,) = add_jobs(db, 1, status=JobStatus.QUEUED)
                with db.read() as connection:
                    job = store.get(connection, job_id)
                best[name] = min(best.get(name, 1e9), ingest(db, job, path))
                rest[name] = min(rest.get(name, 1e9), bare(path))
    return [
        Row(
            f"ingest {text}",
            count / best[name],
            "/s",
            count / rest[name],
            "os.read and split",
            rest[name] / best[name],
            at_least(100_000),
        )
        for name, (text, _, count) in kinds.items()
    ]
