"""Databases with many jobs and points, filled through the store before a service opens them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import insert

from api.models.dialect import TRAINING_V1
from api.models.events import Metric
from api.models.job import JobSpec, JobStatus
from api.services.accounts import AccountService
from api.services.store import jobs as store
from api.services.store import schema
from api.services.store.database import Database
from api.services.store.metric_writer import SeriesWriter

BATCH = 5000
TAGS = ("flux", "lora", "night", "try")
REQUEST = json.loads((Path(__file__).resolve().parent.parent / "examples" / "training_request.json").read_text())


@contextmanager
def database(data_dir: Path) -> Iterator[Database]:
    """The database that a service on this directory will open."""
    data_dir.mkdir(parents=True, exist_ok=True)
    db = Database(f"sqlite:///{data_dir}/trainyard.db")
    db.prepare()
    AccountService(db).ensure_operator()
    try:
        yield db
    finally:
        db.close()


def add_jobs(db: Database, number: int, *, status: JobStatus = JobStatus.COMPLETED) -> list[str]:
    """Ids. Every 20th has failed, every 20th carries the tag `rare`; each has one attempt."""
    spec = JobSpec(
        engine="diffusion_pipe",
        name=REQUEST["description"],
        params={"model_type": "sdxl", "config": REQUEST["config"]},
        dataset=REQUEST["dataset"],
        description=REQUEST["description"],
        tags=TAGS[:2],
    )
    begun = time.time() - number * 60
    ids: list[str] = []
    with db.read() as connection:
        start = len(store.ids(connection))
    for first in range(start, start + number, BATCH):
        numbers = range(first, min(first + BATCH, start + number))
        rows = [_job(n, spec, status, begun + (n - start) * 60) for n in numbers]
        ids += [row["id"] for row in rows]
        with db.write(durable=False) as connection:
            connection.execute(insert(schema.jobs), rows)
            tags = [{"tag": tag, "job_seq": n + 1} for n in numbers for tag in _tags(n)]
            connection.execute(insert(schema.job_tags), tags)
            connection.execute(insert(schema.attempts), [_attempt(row) for row in rows])
    return ids


def _tags(number: int) -> tuple[str, ...]:
    return (TAGS[number % 4], "rare") if number % 20 == 0 else (TAGS[number % 4],)


def _job(number: int, spec: JobSpec, status: JobStatus, at: float) -> dict[str, object]:
    ended = status is not JobStatus.QUEUED
    shown = JobStatus.FAILED if ended and number % 20 == 7 else status
    progress = {
        "phase": "done",
        "epoch": 50,
        "total_epochs": 50,
        "step": 1000,
        "total_steps": 1000,
        "loss": 0.1234,
        "best_loss": 0.0987,
        "learning_rate": 0.0002,
        "time_per_step": 0.71,
        "samples_per_second": 5.6,
        "finished": True,
    }
    return {
        "seq": number + 1,
        "id": f"train_20260101_000000_{number:08x}",
        "dialect": TRAINING_V1.name,
        "engine": spec.engine,
        "name": f"{spec.name} {number}",
        "owner_id": 1,
        "team_id": None,
        "status": shown,
        "priority": number % 3,
        "lane": "place",
        "resources": json.dumps(asdict(spec.resources)),
        "held": False,
        "not_before": 0.0,
        "retries": 0,
        "spec": store.spec_text(spec),
        "attempt": 1,
        "series": 1,
        "created_at": at,
        "updated_at": at + 50,
        "started_at": at + 1 if ended else None,
        "ended_at": at + 50 if ended else None,
        "reason": ("exit_code" if shown is JobStatus.FAILED else "done") if ended else None,
        "stop_forced": False,
        "warnings": [],
        "gpu_ids": [],
        "core_ids": [],
        "progress": progress if ended else {},
        "log_position": {},
        "total_lines": 0,
    }


def _attempt(row: dict[str, object]) -> dict[str, object]:
    return {
        "job_seq": row["seq"],
        "number": 1,
        "series": 1,
        "output_dir": f"/nowhere/{row['id']}",
        "command": ["python", "train.py"],
        "environment": {},
    }


def add_points(db: Database, job_id: str, number: int, name: str = "loss") -> None:
    """A falling noisy line, an epoch every 1,000 steps, written as the service writes it."""
    with db.read() as connection:
        job = store.get(connection, job_id)
    writer = SeriesWriter(job.seq, job.attempt)
    for first in range(1, number + 1, 10_000):
        steps = range(first, min(first + 10_000, number + 1))
        points = [Metric(name, 1000.0 / (x + 1000) + (x * 7919 % 101) / 500, x, x // 1000 + 1) for x in steps]
        with db.write(durable=False) as connection:
            writer.write(connection, points, time.time())
