"""A service whose trainings are ultralytics' own, in the interpreter that TRAINYARD_YOLO_PYTHON names."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api import app as composition
from api.models.accounts import Actor
from api.models.dialect import JOBS
from api.models.events import Axis
from api.models.job import Job, JobSpec, JobStatus
from api.services.container import Services
from api.services.gpus.fake import FakeSource
from api.services.store import jobs as store
from api.settings import load
from tests.yolo.shapes import draw

PYTHON = os.environ.get("TRAINYARD_YOLO_PYTHON", sys.executable)
LONGEST = 110.0  # seconds for any one job of these tests on a busy machine
TINY = {"kind": "architecture", "value": "yolov8tiny.yaml"}
QUICK = {"imgsz": 64, "batch": 8, "plots": False, "device": "cpu", "seed": 0}


def pytest_report_header() -> str:
    return f"ultralytics' interpreter: {PYTHON} (TRAINYARD_YOLO_PYTHON)"


@dataclass
class Bench:
    """One running service, as its own administrator, with a dataset of shapes."""

    services: Services
    actor: Actor
    data: Path

    @property
    def data_dir(self) -> Path:
        return self.services.settings.data_dir

    def submit(self, **params: Any) -> Job:
        given = {"task": "train", "data": str(self.data), "model": TINY, **QUICK, **params}
        return self.services.jobs.submit(self.actor, JobSpec("ultralytics", "a job", given), JOBS)

    def other(self, task: str, model: Path, **params: Any) -> Job:
        """An export or a validation."""
        given = {"task": task, "model": {"kind": "weights", "value": str(model)}, "device": "cpu", **params}
        return self.services.jobs.submit(self.actor, JobSpec("ultralytics", "a job", given), JOBS)

    def job(self, job: Job) -> Job:
        with self.services.db.read() as connection:
            return store.get(connection, job.id)

    def output(self, job: Job) -> Path:
        with self.services.db.read() as connection:
            return Path(store.attempt(connection, self.job(job)).output_dir)

    def wait(self, job: Job, until: Callable[[Job], bool] = lambda job: job.status.is_terminal) -> Job:
        deadline = time.monotonic() + LONGEST
        while not until(seen := self.job(job)):
            assert time.monotonic() < deadline, f"{seen.status} {seen.progress}\n{self.log(job)[-3000:]}"
            self.services.feed.wait(self.services.feed.version, 0.2)
        return seen

    def completed(self, job: Job) -> Job:
        ended = self.wait(job)
        assert ended.status is JobStatus.COMPLETED, f"{ended.failure}\n{self.log(job)[-3000:]}"
        return ended

    def log(self, job: Job) -> str:
        path = self.services.settings.log_dir / f"{job.id}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def epochs(self, job: Job, name: str) -> dict[int, float | None]:
        """The trainer's own value of each epoch."""
        found = self.services.history.line(self.job(job), name, Axis.EPOCH, limit=1000)
        return {point.x: point.value for point in found.points}


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    home = tmp_path_factory.mktemp("yolo")
    settings = load({"data_dir": str(home), "yolo_python": PYTHON}, {})
    services = composition.build_services(settings, dict(os.environ), FakeSource(0))
    state = services.engines["ultralytics"].availability()
    if not state.available:
        pytest.fail(f"ultralytics cannot be run: {state.reason}")
    data = draw(home / "datasets" / "shapes")
    composition.start(services)
    yield Bench(services, services.accounts.operator(), data)
    composition.stop(services)
