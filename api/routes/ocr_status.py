"""The OCR status dialect's three reads: bare bodies, a slash at the end (contract 5)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from flask import Response

from api.models.dialect import OCR_STATUS
from api.models.ocr import OcrModel
from api.models.progress import duration
from api.models.schemas import ocr as schemas
from api.routes.blueprint import Blueprint
from api.routes.http import actor, answer, services
from api.routes.ocr import size_mb
from api.services.ocr_training import ModelStatus, Task, said

blueprint = Blueprint("ocr_status", __name__, url_prefix="/api", description="The OCR status document's reads")


@blueprint.get("/models/<row:model_id>/training-status/")
@blueprint.response(200, schemas.TrainingStatusSchema)
def training_status(model_id: int) -> Response:
    """How a model's current or last training goes."""
    return answer(_status(services().ocr.status(actor(), model_id), time.time()))


@blueprint.get("/training/active/")
@blueprint.response(200, schemas.ActiveTrainingsSchema)
def active() -> Response:
    """Trainings that are alive now."""
    now = time.time()
    found = [_active(model, task, now) for model, task in services().ocr.active(actor())]
    return answer({"active_trainings": found, "total_active": len(found), "timestamp": stamp(now)})


@blueprint.get("/documents/<row:document_id>/data-quality/")
@blueprint.response(200, schemas.QualitySchema)
def data_quality(document_id: int) -> Response:
    """Whether a document can be trained on, and what it lacks."""
    document, quality = services().documents.quality(actor(), document_id)
    return answer(
        {
            "document_id": document.id,
            "document_name": document.name,
            "parts_count": quality.counts.parts,
            "lines_count": quality.counts.lines,
            "quality_checks": quality.checks(),
            "readiness": quality.readiness(),
            "estimated_training_time": quality.estimate(),
        }
    )


def stamp(moment: float | None) -> str | None:
    """Whole seconds, as the document writes times."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(found: ModelStatus, now: float) -> dict[str, Any]:
    task = found.current
    seconds = None if task is None else task.duration(now)
    accuracy = None if task is None else task.accuracy
    return {
        "model_id": found.model.id,
        "model_name": found.model.name,
        "model_type": found.model.job.type_name,
        "training": task is not None and task.job.is_alive,
        "training_started_at": None if task is None else stamp(task.started_at),
        "training_duration_seconds": seconds,
        "training_duration_human": None if seconds is None else duration(seconds),
        "current_epoch": None if task is None else task.epochs_done,
        "current_accuracy": accuracy,
        "accuracy_percent": None if accuracy is None else round(100 * accuracy, 2),
        "data_stats": _stats(task),
        "file_size_mb": size_mb(found.model),
        "recent_tasks": [_task(each) for each in found.recent],
    }


def _stats(task: Task | None) -> dict[str, Any]:
    """Of the documents as they were when the training was asked for."""
    names = ("training_lines", "validation_lines", "total_lines", "documents_count", "parts_count")
    if task is None:
        return {**dict.fromkeys(names, 0), "avg_lines_per_part": 0.0}
    data = task.training
    numbers = (task.training_lines, task.validation_lines, data.lines, data.documents, data.parts)
    average = round(data.lines / data.parts, 1) if data.parts else 0.0
    return {**dict(zip(names, numbers, strict=True)), "avg_lines_per_part": average}


def _task(task: Task) -> dict[str, Any]:
    job = task.job
    return {
        "id": job.seq,
        "label": job.spec.name,
        "method": f"core.tasks.{task.training.task}",
        "state": OCR_STATUS.words[job.status],
        "created_at": stamp(job.created_at),
        "start": stamp(job.started_at),
        "end": stamp(job.ended_at) if job.status.is_terminal else None,
        "messages": said(task),
    }


def _active(model: OcrModel, task: Task, now: float) -> dict[str, Any]:
    """One whose child has not begun yet is alive since it was claimed, which is not kept: since now."""
    seconds = task.duration(now) or 0
    return {
        "model_id": model.id,
        "model_name": model.name,
        "model_type": model.job.type_name,
        "started_at": stamp(task.started_at or now),
        "duration_seconds": seconds,
        "duration_human": duration(seconds),
        "current_accuracy": task.accuracy or 0.0,
        "current_epoch": task.epochs_done or 0,
    }
