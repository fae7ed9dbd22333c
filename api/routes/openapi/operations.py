"""Completes an operation as flask-smorest described it: examples, errors, parameters, headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from api.models.dialect import dialect_of
from api.routes.openapi import examples
from api.routes.openapi.errors import ERRORS, json_content
from api.routes.openapi.path_parameters import PATH_PARAMETERS
from api.routes.openapi.special import STREAMS, complete_special

METHODS = ("get", "post", "put", "patch", "delete")


def complete(path: str, method: str, operation: dict[str, Any]) -> None:
    operation["summary"] = operation["summary"].removesuffix(".")
    name_parameters(path, operation.get("parameters", []))
    responses: dict[str, Any] = operation["responses"]
    responses.pop("default", None)
    responses.pop("422", None)  # flask-smorest's, which is not how ours looks
    dialect = dialect_of(path)
    is_bare = "code" not in dialect.error(400, "", None)
    for name in _possible(path, method, operation):
        code, text = ERRORS[name]
        bare = {"description": text, "content": json_content("BareError", dialect.error(code, text, None))}
        responses.setdefault(str(code), bare if is_bare else {"$ref": f"#/components/responses/{name}"})
    for status, response in responses.items():
        content = response.get("content", {}).get("application/json", {})
        if int(status) >= 400 and content.get("schema") == {"$ref": "#/components/schemas/EmptyEnvelope"}:
            content["schema"] = {"$ref": "#/components/schemas/Error"}
    for response in responses.values():
        if is_bare and "$ref" not in response and "content" not in response:
            response["content"] = json_content("BareError", {"detail": response["description"]})
    complete_special(path, method, operation)
    _show(examples.ALL.get((method, path), {}), operation)
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


def complete_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
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


def name_parameters(path: str, parameters: list[dict[str, Any]]) -> None:
    first = path.removeprefix("/api/v1").split("/")[1]
    for parameter in parameters:
        if parameter["in"] == "path":
            name = parameter["name"]
            parameter.update(PATH_PARAMETERS.get(f"{first}/{name}") or PATH_PARAMETERS[name])


def _show(shown: dict[str, Any], operation: dict[str, Any]) -> None:
    """Puts examples where they belong: `request`, a content type of it, or a status."""
    for place, example in shown.items():
        if place == "request":
            for content in operation["requestBody"]["content"].values():
                content["example"] = example
        elif "/" in place:
            operation["requestBody"]["content"][place]["example"] = example
        else:
            operation["responses"][place]["content"]["application/json"]["example"] = example
