"""Inference of the YOLO platform: /infer and /api/v1/infer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Response, request
from marshmallow import ValidationError

from api.models.inference import EXPORT, VIDEO, InferSession, LookOptions, SentFile
from api.models.schemas import infer as schemas
from api.models.yolo_model import YoloModel
from api.routes import forms, infer_render
from api.routes.files import send_file
from api.routes.forms import FormFile
from api.routes.http import actor, answer, services
from api.routes.infer_stream import frame_stream
from api.routes.mirrored import Mirrored, View
from api.routes.yolo_datasets import zipped
from api.services.infer_process import Left
from api.utils.errors import Invalid, Unavailable
from api.utils.sse import disconnected
from api.utils.times import iso

routes = Mirrored("inference", "/infer", "Inference on images and videos with registered models")
BLUEPRINTS = routes.blueprints

FIELDS = frozenset(schemas.LookQuery().fields)
UNUSABLE = {409: "the model cannot be used"}


def _form(schema: type[schemas.LookQuery]) -> Mapping[str, Any]:
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form asks for, besides its files."""

    options: LookOptions
    team_id: int | None


def _asked(query: Mapping[str, Any], *names: str) -> Asked:
    """Options stand in the form or in the query."""
    forms.only("workspace_id", *names, *FIELDS)
    try:
        given = schemas.LookQuery().load(forms.values(FIELDS))
    except ValidationError as problem:
        messages: Mapping[str, list[str]] = problem.messages_dict
        first, *others = [(name, text) for name, texts in messages.items() for text in texts]
        raise Invalid(*first, more=others) from None
    twice = sorted(given.keys() & query.keys())
    if twice:
        raise Invalid(twice[0], "is given twice, in the form and in the query")
    chosen = {name: value for name, value in {**query, **given}.items() if name in FIELDS}
    return Asked(LookOptions(**chosen), forms.team())


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
                raise Unavailable("the service ends, or the client has left") from None

    return placed


def _client_left() -> Callable[[], bool]:
    environ = request.environ
    return lambda: disconnected(environ)


def _client_left_or_closing() -> Callable[[], bool]:
    left, closing = _client_left(), services().closing
    return lambda: closing.is_set() or left()


@routes.view(
    "POST", "/<task:model_id>", schemas.InferAnswerSchema, query=schemas.ImageQuery, refusals=UNUSABLE,
    doc=_form(schemas.InferImageForm),
)  # fmt: skip
@_waits
def image(query: dict[str, Any], model_id: str) -> Response:
    """Look at one image with a model."""
    inference = services().inference
    model = inference.model(actor(), model_id)
    asked = _asked(query, "file")
    draw = query.get("format") == "image"
    session_id, kept = inference.image(
        actor(), model, _sent(forms.one_file("file")), asked.options, draw=draw, team_id=asked.team_id,
        gone=_client_left(),
    )  # fmt: skip
    if draw:
        return Response(kept.seen.picture, mimetype="image/jpeg")
    return answer({"session_id": session_id, **infer_render.kept(kept)})


@routes.view(
    "POST", "/batch/run", schemas.BatchSchema, query=schemas.LookQuery,
    refusals={404: "there is no such model", **UNUSABLE},
    doc=_form(schemas.InferBatchForm),
)  # fmt: skip
@_waits
def batch(query: dict[str, Any]) -> Response:
    """Look at several images with several models. Files that are no images are told of in `errors`."""
    inference = services().inference
    models = _models(request.form.get("model_ids", ""))
    asked = _asked(query, "model_ids", "files")
    files = [_sent(file) for file in forms.some_files("files")]
    session_id, rows, errors = inference.batch(
        actor(), models, files, asked.options, team_id=asked.team_id, gone=_client_left()
    )
    return answer(
        {
            "session_id": session_id,
            "results": [infer_render.batch_row(row) for row in rows],
            "errors": [problem._asdict() for problem in errors],
            "total_models": len(models),
            "total_images": len({row.path for row in rows}),
        }
    )


def _models(text: str) -> list[YoloModel]:
    actor().require_run()
    model_ids = [part.strip() for part in text.split(",") if part.strip()]
    if not model_ids:
        raise Invalid("model_ids", "names no model")
    return services().inference.models(actor(), model_ids)


@routes.view(
    "POST", "/<task:model_id>/export", schemas.ExportSchema, query=schemas.LookQuery, refusals=UNUSABLE,
    doc=_form(schemas.InferFilesForm),
)  # fmt: skip
@_waits
def export(query: dict[str, Any], model_id: str) -> Response:
    """Look at several images and keep them, with their boxes drawn, and a table of what was seen."""
    inference = services().inference
    model = inference.model(actor(), model_id)
    asked = _asked(query, "files")
    files = [_sent(file) for file in forms.some_files("files")]
    session_id, directory, made, errors = inference.export(
        actor(), model, files, asked.options, team_id=asked.team_id, gone=_client_left()
    )
    return answer(
        {
            "session_id": session_id,
            "results": [infer_render.export_row(one, model) for one in made],
            "errors": [problem._asdict() for problem in errors],
            "session_dir": str(directory),
        }
    )


@routes.view(
    "POST", "/video/<task:model_id>", schemas.VideoAnswerSchema, query=schemas.VideoQuery, refusals=UNUSABLE,
    doc=_form(schemas.InferVideoForm),
)  # fmt: skip
@_waits
def video(query: dict[str, Any], model_id: str) -> Response:
    """Look at a video; the answer has it with the boxes drawn. Sound is left out."""
    inference = services().inference
    model = inference.model(actor(), model_id)
    asked = _asked(query, "file")
    filmed = inference.video(
        actor(), model, _sent(forms.one_file("file")), asked.options, team_id=asked.team_id,
        gone=_client_left_or_closing(),
    )  # fmt: skip
    shown = infer_render.filmed(filmed, model, _url(filmed.session_id, "video"))
    if not query["video_data"]:
        return answer({**shown, "video_data": None})
    return infer_render.with_video(shown, inference.sessions.open_video(actor(), filmed.session_id))


@routes.view(
    "POST", "/video/<task:model_id>/stream", None, query=schemas.LookQuery, refusals=UNUSABLE,
    doc=_form(schemas.InferStreamForm),
)  # fmt: skip
def stream(query: dict[str, Any], model_id: str) -> Response:
    """Look at a video and send each frame when it is done, as server-sent events. Nothing is kept."""
    inference = services().inference
    model = inference.model(actor(), model_id)
    asked = _asked(query, "file")
    sent, who = _sent(forms.one_file("file")), actor()
    try:
        return frame_stream(lambda gone: inference.frames(who, model, sent, asked.options, gone=gone))
    except Left:
        raise Unavailable("the service ends, or the client has left") from None


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
