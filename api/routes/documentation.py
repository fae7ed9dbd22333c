"""The description of every route (OpenAPI 3.1), and a page that shows it without the internet."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, send_from_directory
from flask_smorest import Api

from api.models.dialect import dialect_of
from api.models.schemas.training import FieldErrorsSchema
from api.routes.examples import EXAMPLES
from api.routes.examples_annotations import ANNOTATION_EXAMPLES
from api.routes.examples_infer import INFER_EXAMPLES
from api.routes.examples_jobs import JOB_EXAMPLES
from api.routes.examples_ocr import EXAMPLES as OCR_EXAMPLES
from api.routes.examples_preprocessing import PREPROCESSING_EXAMPLES
from api.routes.examples_train_server import TRAIN_SERVER_EXAMPLES
from api.routes.examples_yolo import YOLO_EXAMPLES
from api.routes.examples_yolo_models import MODEL_EXAMPLES
from api.routes.examples_yolo_training import TRAINING_EXAMPLES
from api.routes.files import IMAGES
from api.routes.http import enveloped, json_response
from api.routes.path_parameters import PATH_PARAMETERS

ALL_EXAMPLES = {
    **ANNOTATION_EXAMPLES,
    **EXAMPLES,
    **JOB_EXAMPLES,
    **OCR_EXAMPLES,
    **PREPROCESSING_EXAMPLES,
    **TRAIN_SERVER_EXAMPLES,
    **YOLO_EXAMPLES,
    **INFER_EXAMPLES,
    **TRAINING_EXAMPLES,
    **MODEL_EXAMPLES,
}
STATIC = Path(__file__).resolve().parent.parent / "static"
blueprint = Blueprint("documentation", __name__)

ABOUT = """\
Trainyard runs, watches and keeps every training on a GPU box or in a small lab.

Everything under `/api/v1` answers `{"code", "message", "data", "timestamp"}`; `code` equals the HTTP status.
On loopback the service's own Unix user needs no token; everybody else sends `Authorization: Token <token>`
(or `Bearer`). Times are ISO 8601 UTC. What is not known is null.
"""


@blueprint.get("/api/v1/docs")
def page() -> Response:
    """The description as a page."""
    response = send_from_directory(STATIC / "docs", "index.html")
    # Swagger UI sets styles from its script and draws its icons from data: addresses
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; "
        "base-uri 'none'; form-action 'self'"
    )
    return response


@blueprint.get("/ui/docs/<path:name>")
def asset(name: str) -> Response:
    """Scripts and styles of the page."""
    return send_from_directory(STATIC / "docs", name, max_age=3600)


@blueprint.get("/api/v1/openapi.json")
def document() -> Response:
    """The description itself."""
    return json_response(current_app.extensions["openapi"], 200)


def describe(app: Flask, api: Api) -> None:
    """Completes what flask-smorest collected: examples, errors, parameters, and the routes that are not its own."""
    api.spec.components.schema("FieldErrorsEnvelope", schema=enveloped(FieldErrorsSchema))
    spec = api.spec.to_dict()
    spec["info"]["description"] = ABOUT
    spec["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    spec["servers"] = [{"url": "/"}]
    spec["security"] = [{"token": []}, {}]
    components = spec["components"]
    components["securitySchemes"] = {"token": TOKEN}
    components["responses"] = {name: _error(name, text) for name, (_, text) in ERRORS.items()}
    for name in ("Error", "PaginationMetadata"):  # flask-smorest's own, which nothing of ours answers
        components["schemas"].pop(name, None)
    components["schemas"] |= {"Error": ERROR, "BareError": BARE_ERROR}
    for path, item in spec["paths"].items():
        _name_parameters(path, item.get("parameters", []))
        for method, operation in item.items():
            if method in METHODS:
                _complete(path, method, operation)
                _complete_body(operation, components["schemas"])
    spec["paths"].update(PLAIN_PATHS)
    spec["tags"].append({"name": "service", "description": "The service itself"})
    app.extensions["openapi"] = spec


METHODS = ("get", "post", "put", "patch", "delete")
TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`Token <token>` or `Bearer <token>`",
}
ERROR = {
    "type": "object",
    "description": "Any error under /api/v1. `data` is null, or an object that helps.",
    "required": ["code", "message", "data", "timestamp"],
    "properties": {
        "code": {"type": "integer", "description": "equals the HTTP status"},
        "message": {"type": "string"},
        "data": {"type": ["object", "null"]},
        "timestamp": {"type": "integer", "description": "Unix seconds"},
    },
}
BARE_ERROR = {
    "type": "object",
    "description": "Any error of the dialects that know no envelope.",
    "properties": {"detail": {"type": "string"}, "error": {"type": "string"}},
    "anyOf": [{"required": ["detail"]}, {"required": ["error"]}],
}
#: name: status, what it means
ERRORS = {
    "BadRequest": (400, "the body is not valid JSON (NaN and Infinity are none), or the Host header is not ours"),
    "Unauthenticated": (401, "a token is missing or wrong"),
    "Forbidden": (403, "not yours, outside the allowed roots, or a cross-site request"),
    "NotFound": (404, "there is no such thing"),
    "TooLarge": (413, "the body is too long"),
    "NotJson": (415, "the body is not called JSON by its Content-Type"),
    "Invalid": (422, "a field has a value that cannot be used; `data.errors` names it"),
    "Unavailable": (503, "cannot be done now; try again after `Retry-After` seconds"),
    "Full": (507, "the disk is full"),
}


def _error(name: str, text: str) -> dict[str, Any]:
    code = ERRORS[name][0]
    schema = "FieldErrorsEnvelope" if code == 422 else "Error"
    data = {"errors": [{"field": "limit", "message": "Not a valid integer."}]} if code == 422 else None
    message = "limit: Not a valid integer." if code == 422 else text
    example = {"code": code, "message": message, "data": data, "timestamp": 1795258464}
    return {"description": text, "content": _json(schema, example)}


def _json(schema: str, example: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}}


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    operation["summary"] = operation["summary"].removesuffix(".")
    _name_parameters(path, operation.get("parameters", []))
    responses: dict[str, Any] = operation["responses"]
    responses.pop("default", None)
    responses.pop("422", None)  # flask-smorest's, which is not how ours looks
    dialect = dialect_of(path)
    is_bare = "code" not in dialect.error(400, "", None)
    for name in _possible(path, method, operation):
        code, text = ERRORS[name]
        bare = {"description": text, "content": _json("BareError", dialect.error(code, text, None))}
        responses.setdefault(str(code), bare if is_bare else {"$ref": f"#/components/responses/{name}"})
    for status, response in responses.items():
        content = response.get("content", {}).get("application/json", {})
        if int(status) >= 400 and content.get("schema") == {"$ref": "#/components/schemas/EmptyEnvelope"}:
            content["schema"] = {"$ref": "#/components/schemas/Error"}
    for response in responses.values():
        if is_bare and "$ref" not in response and "content" not in response:
            response["content"] = _json("BareError", {"detail": response["description"]})
    _complete_special(path, method, operation)
    _show(ALL_EXAMPLES.get((method, path), {}), operation)
    operation["responses"] = dict(sorted(responses.items()))


def _possible(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    """Names of the errors that any operation like this may answer."""
    if operation.get("security") != [{}]:
        yield "Unauthenticated"
    yield "Forbidden"
    if "{" in path:
        yield "NotFound"
    if "requestBody" in operation:
        yield from ("BadRequest", "TooLarge", "NotJson")
    if "requestBody" in operation or "parameters" in operation or path.endswith((*STREAMS, "/{model_type}")):
        yield "Invalid"
    if method != "get":
        yield from ("Unavailable", "Full")
    elif path.endswith(STREAMS):
        yield "Unavailable"


def _complete_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A body of optional fields may be absent, and a null is an absent field."""
    body = operation.get("requestBody", {"content": {}})
    for content in body["content"].values():
        schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        body["required"] = bool(schema.get("required"))
        for name, field in schema["properties"].items():
            if name in schema.get("required", ()):
                continue
            if isinstance(field.get("type"), str):
                field["type"] = [field["type"], "null"]
                if "enum" in field:
                    field["enum"] = [*field["enum"], None]
            elif "anyOf" in field:
                field["anyOf"] = [*field["anyOf"], {"type": "null"}]


STREAMS = ("/stream", "/events", "/live")
#: paths that answer with a file, and its content types
DOWNLOADS = {
    "/artifacts/{path}": ("application/octet-stream", *IMAGES.values()),
    "/ocr/models/{model_id}/download": ("application/octet-stream",),
    "/parts/{part_id}/image": ("application/octet-stream",),
    "/weights/{model_type}": ("application/octet-stream",),
    "/media": ("video/mp4", "image/png"),
    "/results/{session_id}/video": ("video/mp4",),
    "/thumbnail": ("image/jpeg",),
    "/exports/{job_id}/file": ("application/octet-stream",),
}
ZIPS = (
    "/export/annotated",
    "/export/original",
    "/documents/{document_id}/export",
    "/models/{model_id}/export",
    "/results/{session_id}/export",
)
FRAMES = "/infer/video/{model_id}/stream"


def _complete_special(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if path.endswith(FRAMES):
        content = {"text/event-stream": {"schema": {"type": "string"}, "example": FRAMES_EXAMPLE}}
        responses["200"] = {"description": "server-sent events, one a frame", "content": content}
    elif path.endswith(STREAMS):
        if path not in WHOLE_STREAMS:
            operation.setdefault("parameters", []).append(LAST_EVENT_ID)
        content = {"text/event-stream": {"schema": {"type": "string"}, "example": STREAM_EXAMPLES[path]}}
        responses["200"] = {"description": "server-sent events; a comment every 15 s", "content": content}
    elif path.endswith(tuple(DOWNLOADS)):
        operation.setdefault("parameters", []).extend(RANGE_PARAMETERS)
        types = next(types for end, types in DOWNLOADS.items() if path.endswith(end))
        binary = {each: {"schema": {"type": "string", "format": "binary"}} for each in types}
        responses["200"] = {"description": "the file", "headers": FILE_HEADERS, "content": binary}
        headers = {**FILE_HEADERS, "Content-Range": {"schema": {"type": "string"}, "example": "bytes 0-99/2048"}}
        responses["206"] = {"description": "the bytes asked for", "headers": headers, "content": binary}
        responses["304"] = {"description": "it is the file that If-None-Match names"}
        responses |= _range_refusals(path)
    elif path.endswith("/infer/{model_id}"):
        picture = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
        responses["200"]["content"] |= picture
    elif method == "get" and path.endswith(ZIPS):
        responses["200"]["content"] = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}
    elif path.endswith("/charts"):
        responses["200"] = {"description": "the chart", "content": {"image/png": {"schema": {"type": "string"}}}}
    elif path.startswith("/static/"):
        _complete_image(operation)
    elif path == "/help":
        responses["200"]["content"]["text/html"] = {"schema": {"type": "string"}}
    elif path.endswith("/metrics"):
        table = "epoch,step,value,timestamp\n1,1,0.9172,2026-11-21T10:49:58.120Z\n"
        responses["200"]["content"]["text/csv"] = {"schema": {"type": "string"}, "example": table}


def _range_refusals(path: str) -> dict[str, Any]:
    found, dialect = {}, dialect_of(path)
    for code, text in ((412, "it is not the file that If-Match names"), (416, "it has no such bytes")):
        example = dialect.error(code, text, None)
        if "code" in example:
            example["timestamp"] = 1795258464
        found[str(code)] = {
            "description": text,
            "content": _json("Error" if "code" in example else "BareError", example),
        }
    return found


def _complete_image(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    operation.setdefault("parameters", []).extend(RANGE_PARAMETERS)
    kinds = ("jpeg", "png", "bmp", "webp", "tiff")
    binary = {f"image/{kind}": {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    headers = {name: FILE_HEADERS[name] for name in ("ETag", "Accept-Ranges")}
    responses["200"] = {"description": "the image", "headers": headers, "content": binary}
    responses["206"] = {"description": "the bytes asked for", "headers": headers, "content": binary}
    responses["304"] = {"description": "it is the file that If-None-Match names"}
    responses |= _range_refusals("/static/")


def _header(name: str, description: str, example: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"in": "header", "name": name, "description": description, "schema": schema, "example": example}


LAST_EVENT_ID = _header("Last-Event-ID", "the `id` of the last event seen: go on after it", "4711")
LAST_EVENT_ID["schema"] = {"type": "string", "pattern": "^[0-9]{1,18}$"}
RANGE_PARAMETERS = [
    _header("Range", "a single range of bytes; anything else is answered with the whole file", "bytes=0-99"),
    _header("If-Range", "an ETag: the range of this file, else the whole of the new one", '"18f2a-800"'),
    _header("If-Match", "an ETag: 412 unless it is this file", '"18f2a-800"'),
    _header("If-None-Match", "an ETag: 304 if it is this file", '"18f2a-800"'),
]
FILE_HEADERS = {
    "ETag": {"schema": {"type": "string"}, "description": "changes with the file's size and time of change"},
    "Accept-Ranges": {"schema": {"type": "string"}, "example": "bytes"},
    "Content-Disposition": {"schema": {"type": "string"}, "example": 'attachment; filename="adapter.safetensors"'},
}
FRAMES_EXAMPLE = (
    'data: {"type":"info","fps":25.0,"width":1280,"height":720,"total_frames":300}\n\n'
    'data: {"type":"frame","frame":0,"frame_number":0,"time":0.0,"image_data":"/9j/4AAQ...","frame_data":"/9j/4AAQ...",'
    '"detections":[]}\n\n'
    'data: {"type":"complete","processed_frames":300}\n\n'
)
_TEXT_STREAM = (
    "id: 1046\ndata: ultralytics 8.4.190 is told to train\n\n"
    "id: 1061\ndata: Starting training for 50 epochs...\n\n"
    'event: end\ndata: {"status":"completed"}\n\n'
)
#: these begin with the whole state, whatever their client has seen before
WHOLE_STREAMS = ("/api/v1/system/live",)
STREAM_EXAMPLES = {
    "/api/v1/system/live": "event: machine\n"
    'data: {"overview":{"uptime":81.2,"version":"0.1.0"},"gpus":[]}\n\n'
    'event: job\ndata: {"task_id":"train_20261121_104951_5f2c8a1b","status":"running"}\n\n',
    "/logs/stream": _TEXT_STREAM,
    "/api/v1/logs/stream": _TEXT_STREAM,
    "/api/v1/training/{task_id}/logs/stream": "id: 4096\n"
    'data: {"line_number":57,"timestamp":"2026-11-21T10:49:58.120Z","level":"INFO","type":"train",'
    '"message":"steps: 12 loss: 0.2181 iter time (s): 0.391 samples/sec: 10.230","epoch":1,"step":12}\n\n'
    'event: end\ndata: {"status":"completed"}\n\n',
    "/api/v1/training/{task_id}/events": "event: status\nid: 91\n"
    'data: {"task_id":"train_20261121_104951_5f2c8a1b","status":"running","engine":"diffusion_pipe","attempt":1,'
    '"reason":null,"stop_requested":false}\n\n'
    'event: end\ndata: {"task_id":"train_20261121_104951_5f2c8a1b","status":"completed"}\n\n',
    "/api/v1/training/events": "event: status\nid: 91\n"
    'data: {"task_id":"train_20261121_104951_5f2c8a1b","status":"running","engine":"diffusion_pipe","attempt":1,'
    '"reason":null,"stop_requested":false}\n\n',
}


def _name_parameters(path: str, parameters: list[dict[str, Any]]) -> None:
    first = path.removeprefix("/api/v1").split("/")[1]
    for parameter in parameters:
        if parameter["in"] == "path":
            name = parameter["name"]
            parameter.update(PATH_PARAMETERS.get(f"{first}/{name}") or PATH_PARAMETERS[name])


def _show(examples: dict[str, Any], operation: dict[str, Any]) -> None:
    """Puts examples where they belong: `request`, a content type of it, or a status."""
    for place, example in examples.items():
        if place == "request":
            for content in operation["requestBody"]["content"].values():
                content["example"] = example
        elif "/" in place:
            operation["requestBody"]["content"][place]["example"] = example
        else:
            operation["responses"][place]["content"]["application/json"]["example"] = example


def _text(summary: str, media: str, example: Any = None, **more: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"} if media == "application/json" else {"type": "string"}
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {
        "get": {
            "summary": summary,
            "tags": ["service"],
            "security": [{}],
            "responses": {"200": {"description": summary, "content": {media: content}}, **more},
        }
    }


PLAIN_PATHS: dict[str, Any] = {
    "/healthz": _text("The process is up", "application/json", {"status": "ok"}),
    "/readyz": _text(
        "The database can be written and the scheduler turns",
        "application/json",
        {"status": "ok"},
        **{
            "503": {
                "description": "not ready; `status` says why",
                "content": {
                    "application/json": {
                        "schema": {"type": "object"},
                        "example": {"status": "the scheduler has not turned for 31 s"},
                    }
                },
            }
        },
    ),
    "/metrics": _text(
        "Prometheus' text format", "text/plain", 'trainyard_jobs{engine="diffusion_pipe",status="running"} 1.0\n'
    ),
    "/api/": {
        "get": {
            "summary": "To the console, as /models/ and /admin/",
            "tags": ["service"],
            "responses": {
                "302": {
                    "description": "the console's address",
                    "content": {"text/html": {"schema": {"type": "string"}}},
                },
                "401": {"$ref": "#/components/responses/Unauthenticated"},
                "403": {"$ref": "#/components/responses/Forbidden"},
            },
        }
    },
    "/api/v1/openapi.json": _text("This description", "application/json"),
    "/api/v1/docs": _text("This description as a page, without the internet", "text/html"),
}


def main() -> None:
    """`make docs`: the description on standard output, of a service that is never started."""
    composition = importlib.import_module("api.app")  # it imports us; no layer below it may name it
    settings = importlib.import_module("api.settings")
    with tempfile.TemporaryDirectory() as directory:
        services = composition.build_services(settings.load({"data_dir": directory}, {}), {})
        try:
            document = composition.build_app(services).extensions["openapi"]
        finally:
            services.db.close()
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
