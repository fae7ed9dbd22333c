"""A service whose trainings are kraken's own, in the interpreter that TRAINYARD_KRAKEN_PYTHON names."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api import app as composition
from api.models.accounts import Actor
from api.models.dialect import OCR_V1
from api.models.events import Axis
from api.models.job import Job, JobSpec, JobStatus, Resources
from api.models.ocr import Direction, Document, ModelJob, OcrModel
from api.services.container import Services
from api.services.gpus.fake import FakeSource
from api.services.store import documents, ocr
from api.services.store import jobs as store
from api.settings import load
from tests.kraken.pages import WORDS, draw

PYTHON = os.environ.get("TRAINYARD_KRAKEN_PYTHON", "")
SMALL = "[1,32,0,1 Cr3,3,16 Mp2,2 Cr3,3,32 Mp2,2 S1(1x0)1,3 Lbx64]"
SMALL_SEGMENTER = "[1,240,0,3 Cr5,5,16,2,2 Gn8 Cr3,3,32 Gn8 Cr3,3,32 Gn8]"
LONGEST = 180.0  # seconds for any one job of these tests on a busy machine


def pytest_report_header() -> str:
    return f"kraken's interpreter: {PYTHON or 'none (TRAINYARD_KRAKEN_PYTHON is not set; make test-kraken sets it)'}"


@dataclass
class Bench:
    """One running service, as its own administrator."""

    services: Services
    actor: Actor

    @property
    def data_dir(self) -> Path:
        return self.services.settings.data_dir

    def document(self, *, pages: int = 10, lines: int = 10, words: Sequence[str] = WORDS, polygons: bool = True) -> int:
        """Its id."""
        with self.services.db.write() as connection:
            new = Document(0, self.actor.user_id, None, "pages", None, None, Direction.LTR, 0.0, 0.0)
            made = documents.add(connection, new).id
            for part in draw(self.data_dir, f"documents/{made}", pages, lines, words, polygons=polygons):
                documents.put_part(connection, made, part)
        return made

    def model(self, job: ModelJob = ModelJob.RECOGNIZE) -> int:
        with self.services.db.write() as connection:
            new = OcrModel(0, self.actor.user_id, None, "a model", job, None, None, None, None, 0.0, 0.0)
            return ocr.add_model(connection, new).id

    def submit(self, task: str, document: int, model: int, **params: Any) -> Job:
        spec = {"spec": SMALL_SEGMENTER if task == "segtrain" else SMALL} if task != "test" else {}
        lrate = {"lrate": 0.01, "batch_size": 4} if task == "train" else {}
        given = {
            "task": task,
            "model_id": model,
            "document_ids": [document],
            "device": "cpu",
            **spec,
            **lrate,
            **params,
        }
        return self.services.jobs.submit(self.actor, JobSpec("kraken", "a job", given, resources=Resources()), OCR_V1)

    def job(self, job: Job) -> Job:
        with self.services.db.read() as connection:
            return store.get(connection, job.id)

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

    def ocr_model(self, model: int) -> OcrModel:
        with self.services.db.read() as connection:
            return ocr.get_model(connection, model)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if not PYTHON:
        pytest.fail("TRAINYARD_KRAKEN_PYTHON is not set; `make test-kraken` makes an environment and sets it")
    home = tmp_path_factory.mktemp("kraken")
    settings = load({"data_dir": str(home), "kraken_python": PYTHON}, {})
    services = composition.build_services(settings, dict(os.environ), FakeSource(0))
    composition.start(services)
    yield Bench(services, services.accounts.operator())
    composition.stop(services)
