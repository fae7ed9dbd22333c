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
from api.services.telemetry import LATENCY

log = logging.getLogger("trainyard.request")
GIVEN_ID = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
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


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if GIVEN_ID.fullmatch(given) else secrets.token_hex(8)
    g.began = time.monotonic()
    g.token = request_id.set(g.request_id)
    g.actor = request.environ.get("trainyard.actor")


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    if "Cache-Control" not in response.headers and not request.path.startswith("/ui/"):
        response.headers["Cache-Control"] = "no-store"
    seconds = time.monotonic() - g.began
    route = request.url_rule.rule if request.url_rule else "-"
    LATENCY.labels(request.method, route, str(response.status_code)).observe(seconds)
    level = logging.INFO if request.method not in ("GET", "HEAD") or response.status_code >= 500 else logging.DEBUG
    log.log(level, "%s %s %d %.1f ms", request.method, request.path, response.status_code, seconds * 1000)
    return response


def _forget(_problem: BaseException | None) -> Any:
    token: contextvars.Token[str | None] | None = g.pop("token", None)
    if token is not None:
        request_id.reset(token)
