"""A job's output: what is in it, and downloads that cannot leave it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import toml
from flask import Response, request

from api.models.job import Job
from api.routes.http import refuse, services
from api.services.store import jobs as store
from api.utils.downloads import attachment, file_response, open_beneath
from api.utils.errors import NotFound
from api.utils.secrets import masked, scrub
from api.utils.times import iso

MOST = 10_000  # files that one answer lists
#: what a browser shows and cannot run
IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}
REFUSALS = {412: "the file is not the one that the request's tags name", 416: "the file has no such bytes"}


def _directory(job: Job, attempt: int | None) -> Path:
    with services().db.read() as connection:
        return Path(store.attempt(connection, job, attempt).output_dir)


def artifact_list(job: Job, attempt: int | None) -> dict[str, Any]:
    directory = _directory(job, attempt)
    found: list[dict[str, Any]] = []
    for path, info in _files(directory):
        if len(found) == MOST:
            return {"task_id": job.id, "directory": str(directory), "truncated": True, "artifacts": found}
        found.append({"path": path, "size_bytes": info.st_size, "modified_at": iso(info.st_mtime)})
    return {"task_id": job.id, "directory": str(directory), "truncated": False, "artifacts": found}


def _files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files below a directory, sorted by path; links are neither followed nor shown."""
    for folder, subfolders, names in os.walk(directory):
        subfolders.sort()
        for name in sorted(names):
            full = os.path.join(folder, name)
            try:
                info = os.lstat(full)
            except FileNotFoundError:  # renamed by the trainer while we look
                continue
            if os.path.isfile(full) and not os.path.islink(full):
                yield os.path.relpath(full, directory), info


def _without_secrets(job: Job, path: str, file: BinaryIO) -> bytes | None:
    """A trainer copies its configuration to its outputs, keys and all: the masked text. None: send it as it is."""
    if not job.spec.secrets or not path.endswith(".toml"):
        return None
    text = file.read().decode("utf-8", "replace")
    try:
        return toml.dumps(masked(tomllib.loads(text))).encode()
    except tomllib.TOMLDecodeError:
        return scrub(text, job.spec.secrets).encode()


def send_artifact(job: Job, path: str, attempt: int | None, *, show: bool = False) -> Response:
    try:
        file = open_beneath(_directory(job, attempt), path)
    except FileNotFoundError:
        raise NotFound(f"job {job.id} has no file {path!r}") from None
    shown = _without_secrets(job, path, file)
    if shown is not None:
        file.close()
        disposition = {"Content-Disposition": attachment(os.path.basename(path))}
        return Response(shown, mimetype="application/octet-stream", headers=disposition)
    image = IMAGES.get(os.path.splitext(path)[1].lower()) if show else None
    if image is not None:
        return send_file(file, content_type=image)
    return send_file(file, download_name=os.path.basename(path))


def send_file(
    file: BinaryIO, *, content_type: str = "application/octet-stream", download_name: str | None = None
) -> Response:
    """An open file, or the bytes of it that were asked for. Without a name it is for showing."""
    size = os.fstat(file.fileno()).st_size
    status, headers, body = file_response(
        request.environ,
        file,
        size,
        request.headers.get("Range"),
        content_type=content_type,
        download_name=download_name,
    )
    if status in REFUSALS:
        kept = {name: value for name, value in headers if name not in ("Content-Length", "Content-Type")}
        return refuse(status, REFUSALS[status], None, kept)
    return Response(body, status=status, headers=headers, direct_passthrough=True)
