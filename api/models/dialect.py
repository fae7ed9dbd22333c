"""Dialect: one public API's paths, words, ids, bodies and authentication, as a value."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from api.models.job import JobStatus


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one document speaks. `prefixes` are URL prefixes; the longest one that fits a path decides.

    `body(code, message, data)` is what a successful answer looks like, `error(code, message, data)` a failed one.
    """

    name: str
    prefixes: tuple[str, ...]
    words: Mapping[JobStatus, str]
    new_id: Callable[[], str]  # "": the job's number is its id
    body: Callable[[int, str, Any], Any]
    error: Callable[[int, str, Any], Any]
    needs_token: bool = False  # its document asks for one; else the local operator is served without
    slash: bool = False  # its paths end with one; a path without is redirected


def envelope(code: int, message: str, data: Any) -> dict[str, Any]:
    """What everything under /api/v1 answers."""
    return {"code": code, "message": message, "data": data, "timestamp": int(time.time())}


def number() -> str:
    """No id of the dialect's own making: the job's number is its id."""
    return ""


def task_id() -> str:
    """`train_YYYYmmdd_HHMMSS_<8 hex>`, in UTC."""
    return time.strftime("train_%Y%m%d_%H%M%S_", time.gmtime()) + secrets.token_hex(4)


TRAINING_V1 = Dialect(
    name="training_v1",
    prefixes=("/api/v1",),
    words={status: status.value for status in JobStatus},
    new_id=task_id,
    body=envelope,
    error=envelope,
)


def _ocr_error(code: int, message: str, _data: Any) -> dict[str, Any]:
    return {"error" if code == 404 else "detail": message}


def job_id() -> str:
    """`job-<8 base32>`."""
    return "job-" + base64.b32encode(secrets.token_bytes(5)).decode().lower()


_PENDING_AND_CANCELLED = {
    JobStatus.QUEUED: "pending",
    JobStatus.RUNNING: "running",
    JobStatus.COMPLETED: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.STOPPED: "cancelled",
}

JOBS = Dialect(
    name="jobs",
    prefixes=("/api/v1/training/jobs",),
    words=_PENDING_AND_CANCELLED,
    new_id=job_id,
    body=lambda _code, message, data: envelope(0, message, data),
    error=envelope,
    needs_token=True,
)


def preprocessing_id() -> str:
    """`prep_YYYYmmdd_HHMMSS_<8 hex>`, in UTC."""
    return time.strftime("prep_%Y%m%d_%H%M%S_", time.gmtime()) + secrets.token_hex(4)


#: a part of contract 1 with status words of its own
PREPROCESSING = Dialect(
    name="preprocessing",
    prefixes=("/api/v1/preprocessing",),
    words=_PENDING_AND_CANCELLED,
    new_id=preprocessing_id,
    body=envelope,
    error=envelope,
)

OCR_STATUS = Dialect(
    name="ocr_status",
    prefixes=("/api/token-auth", "/api/models", "/api/training", "/api/documents"),
    words={
        JobStatus.QUEUED: "Queued",
        JobStatus.RUNNING: "Running",
        JobStatus.COMPLETED: "Finished",
        JobStatus.FAILED: "Crashed",
        JobStatus.STOPPED: "Canceled",
    },
    new_id=number,
    body=lambda _code, _message, data: data,
    error=_ocr_error,
    needs_token=True,
    slash=True,
)

#: where documents and trainings come from that the OCR dialect only reads: its jobs and its rule of tokens, enveloped
OCR_V1 = replace(OCR_STATUS, prefixes=("/api/v1/ocr",), body=envelope, error=envelope, slash=False)

#: the first part of the YOLO platform's paths, bare and below /api/v1
YOLO_PATHS = ("/datasets", "/annotations", "/train", "/logs", "/infer", "/models")


def dated_id(prefix: str, size: int = 4) -> str:
    """`<prefix>_YYYYmmdd_HHMMSS_<hex>`, in UTC, of `size` random bytes."""
    return time.strftime(f"{prefix}_%Y%m%d_%H%M%S_", time.gmtime()) + secrets.token_hex(size)


YOLO_PLATFORM = Dialect(
    name="yolo_platform",
    prefixes=(*YOLO_PATHS, "/static"),
    words={
        JobStatus.QUEUED: "running",
        JobStatus.RUNNING: "running",
        JobStatus.COMPLETED: "completed",
        JobStatus.FAILED: "failed",
        JobStatus.STOPPED: "stopped",
    },
    new_id=lambda: dated_id("job", 2),  # the contract's four digits; the store takes another where one is taken
    body=lambda _code, _message, data: data,
    error=lambda _code, message, _data: {"detail": message},
)
#: the same views, enveloped: one dialect for the jobs that they make
YOLO_PLATFORM_V1 = replace(
    YOLO_PLATFORM, prefixes=tuple(f"/api/v1{path}" for path in YOLO_PATHS), body=envelope, error=envelope
)

YOLO_TRAIN_SERVER = Dialect(
    name="yolo_train_server",
    prefixes=(
        "/start",
        "/status",
        "/terminate",
        "/train_info",
        "/clear_train_cache",
        "/cache_info",
        "/download_model",
        "/gpu_info",
        "/help",
    ),
    words={status: status.value for status in JobStatus},
    new_id=task_id,
    body=lambda _code, _message, data: data,
    error=lambda _code, message, _data: {"detail": message},
)

DIALECTS: tuple[Dialect, ...] = (
    TRAINING_V1,
    JOBS,
    PREPROCESSING,
    OCR_STATUS,
    OCR_V1,
    YOLO_PLATFORM,
    YOLO_PLATFORM_V1,
    YOLO_TRAIN_SERVER,
)


def dialect_of(path: str) -> Dialect:
    """The dialect whose longest prefix fits a path; what fits none is answered like training v1."""
    fitting = [
        (len(prefix), dialect)
        for dialect in DIALECTS
        for prefix in dialect.prefixes
        if path == prefix or path.startswith(prefix + "/")
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else TRAINING_V1


#: words that paths use where an id could stand
RESERVED_IDS = frozenset(
    [
        "active",
        "available",
        "clear",
        "details",
        "docs",
        "download",
        "events",
        "export",
        "hold",
        "import",
        "jobs",
        "list",
        "lists",
        "login",
        "logout",
        "logs",
        "me",
        "metrics",
        "new",
        "openapi",
        "preview",
        "progress",
        "queue",
        "release",
        "request",
        "restart",
        "resume",
        "search",
        "start",
        "status",
        "stop",
        "stream",
        "summary",
        "task",
        "tasks",
    ]
)
