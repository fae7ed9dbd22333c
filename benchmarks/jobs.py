"""What 100,000 jobs cost more than 1,000: two services, asked in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from api.models.job import JobStatus
from api.models.room import Offer, Room
from api.services.store import queue
from api.services.store.database import Database
from benchmarks.fill import add_jobs, database
from benchmarks.report import Row, ratio_at_most
from benchmarks.service import interleaved, ratio, trainyard, workplace

SMALL = 1000
ASKS = {
    "list, limit=50": "/training/list?limit=50",
    "list, limit=50, offset half": "/training/list?limit=50&offset=HALF",
    "list by status": "/training/list?limit=50&status=failed",
    "list by engine": "/training/list?limit=50&engine=diffusion_pipe",
    "list by a common tag": "/training/list?limit=50&tag=lora",
    "list by a rare tag": "/training/list?limit=50&tag=rare",
    "list by q, common": "/training/list?limit=50&q=shapes",
    "list by q, an id": "/training/list?limit=50&q=ID",
    "job detail": "/training/ID",
    "progress": "/training/ID/progress",
    "system overview": "/system/overview",
}


class Undo(Exception):
    """Takes a transaction back."""


def claimed(db: Database) -> float:
    """Seconds to claim the next job; taken back afterwards."""
    began = time.perf_counter()
    try:
        with db.write(durable=False) as connection:
            if queue.claim(connection, Offer(Room(places=1)), time.time()) is None:
                raise RuntimeError("nothing was claimed")
            taken = time.perf_counter() - began
            raise Undo
    except Undo:
        return taken


def run(quick: bool) -> list[Row]:
    sizes = (SMALL, 10_000 if quick else 100_000)
    rounds = 5 if quick else 25
    rows: list[Row] = []
    with workplace() as home, ExitStack() as stack:
        queues: dict[int, Callable[[], float]] = {}
        clients, some_id = {}, {}
        for size in sizes:
            with database(home / f"data{size}") as db:
                ids = add_jobs(db, size)
            some_id[size] = ids[size // 3]
            clients[size] = stack.enter_context(trainyard(home / f"data{size}")).client()
        for name, path in ASKS.items():
            clocks = {}
            for size in sizes:
                url = "/api/v1" + path.replace("ID", some_id[size]).replace("HALF", str(size // 2))
                clocks[size] = lambda c=clients[size], u=url: c.seconds(u)
            rows.append(_row(name, clocks, rounds))
        for size in sizes:
            db = stack.enter_context(database(home / f"queue{size}"))
            add_jobs(db, size, status=JobStatus.QUEUED)
            queues[size] = lambda db=db: claimed(db)
        rows.append(_row("claim of the next of so many that wait", queues, rounds))
        rows += _claims(home, stack, rounds)
    return rows


def _claims(home: Path, stack: ExitStack, rounds: int) -> list[Row]:
    """What a long queue costs the scheduler: to take its head, and to show its first ten."""
    databases = {}
    for size in (10, 10_000):
        databases[size] = stack.enter_context(database(home / f"line{size}"))
        add_jobs(databases[size], size, status=JobStatus.QUEUED)
    taken = {size: lambda db=db: claimed(db) for size, db in databases.items()}
    page = {size: lambda db=db: _line(db) for size, db in databases.items()}
    return [
        _row("claim of the head of a queue", taken, rounds, 1.5),
        _row("a page of the queue", page, rounds, 3),
    ]


def _line(db: Database) -> float:
    began = time.perf_counter()
    with db.read() as connection:
        if not queue.line(connection, limit=10):
            raise RuntimeError("nobody waits")
    return time.perf_counter() - began


def _row(name: str, clocks: dict, rounds: int, bound: float = 3) -> Row:
    interleaved(clocks, 2)
    found = interleaved(clocks, rounds)
    small, large = clocks
    return Row(
        f"{large:,} jobs: {name}",
        median(found[large]) * 1000,
        "ms",
        median(found[small]) * 1000,
        f"{small:,} jobs",
        ratio(found[large], found[small]),
        ratio_at_most(bound),
    )
