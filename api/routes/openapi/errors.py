"""The errors that every operation has in common."""

from __future__ import annotations

from typing import Any

TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`Token <token>` or `Bearer <token>`",
}
ERROR = {
    "type": "object",
    "description": "Any error under /api/v1. `data` is null, or an object that helps.",
    "required": ["code", "message", "data", "timestamp"],
    "properties": {
        "code": {"type": "integer", "description": "equals the HTTP status"},
        "message": {"type": "string"},
        "data": {"type": ["object", "null"]},
        "timestamp": {"type": "integer", "description": "Unix seconds"},
    },
}
BARE_ERROR = {
    "type": "object",
    "description": "Any error of the dialects that know no envelope.",
    "properties": {"detail": {"type": "string"}, "error": {"type": "string"}},
    "anyOf": [{"required": ["detail"]}, {"required": ["error"]}],
}
#: name: status, what it means
ERRORS = {
    "BadRequest": (400, "the body is not valid JSON (NaN and Infinity are none), or the Host header is not ours"),
    "Unauthenticated": (401, "a token is missing or wrong"),
    "Forbidden": (403, "not yours, outside the allowed roots, or a cross-site request"),
    "NotFound": (404, "there is no such thing"),
    "TooLarge": (413, "the body is too long"),
    "NotJson": (415, "the body is not called JSON by its Content-Type"),
    "Invalid": (422, "a field has a value that cannot be used; `data.errors` names it"),
    "Unavailable": (503, "cannot be done now; try again after `Retry-After` seconds"),
    "Full": (507, "the disk is full"),
}


def error_response(name: str, text: str) -> dict[str, Any]:
    code = ERRORS[name][0]
    schema = "FieldErrorsEnvelope" if code == 422 else "Error"
    data = {"errors": [{"field": "limit", "message": "Not a valid integer."}]} if code == 422 else None
    message = "limit: Not a valid integer." if code == 422 else text
    example = {"code": code, "message": message, "data": data, "timestamp": 1795258464}
    return {"description": text, "content": json_content(schema, example)}


def json_content(schema: str, example: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}}
