"""The description of every route (OpenAPI 3.1), and a page that shows it without the internet."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, send_from_directory
from flask_smorest import Api

from api.models.schemas.answers import FieldErrorsSchema
from api.routes.http import enveloped, json_response
from api.routes.openapi.errors import BARE_ERROR, ERROR, ERRORS, TOKEN, error_response
from api.routes.openapi.operations import METHODS, complete, complete_body, name_parameters
from api.routes.openapi.plain import PLAIN_PATHS

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
    components["responses"] = {name: error_response(name, text) for name, (_, text) in ERRORS.items()}
    for name in ("Error", "PaginationMetadata"):  # flask-smorest's own, which nothing of ours answers
        components["schemas"].pop(name, None)
    components["schemas"] |= {"Error": ERROR, "BareError": BARE_ERROR}
    for path, item in spec["paths"].items():
        name_parameters(path, item.get("parameters", []))
        for method, operation in item.items():
            if method in METHODS:
                complete(path, method, operation)
                complete_body(operation, components["schemas"])
    spec["paths"].update(PLAIN_PATHS)
    spec["tags"].append({"name": "service", "description": "The service itself"})
    app.extensions["openapi"] = spec


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
