"""The description of the API: valid, complete, and true (that real answers fit it is checked with every call)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.routes.files import IMAGES
from tests.dialects.conftest import Site, template

ROOT = Path(__file__).resolve().parents[2]
VERBS = {"get", "post", "put", "patch", "delete"}
UNWRAPPED = {"/api/v1/openapi.json", "/api/v1/docs"}


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], list[dict[str, Any]]]]:
    """Method, path, operation and all of its parameters."""
    for path, item in spec["paths"].items():
        for method in VERBS & item.keys():
            operation = item[method]
            yield method, path, operation, [*item.get("parameters", []), *operation.get("parameters", [])]


def test_it_is_valid(site: Site) -> None:
    response = site.call("GET", "/api/v1/openapi.json")
    spec = response.get_json()
    assert response.mimetype == "application/json" and spec["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(spec).validate()


def test_it_has_every_route(site: Site) -> None:
    rules = {
        (method.lower(), template(rule.rule))
        for rule in site.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api/")
    }
    described = {(m, path) for m, path, _, _ in operations(site.documented.spec) if path.startswith("/api/")}
    assert described == rules


def test_every_operation_is_told(site: Site) -> None:
    for method, path, operation, parameters in operations(site.documented.spec):
        name = f"{method} {path}"
        assert operation["summary"] and not operation["summary"].endswith("."), name
        assert operation["tags"], name
        for parameter in parameters:
            assert parameter.get("description"), f"{name}: {parameter['name']}"
        wanted = set(re.findall(r"{(\w+)}", path))
        assert {p["name"] for p in parameters if p["in"] == "path"} == wanted, name
        for status, response in operation["responses"].items():
            told = site.documented.resolve(response)
            assert told["description"], f"{name}: {status}"
            assert status in ("204", "304") or told.get("content"), f"{name}: {status} has no body"
        if operation.get("security") != [{}]:
            assert {"401", "403"} <= operation["responses"].keys(), name
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= operation["responses"].keys(), name


def test_headers_and_streams(site: Site) -> None:
    found = {
        path: (op, {p["name"]: p for p in ps}) for m, path, op, ps in operations(site.documented.spec) if m == "get"
    }
    for path in ("/{task_id}/logs/stream", "/{task_id}/events", "/events"):
        operation, parameters = found["/api/v1/training" + path]
        assert parameters["Last-Event-ID"]["in"] == "header"
        assert list(operation["responses"]["200"]["content"]) == ["text/event-stream"]
        assert "503" in operation["responses"]
    operation, parameters = found["/api/v1/training/{task_id}/artifacts/{path}"]
    assert {"Range", "If-Match", "If-Range", "If-None-Match", "attempt"} <= parameters.keys()
    assert {"200", "206", "304", "412", "416"} <= operation["responses"].keys()
    assert list(operation["responses"]["206"]["content"]) == [
        "application/octet-stream",
        *dict.fromkeys(IMAGES.values()),
    ]
    assert "text/csv" in found["/api/v1/training/{task_id}/metrics"][0]["responses"]["200"]["content"]
    stop = site.documented.spec["paths"]["/api/v1/training/stop/{task_id}"]["post"]
    assert next(p for p in stop["parameters"] if p["name"] == "wait")["schema"]["maximum"] == 60
    assert stop["requestBody"].get("required") is not True


def test_every_json_body_has_an_example_that_fits(site: Site) -> None:
    for method, path, operation, _ in operations(site.documented.spec):
        name = f"{method} {path}"
        if path in UNWRAPPED:
            continue
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            site.documented.fit(content["schema"], content["example"])
            assert kind
        for status, response in operation["responses"].items():
            content = site.documented.resolve(response).get("content", {}).get("application/json")
            if content is None or (status >= "400" and "example" not in content):
                continue
            assert "example" in content, f"{name}: {status}"
            site.documented.fit(content["schema"], content["example"])
            if path.startswith("/api/v1") and status >= "200":
                success = 0 if path.startswith("/api/v1/training/jobs") else int(status)  # as that document has it
                assert content["example"]["code"] == (success if status < "400" else int(status)), name


def test_answers_have_no_undocumented_field_by_design(site: Site) -> None:
    """What makes the check of every call strict."""
    for name, schema in site.documented.spec["components"]["schemas"].items():
        if schema.get("properties") and name not in ("Error", "BareError"):
            assert schema["additionalProperties"] is False, name


@pytest.mark.parametrize("name", ["Error", "PaginationMetadata"])
def test_nothing_of_the_frameworks_own(site: Site, name: str) -> None:
    text = json.dumps(site.documented.spec)
    assert "UNPROCESSABLE_ENTITY" not in text
    assert f"#/components/schemas/{name}" not in text or name == "Error"


def test_the_file_in_docs_is_this_one() -> None:
    command = [sys.executable, "-W", "error", "-m", "api.routes.documentation"]
    made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert made.stderr == ""
    assert (ROOT / "docs" / "openapi.json").read_text("utf-8") == made.stdout, "run `make docs`"


def test_the_page(site: Site) -> None:
    response = site.call("GET", "/api/v1/docs")
    assert response.mimetype == "text/html"
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"].partition("style-src")[0]
    for asset in re.findall(r'(?:src|href)="([^"]+)"', response.text):
        assert asset.startswith(("/ui/docs/", "data:")), asset
        if asset.startswith("/"):
            assert site.client.get(asset, buffered=True).status_code == 200
