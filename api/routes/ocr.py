"""Documents and OCR models, taken in and trained: /api/v1/ocr (contract 5)."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from marshmallow import ValidationError
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from api.models.job import Job
from api.models.ocr import Document, Line, LineCounts, OcrModel, Part
from api.models.progress import Progress
from api.models.schemas import ocr as schemas
from api.routes.blueprint import Blueprint
from api.routes.files import send_file
from api.routes.http import actor, answer, enveloped, services
from api.utils.downloads import attachment
from api.utils.errors import Invalid
from api.utils.times import iso

blueprint = Blueprint("ocr", __name__, url_prefix="/api/v1/ocr", description="Documents and OCR models")
MEBI = 1024 * 1024


def _pagination(total: int, shown: int, query: dict[str, Any]) -> dict[str, Any]:
    more = query["offset"] + shown < total
    return {"total": total, "limit": query["limit"], "offset": query["offset"], "has_more": more}


# ---- documents


@blueprint.post("/documents")
@blueprint.arguments(schemas.NewDocumentSchema)
@blueprint.response(201, enveloped(schemas.DocumentSchema))
def add_document(body: dict[str, Any]) -> Response:
    """Make a document, without pages."""
    made = services().documents.create(actor(), body)
    return answer(_document(made, LineCounts()), code=201, message="document added")


@blueprint.get("/documents")
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, enveloped(schemas.DocumentsSchema))
def documents(query: dict[str, Any]) -> Response:
    """Documents, newest first."""
    found, total = services().documents.page(actor(), **query)
    shown = [_document(document, counts) for document, counts in found]
    return answer({"documents": shown, "pagination": _pagination(total, len(shown), query)})


@blueprint.get("/documents/<row:document_id>")
@blueprint.response(200, enveloped(schemas.DocumentSchema))
def document(document_id: int) -> Response:
    """One document, and what is in it."""
    return answer(_document(*services().documents.get(actor(), document_id)))


@blueprint.delete("/documents/<row:document_id>")
@blueprint.response(200, enveloped(schemas.DocumentIdSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="a job uses it")
def remove_document(document_id: int) -> Response:
    """Remove a document with its pages and images."""
    services().documents.delete(actor(), document_id)
    return answer({"document_id": document_id}, message="document removed")


@blueprint.get("/documents/<row:document_id>/parts")
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, enveloped(schemas.DocumentPartsSchema))
def parts(query: dict[str, Any], document_id: int) -> Response:
    """The pages of a document, in their order."""
    found, total = services().documents.parts(actor(), document_id, **query)
    return answer({"parts": list(map(_part, found)), "pagination": _pagination(total, len(found), query)})


@blueprint.get("/documents/<row:document_id>/lines")
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, enveloped(schemas.DocumentLinesSchema))
def lines(query: dict[str, Any], document_id: int) -> Response:
    """The lines of a document, page by page."""
    return _lines(query, document_id, None)


@blueprint.get("/documents/<row:document_id>/parts/<row:part_id>/lines")
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, enveloped(schemas.DocumentLinesSchema))
def lines_of_part(query: dict[str, Any], document_id: int, part_id: int) -> Response:
    """The lines of one page."""
    return _lines(query, document_id, part_id)


def _lines(query: dict[str, Any], document_id: int, part_id: int | None) -> Response:
    found, total = services().documents.lines(actor(), document_id, part_id, **query)
    return answer({"lines": list(map(_line, found)), "pagination": _pagination(total, len(found), query)})


@blueprint.get("/documents/<row:document_id>/parts/<row:part_id>/image")
def image(document_id: int, part_id: int) -> Response:
    """Download a page's image."""
    part, file = services().documents.open_image(actor(), document_id, part_id)
    return send_file(file, download_name=part.name.rpartition("/")[2])


@blueprint.patch("/documents/<row:document_id>/lines/<row:line_id>")
@blueprint.arguments(schemas.LineChangeSchema)
@blueprint.response(200, enveloped(schemas.DocumentLineSchema))
def change_line(body: dict[str, Any], document_id: int, line_id: int) -> Response:
    """Correct a line's transcription."""
    line = services().documents.set_text(actor(), document_id, line_id, body["text"])
    return answer(_line(line), message="line changed")


@blueprint.post("/documents/<row:document_id>/import")
@blueprint.doc(
    requestBody={
        "required": True,
        "content": {
            "application/json": {"schema": schemas.ImportPathSchema},
            "multipart/form-data": {"schema": schemas.ImportFormSchema},
        },
    }
)
@blueprint.response(200, enveloped(schemas.ImportedSchema))
@blueprint.alt_response(202, schema=enveloped(schemas.ImportedSchema), description="an archive or directory: a job")
def import_files(document_id: int) -> Response:
    """Take in ALTO 4 or PAGE XML, an image, a zip of them, or (`path`) a directory.

    One file is taken before the answer. An archive or a directory is a job, which takes page by page what can be read
    and reports the rest. A page takes the place of the one whose image has its name.
    """
    everything = services().documents
    if request.mimetype == "multipart/form-data":
        unknown = [*request.form, *(field for field in request.files if field != "file")]
        file = request.files.get("file")
        if unknown or file is None or len(request.files.getlist("file")) != 1:
            raise Invalid(unknown[0] if unknown else "file", "unknown field" if unknown else "one file is needed")
        taken = everything.import_upload(actor(), document_id, file.filename or "file", file.stream)  # type: ignore[arg-type]
    else:
        taken = everything.import_directory(actor(), document_id, _path())
    if isinstance(taken, Job):
        return answer({"part": None, "task": _import(taken)}, code=202, message="import queued")
    return answer({"part": _part(taken), "task": None}, message="imported")


def _path() -> str:
    if not request.is_json:
        raise UnsupportedMediaType
    body = request.get_json()
    if not isinstance(body, dict):
        raise BadRequest
    try:
        return str(schemas.ImportPathSchema().load(body)["path"])
    except ValidationError as problem:
        messages: dict[str, list[str]] = problem.normalized_messages()  # type: ignore[no-untyped-call]
        field, (message, *_) = next(iter(messages.items()))
        raise Invalid(field, message) from None


@blueprint.get("/imports/<row:import_id>")
@blueprint.response(200, enveloped(schemas.DocumentImportSchema))
def import_state(import_id: int) -> Response:
    """How an import goes, and what it could not read."""
    return answer(_import(services().documents.import_state(actor(), str(import_id))))


@blueprint.get("/documents/<row:document_id>/export")
@blueprint.arguments(schemas.ExportQuery, location="query")
@blueprint.response(200)
def export(query: dict[str, Any], document_id: int) -> Response:
    """A zip of XML and images; an import of it makes the same document."""
    everything = services()
    found, body = everything.documents.export(actor(), document_id, query["format"])
    place = everything.streams.enter()  # it holds a thread for as long as its reader takes
    response = Response(body, mimetype="application/zip")
    response.call_on_close(place.leave)
    response.headers["Content-Disposition"] = attachment(f"{found.name}.zip")
    return response


def _document(found: Document, counts: LineCounts) -> dict[str, Any]:
    return {
        "document_id": found.id,
        "name": found.name,
        "script": found.script,
        "language": found.language,
        "read_direction": found.read_direction,
        "owner_id": found.owner_id,
        "workspace_id": found.team_id,
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
        "parts_count": counts.parts,
        "lines_count": counts.lines,
        "images_available": counts.images,
        "with_baseline": counts.with_baseline,
        "with_polygon": counts.with_polygon,
        "with_transcription": counts.with_text,
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "part_id": part.id,
        "document_id": part.document_id,
        "position": part.position,
        "name": part.name,
        "image_available": part.image is not None,
        "width": part.width,
        "height": part.height,
        "xml_name": part.xml_name,
        "lines_count": part.lines,
        "with_baseline": part.with_baseline,
        "with_polygon": part.with_polygon,
        "with_transcription": part.with_text,
    }


def _line(line: Line) -> dict[str, Any]:
    names = ("part_id", "position", "external_id", "baseline", "boundary", "text")
    return {"line_id": line.id, **{name: getattr(line, name) for name in names}}


def _import(job: Job) -> dict[str, Any]:
    progress = Progress.from_dict(job.progress)
    notes = progress.notes
    return {
        "task_id": int(job.id),
        "document_id": job.spec.params["document_id"],
        "status": job.status,
        "files_done": progress.step,
        "files_total": progress.total_steps,
        "pages": notes.get("pages"),
        "lines": notes.get("lines"),
        "images": notes.get("images"),
        "failed": notes.get("failed"),
        "problems": list(job.warnings),
        "error_message": job.error_message,
    }


# ---- models


@blueprint.post("/models")
@blueprint.arguments(schemas.NewOcrModelSchema)
@blueprint.response(201, enveloped(schemas.OcrModelSchema))
def add_model(body: dict[str, Any]) -> Response:
    """Make a model, not yet trained."""
    return answer(_model(services().ocr.create(actor(), body)), code=201, message="model added")


@blueprint.get("/models")
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, enveloped(schemas.OcrModelsSchema))
def models(query: dict[str, Any]) -> Response:
    """Models, newest first."""
    found, total = services().ocr.page(actor(), **query)
    return answer({"models": list(map(_model, found)), "pagination": _pagination(total, len(found), query)})


@blueprint.get("/models/<row:model_id>")
@blueprint.response(200, enveloped(schemas.OcrModelSchema))
def model(model_id: int) -> Response:
    """One model."""
    return answer(_model(services().ocr.get(actor(), model_id)))


@blueprint.get("/models/<row:model_id>/download")
def download(model_id: int) -> Response:
    """Download a model's file."""
    found, file = services().ocr.open_file(actor(), model_id)
    kind = (found.file or "").rpartition(".")[2]
    return send_file(file, download_name=f"{found.name}.{kind}")


@blueprint.delete("/models/<row:model_id>")
@blueprint.response(200, enveloped(schemas.OcrModelIdSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="a job works on it")
def remove_model(model_id: int) -> Response:
    """Remove a model and its file; its jobs stay."""
    services().ocr.delete(actor(), model_id)
    return answer({"model_id": model_id}, message="model removed")


@blueprint.post("/models/<row:model_id>/train")
@blueprint.arguments(schemas.OcrTrainSchema)
@blueprint.response(201, enveloped(schemas.OcrStartedSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="a job works on it already")
def train(body: dict[str, Any], model_id: int) -> Response:
    """Train a model on documents, from its own file if it has one, else from its base model's, else from nothing."""
    return _started(services().ocr.train(actor(), model_id, body), model_id)


@blueprint.post("/models/<row:model_id>/evaluate")
@blueprint.arguments(schemas.OcrEvaluateSchema)
@blueprint.response(201, enveloped(schemas.OcrStartedSchema))
@blueprint.alt_response(409, schema=enveloped(None), description="a job works on it, or it cannot be evaluated")
def evaluate(body: dict[str, Any], model_id: int) -> Response:
    """Character and word error rates of a recognition model on a document."""
    return _started(services().ocr.evaluate(actor(), model_id, body), model_id)


def _started(job: Job, model_id: int) -> Response:
    data = {
        "task_id": int(job.id),
        "model_id": model_id,
        "engine": job.engine,
        "status": job.status,
        "created_at": iso(job.created_at),
    }
    return answer(data, code=201, message="queued")


def _model(found: OcrModel) -> dict[str, Any]:
    return {
        "model_id": found.id,
        "name": found.name,
        "job": found.job,
        "model_type": found.job.type_name,
        "base_model_id": found.base_model_id,
        "owner_id": found.owner_id,
        "workspace_id": found.team_id,
        "file_available": found.file is not None,
        "file_size_mb": size_mb(found),
        "accuracy": found.accuracy,
        "created_at": iso(found.created_at),
        "updated_at": iso(found.updated_at),
    }


def size_mb(found: OcrModel) -> float | None:
    return None if found.file_size is None else round(found.file_size / MEBI, 2)
