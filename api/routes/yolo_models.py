"""Registered models of the YOLO platform: /models and /api/v1/models, and the charts of trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from flask import Response, request

from api.models.dialect import YOLO_PLATFORM
from api.models.job import Job
from api.models.schemas import yolo_models as schemas
from api.models.schemas.yolo_datasets import DoneSchema
from api.models.yolo_history import METRICS
from api.models.yolo_model import YoloModel
from api.models.yolo_model_json import described, detailed
from api.routes.files import send_file
from api.routes.http import actor, answer, services
from api.routes.mirrored import Mirrored
from api.routes.yolo_datasets import uploaded_file, zipped
from api.services.yolo_model_jobs import EXPORT, VALIDATE, exported
from api.utils.errors import NotFound
from api.utils.times import iso

routes = Mirrored("models", "/models", "Registered models")
charts_of_jobs = Mirrored("training charts", "/train/jobs", "Charts of trainings")
BLUEPRINTS = (*routes.blueprints, *charts_of_jobs.blueprints)

UPLOAD = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schemas.ModelUploadSchema}}},
}
HOSTILE = {
    400: "it is no zip or not safe to unpack, has no weights, or holds weights that are more than a detector of "
    "ultralytics: the answer names the class that was refused"
}
NO_SERIES = {409: "nothing was recorded that could be drawn", 503: "too many charts are being drawn"}
MODEL_INFO = ("task", "model_type", "total_params", "trainable_params", "total_params_m")


@routes.view("GET", "", schemas.ModelListSchema)
def models() -> Response:
    """All models that the caller may read, newest first."""
    return answer({"models": [_item(model) for model in services().models.all_of(actor())]})


@routes.view("POST", "/upload", schemas.ModelSchema, refusals=HOSTILE, doc=UPLOAD)
def upload() -> Response:
    """Upload a model as a zip: `weights/*.pt` and, if there is one, `model.json`, at its root or one folder down.

    The weights are judged by the names in them, then opened in a child process with known classes alone.
    """
    file, team = uploaded_file("")
    with closing(file.stream):
        made = services().model_uploads.upload(actor(), file.name, file.stream, team)
    return answer(_detail(made))


@routes.view("GET", "/<task:model_id>", schemas.ModelSchema)
def model(model_id: str) -> Response:
    """One model, with what was measured of it."""
    return answer(_detail(services().models.get(actor(), model_id)))


@routes.view("PUT", "/<task:model_id>", schemas.ModelSchema, body=schemas.ModelChangeSchema)
def change(body: dict[str, Any], model_id: str) -> Response:
    """Change a model's name, description and tags."""
    return answer(_detail(services().models.change(actor(), model_id, body)))


@routes.view("DELETE", "/<task:model_id>", DoneSchema, refusals={409: "a job that waits or runs uses it"})
def delete(model_id: str) -> Response:
    """Delete a model and its files."""
    services().models.delete(actor(), model_id)
    return answer({"ok": True, "message": "Model deleted successfully"})


@routes.view("GET", "/<task:model_id>/export", None)
def archive(model_id: str) -> Response:
    """The model as a zip of `{model_id}/weights/best.pt` and `{model_id}/model.json`, which an upload takes."""
    return zipped(lambda: services().models.archive(actor(), model_id), f"{model_id}.zip")


@routes.view("GET", "/<task:model_id>/charts", None, query=schemas.ChartQuery, refusals=NO_SERIES)
def charts(query: dict[str, Any], model_id: str) -> Response:
    """The losses and metrics of the model's training as a PNG."""
    return _png(services().charts.of_model(actor(), model_id, query["chart_type"]))


@charts_of_jobs.view("GET", "/<task:job_id>/charts", None, query=schemas.ChartQuery, refusals=NO_SERIES)
def job_charts(query: dict[str, Any], job_id: str) -> Response:
    """The losses and metrics of a training as a PNG, also while it runs."""
    job = services().jobs.get(actor(), job_id)
    if job.dialect != YOLO_PLATFORM.name or job.spec.params.get("task") != "train":
        raise NotFound(f"there is no training {job_id!r}")
    return _png(services().charts.of_job(job, query["chart_type"]))


def _png(content: bytes) -> Response:
    response = Response(content, mimetype="image/png")
    response.headers["Cache-Control"] = "no-cache"
    return response


# ---- jobs on a model


@routes.view(
    "POST", "/<task:model_id>/export", schemas.ModelExportJobSchema, body=schemas.ModelExportSchema,
)  # fmt: skip
def export(body: dict[str, Any], model_id: str) -> Response:
    """Make another format of a model by ultralytics' exporter, as a job.

    A format that cannot be made here is refused, with what is missing for it.
    """
    return answer(_export(services().model_jobs.export(actor(), model_id, body), model_id))


@routes.view("GET", "/<task:model_id>/exports", schemas.ModelExportListSchema)
def exports(model_id: str) -> Response:
    """All exports of a model, newest first."""
    found = services().model_jobs.all_of(actor(), model_id, EXPORT)
    return answer({"exports": [_export(job, model_id) for job in found]})


@routes.view("GET", "/<task:model_id>/exports/<task:job_id>", schemas.ModelExportJobSchema)
def export_state(model_id: str, job_id: str) -> Response:
    """One export; `file` says where it can be had."""
    return answer(_export(services().model_jobs.one(actor(), model_id, job_id, EXPORT), model_id))


@routes.view(
    "GET", "/<task:model_id>/exports/<task:job_id>/file", None, refusals={409: "it has made no file, or not yet"}
)
def export_file(model_id: str, job_id: str) -> Response:
    """The file that an export made."""
    name, file = services().model_jobs.open(actor(), model_id, job_id)
    return send_file(file, download_name=name)


@routes.view(
    "POST",
    "/<task:model_id>/validate",
    schemas.ModelValidationJobSchema,
    body=schemas.ModelValidationSchema,
    refusals={409: "the dataset is not prepared, or has another number of classes"},
)
def validate(body: dict[str, Any], model_id: str) -> Response:
    """Measure a model on another dataset, as a job."""
    return answer(_validation(services().model_jobs.validate(actor(), model_id, body)))


@routes.view("GET", "/<task:model_id>/validations", schemas.ModelValidationListSchema)
def validations(model_id: str) -> Response:
    """All validations of a model, newest first."""
    found = services().model_jobs.all_of(actor(), model_id, VALIDATE)
    return answer({"validations": [_validation(job) for job in found]})


@routes.view("GET", "/<task:model_id>/validations/<task:job_id>", schemas.ModelValidationJobSchema)
def validation_state(model_id: str, job_id: str) -> Response:
    """One validation and, when it is through, its metrics."""
    return answer(_validation(services().model_jobs.one(actor(), model_id, job_id, VALIDATE)))


# ---- what is shown


def _placed(model: YoloModel) -> dict[str, Any]:
    return {"weights_path": str(services().models.weights(model)), "workspace_id": model.team_id}


def _item(model: YoloModel) -> dict[str, Any]:
    return {**described(model), **_placed(model)}


def _detail(model: YoloModel) -> dict[str, Any]:
    info = model.info.get("model_info") or {}
    return {**detailed(model), **_placed(model), "model_info": {name: info.get(name) for name in MODEL_INFO}}


def _job(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "model_id": job.spec.extra["model_id"],
        "status": YOLO_PLATFORM.words[job.status],
        "created_at": iso(job.created_at),
        "completed_at": iso(job.ended_at),
        "error": job.error_message,
        "warnings": list(job.warnings),
    }


def _arguments(job: Job, names: Iterable[str]) -> dict[str, Any]:
    return {name: job.spec.params[name] for name in names if name in job.spec.params}


def _export(job: Job, model_id: str) -> dict[str, Any]:
    file = exported(job)
    twin = request.path.partition("/models/")[0]
    url = f"{twin}/models/{model_id}/exports/{job.id}/file"
    return {
        **_job(job),
        "format": job.spec.params["format"],
        "arguments": _arguments(job, ("imgsz", "half", "dynamic", "batch", "simplify", "opset", "nms")),
        "file": None if file is None else {"name": file["name"], "size_bytes": file["size_bytes"], "url": url},
    }


def _validation(job: Job) -> dict[str, Any]:
    notes: Mapping[str, Any] = job.progress.get("notes", {})
    measured = notes.get("result")
    return {
        **_job(job),
        "dataset_id": job.spec.extra["dataset_id"],
        "version": job.spec.extra["dataset_version"],
        "arguments": _arguments(job, ("imgsz", "batch", "conf", "iou", "split", "device")),
        "metrics": None if measured is None else {name: measured.get(column) for name, column in METRICS.items()},
        "classes": [{"class": name, "mAP50-95": value} for name, value in notes.get("result_by_class", ())],
    }
