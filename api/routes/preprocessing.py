"""Preprocessing: /api/v1/preprocessing (contract 1)."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from flask import Response

from api.models.dialect import PREPROCESSING
from api.models.job import Job, JobStatus
from api.models.prepared import Item, Prepared
from api.models.schemas import preprocessing as schemas
from api.routes.blueprint import Blueprint
from api.routes.files import send_file
from api.routes.http import actor, answer, enveloped, services
from api.services.buckets import Choice
from api.services.captions import replacing
from api.utils.downloads import open_beneath
from api.utils.errors import Invalid, NotFound
from api.utils.times import iso

blueprint = Blueprint(
    "preprocessing", __name__, url_prefix="/api/v1/preprocessing", description="Videos and images into training sets"
)
MOST_FILES = 1000  # that a status names
NUMBER = "<int(min=1,max=10000000):number>"


@blueprint.post("/start")
@blueprint.arguments(schemas.PreprocessingStartSchema)
@blueprint.response(202, enveloped(schemas.PreprocessingStartAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="the name is taken")
def start(body: dict[str, Any]) -> Response:
    """Make a captioned dataset of a directory's videos and images."""
    who, team_id = actor(), body.pop("workspace_id", None)
    if team_id is not None:
        services().accounts.team_for(who, team_id)
    job = services().preprocessing.start(who, body, team_id=team_id)
    known = _status(job)
    kept = {name: known[name] for name in ("preprocessing_id", "dataset_name", "status", "output_directory")}
    more = {"message": "preprocessing queued", "captioner": known["captioner"]}
    return answer({**kept, **more}, code=202, message="preprocessing queued")


@blueprint.get("/status/<task:preprocessing_id>")
@blueprint.response(200, enveloped(schemas.PreprocessingStatusSchema))
def status(preprocessing_id: str) -> Response:
    """How far it is, and what went wrong with which file."""
    return answer(_status(services().preprocessing.get(actor(), preprocessing_id)))


@blueprint.post("/cancel/<task:preprocessing_id>")
@blueprint.arguments(schemas.WaitQuery, location="query")
@blueprint.response(200, enveloped(schemas.PreprocessingStatusSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it has already ended")
def cancel(query: dict[str, Any], preprocessing_id: str) -> Response:
    """End it; nothing of its dataset is left, and the name is free again."""
    job = services().preprocessing.cancel(actor(), preprocessing_id, query["wait"]).job
    return answer(_status(job), message="cancelled" if job.status.is_terminal else "cancelling")


def _status(job: Job) -> dict[str, Any]:
    params, notes = job.spec.params, job.progress.get("notes", {})
    return {
        "preprocessing_id": job.id,
        "dataset_name": params["dataset_name"],
        "status": PREPROCESSING.words[job.status],
        "output_directory": str(services().prepared.root / params["dataset_name"]),
        "captioner": params["captioner"],
        "progress": _progress(job, notes),
        "errors": notes.get("errors", []),
        "warnings": list(job.warnings),
        "output_files": services().preprocessing.files(job)[:MOST_FILES] if job.status is JobStatus.COMPLETED else [],
        "error_message": job.error_message,
    }


def _progress(job: Job, notes: dict[str, Any]) -> dict[str, Any]:
    total = notes.get("total_videos")
    processed, failed = notes.get("processed_videos", 0), notes.get("failed_videos", 0)
    done, left = processed + failed, None
    if job.status is JobStatus.RUNNING and done and job.started_at is not None:
        left = round((time.time() - job.started_at) / done * (total - done), 1)
    return {
        "total_videos": total,
        "processed_videos": processed,
        "failed_videos": failed,
        "current_video": notes.get("current_video") if job.status is JobStatus.RUNNING else None,
        "current_step": notes.get("current_step"),
        "progress_percent": round(100 * done / total, 1) if total else None,
        "start_time": iso(job.started_at),
        "estimated_remaining_time": left,
    }


# ---- datasets


@blueprint.get("/datasets")
@blueprint.arguments(schemas.PreparedPageQuery, location="query")
@blueprint.response(200, enveloped(schemas.PreparedDatasetsSchema))
def datasets(query: dict[str, Any]) -> Response:
    """The datasets that you may see, by name."""
    found, total = services().prepared.page(actor(), **query)
    return answer({"datasets": [_dataset(each) for each in found], "total": total})


@blueprint.get("/datasets/<dataset_name>")
@blueprint.response(200, enveloped(schemas.PreparedDatasetSchema))
def dataset(dataset_name: str) -> Response:
    """One dataset."""
    return answer(_dataset(services().prepared.get(actor(), dataset_name)))


@blueprint.get("/check/<dataset_name>")
@blueprint.response(200, enveloped(schemas.PreparedCheckSchema))
def check(dataset_name: str) -> Response:
    """Whether a name is taken."""
    found = services().prepared.find(dataset_name)
    if found is not None and actor().may_read(found.owner_id, found.team_id):
        return answer({"exists": True, **_dataset(found)})
    nothing = dict.fromkeys(schemas.PreparedDatasetSchema().fields)
    return answer({**nothing, "dataset_name": dataset_name, "exists": found is not None})


def _dataset(found: Prepared) -> dict[str, Any]:
    return {
        "dataset_name": found.name,
        "directory": str(services().prepared.root / found.name),
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "video_count": found.video_count,
        "image_count": found.image_count,
        "caption_count": found.caption_count,
        "file_count": found.file_count,
        "total_seconds": found.total_seconds,
        "status": PREPROCESSING.words[found.making or JobStatus.COMPLETED],
        "last_preprocessing_id": found.job_id,
    }


@blueprint.delete("/datasets/<dataset_name>")
@blueprint.response(200, enveloped(schemas.PreparedDeletedSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="a job that waits or runs makes it or uses it")
def delete(dataset_name: str) -> Response:
    """Remove a dataset with all its files."""
    services().prepared.delete(actor(), dataset_name)
    return answer({"dataset_name": dataset_name}, message="deleted")


# ---- items and captions


@blueprint.get("/datasets/<dataset_name>/items")
@blueprint.arguments(schemas.PreparedPageQuery, location="query")
@blueprint.response(200, enveloped(schemas.PreparedItemsSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it is being made")
def items(query: dict[str, Any], dataset_name: str) -> Response:
    """Its items with their captions."""
    found = services().prepared.get(actor(), dataset_name)
    every = services().prepared.items(found)
    shown = every[query["offset"] : query["offset"] + query["limit"]]
    rows = [{**asdict(item), "caption": services().captions.read(found, item)} for item in shown]
    return answer({"dataset_name": found.name, "items": rows, "total": len(every)})


@blueprint.get(f"/datasets/<dataset_name>/items/{NUMBER}/caption")
@blueprint.response(200, enveloped(schemas.PreparedCaptionAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it is being made")
def caption(dataset_name: str, number: int) -> Response:
    """One item's caption."""
    return answer(_caption(*_item(dataset_name, number)))


@blueprint.put(f"/datasets/<dataset_name>/items/{NUMBER}/caption")
@blueprint.arguments(schemas.PreparedCaptionSchema)
@blueprint.response(200, enveloped(schemas.PreparedCaptionAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it is being made")
def set_caption(body: dict[str, Any], dataset_name: str, number: int) -> Response:
    """Replace one item's caption."""
    return answer(_caption(*services().captions.write(actor(), dataset_name, number, body["caption"])))


def _item(name: str, number: int) -> tuple[Prepared, Item]:
    found = services().prepared.get(actor(), name)
    return found, services().prepared.item(found, number)


def _caption(found: Prepared, item: Item) -> dict[str, Any]:
    return {"dataset_name": found.name, "number": item.number, "caption": services().captions.read(found, item)}


@blueprint.post("/datasets/<dataset_name>/captions")
@blueprint.arguments(schemas.PreparedReplaceSchema)
@blueprint.response(200, enveloped(schemas.PreparedReplaceAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it is being made")
def replace_captions(body: dict[str, Any], dataset_name: str) -> Response:
    """Replace a text, such as a trigger word, in every caption."""
    change = replacing(body["find"], body["replace"], whole_words=body["whole_words"], ignore_case=body["ignore_case"])
    return answer({"dataset_name": dataset_name, **asdict(services().captions.replace(actor(), dataset_name, change))})


@blueprint.get(f"/datasets/<dataset_name>/items/{NUMBER}/media")
@blueprint.alt_response(409, schema=enveloped(None), description="it is being made")
def media(dataset_name: str, number: int) -> Response:
    """The video (H.264 in MP4) or the image (PNG) itself."""
    found, item = _item(dataset_name, number)
    return _file(found, item.file, "video/mp4" if item.kind == "video" else "image/png")


@blueprint.get(f"/datasets/<dataset_name>/items/{NUMBER}/thumbnail")
@blueprint.alt_response(409, schema=enveloped(None), description="it is being made")
def thumbnail(dataset_name: str, number: int) -> Response:
    """A small picture of it."""
    found, item = _item(dataset_name, number)
    return _file(found, f"meta/thumbnails/{item.number}.jpg", "image/jpeg")


def _file(found: Prepared, path: str, content_type: str) -> Response:
    try:
        file = open_beneath(services().prepared.whole(found), path)
    except FileNotFoundError:
        raise NotFound(f"dataset {found.name} has no file {path}") from None
    return send_file(file, content_type=content_type)


# ---- for diffusion-pipe


@blueprint.post("/datasets/<dataset_name>/toml")
@blueprint.arguments(schemas.PreparedTomlSchema)
@blueprint.response(200, enveloped(schemas.PreparedTomlAnswerSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="it is being made")
def write_toml(body: dict[str, Any], dataset_name: str) -> Response:
    """Write a dataset.toml for diffusion-pipe, with buckets proposed from the media and a preview of an epoch."""
    if body["num_gpus"] % body["pipeline_stages"]:
        raise Invalid("pipeline_stages", "must divide num_gpus")
    parallel = body["num_gpus"] // body["pipeline_stages"]
    batch = body["micro_batch_size_per_gpu"] * body["gradient_accumulation_steps"] * parallel
    choice = Choice(
        resolutions=tuple(body.get("resolutions", ())),
        frame_buckets=tuple(body.get("frame_buckets", ())),
        ar_buckets=tuple(body.get("ar_buckets", ())),
        num_repeats=body["num_repeats"],
        global_batch=batch,
        epochs=body.get("epochs"),
    )
    proposal, path, text = services().preprocessing.write_toml(actor(), dataset_name, choice)
    return answer(
        {
            "dataset_name": dataset_name,
            "path": str(path),
            "toml": text,
            "dataset": proposal.dataset,
            "buckets": [asdict(bucket) for bucket in proposal.buckets],
            "passed_over": proposal.passed_over,
            "global_batch": batch,
            "steps_per_epoch": proposal.steps_per_epoch,
            "total_steps": proposal.total_steps,
            "warnings": proposal.warnings,
        }
    )
