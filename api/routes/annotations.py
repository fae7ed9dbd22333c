"""Annotation of the YOLO platform: /annotations and /api/v1/annotations."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from flask import Response, current_app, request

from api.models.annotation import Box, Image, Item
from api.models.dialect import YOLO_PLATFORM, dialect_of
from api.models.schemas import annotations as schemas
from api.models.schemas.yolo_datasets import DoneSchema
from api.routes.http import actor, answer, services
from api.routes.mirrored import Mirrored
from api.services.annotations import TaskView
from api.utils.batches import batches
from api.utils.errors import Invalid
from api.utils.times import iso

routes = Mirrored("annotations", "/annotations", "Boxes on the images of datasets")
BLUEPRINTS = routes.blueprints
TASK = "/tasks/<task:annotation_task_id>"
ITEM = f"{TASK}/items/<task:image_id>"
BATCH = 500  # items of one piece of a stream


@routes.view(
    "POST",
    "/tasks",
    schemas.AnnotationTaskSchema,
    body=schemas.TaskRequestSchema,
    refusals={404: "there is no such dataset or version", 409: "the dataset is being prepared, or cannot be"},
)
def create(body: dict[str, Any]) -> Response:
    """Make an annotation task of a dataset, which is prepared first where it never was.

    Labels that it has are imported. All tasks of a version share its boxes.
    """
    classes = body.get("classes")
    return answer(_task(services().annotations.create(actor(), body["dataset_id"], body["version"], classes)))


@routes.view("GET", "/tasks", schemas.AnnotationTaskListSchema, query=schemas.TaskQuery)
def tasks(query: dict[str, Any]) -> Response:
    """The tasks of all datasets that the caller may read, newest first."""
    found = services().annotations.all_of(actor(), query.get("dataset_id"))
    return answer({"tasks": [_task(view) for view in found]})


@routes.view("GET", TASK, schemas.AnnotationTaskSchema)
def task(annotation_task_id: str) -> Response:
    """One task."""
    return answer(_task(services().annotations.get(actor(), annotation_task_id)))


@routes.view("DELETE", TASK, DoneSchema)
def delete(annotation_task_id: str) -> Response:
    """Delete a task. The boxes are the dataset's, and stay."""
    services().annotations.delete(actor(), annotation_task_id)
    return answer({"ok": True, "message": "Annotation task deleted successfully"})


@routes.view("GET", f"{TASK}/items", schemas.AnnotationItemsSchema, query=schemas.ItemsQuery)
def items(query: dict[str, Any], annotation_task_id: str) -> Response:
    """The images of a task: a page of them with `limit`, else all."""
    view = services().annotations.get(actor(), annotation_task_id)
    limit, annotated = query.get("limit"), query.get("annotated")
    if limit is None and query["offset"]:
        raise Invalid("offset", "needs a limit")
    head = {
        "task_id": view.task.id,
        "classes": view.classes,
        "imported_annotations": view.imported,
        "annotated_count": view.annotated,
        "total": view.count(annotated),
        "offset": query["offset"],
    }
    if limit is not None:
        page = services().annotations.page(view, offset=query["offset"], limit=limit, annotated=annotated)
        return answer({**head, "items": [_item(view, item) for item in page]})
    return _streamed(head, (_item(view, item) for item in services().annotations.every_item(view, annotated)))


def _streamed(head: dict[str, Any], rows: Iterator[dict[str, Any]]) -> Response:
    """The same answer, its items sent as they are read."""
    mark = secrets.token_hex(16)
    whole = current_app.json.dumps(dialect_of(request.path).body(200, "success", {**head, "items": mark}))
    before, after = whole.split(json.dumps(mark))
    dumps = current_app.json.dumps

    def body() -> Iterator[bytes]:
        yield f"{before}[".encode("utf-8", "replace")
        first = True
        for batch in batches(rows, BATCH):
            yield (("" if first else ",") + ",".join(dumps(row) for row in batch)).encode("utf-8", "replace")
            first = False
        yield f"]{after}\n".encode("utf-8", "replace")

    place = services().streams.enter()  # it holds a thread for as long as its reader takes
    response = Response(body(), mimetype="application/json")
    response.call_on_close(place.leave)
    return response


@routes.view("GET", ITEM, schemas.ImageAnnotationSchema)
def annotation(annotation_task_id: str, image_id: str) -> Response:
    """The boxes of an image, and what a model has proposed for it. Its `ETag` stands for the boxes."""
    view = services().annotations.get(actor(), annotation_task_id)
    image = services().annotations.image(view, image_id)
    response = answer(_annotation(view, image))
    response.set_etag(image.tag)
    return response


CHANGED = {412: "the boxes are not those that If-Match names: somebody has saved others since"}
IF_MATCH = {
    "parameters": [
        {
            "name": "If-Match",
            "in": "header",
            "description": "the ETag of the boxes that the caller has seen: 412 where others were saved since",
            "schema": {"type": "string"},
            "example": '"17-3"',
        }
    ]
}


@routes.view("POST", ITEM, schemas.SavedSchema, body=schemas.BoxesSchema, refusals=CHANGED, doc=IF_MATCH)
def save(body: dict[str, Any], annotation_task_id: str, image_id: str) -> Response:
    """Save all boxes of an image, in place of those that it had; what was proposed for it is decided on with that."""
    boxes = [Box(**box) for box in body["boxes"]]
    wanted = request.if_match.contains if "If-Match" in request.headers else None
    saved = services().annotations.save(actor(), annotation_task_id, image_id, boxes, wanted)
    response = answer({"ok": True, "message": "Annotation saved successfully", "updated_at": iso(saved.updated_at)})
    response.set_etag(saved.tag)
    return response


FULL = {507: "the boxes are saved, but the disk is full or failing: their label files cannot be written"}


@routes.view("GET", f"{TASK}/export", schemas.LabelExportSchema, query=schemas.LabelExportQuery, refusals=FULL)
def export(query: dict[str, Any], annotation_task_id: str) -> Response:
    """The boxes as YOLO label files, in the version's own directory. They follow each save; here nothing is changed
    but what a crash or a full disk has left unwritten."""
    return _export(annotation_task_id)


@routes.view("POST", f"{TASK}/export", schemas.LabelExportSchema, query=schemas.LabelExportQuery, refusals=FULL)
def export_now(query: dict[str, Any], annotation_task_id: str) -> Response:
    """The same, for those who may change the dataset."""
    services().annotations.mine(actor(), annotation_task_id)
    return _export(annotation_task_id)


def _export(task_id: str) -> Response:
    view = services().annotations.export(actor(), task_id)
    return answer(
        {
            "ok": True,
            "message": "Annotations exported successfully",
            "labels_dir": str(services().yolo.directory(view.dataset, view.version) / "labels"),
            "exported_count": view.annotated,
        }
    )


UPLOAD = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schemas.LabelUploadSchema}}},
}
HOSTILE = {400: "it is no zip, or one that is damaged, too large or not safe to unpack"}


@routes.view("POST", f"{TASK}/import", schemas.LabelsTakenSchema, refusals=HOSTILE, doc=UPLOAD)
def take(annotation_task_id: str) -> Response:
    """Take the boxes of a zip of YOLO label files (`0001.txt`, `train/0001.txt`) for the images of these names.

    What is wrong with one file is told in `issues`, and keeps none of the others out.
    """
    services().annotations.mine(actor(), annotation_task_id)
    unknown = sorted({*request.form, *request.files} - {"file", "overwrite"})
    if unknown:
        raise Invalid(unknown[0], "unknown field")
    if len(request.files.getlist("file")) != 1:
        raise Invalid("file", "one file is needed, as multipart/form-data")
    overwrite = request.form.get("overwrite", "false")
    if overwrite not in ("true", "false"):
        raise Invalid("overwrite", "must be true or false")
    file = request.files["file"].stream
    taken = services().labels.run(actor(), annotation_task_id, file, overwrite=overwrite == "true")  # type: ignore[arg-type]
    return answer(
        {
            "ok": True,
            "message": f"Labels of {taken.imported} images imported",
            "imported_count": taken.imported,
            "skipped_count": taken.skipped,
            "issue_count": taken.issue_count,
            "issues": taken.issues,
        }
    )


@routes.view(
    "POST",
    f"{TASK}/prelabel",
    schemas.PrelabelStartedSchema,
    body=schemas.PrelabelSchema,
    refusals={**FULL, 409: "there is no image without boxes, or the model knows none of the classes"},
)
def prelabel(body: dict[str, Any], annotation_task_id: str) -> Response:
    """Let a registered model propose boxes for the images without any: a job.

    Proposals are shown beside the boxes of an image, and are no part of them until somebody saves the image.
    """
    model_id = body.pop("model_id")
    view, job = services().prelabel.start(actor(), annotation_task_id, model_id, body)
    return answer(
        {
            "job_id": job.id,
            "task_id": view.task.id,
            "model_id": model_id,
            "status": YOLO_PLATFORM.words[job.status],
            "total_items": view.total - view.annotated,
            "created_at": iso(job.created_at),
        }
    )


def _task(view: TaskView) -> dict[str, Any]:
    return {
        "task_id": view.task.id,
        "dataset_id": view.dataset.id,
        "version": view.version.name,
        "classes": view.classes,
        "total_items": view.total,
        "total_images": view.total,
        "annotated_count": view.annotated,
        "imported_annotations": view.imported,
        "created_at": iso(view.task.created_at),
    }


def _item(view: TaskView, item: Item) -> dict[str, Any]:
    _, split, name = item.path.split("/", 2)
    return {
        "image_id": item.image_id,
        "image_path": _shown(view, item.path),
        "thumbnail_path": _shown(view, f"thumbs/{split}/{PurePosixPath(name).stem}.jpg"),
        "split": split,
        "width": item.width,
        "height": item.height,
        "has_annotation": item.annotated,
        "annotated": item.annotated,
        "box_count": item.box_count,
        "has_proposals": item.proposed,
    }


def _annotation(view: TaskView, image: Image) -> dict[str, Any]:
    return {
        "image_id": image.image_id,
        "boxes": [box._asdict() for box in image.boxes],
        "updated_at": iso(image.updated_at),
        "image_path": _shown(view, image.path),
        "width": image.width,
        "height": image.height,
        "classes": view.classes,
        "has_annotation": image.annotated,
        "proposals": None if image.proposals is None else [each._asdict() for each in image.proposals],
        "proposed_by": image.proposed_by,
    }


def _shown(view: TaskView, path: str) -> str:
    """As /static/ knows it."""
    return f"datasets/{view.dataset.id}/{view.version.name}/{path}"
