"""The web console: one page and its files, which any browser may load; what they show comes from the API."""

from __future__ import annotations

import hashlib
import time
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, g, redirect, request, send_from_directory
from werkzeug.wrappers import Response as AnyResponse

from api.services.credentials import SESSION_COOKIE

STATIC = Path(__file__).resolve().parent.parent / "static" / "ui"
YEAR = 365 * 86400
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".md": "text/plain"}
blueprint = Blueprint("console", __name__)


@blueprint.get("/")
@blueprint.get("/ui/")
def home() -> Response:
    """The page. It names its files below the present build, so that they may be cached for ever."""
    text = (STATIC / "index.html").read_text(encoding="utf-8").replace("{build}", build())
    response = Response(text, mimetype="text/html")
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    if SESSION_COOKIE in request.cookies and g.actor is None:  # an ended session would keep the local operator out
        response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="Strict")
    return response


@blueprint.get("/ui/<build_id>/<path:asset>")
def file(build_id: str, asset: str) -> Response:
    """One of the console's files; of another build than the present one it is not kept."""
    response = send_from_directory(STATIC, asset, mimetype=TYPES.get(Path(asset).suffix), conditional=True)
    if build_id == build():
        response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
    else:
        response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.get("/api/")
@blueprint.get("/models/")
@blueprint.get("/admin/")
def linked() -> AnyResponse:
    """Where the pages that the OCR status document links to are."""
    return redirect("/ui/", 302)


def build() -> str:
    """Changes with any of the console's files, within a second also under a running service."""
    return _build(int(time.monotonic()))


@lru_cache(maxsize=1)
def _build(_second: int) -> str:
    told = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            state = path.stat()
            told.update(f"{path.relative_to(STATIC)}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return told.hexdigest()[:12]
