"""The description of every route (OpenAPI 3.1), and a page that shows it without the internet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, redirect, send_from_directory
from flask_smorest import Api
from werkzeug.wrappers import Response as AnyResponse

from api.models.dialect import Dialect
from api.routes.examples import EXAMPLES
from api.routes.http import json_response

STATIC = Path(__file__).resolve().parent.parent / "static"
blueprint = Blueprint("documentation", __name__)

ABOUT = """\
Trainyard runs, watches and keeps every training on a GPU box or in a small lab.

Everything under `/api/v1` answers `{"code", "message", "data", "timestamp"}`; `code` equals the HTTP status.
On loopback the service's own Unix user needs no token; everybody else sends `Authorization: Token <token>`
(or `Bearer`). Times are ISO 8601 UTC. What is not known is null.
"""


@blueprint.get("/")
def home() -> AnyResponse:
    """Where a browser starts."""
    return redirect("/api/v1/docs", 302)


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
    response = send_from_directory(STATIC / "docs", name, max_age=3600)
    return response


@blueprint.get("/api/v1/openapi.json")
def document() -> Response:
    """The description itself."""
    return json_response(current_app.extensions["openapi"], 200)


def describe(app: Flask, api: Api, dialects: tuple[Dialect, ...]) -> None:
    """Completes what flask-smorest collected: examples, errors, security, and the routes that are not its own."""
    spec = api.spec.to_dict()
    spec["info"]["description"] = ABOUT
    spec["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    spec["servers"] = [{"url": "/"}]
    spec.setdefault("components", {}).setdefault("securitySchemes", {})["token"] = {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token <token>` or `Bearer <token>`",
    }
    spec["security"] = [{"token": []}, {}]
    for path, item in spec["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                _complete(path, method, operation)
    spec["paths"].update(PLAIN_PATHS)
    app.extensions["openapi"] = spec


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("default", None)
    for code, text in COMMON_ERRORS.items():
        if code == "404" and "{" not in path:
            continue
        responses.setdefault(code, {"description": text, "content": ERROR_CONTENT})
    example = EXAMPLES.get((method, path), {})
    if "request" in example and "requestBody" in operation:
        operation["requestBody"]["content"]["application/json"]["example"] = example["request"]
    if "response" in example:
        success = next((responses[code] for code in ("200", "201", "202") if code in responses), None)
        if success is not None:
            success.setdefault("content", {}).setdefault("application/json", {})["example"] = example["response"]
    if path.endswith(("/stream", "/events")):
        responses["200"] = {"description": "server-sent events", "content": {"text/event-stream": {}}}


COMMON_ERRORS = {
    "401": "a token is missing or wrong",
    "403": "not yours, outside the allowed roots, or a cross-site request",
    "404": "there is no such thing",
    "422": "a field has a value that cannot be used; `data.errors` names it",
}
ERROR_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/EmptyEnvelope"}}}


def _text(summary: str, media: str, example: Any = None, **more: Any) -> dict[str, Any]:
    content: dict[str, Any] = {} if example is None else {"example": example}
    return {
        "get": {
            "summary": summary,
            "tags": ["service"],
            "responses": {"200": {"description": summary, "content": {media: content}}, **more},
        }
    }


PLAIN_PATHS: dict[str, Any] = {
    "/healthz": _text("The process is up", "application/json", {"status": "ok"}),
    "/readyz": _text(
        "The database can be written and the scheduler turns",
        "application/json",
        {"status": "ok"},
        **{"503": {"description": "not ready; `status` says why"}},
    ),
    "/metrics": _text(
        "Prometheus' text format", "text/plain", 'trainyard_jobs{engine="diffusion_pipe",status="running"} 1.0'
    ),
    "/api/v1/openapi.json": _text("This description", "application/json"),
    "/api/v1/docs": _text("This description as a page, without the internet", "text/html"),
}
