"""OCR models: made, trained on documents, evaluated, watched. Knows no HTTP; the trainer itself is an engine's."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.dialect import OCR_V1
from api.models.job import Job, JobSpec, JobStatus, Resources
from api.models.ocr import LineCounts, ModelJob, OcrModel, Training
from api.services.accounts import AccountService
from api.services.document_import import DocumentFiles
from api.services.documents import DENIED
from api.services.jobs import JobService
from api.services.store import documents, ocr
from api.services.store import jobs as job_store
from api.services.store.database import Database
from api.utils.downloads import open_beneath
from api.utils.errors import Conflict, Forbidden, Invalid, NotFound

ENGINE = "kraken"
RECENT = 10
_OPTIONS = ("epochs", "lrate", "batch_size", "augment", "device", "spec", "lag", "seed")


@dataclass(frozen=True, slots=True)
class Task:
    """A training with its job as it is now."""

    training: Training
    job: Job

    @property
    def started_at(self) -> float | None:
        return self.job.started_at

    def duration(self, now: float) -> int | None:
        """Whole seconds, of a training that has begun."""
        if self.job.started_at is None:
            return None
        end = self.job.ended_at if self.job.status.is_terminal and self.job.ended_at is not None else now
        return max(0, int(end - self.job.started_at))

    @property
    def epochs_done(self) -> int | None:
        found: int | None = self._note("epochs_done")
        return found

    @property
    def accuracy(self) -> float | None:
        """0..1, as the trainer last said."""
        found: float | None = self._note("accuracy")
        return found

    def _note(self, key: str) -> Any:
        return self.job.progress.get("notes", {}).get(key)

    @property
    def validation_lines(self) -> int:
        return self.training.lines // 10

    @property
    def training_lines(self) -> int:
        return self.training.lines - self.validation_lines


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What is known of a model's trainings; `current` is the one that runs, or that ran last."""

    model: OcrModel
    current: Task | None
    recent: tuple[Task, ...]


class OcrTrainingService:
    """Raises the errors of api.utils.errors."""

    def __init__(
        self,
        db: Database,
        jobs: JobService,
        accounts: AccountService,
        files: DocumentFiles,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._accounts = accounts
        self._files = files
        self._clock = clock

    # ---- models

    def create(self, actor: Actor, given: Mapping[str, Any]) -> OcrModel:
        actor.require_run()
        team, job, base = given.get("workspace_id"), ModelJob(given["job"]), given.get("base_model_id")
        if team is not None:
            self._accounts.team_for(actor, team)
        if base is not None:
            self._check_base(actor, base, job)
        now = self._clock()
        new = OcrModel(0, actor.user_id, team, given["name"], job, base, None, None, None, now, now)
        with self._db.write() as connection:
            return ocr.add_model(connection, new)

    def _check_base(self, actor: Actor, base_id: int, job: ModelJob) -> None:
        try:
            base = self.get(actor, base_id)
        except NotFound:
            raise Invalid("base_model_id", f"there is no model {base_id}") from None
        if base.job is not job:
            raise Invalid("base_model_id", f"model {base_id} is for another job: {base.job}")

    def page(self, actor: Actor, *, limit: int, offset: int) -> tuple[list[OcrModel], int]:
        actor.require_read()
        with self._db.read() as connection:
            return ocr.models_of(connection, actor.viewer, limit=limit, offset=offset)

    def get(self, actor: Actor, model_id: int) -> OcrModel:
        with self._readable(actor, model_id) as (_, model):
            return model

    @contextmanager
    def _readable(self, actor: Actor, model_id: int) -> Iterator[tuple[Connection, OcrModel]]:
        with self._db.read() as connection:
            model = ocr.get_model(connection, model_id)
            if not actor.may_read(model.owner_id, model.team_id):
                raise Forbidden(DENIED)
            yield connection, model

    def _mine(self, actor: Actor, model_id: int) -> OcrModel:
        model = self.get(actor, model_id)
        actor.require_run()
        if not actor.may_change(model.owner_id):
            raise Forbidden(DENIED)
        return model

    def open_file(self, actor: Actor, model_id: int) -> tuple[OcrModel, BinaryIO]:
        model = self.get(actor, model_id)
        if model.file is None:
            raise NotFound(f"model {model_id} has no file yet; train it first")
        try:
            return model, open_beneath(self._files.data_dir, model.file)
        except FileNotFoundError:
            raise NotFound(f"the file of model {model_id} is gone") from None

    def delete(self, actor: Actor, model_id: int) -> None:
        self._mine(actor, model_id)
        with self._db.write() as connection:
            self._refuse_live(connection, model_id)
            ocr.remove_model(connection, model_id)
        shutil.rmtree(self._files.models / str(model_id), ignore_errors=True)

    @staticmethod
    def _refuse_live(connection: Connection, model_id: int) -> None:
        live = ocr.live_training(connection, model_id)
        if live is not None:
            raise Conflict(f"job {live.job_id} works on the model; wait or stop it", data={"task_id": live.job_id})

    # ---- trainings

    def train(self, actor: Actor, model_id: int, given: Mapping[str, Any]) -> Job:
        """Begins with the model's own file, if it has one, else with its base model's."""
        model = self._mine(actor, model_id)
        ids = list(given["document_ids"])
        counts = self._counts(actor, ids, "document_ids")
        need = counts.with_baseline if model.job is ModelJob.SEGMENT else counts.with_text
        if not need:
            what = "baseline" if model.job is ModelJob.SEGMENT else "transcription"
            raise Invalid("document_ids", f"no line of these documents has a {what}; there is nothing to learn from")
        params = {name: given[name] for name in _OPTIONS if given.get(name) is not None}
        params |= {"task": model.job.task, "model_id": model_id, "document_ids": ids}
        params["base_model"] = self._start_of(actor, model)
        return self._submit(actor, model, f"{model.job.type_name} training: Model {model_id}", params, counts)

    def evaluate(self, actor: Actor, model_id: int, given: Mapping[str, Any]) -> Job:
        """Character and word error rates of a recognition model on a document."""
        model = self._mine(actor, model_id)
        if model.job is not ModelJob.RECOGNIZE:
            raise Conflict("only recognition models can be evaluated")
        if model.file is None:
            raise Conflict(f"model {model_id} has no file yet; train it first")
        ids = [given["document_id"]]
        counts = self._counts(actor, ids, "document_id")
        if not counts.with_text:
            raise Invalid("document_id", "no line of it has a transcription to compare with")
        params = {name: given[name] for name in ("device", "batch_size") if given.get(name) is not None}
        params |= {"task": "test", "model_id": model_id, "document_ids": ids, "base_model": self._path(model.file)}
        return self._submit(actor, model, f"Recognition test: Model {model_id}", params, counts)

    def _counts(self, actor: Actor, ids: list[int], field: str) -> LineCounts:
        with self._db.read() as connection:
            for document_id in ids:
                try:
                    document = documents.get(connection, document_id)
                except NotFound:
                    raise Invalid(field, f"there is no document {document_id}") from None
                if not actor.may_read(document.owner_id, document.team_id):
                    raise Forbidden(DENIED)
            return documents.counts(connection, ids)

    def _start_of(self, actor: Actor, model: OcrModel) -> str | None:
        if model.file is not None:
            return self._path(model.file)
        if model.base_model_id is None:
            return None
        base = self.get(actor, model.base_model_id)
        if base.file is None:
            raise Conflict(f"the base model {base.id} has no file yet; train it first")
        return self._path(base.file)

    def _path(self, relative: str) -> str:
        return str(self._files.data_dir / relative)

    def _submit(self, actor: Actor, model: OcrModel, name: str, params: dict[str, Any], counts: LineCounts) -> Job:
        ids = params["document_ids"]

        def record(connection: Connection, job: Job) -> None:
            self._refuse_live(connection, model.id)
            ocr.get_model(connection, model.id)  # NotFound: it was removed this very moment
            ocr.add_training(connection, model.id, job, ids, counts)

        gpus = 0 if params.get("device") == "cpu" else 1  # a machine without one trains on its CPU
        spec = JobSpec(engine=ENGINE, name=name, params=params, resources=Resources(gpus=gpus))
        return self._jobs.submit(actor, spec, OCR_V1, team_id=model.team_id, also=record)

    # ---- watching

    def status(self, actor: Actor, model_id: int) -> ModelStatus:
        with self._readable(actor, model_id) as (connection, model):
            tasks = self._tasks(connection, ocr.trainings_of(connection, model_id, RECENT))
        running = next((task for task in tasks if task.job.is_alive), None)
        begun = next((task for task in tasks if task.started_at is not None), None)
        return ModelStatus(model, running or begun or next(iter(tasks), None), tuple(tasks))

    def active(self, actor: Actor) -> list[tuple[OcrModel, Task]]:
        """Trainings alive now of models that the caller may see, the newest first."""
        actor.require_read()
        with self._db.read() as connection:
            tasks = self._tasks(connection, ocr.running_trainings(connection))
            found = [(ocr.get_model(connection, task.training.model_id), task) for task in tasks]
        return [(model, task) for model, task in found if actor.may_read(model.owner_id, model.team_id)]

    @staticmethod
    def _tasks(connection: Connection, trainings: list[Training]) -> list[Task]:
        jobs = job_store.by_number(connection, [training.job_seq for training in trainings])
        return [Task(training, jobs[training.job_seq]) for training in trainings]


def said(task: Task) -> str:
    """What a task's `messages` are."""
    text = f"Training set {task.training_lines} lines, validation set {task.validation_lines}"
    if task.epochs_done is not None:
        text += f"; epoch {task.epochs_done}"
        text += "" if task.accuracy is None else f", accuracy {task.accuracy:.3f}"
    if task.job.status is JobStatus.FAILED and task.job.error_message:
        text += f"; {task.job.error_message}"
    return text[:500]
