"""flask-smorest's blueprint with our reading of bodies: strict JSON, and an absent body is an empty one."""

from __future__ import annotations

from typing import Any

from flask import Request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import EXCLUDE, Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Parser(FlaskParser):
    """415 for a body that is not called JSON, 400 for one that is none. Unknown keys of a query are not looked at."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"query": EXCLUDE, "json": None, "form": None, "files": None}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body; {} when there is none at all, whatever content type it names."""
        if not req.content_length and not req.headers.get("Transfer-Encoding"):
            return {}
        if not req.is_json:
            raise UnsupportedMediaType
        return req.get_json()

    def load_json_or_form(self, req: Request, schema: Schema) -> Any:
        return self.load_form(req, schema) if req.mimetype in FORMS else self.load_json(req, schema)


class Blueprint(SmorestBlueprint):  # type: ignore[misc]
    """Every route of ours is on one of these."""

    ARGUMENTS_PARSER = Parser()
