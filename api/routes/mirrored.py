"""One view, two renderings: the YOLO platform's routes at their bare paths and, enveloped, below /api/v1.

A view answers with `answer()` and raises domain errors; by the path that was asked for, its dialect
(api.models.dialect) decides what the body looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response
from marshmallow import Schema

from api.routes.blueprint import Blueprint
from api.routes.http import enveloped

View = Callable[..., Response]


class Mirrored:
    """The routes below one prefix. `blueprints` are to be registered, both."""

    def __init__(self, name: str, prefix: str, description: str) -> None:
        self.bare = Blueprint(name, __name__, url_prefix=prefix, description=description)
        twin = f"{description} (enveloped)"
        self.enveloped = Blueprint(f"{name} v1", __name__, url_prefix=f"/api/v1{prefix}", description=twin)

    @property
    def blueprints(self) -> tuple[Blueprint, Blueprint]:
        return self.bare, self.enveloped

    def view(
        self,
        method: str,
        rule: str,
        answers: type[Schema] | None,
        *,
        body: type[Schema] | None = None,
        query: type[Schema] | None = None,
        refusals: Mapping[int, str] | None = None,
        doc: Mapping[str, Any] | None = None,
    ) -> Callable[[View], View]:
        """Registers a view at both paths. `answers` None: what it answers is no JSON, and the same at both."""

        def register(function: View) -> View:
            for blueprint in self.blueprints:
                wrapped = blueprint is self.enveloped
                made = function
                for code, text in (refusals or {}).items():
                    schema = enveloped(None) if wrapped else None
                    made = blueprint.alt_response(code, schema=schema, description=text)(made)
                shown = enveloped(answers) if wrapped and answers else answers
                made = blueprint.response(200, shown)(made) if shown else blueprint.response(200)(made)
                if query is not None:
                    made = blueprint.arguments(query, location="query")(made)
                if body is not None:
                    made = blueprint.arguments(body)(made)
                if doc is not None:
                    made = blueprint.doc(**doc)(made)
                blueprint.route(rule, methods=[method])(made)
            return function

        return register
