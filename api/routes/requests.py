"""Around every request: its id, its log line, its measured time, and who asks."""

from __future__ import annotations

import contextvars
import logging
import re
import secrets
import time
from typing import Any

from flask import Flask, Response, g, request

from api.logs import request_id
from api.routes.http import services
from api.services.telemetry import LATENCY

log = logging.getLogger("trainyard.request")
GIVEN_ID = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: headers that pages of configured origins may send, and read
ASKED = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Range", "X-CSRF-Token", "X-Request-ID")
TOLD = ("ETag", "Content-Disposition", "Retry-After", "X-Request-ID")
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
}


def install_requests(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)


def request_id_of(given: str) -> str:
    """The client's own id for its request, if it can stand in a log; else a new one."""
    return given if GIVEN_ID.fullmatch(given) else secrets.token_hex(8)


def _begin() -> None:
    g.request_id = request_id_of(request.headers.get("X-Request-ID", ""))
    g.began = time.monotonic()
    g.token = request_id.set(g.request_id)
    g.actor = request.environ.get("trainyard.actor")


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    _allow_origin(response)
    if "Cache-Control" not in response.headers and not request.path.startswith("/ui/"):
        response.headers["Cache-Control"] = "no-store"
    seconds = time.monotonic() - g.began
    route = request.url_rule.rule if request.url_rule else "-"
    method = request.method if request.method in METHODS else "other"  # each one costs memory for good
    LATENCY.labels(method, route, str(response.status_code)).observe(seconds)
    level = logging.INFO if request.method not in ("GET", "HEAD") or response.status_code >= 500 else logging.DEBUG
    log.log(level, "%s %s %d %.1f ms", request.method, request.path, response.status_code, seconds * 1000)
    return response


def _allow_origin(response: Response) -> None:
    """Pages of the configured origins may read answers and send a token; those of others may not."""
    origin = request.headers.get("Origin")
    if origin is None or origin not in services().settings.cors_origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = ", ".join(TOLD)
    response.headers.add("Vary", "Origin")
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, PUT, PATCH, DELETE"
        response.headers["Access-Control-Allow-Headers"] = ", ".join(ASKED)
        response.headers["Access-Control-Max-Age"] = "600"


def _forget(_problem: BaseException | None) -> Any:
    token: contextvars.Token[str | None] | None = g.pop("token", None)
    if token is not None:
        request_id.reset(token)
