"""Operations that answer with something else than JSON: streams, files, pictures, tables."""

from __future__ import annotations

from typing import Any

from api.models.dialect import dialect_of
from api.routes.files import IMAGES
from api.routes.openapi.errors import json_content

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


def complete_special(path: str, method: str, operation: dict[str, Any]) -> None:
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
            "content": json_content("Error" if "code" in example else "BareError", example),
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
