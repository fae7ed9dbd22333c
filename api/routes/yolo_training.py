"""Trainings of the YOLO platform: /train/jobs and, enveloped, /api/v1/train/jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flask import Response
from marshmallow import Schema, ValidationError, fields, pre_load

from api.models.dialect import YOLO_PLATFORM
from api.models.job import Job, JobStatus
from api.models.progress import Progress, shown
from api.models.schemas import yolo_training as schemas
from api.models.schemas.yolo_datasets import DoneSchema
from api.routes.http import IDEMPOTENCY_KEY, actor, answer, idempotency, services
from api.routes.mirrored import Mirrored
from api.services.engines.ultralytics import arguments
from api.services.engines.ultralytics.request import DEFAULTS, arguments_of
from api.services.yolo_registration import model_of
from api.services.yolo_training import RESUMED, TASK, can_resume
from api.utils.secrets import masked
from api.utils.times import iso

routes = Mirrored("trainings", "/train", "YOLO trainings")
BLUEPRINTS = routes.blueprints
STATUS = YOLO_PLATFORM.words


class _Refused(Schema):
    """Names that ultralytics knows and a caller may not set, each with its reason."""

    @pre_load
    def _say_why(self, data: Any, **_: Any) -> Any:
        given = data if isinstance(data, Mapping) else {}
        refused = arguments.refused().items()
        reasons = {name: [why] for name, why in refused if name in given and name not in self.fields}
        if reasons:
            raise ValidationError(reasons)
        return data


def _argument(name: str, told: Mapping[str, Any]) -> fields.Raw:
    """The engine checks it; here it is described."""
    default = DEFAULTS[TASK]
    return fields.Raw(metadata={**told, "default": default[name]} if name in default else dict(told))


#: every train argument of ultralytics that a request may set is a field
NewTrainingSchema = type(
    "NewTrainingSchema",
    (schemas.TrainingRequestSchema, _Refused),
    {name: _argument(name, told) for name, told in arguments.schema(TASK).items()},
)
OWN = frozenset(schemas.TrainingRequestSchema().fields) - {"device", "pretrained"}
NOT_POSSIBLE = "the dataset cannot be prepared or trained on"


@routes.view(
    "POST",
    "/jobs",
    schemas.CreatedTrainingSchema,
    body=NewTrainingSchema,
    refusals={
        404: "there is no such dataset, version or model",
        409: NOT_POSSIBLE,
        429: "too many of your jobs wait",
        507: "more than this machine has",
    },
    doc={"parameters": [IDEMPOTENCY_KEY]},
)
def create(body: dict[str, Any]) -> Response:
    """Train a detector on a dataset.

    Fields beside those of the platform's document are ultralytics' train arguments, by their own names. A dataset that
    was only uploaded is prepared first. `status` is `running` also while the job waits; `queue_position` tells. The
    header `Idempotency-Key` makes it safe to send the same request again.
    """
    wanted = {name: value for name, value in body.items() if name in OWN}
    given = {name: value for name, value in body.items() if name not in OWN}
    made = services().trainings.create(actor(), wanted, given, request=idempotency(body))
    return answer(_created(made, services().queue.position(made)))


@routes.view("GET", "/jobs", schemas.TrainingListSchema, query=schemas.TrainingListQuery)
def jobs(query: dict[str, Any]) -> Response:
    """Trainings that the caller may read, newest first."""
    found, total = services().trainings.page(actor(), limit=query["limit"], offset=query["offset"])
    places = services().queue.positions(found)
    return answer({"jobs": [_item(job, places[job.id]) for job in found], "total": total})


@routes.view("GET", "/jobs/<task:job_id>", schemas.TrainingSchema)
def job(job_id: str) -> Response:
    """One training."""
    return answer(_detail(services().trainings.get(actor(), job_id)))


@routes.view("POST", "/jobs/<task:job_id>/stop", DoneSchema, refusals={409: "it has already ended"})
def stop(job_id: str) -> Response:
    """Stop a training; `last.pt` is kept, and it can be resumed.

    Waits up to 30 seconds for the end, which comes after the batch at hand.
    """
    ended = services().trainings.stop(actor(), job_id).job
    if ended.status is JobStatus.STOPPED:
        return answer({"ok": True, "message": "Training job stopped successfully"})
    if ended.status.is_terminal:
        return answer({"ok": True, "message": f"Training job has ended by itself: {STATUS[ended.status]}"})
    return answer({"ok": True, "message": "Training job is stopping: it saves its state first"})


@routes.view("POST", "/jobs/<task:job_id>/resume", schemas.ResumedSchema, refusals={409: "it runs, or is finished"})
def resume(job_id: str) -> Response:
    """Go on with a training that was stopped or failed.

    From `last.pt`, so that no epoch is repeated; without it from the weights of `best.pt`, else from the start, which
    `message` and `warnings` say.
    """
    made, said = services().trainings.resume(actor(), job_id)
    warnings = [] if said == RESUMED else [said]
    return answer({"ok": True, "message": said, "job_id": made.id, "status": STATUS[made.status], "warnings": warnings})


@routes.view("DELETE", "/jobs/<task:job_id>", DoneSchema, refusals={409: "it runs; stop it first"})
def delete(job_id: str) -> Response:
    """Delete a training with its files. The model that it left stays."""
    services().trainings.delete(actor(), job_id)
    return answer({"ok": True, "message": "Training job deleted successfully"})


def _created(job: Job, position: int | None) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "status": STATUS[job.status],
        "queue_position": position,
        "warnings": list(job.warnings),
    }


def _item(job: Job, position: int | None) -> dict[str, Any]:
    params, lineage, extra = job.spec.params, job.spec.dataset or {}, job.spec.extra
    ended = {status: iso(job.ended_at) if job.status is status else None for status in JobStatus}
    return {
        **_created(job, position),
        "dataset_id": lineage["dataset_id"],
        "version": lineage["version"],
        "model_name": extra["model_name"],
        "base_model_id": extra["base_model_id"],
        "epochs": params["epochs"],
        "imgsz": params["imgsz"],
        "batch": params["batch"],
        "created_at": iso(job.created_at),
        "completed_at": ended[JobStatus.COMPLETED],
        "stopped_at": ended[JobStatus.STOPPED],
        "failed_at": ended[JobStatus.FAILED],
        "model_id": model_of(job),
        "log_file": services().history.log_path(job),
        "error": job.error_message,
        "can_resume": can_resume(job),
        "resume_count": job.attempt - 1,
    }


def _detail(job: Job) -> dict[str, Any]:
    progress = Progress.from_dict(job.progress)
    failure = job.failure
    return {
        **_item(job, services().queue.position(job)),
        "started_at": None if job.status is JobStatus.QUEUED else iso(job.started_at),
        "progress": shown(progress, job.status, job.started_at, job.ended_at, time.time()),
        "queue_reason": services().queue.reason(job),
        "failure": None if failure is None else {"kind": failure.kind, "hint": failure.hint, "line": failure.line},
        "arguments": masked(arguments_of(job.spec.params)),
        "workspace_id": job.team_id,
    }
