"""OCR models and their trainings, and the pages that a trainer reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from api.models.accounts import Viewer
from api.models.job import Job, JobStatus
from api.models.ocr import LineCounts, ModelJob, OcrModel, Pace, Page, Training
from api.services.store import documents
from api.services.store.ocr_tables import ocr_models, ocr_trainings
from api.services.store.schema import jobs
from api.services.store.viewers import seen_by
from api.utils.errors import NotFound

# ---- models


def _model(row: Row[Any]) -> OcrModel:
    fields = dict(row._mapping)
    return OcrModel(**{**fields, "job": ModelJob(fields["job"])})


def add_model(connection: Connection, new: OcrModel) -> OcrModel:
    """A row; the id of `new` is not looked at."""
    values = {name: getattr(new, name) for name in OcrModel.__dataclass_fields__ if name != "id"}
    made = connection.execute(insert(ocr_models).values(values)).inserted_primary_key
    return replace(new, id=int(made[0]))  # type: ignore[index]


def get_model(connection: Connection, model_id: int) -> OcrModel:
    row = connection.execute(select(ocr_models).where(ocr_models.c.id == model_id)).first()
    if row is None:
        raise NotFound("Model not found")
    return _model(row)


def models_of(connection: Connection, viewer: Viewer, *, limit: int, offset: int) -> tuple[list[OcrModel], int]:
    """Newest first, with the number of all that the viewer may see."""
    query = select(ocr_models).where(*seen_by(viewer, ocr_models))
    rows = connection.execute(query.order_by(ocr_models.c.id.desc()).limit(limit).offset(offset))
    total = connection.execute(query.with_only_columns(func.count()).select_from(ocr_models)).scalar_one()
    return [_model(row) for row in rows], int(total)


def set_model_file(
    connection: Connection, model_id: int, path: str, size: int, accuracy: float | None, now: float
) -> None:
    """The best file of a training, from now on the model's own. `path` is relative to the data directory."""
    values = {"file": path, "file_size": size, "accuracy": accuracy, "updated_at": now}
    connection.execute(update(ocr_models).where(ocr_models.c.id == model_id).values(values))


def remove_model(connection: Connection, model_id: int) -> None:
    """With its trainings' rows; their jobs stay in the history."""
    connection.execute(delete(ocr_models).where(ocr_models.c.id == model_id))


# ---- trainings


_TRAININGS = select(ocr_trainings, jobs.c.id.label("job_id")).join(jobs, jobs.c.seq == ocr_trainings.c.job_seq)


def _training(row: Row[Any]) -> Training:
    fields = dict(row._mapping)
    return Training(**{**fields, "document_ids": tuple(fields["document_ids"])})


def add_training(
    connection: Connection, model_id: int, job: Job, document_ids: Sequence[int], stats: LineCounts
) -> None:
    """A training of a model, in the transaction that submits its job."""
    values = {
        "model_id": model_id,
        "job_seq": job.seq,
        "task": job.spec.params["task"],
        "document_ids": list(document_ids),
        "documents": stats.documents,
        "parts": stats.parts,
        "lines": stats.lines,
        "created_at": job.created_at,
    }
    connection.execute(insert(ocr_trainings).values(values))


def trainings_of(connection: Connection, model_id: int, limit: int = 10) -> list[Training]:
    """The newest first; no evaluations."""
    query = _TRAININGS.where(ocr_trainings.c.model_id == model_id, ocr_trainings.c.task != "test")
    return [_training(row) for row in connection.execute(query.order_by(ocr_trainings.c.job_seq.desc()).limit(limit))]


def training_of_job(connection: Connection, job: Job) -> Training | None:
    """None when the job is no kraken training, or its model was removed."""
    row = connection.execute(_TRAININGS.where(ocr_trainings.c.job_seq == job.seq)).first()
    return None if row is None else _training(row)


def live_training(connection: Connection, model_id: int) -> Training | None:
    """One that waits or runs; there is at most one."""
    alive = jobs.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING))
    row = connection.execute(_TRAININGS.where(ocr_trainings.c.model_id == model_id, alive)).first()
    return None if row is None else _training(row)


def running_trainings(connection: Connection) -> list[Training]:
    """The newest first; no evaluations."""
    query = _TRAININGS.where(jobs.c.status == JobStatus.RUNNING, ocr_trainings.c.task != "test")
    return [_training(row) for row in connection.execute(query.order_by(ocr_trainings.c.job_seq.desc()))]


def pace(connection: Connection, most: int = 20) -> Pace | None:
    """From the newest finished trainings; of each what the trainer measured itself, else its whole time."""
    columns = (ocr_trainings.c.lines, jobs.c.started_at, jobs.c.ended_at, jobs.c.progress)
    query = select(*columns).join(jobs, jobs.c.seq == ocr_trainings.c.job_seq)
    query = query.where(jobs.c.status == JobStatus.COMPLETED, jobs.c.attempt == 1)
    query = query.where(ocr_trainings.c.task != "test", ocr_trainings.c.lines > 0)
    seconds = line_epochs = 0.0
    number = 0
    for lines, started, ended, progress in connection.execute(query.order_by(jobs.c.seq.desc()).limit(most)):
        notes = progress.get("notes", {})
        epochs = notes.get("epochs_done")
        if not epochs or started is None:
            continue
        own = notes.get("seconds_per_line_epoch")
        number += 1
        line_epochs += lines * epochs
        seconds += ended - started if own is None else own * lines * epochs
    return Pace(number, seconds / line_epochs) if number else None


# ---- what a trainer reads


def pages_of(connection: Connection, document_ids: Iterable[int]) -> Iterator[Page]:
    """The parts of documents in their order, each with its lines (also those without a baseline or a text)."""
    for document_id in document_ids:
        for part in documents.parts_of(connection, document_id):
            yield Page(part, tuple(documents.lines_of_part(connection, part.id)))
