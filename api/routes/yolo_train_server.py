"""The YOLO train server dialect: bare paths and bodies, models by name (contract 4).

Its document's clients terminate and clear by GET; those paths are refused for other sites' pages (api.services.access)
and have twins by POST and DELETE.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Response, request
from markupsafe import escape

from api.models.dialect import YOLO_TRAIN_SERVER
from api.models.gpu import GpuState
from api.models.job import Job, JobStatus
from api.models.progress import Progress, shown
from api.models.schemas import yolo_train_server as schemas
from api.routes.blueprint import Blueprint
from api.routes.files import send_file
from api.routes.http import actor, answer, services
from api.services.store.train_server import Run
from api.services.yolo_train_server import WEIGHTS
from api.utils.errors import Invalid
from api.utils.times import iso

blueprint = Blueprint(
    "YOLO train server", __name__, description="YOLO trainings by model name, as its document has them"
)


@blueprint.post("/start")
@blueprint.arguments(schemas.TrainServerStartSchema)
@blueprint.response(200, schemas.TrainServerStartedSchema)
@blueprint.alt_response(409, description="the model is training, or exists and continue_train is false")
def start(body: dict[str, Any]) -> Response:
    """Start a training, or go on with one.

    The data are read, checked and made into a training set before the answer comes; what of them cannot be used is
    told in `warnings`. Without the model's weights in `<data>/weights` it begins from random ones, with a warning.
    """
    made = services().train_server.start(actor(), body)
    shown_now = {
        "message": "Training started",
        "model_name": made.job.spec.name,
        "task_id": made.job.id,
        "safe_code": made.job.id.rpartition("_")[2],
        "warnings": list(made.warnings),
        "ignored": list(made.ignored),
    }
    return answer(shown_now)


@blueprint.get("/status")
@blueprint.response(200, schemas.TrainServerStatusSchema)
def status() -> Response:
    """Which models train, which wait, and how far each is."""
    runs = services().train_server.runs(actor())
    return answer(
        {
            "Running": [run.name for run in runs if run.job.status is JobStatus.RUNNING],
            "Queued": [run.name for run in runs if run.job.status is JobStatus.QUEUED],
            "processes": {run.name: _process(run.job) for run in runs},
        }
    )


def _process(job: Job) -> dict[str, Any]:
    progress = shown(Progress.from_dict(job.progress), job.status, job.started_at, job.ended_at, time.time())
    return {
        "status": YOLO_TRAIN_SERVER.words[job.status],
        "pid": services().train_server.pid(job),
        "epoch": progress["current_epoch"],
        "epochs": job.spec.params["epochs"],
        "progress": progress["overall_progress"],
        "started_at": iso(job.started_at),
        "task_id": job.id,
        "error": None if job.failure is None else job.failure.hint,
    }


@blueprint.get("/terminate/<string:model_name>")
@blueprint.post("/terminate/<string:model_name>")
@blueprint.response(200, schemas.TrainServerMessageSchema)
@blueprint.alt_response(202, schema=schemas.TrainServerMessageSchema, description="it has not ended within 30 s")
@blueprint.alt_response(409, description="it does not train")
def terminate(model_name: str) -> Response:
    """End a model's training; its last state is kept, for `continue_train`."""
    job = services().train_server.terminate(actor(), model_name)
    if not job.status.is_terminal:
        return answer({"message": "Terminating"}, code=202)
    return answer({"message": "Process terminated"})


@blueprint.get("/train_info/<string:model_name>")
@blueprint.arguments(schemas.TrainInfoQuery, location="query")
@blueprint.response(200, schemas.TrainInfoSchema)
def train_info(query: dict[str, Any], model_name: str) -> Response:
    """What a training printed, and the values that it uses."""
    known = services()
    job = known.train_server.job(actor(), model_name)
    printed, errors = known.history.streams(job, query["lines"])
    return answer({"train_log_std": printed, "opt_yaml": known.train_server.options(job), "train_log_err": errors})


@blueprint.get("/clear_train_cache/<string:model_name>")
@blueprint.delete("/clear_train_cache/<string:model_name>")
@blueprint.response(200, schemas.ClearedSchema)
def clear_train_cache(model_name: str) -> Response:
    """Remove a model's logs, weights and training set, and free its name; `*`: of all of yours that do not train."""
    done = services().train_server.clear(actor(), model_name)
    message = "Cache cleared" if not done.failed else "Some of it could not be cleared"
    return answer(
        {"message": message, "clear_cache_success": list(done.names), "clear_cache_failed": dict(done.failed)}
    )


@blueprint.get("/cache_info")
@blueprint.response(200, schemas.CacheInfoSchema)
def cache_info() -> Response:
    """Models that have a log, and models that have a run directory."""
    known = services()
    runs = known.train_server.runs(actor())
    logs = [run.name for run in runs if known.history.has_log(run.job)]
    return answer({"train_info": logs, "train": [run.name for run in runs if known.train_server.has_output(run.job)]})


@blueprint.get("/download_model/<string:model_name>/weights/<string:model_type>")
@blueprint.response(200)
def download_model(model_name: str, model_type: str) -> Response:
    """A model's weights: the best by its validation, or the last."""
    if model_type not in WEIGHTS:
        raise Invalid("model_type", f"must be one of {', '.join(WEIGHTS)}")
    return send_file(services().train_server.weights(actor(), model_name, model_type), download_name=model_type)


@blueprint.get("/gpu_info")
@blueprint.response(200, schemas.TrainServerGpuSchema(many=True))
def gpu_info() -> Response:
    """Every GPU, and the models that train on it."""
    runs = services().train_server.runs(actor())
    return answer([_gpu(gpu, runs) for gpu in services().gpus.view().snapshot.gpus])


def _gpu(gpu: GpuState, runs: list[Run]) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "name": gpu.name,
        "memory_used": gpu.memory_used_mb,
        "memory_total": gpu.memory_total_mb,
        "utilization": gpu.utilization_percent,
        "temperature": gpu.temperature_c,
        "running": [run.name for run in runs if run.job.is_alive and gpu.index in run.job.gpu_ids],
    }


_START = (
    """-X POST {base}/start -H 'Content-Type: application/json' -d '{{"model_name": "insulator", """
    """"train_ucd": "/data/ucd/train.json", "val_ucd": "None", "labels": "good,broken", "model_type": "yolov5s", """
    """"batch_size": 16, "device": 0, "epochs": 100, "imgsz": 640, "hyp_dict": {{"lr0": 0.01}}}}'"""
)
#: method, path, what it does, how curl is called
CALLS = (
    ("POST", "/start", "start a training", _START),
    ("GET", "/status", "which models train, which wait, how far each is", "{base}/status"),
    ("GET", "/terminate/{model_name}", "end a training (POST too)", "-X POST {base}/terminate/insulator"),
    ("GET", "/train_info/{model_name}", "its logs and the values used", "'{base}/train_info/insulator?lines=100'"),
    (
        "GET",
        "/clear_train_cache/{model_name}",
        "remove a model, or with * all that do not train (DELETE too)",
        "-X DELETE {base}/clear_train_cache/insulator",
    ),
    ("GET", "/cache_info", "models with logs, and with run directories", "{base}/cache_info"),
    (
        "GET",
        "/download_model/{model_name}/weights/{model_type}",
        "best.pt or last.pt",
        "-O {base}/download_model/insulator/weights/best.pt",
    ),
    ("GET", "/gpu_info", "the GPUs", "{base}/gpu_info"),
    ("GET", "/help", "this page", "-H 'Accept: application/json' {base}/help"),
)


@blueprint.get("/help")
@blueprint.response(200, schemas.TrainServerHelpSchema)
def help_page() -> Response:
    """These calls, with an example of each: a page, or JSON for whom asks for that."""
    base = request.host_url.rstrip("/")
    calls = [
        {"method": method, "path": path, "does": does, "curl": f"curl {given.format(base=base)}"}
        for method, path, does, given in CALLS
    ]
    if request.accept_mimetypes.best_match(("text/html", "application/json")) == "application/json":
        return answer({"calls": calls})
    rows = "".join(
        f"<dt><code>{escape(call['method'])} {escape(call['path'])}</code></dt>"
        f"<dd>{escape(call['does'])}<pre>{escape(call['curl'])}</pre></dd>"
        for call in calls
    )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>YOLO train server</title>'
        f"<h1>YOLO train server</h1><dl>{rows}</dl></html>\n"
    )
    return Response(page, mimetype="text/html")
