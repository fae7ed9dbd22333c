"""Inference of the YOLO platform: /infer and /api/v1/infer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from typing import Any

from flask import Response, request
from marshmallow import Schema, ValidationError

from api.models.inference import EXPORT, VIDEO, InferSession, LookOptions, SentFile
from api.models.schemas import infer as schemas
from api.models.yolo_model import YoloModel
from api.routes import forms, infer_render
from api.routes.files import send_file
from api.routes.forms import FormFile
from api.routes.http import actor, answer, services
from api.routes.infer_stream import frame_stream
from api.routes.mirrored import Mirrored, View
from api.routes.streams import Client
from api.routes.yolo_datasets import zipped
from api.services.infer_process import Left
from api.services.inference import Look
from api.utils.errors import Invalid, Unavailable
from api.utils.times import iso

routes = Mirrored("inference", "/infer", "Inference on images and videos with registered models")
BLUEPRINTS = routes.blueprints
LEFT = "the service ends, or the client has left"

OPTIONS = frozenset(schemas.LookQuery().fields)  # may stand in the form or in the query
FILES = frozenset({"file", "files"})


def _takes(form: type[Schema], query: type[Schema] = schemas.LookQuery) -> dict[str, Any]:
    content = {"multipart/form-data": {"schema": form}}
    return {
        "query": query,
        "refusals": {404: "there is no such model", 409: "the model cannot be used"},
        "doc": {"requestBody": {"required": True, "content": content}},
    }


def _look(query: Mapping[str, Any], form: type[Schema]) -> Look:
    """What a form and a query ask for, besides files and models."""
    names = form().fields.keys()
    forms.only(names & FILES, names - FILES)
    try:
        given = schemas.LookQuery().load(forms.values(OPTIONS))
    except ValidationError as problem:
        messages: Mapping[str, list[str]] = problem.messages_dict
        first, *others = [(name, text) for name, texts in messages.items() for text in texts]
        raise Invalid(*first, more=others) from None
    twice = sorted(given.keys() & query.keys())
    if twice:
        raise Invalid(twice[0], "is given twice, in the form and in the query")
    chosen = {name: value for name, value in {**query, **given}.items() if name in OPTIONS}
    return Look(actor(), LookOptions(**chosen), forms.team(), Client(services()).gone)


def _model(model_id: str) -> YoloModel:
    return services().inference.model(actor(), model_id)


def _models() -> list[YoloModel]:
    actor().require_run()
    text = forms.values({"model_ids"}).get("model_ids", "")
    model_ids = [part.strip() for part in text.split(",") if part.strip()]
    if not model_ids:
        raise Invalid("model_ids", "names no model")
    return services().inference.models(actor(), model_ids)


def _file() -> SentFile:
    return _sent(forms.one_file("file"))


def _files() -> list[SentFile]:
    return [_sent(file) for file in forms.some_files("files")]


def _sent(file: FormFile) -> SentFile:
    return SentFile(file.name, file.stream, file.size)


def _waits(view: View) -> View:
    """A view that waits for the inference process, in one of the places that are kept for what takes long."""

    @wraps(view)
    def placed(*args: Any, **kwargs: Any) -> Response:
        with services().streams.enter():
            try:
                return view(*args, **kwargs)
            except Left:
                raise Unavailable(LEFT) from None

    return placed


@routes.view(
    "POST", "/<task:model_id>", schemas.InferAnswerSchema, **_takes(schemas.InferImageForm, schemas.ImageQuery)
)
@_waits
def image(query: dict[str, Any], model_id: str) -> Response:
    """Look at one image with a model."""
    model, look = _model(model_id), _look(query, schemas.InferImageForm)
    draw = query.get("format") == "image"
    session_id, kept = services().inference.image(look, model, _file(), draw=draw)
    if draw:
        return Response(kept.seen.picture, mimetype="image/jpeg")
    return answer({"session_id": session_id, **infer_render.kept(kept)})


@routes.view("POST", "/batch/run", schemas.BatchSchema, **_takes(schemas.InferBatchForm))
@_waits
def batch(query: dict[str, Any]) -> Response:
    """Look at several images with several models. Files that are no images are told of in `errors`."""
    models, look = _models(), _look(query, schemas.InferBatchForm)
    session_id, rows, errors = services().inference.batch(look, models, _files())
    return answer(
        {
            "session_id": session_id,
            "results": [infer_render.batch_row(row) for row in rows],
            "errors": [problem._asdict() for problem in errors],
            "total_models": len(models),
            "total_images": len({row.path for row in rows}),
        }
    )


@routes.view("POST", "/<task:model_id>/export", schemas.ExportSchema, **_takes(schemas.InferFilesForm))
@_waits
def export(query: dict[str, Any], model_id: str) -> Response:
    """Look at several images and keep them, with their boxes drawn, and a table of what was seen."""
    model, look = _model(model_id), _look(query, schemas.InferFilesForm)
    session_id, directory, made, errors = services().inference.export(look, model, _files())
    return answer(
        {
            "session_id": session_id,
            "results": [infer_render.export_row(one, model) for one in made],
            "errors": [problem._asdict() for problem in errors],
            "session_dir": str(directory),
        }
    )


@routes.view(
    "POST", "/video/<task:model_id>", schemas.VideoAnswerSchema, **_takes(schemas.InferVideoForm, schemas.VideoQuery)
)
@_waits
def video(query: dict[str, Any], model_id: str) -> Response:
    """Look at a video; the answer has it with the boxes drawn. Sound is left out."""
    model, look = _model(model_id), _look(query, schemas.InferVideoForm)
    filmed = services().inference.video(look, model, _file())
    shown = infer_render.filmed(filmed, model, _url(filmed.session_id, "video"))
    if not query["video_data"]:
        return answer({**shown, "video_data": None})
    return infer_render.with_video(shown, services().inference.sessions.open_video(actor(), filmed.session_id))


@routes.view("POST", "/video/<task:model_id>/stream", None, **_takes(schemas.InferStreamForm))
def stream(query: dict[str, Any], model_id: str) -> Response:
    """Look at a video and send each frame when it is done, as server-sent events. Nothing is kept."""
    model, look = _model(model_id), _look(query, schemas.InferStreamForm)
    sent = _file()
    try:
        return frame_stream(lambda: services().inference.frames(look, model, sent))
    except Left:
        raise Unavailable(LEFT) from None


# ---- sessions


@routes.view("GET", "/results", schemas.InferSessionsSchema, query=schemas.SessionsQuery)
def sessions(query: dict[str, Any]) -> Response:
    """Sessions that the caller may read, newest first."""
    found, total = services().inference.sessions.page(actor(), query["limit"], query["offset"])
    return answer({"sessions": [_item(session) for session in found], "total": total})


@routes.view("GET", "/results/<task:session_id>", schemas.InferSessionDetailSchema)
def session(session_id: str) -> Response:
    """One session, and where its files are."""
    found = services().inference.sessions.get(actor(), session_id)
    return answer(
        {
            **_item(found),
            "images": services().inference.sessions.files.images(found.id),
            "video_url": _url(found.id, "video") if found.kind == VIDEO else None,
            "export_url": _url(found.id, "export") if found.kind == EXPORT else None,
        }
    )


@routes.view("DELETE", "/results/<task:session_id>", schemas.InferDoneSchema)
def delete(session_id: str) -> Response:
    """Delete a session with its files."""
    services().inference.sessions.delete(actor(), session_id)
    return answer({"ok": True, "message": "Inference session deleted successfully"})


@routes.view("GET", "/results/<task:session_id>/export", None, refusals={409: "the session has no results.csv"})
def export_zip(session_id: str) -> Response:
    """A session's annotated images, results.csv and metadata.json as a zip."""
    return zipped(lambda: services().inference.sessions.zip(actor(), session_id), f"{session_id}.zip")


@routes.view("GET", "/results/<task:session_id>/video", None, refusals={409: "the session has no video"})
def result_video(session_id: str) -> Response:
    """A session's video with the boxes drawn, or the range of it that was asked for."""
    return send_file(services().inference.sessions.open_video(actor(), session_id), content_type="video/mp4")


def _url(session_id: str, what: str) -> str:
    """In the rendering in which the caller asks."""
    root = "/api/v1" if request.path.startswith("/api/v1/") else ""
    return f"{root}/infer/results/{session_id}/{what}"


def _item(session: InferSession) -> dict[str, Any]:
    return {
        "session_id": session.id,
        "kind": session.kind,
        "model_ids": list(session.model_ids),
        "workspace_id": session.team_id,
        "image_count": session.summary.get("images"),
        "frame_count": session.summary.get("frames"),
        "detection_count": session.summary["detections"],
        "created_at": iso(session.created_at),
        "expires_at": iso(services().inference.sessions.expires_at(session)),
    }
