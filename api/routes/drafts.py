"""A job before it is one: what a request would start, and the request that a job came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Response

from api.models.dialect import JOBS, PREPROCESSING, TRAINING_V1, YOLO_PLATFORM
from api.models.job import Job
from api.models.schemas import drafts as schemas
from api.models.schemas.answers import TooFewSchema
from api.models.schemas.preprocessing import PreprocessingStartSchema
from api.models.schemas.training import StartSchema
from api.routes.blueprint import Blueprint
from api.routes.http import actor, answer, enveloped, services
from api.routes.training import spec_of
from api.services.engines.diffusion_pipe.documents import preview as preview_texts
from api.services.engines.ultralytics.request import arguments_of
from api.utils.secrets import MASK, masked

blueprint = Blueprint("drafts", __name__, url_prefix="/api/v1/training", description="A job before it is one")


@blueprint.post("/preview")
@blueprint.arguments(StartSchema)
@blueprint.response(200, enveloped(schemas.PreviewSchema))
@blueprint.alt_response(507, schema=enveloped(TooFewSchema), description="more than this machine has")
def preview(body: dict[str, Any]) -> Response:
    """What POST /start would do with a request: every check, and the TOML that the trainer would be given.

    Nothing is queued or written.
    """
    services().preprocessing.check_use(actor(), body["dataset"])
    if "workspace_id" in body:
        services().accounts.team_for(actor(), body["workspace_id"])
    spec, warnings = services().jobs.checked(actor(), spec_of(body))
    config, dataset = masked(dict(spec.params["config"])), masked(dict(spec.dataset or {}))
    files = [{"name": name, "text": text} for name, text in preview_texts(config, dataset).items()]
    told = {"model_type": spec.params["model_type"], "config": config, "dataset": dataset}
    return answer({**told, "files": files, "warnings": list(warnings)}, message="nothing was started")


@blueprint.get("/<task:task_id>/request")
@blueprint.response(200, enveloped(schemas.RequestSchema))
def request_of(task_id: str) -> Response:
    """The request that would make this job once more, for a form to change."""
    job = services().jobs.get(actor(), task_id)
    path, make = MAKERS.get((job.dialect, job.engine, job.spec.params.get("task")), (None, None))
    if make is None:
        return answer({"task_id": job.id, "path": None, "body": None, "left_out": []})
    body, left_out = _without_secrets({name: value for name, value in make(job).items() if _says_something(value)})
    config = body.get("config")
    if isinstance(config, dict) and config.pop("output_dir", None) is not None:  # each job has one of its own
        left_out.append("config.output_dir")
    return answer({"task_id": job.id, "path": path, "body": body, "left_out": left_out})


def _says_something(value: Any) -> bool:
    return value is not None and value not in ({}, [], (), "")


def _without_secrets(body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Without what `masked` would hide, and where that stood."""
    shown = masked(body)
    hidden = list(_masked_in(shown, body, ""))
    for path in hidden:
        *tables, last = path.split("\0")
        place: Any = shown
        for key in tables:
            place = place[int(key)] if isinstance(place, list) else place[key]
        del place[last]
    return shown, [path.replace("\0", ".") for path in hidden]


def _masked_in(shown: Any, given: Any, path: str) -> Iterator[str]:
    """Keys joined by NUL, which no key holds."""
    if isinstance(shown, Mapping):
        for key, value in shown.items():
            if value == MASK and given[key] != MASK:
                yield f"{path}{key}"
            else:
                yield from _masked_in(value, given[key], f"{path}{key}\0")
    elif isinstance(shown, list):
        for index, value in enumerate(shown):
            yield from _masked_in(value, given[index], f"{path}{index}\0")


# ---- by dialect


def _common(job: Job) -> dict[str, Any]:
    spec = job.spec
    return {
        "workspace_id": job.team_id,
        "priority": job.priority or None,
        "description": spec.description,
        "env": dict(spec.env),
        "max_runtime": spec.max_runtime,
        "max_retries": spec.max_retries or None,
    }


def _training_v1(job: Job) -> dict[str, Any]:
    spec, wanted = job.spec, job.spec.resources
    return {
        "model_type": spec.params["model_type"],
        "dataset": dict(spec.dataset or {}),
        "config": dict(spec.params["config"]),
        "gpu_id": wanted.gpu_ids[0] if wanted.gpu_ids else None,
        "num_gpus": wanted.gpus if wanted.gpus > 1 else None,
        "tags": list(spec.tags),
        **_common(job),
    }


def _script(job: Job) -> dict[str, Any]:
    spec, wanted = job.spec, job.spec.resources
    return {
        "name": spec.name,
        **{name: spec.params.get(name) for name in ("framework", "script_path", "args", "python")},
        "dataset_id": spec.extra.get("dataset_id"),
        "cpu": wanted.cpus,
        "memory": wanted.memory,
        "gpu": wanted.gpus,
        **_common(job),
    }


def _preprocessing(job: Job) -> dict[str, Any]:
    names = PreprocessingStartSchema().fields
    return {name: value for name, value in job.spec.params.items() if name in names} | {"workspace_id": job.team_id}


def _yolo(job: Job) -> dict[str, Any]:
    spec = job.spec
    return {
        **(spec.dataset or {}),
        **{name: spec.extra.get(name) for name in ("model_name", "base_model_id")},
        **{name: spec.params.get(name) for name in ("device", "pretrained")},
        **arguments_of(spec.params),
        "priority": job.priority or None,
        "workspace_id": job.team_id,
    }


Maker = tuple[str, Callable[[Job], dict[str, Any]]]
#: dialect, engine and, where the engine knows several, the task
MAKERS: Mapping[tuple[str, str, str | None], Maker] = {
    (TRAINING_V1.name, "diffusion_pipe", None): ("/api/v1/training/start", _training_v1),
    (JOBS.name, "script", None): ("/api/v1/training/jobs", _script),
    (PREPROCESSING.name, "preprocessing", None): ("/api/v1/preprocessing/start", _preprocessing),
    (YOLO_PLATFORM.name, "ultralytics", "train"): ("/api/v1/train/jobs", _yolo),
}
