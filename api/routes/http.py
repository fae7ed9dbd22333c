"""What every view shares: answers, errors in the caller's dialect, who asks, ids in paths."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from flask import Flask, Response, current_app, g, redirect, request
from flask.json.provider import JSONProvider
from marshmallow import Schema, fields
from werkzeug.exceptions import BadRequest, HTTPException
from werkzeug.exceptions import NotFound as RouteNotFound
from werkzeug.routing import BaseConverter, IntegerConverter, RequestRedirect
from werkzeug.wrappers import Response as AnyResponse

from api.models.accounts import Actor
from api.models.dialect import RESERVED_IDS, Dialect, dialect_of
from api.models.schemas.base import Answer
from api.services.container import Services
from api.services.jobs import Request
from api.services.store.database import StorageFull
from api.utils import errors

log = logging.getLogger(__name__)

#: domain error -> HTTP status; the most special type that fits decides
STATUS: Mapping[type[errors.TrainyardError], int] = {
    errors.Malformed: 400,
    errors.Invalid: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Outdated: 412,
    errors.Forbidden: 403,
    errors.Unauthenticated: 401,
    errors.Insufficient: 507,
    StorageFull: 507,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}

MOST_ERRORS = 50  # of one request, that an answer names
LONGEST_FIELD = 200  # characters; an unknown field is called what the client likes


class StrictJson(JSONProvider):
    """JSON in UTF-8 without NaN or Infinity, in or out."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return json.dumps(obj, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        text = s.decode("utf-8-sig") if isinstance(s, bytes) else s  # json itself would take UTF-16 and UTF-32, too
        try:
            return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _refuse_constant(token: str) -> float:
    raise ValueError(f"{token} is no JSON")


def _finite(token: str) -> float:
    number = float(token)
    if not math.isfinite(number):
        raise ValueError(f"{token} is too large for a number")
    return number


class TaskId(BaseConverter):
    """An id in a path, and none of the words that stand for something else there."""

    regex = rf"(?!(?:{'|'.join(sorted(RESERVED_IDS))})\Z)[A-Za-z0-9][A-Za-z0-9_.\-]{{0,99}}"


class GpuId(IntegerConverter):
    """The number of a GPU in a path."""

    regex = "0|[1-9][0-9]{0,8}"


class Envelope(Answer):
    """The envelope of everything under /api/v1."""

    code = fields.Integer(metadata={"description": "equals the HTTP status; 0 for a success of the jobs dialect"})
    message = fields.String()
    timestamp = fields.Integer(metadata={"description": "Unix seconds"})


@cache
def enveloped(inner: type[Schema] | None) -> type[Schema]:
    """The schema of an envelope around another; None: around nothing."""
    if inner is None:
        return type("EmptyEnvelope", (Envelope,), {"data": fields.Raw(metadata={"type": "null"})})
    return type(inner.__name__.removesuffix("Schema") + "Envelope", (Envelope,), {"data": fields.Nested(inner)})


def services() -> Services:
    return cast(Services, current_app.extensions["trainyard"])


def actor() -> Actor:
    """Who makes this request; the gate has decided it before the body was read."""
    who = g.get("actor")
    if who is None:
        raise errors.Unauthenticated("Authentication credentials were not provided.")
    return cast(Actor, who)


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "of the caller's making: the same request sent again under it answers with the job it made, for a "
    "week; another one is refused (422)",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "example": "5f0f2b1e-resnet-1",
}


def idempotency(body: Mapping[str, Any]) -> Request | None:
    """What makes this request known when it is sent again, where the caller gave it a key. Raises Invalid."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not re.fullmatch(r"[!-~]{1,200}", key):
        raise errors.Invalid("Idempotency-Key", "must be 1 to 200 visible ASCII characters")
    asked = json.dumps([request.path, body], sort_keys=True)
    return Request(key, hashlib.sha256(asked.encode()).digest())


def answer(data: Any, *, code: int = 200, message: str = "success", dialect: Dialect | None = None) -> Response:
    """A successful answer in the dialect of the path."""
    chosen = dialect or dialect_of(request.path)
    return json_response(chosen.body(code, message, data), code)


def json_response(body: Any, code: int) -> Response:
    text = current_app.json.dumps(body) + "\n"
    # a file's name may be no Unicode at all; an answer is
    return Response(text.encode("utf-8", "replace"), status=code, mimetype="application/json")


def refuse(code: int, message: str, data: Any = None, headers: Mapping[str, str] | None = None) -> Response:
    """A failed answer in the dialect of the path."""
    response = json_response(dialect_of(request.path).error(code, message, data), code)
    response.headers.extend(dict(headers or {}))
    return response


def install_errors(app: Flask) -> None:
    """One place maps errors to answers, for views and for what the router itself refuses."""
    app.before_request(_no_redirects)
    app.register_error_handler(errors.TrainyardError, _domain_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _no_redirects() -> AnyResponse | None:
    """A path without its slash is another path, which there is not; but where a dialect's paths end with one."""
    if isinstance(request.routing_exception, RequestRedirect):
        if dialect_of(request.path).slash:
            query = request.query_string.decode("latin-1")
            return redirect(f"{request.path}/{'?' if query else ''}{query}", 308)
        request.routing_exception = RouteNotFound()
    return None


def _domain_error(problem: errors.TrainyardError) -> Response:
    code = next(STATUS[kind] for kind in type(problem).__mro__ if kind in STATUS)
    headers = {}
    if isinstance(problem, errors.Unavailable):
        headers["Retry-After"] = str(problem.retry_after)
    if code == 401:
        headers["WWW-Authenticate"] = "Token"
    return refuse(code, problem.message, problem.data, headers)


def _http_error(problem: HTTPException) -> Response:
    code = problem.code or 500
    data = None
    if code == 422:  # flask-smorest's validation; the fields are in `data.messages`
        by_place: Mapping[str, Any] = getattr(problem, "data", {}).get("messages", {})
        found = [error for messages in by_place.values() for error in _flatten(messages)]
        data = {"errors": found[:MOST_ERRORS]}
        told = [f"{e['field']}: {e['message']}" for e in data["errors"]]
        if len(found) > MOST_ERRORS:
            told.append(f"and {len(found) - MOST_ERRORS} more")
        message = "; ".join(told) or "the request is not valid"
        if (cause := getattr(problem, "exc", None)) is not None:
            # a frame in it holds the cause, and the body: a ring that only the collector ends
            cause.__traceback__ = None
    else:
        message = _sentence(problem)
    headers = {}
    methods = getattr(problem, "valid_methods", None)
    if methods:
        headers["Allow"] = ", ".join(sorted(methods))
    return refuse(code, message, data, headers)


def _sentence(problem: HTTPException) -> str:
    if problem.code == 404:
        return f"there is nothing at {request.path}"
    if problem.code == 405:
        return f"{request.method} is not possible at {request.path}"
    if problem.code == 415:
        return "the body must be JSON, with Content-Type: application/json"
    if problem.code == 413:  # a body that is too long as such was refused before it was read
        config = current_app.config
        most = config["MAX_FORM_PARTS"], config["MAX_FORM_MEMORY_SIZE"]
        return "a form has at most {} files and fields, and {} bytes in its fields".format(*most)
    if isinstance(problem, BadRequest) and request.is_json:
        return "the body is not valid JSON"
    return problem.description or problem.name


def _flatten(messages: Any, path: str = "") -> list[dict[str, str]]:
    """marshmallow's nested messages as `{field, message}` with dotted paths."""
    if isinstance(messages, Mapping):
        found: list[dict[str, str]] = []
        for key, value in messages.items():
            part = "" if key == "_schema" else str(key)
            found += _flatten(value, f"{path}.{part}" if path and part else path or part)
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [{"field": path[:LONGEST_FIELD] or "body", "message": str(text)} for text in texts]


def _unexpected(problem: Exception) -> Response:
    log.exception("unexpected error at %s %s", request.method, request.path)
    return refuse(500, f"something went wrong here; the service's log has it under request {g.get('request_id')}")
