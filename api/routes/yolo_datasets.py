"""Datasets of the YOLO platform: /datasets, /api/v1/datasets, and their images below /static."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response, request

from api.models.schemas import yolo_datasets as schemas
from api.models.yolo import DEFAULT_VAL, Dataset, Preparation, Version
from api.routes import forms
from api.routes.blueprint import Blueprint
from api.routes.files import REFUSALS
from api.routes.http import actor, answer, refuse, services
from api.routes.mirrored import Mirrored
from api.services.infer_files import FOLDER
from api.utils.downloads import attachment, file_response
from api.utils.times import iso

routes = Mirrored("datasets", "/datasets", "Datasets of images with boxes")
static = Blueprint("pictures", __name__, url_prefix="/static", description="Images of datasets and of inference")
BLUEPRINTS = (*routes.blueprints, static)

UPLOAD = {
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schemas.UploadSchema}}},
}
HOSTILE = {400: "it is no zip, or one that is damaged, too large or not safe to unpack: the answer names the member"}
BUSY = "the dataset is being prepared, or cannot be"
TYPES = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "bmp": "image/bmp", "webp": "image/webp",
    "tif": "image/tiff", "tiff": "image/tiff",
}  # fmt: skip


@routes.view("POST", "/upload", schemas.UploadedSchema, refusals=HOSTILE, doc=UPLOAD)
def upload() -> Response:
    """Upload a dataset as a zip.

    Images with YOLO labels in any of the usual layouts, COCO JSON, Pascal VOC XML, or images alone.
    """
    file, team = uploaded_file("dataset.zip")
    made = services().yolo.upload(actor(), file.name, file.stream, file.size, team)
    return answer(_item(made, uploaded=True))


def uploaded_file(nameless: str) -> tuple[forms.FormFile, int | None]:
    """The one file of a form, and the workspace that what it becomes shall be in.

    It is called `nameless` where its client gave no name.
    """
    actor().require_run()
    forms.only({"file"}, {"workspace_id"})
    return forms.one_file("file", nameless), forms.team()


@routes.view(
    "POST", "/register", schemas.UploadedSchema, body=schemas.RegisterSchema, refusals={400: "it has too many files"}
)
def register(body: dict[str, Any]) -> Response:
    """Register a directory that is on the machine already, without an upload. Its files stay as they are."""
    made = services().yolo.register(actor(), body["path"], body.get("name"), body.get("workspace_id"))
    return answer(_item(made, uploaded=True))


@routes.view(
    "POST", "/<task:dataset_id>/prepare", schemas.PreparedSchema, body=schemas.PrepareSchema, refusals={409: BUSY}
)
def prepare(body: dict[str, Any], dataset_id: str) -> Response:
    """Check a dataset file by file and make a version that can be trained on.

    What cannot be used is left out and told in `issues`. The same request again answers with the same version, another
    one makes the next. A large dataset may take longer than a request waits: then the answer is 503 with `Retry-After`,
    the work goes on, and the same request later finds what it made.
    """
    classes = tuple(body["classes"]) if "classes" in body else None
    val = body["split_ratio"]["val"] if "split_ratio" in body else DEFAULT_VAL
    dataset, version = services().yolo.prepare(actor(), dataset_id, Preparation(classes, val, body["seed"]))
    return answer(_prepared(dataset, version))


NEVER_PREPARED = {409: "the dataset is not prepared"}


@routes.view(
    "GET", "/<task:dataset_id>/prepare", schemas.PreparedSchema, query=schemas.VersionQuery, refusals=NEVER_PREPARED
)
def report(query: dict[str, Any], dataset_id: str) -> Response:
    """What the preparing of a version found: the answer that `POST` gave."""
    return answer(_prepared(*services().yolo.version(actor(), dataset_id, query["version"])))


@routes.view("GET", "", schemas.DatasetListSchema)
def datasets() -> Response:
    """All datasets that the caller may read, newest first."""
    return answer({"datasets": [_item(dataset) for dataset in services().yolo.all_of(actor())]})


@routes.view("GET", "/<task:dataset_id>", schemas.DatasetSchema)
def dataset(dataset_id: str) -> Response:
    """One dataset."""
    return answer(_detail(services().yolo.get(actor(), dataset_id)))


@routes.view("PUT", "/<task:dataset_id>", schemas.DatasetSchema, body=schemas.DatasetChangeSchema)
def change(body: dict[str, Any], dataset_id: str) -> Response:
    """Change a dataset's description and tags."""
    return answer(_detail(services().yolo.change(actor(), dataset_id, body)))


@routes.view("DELETE", "/<task:dataset_id>", schemas.DoneSchema, refusals={409: "it is being prepared"})
def delete(dataset_id: str) -> Response:
    """Delete a dataset with all its versions and files. A registered directory is left alone."""
    services().yolo.delete(actor(), dataset_id)
    return answer({"ok": True, "message": "Dataset deleted successfully"})


NOT_PREPARED = {
    409: "the dataset is not prepared",
    507: "the disk is full or failing: label files cannot be written as their boxes are saved",
}


@routes.view("GET", "/<task:dataset_id>/export/annotated", None, query=schemas.VersionQuery, refusals=NOT_PREPARED)
def export_annotated(query: dict[str, Any], dataset_id: str) -> Response:
    """A version as a zip: images, YOLO labels and data.yaml."""
    return _zip(dataset_id, query["version"], labels=True)


@routes.view("GET", "/<task:dataset_id>/export/original", None, query=schemas.VersionQuery, refusals=NOT_PREPARED)
def export_original(query: dict[str, Any], dataset_id: str) -> Response:
    """A version's images and data.yaml as a zip, without labels."""
    return _zip(dataset_id, query["version"], labels=False)


def _zip(dataset_id: str, version: str, *, labels: bool) -> Response:
    name = f"{dataset_id}_{version}_{'annotated' if labels else 'original'}.zip"
    return zipped(lambda: services().yolo.export(actor(), dataset_id, version, labels=labels)[1], name)


def zipped(made: Callable[[], Iterator[bytes]], name: str) -> Response:
    """An archive that is made while it is sent."""
    place = services().streams.enter()  # it holds a thread for as long as its reader takes
    try:
        response = Response(made(), mimetype="application/zip")
    except BaseException:
        place.leave()
        raise
    response.call_on_close(place.leave)
    response.headers["Content-Disposition"] = attachment(name)
    return response


@static.get("/<path:static_path>")
@static.response(200)
def image(static_path: str) -> Response:
    """An image of a dataset (`datasets/<dataset>/<version>/images/...`), its thumbnail (`.../thumbs/...`), or one of
    an inference session (`inference_results/<session>/...`).
    """
    of_session = static_path.startswith(f"{FOLDER}/")
    opened = services().inference.sessions.open_image if of_session else services().yolo.open_image
    file = opened(actor(), static_path)
    size = os.fstat(file.fileno()).st_size
    kind = TYPES[static_path.rpartition(".")[2].lower()]
    asked = request.headers.get("Range")
    status, headers, body = file_response(request.environ, file, size, asked, content_type=kind)
    if status in REFUSALS:
        kept = {name: value for name, value in headers if name not in ("Content-Length", "Content-Type")}
        return refuse(status, REFUSALS[status], None, kept)
    return Response(body, status=status, headers=headers, direct_passthrough=True)


def _item(dataset: Dataset, *, uploaded: bool = False) -> dict[str, Any]:
    shown = {
        "dataset_id": dataset.id,
        "filename": dataset.filename,
        "size": dataset.size,
        "status": dataset.status,
        "created_at": iso(dataset.created_at),
        "uploaded_at": iso(dataset.created_at),
        "image_count": dataset.image_count,
        "label_count": dataset.label_count,
    }
    return shown if uploaded else {**shown, "versions": [version.name for version in dataset.versions]}


def _detail(dataset: Dataset) -> dict[str, Any]:
    summary = dataset.newest.summary if dataset.newest else {}
    samples = summary.get("sample_images", [])
    newest = dataset.newest.name if dataset.newest else ""
    return {
        **_item(dataset),
        "description": dataset.description,
        "tags": list(dataset.tags),
        "workspace_id": dataset.team_id,
        "path": dataset.path,
        "classes": summary.get("classes", []),
        "train_count": summary.get("train_count"),
        "val_count": summary.get("val_count"),
        "class_counts": summary.get("class_counts", {}),
        "sample_images": [f"datasets/{dataset.id}/{newest}/{name}" for name in samples],
    }


REPORTED = (
    "layout", "split", "seed", "image_count", "label_count", "box_count", "empty_count", "class_counts", "issue_counts",
    "dropped", "duplicate_count", "leak_count", "duplicates", "category_map",
)  # fmt: skip


def _prepared(dataset: Dataset, version: Version) -> dict[str, Any]:
    summary = version.summary
    return {
        "dataset_id": dataset.id,
        "version": version.name,
        "status": "prepared",
        "classes": summary["classes"],
        "train_count": summary["train_count"],
        "val_count": summary["val_count"],
        "test_count": summary["test_count"],
        "data_yaml": str(services().yolo.directory(dataset, version) / "data.yaml"),
        "issues": summary["issues"],
        "report": {name: summary[name] for name in REPORTED},
    }
