"""Logs, as training v1 asks for them and answers."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from api.models.events import Level
from api.models.schemas.answers import whole_or_null
from api.models.schemas.base import (
    Answer,
    Strict,
    choice,
    moment,
    query_integer,
    text,
)

LEVELS = [level.name for level in Level]
TYPES = ("train", "eval", "system", "all")


class LogFilterQuery(Strict):
    type = choice(*TYPES, load_default="all", metadata={"description": "lines of this kind"})
    level = choice(*LEVELS, metadata={"description": "this level and above"})


class LogsQuery(LogFilterQuery):
    tail = query_integer(0, 10_000, load_default=100, metadata={"description": "how many of the last lines"})
    since = moment("lines read at or after this moment (ISO 8601)")
    offset = query_integer(0, metadata={"description": "a byte cursor (`next_cursor`): the lines after it"})
    from_line = query_integer(1, metadata={"description": "the lines from this one on"})
    before_line = query_integer(1, metadata={"description": "the last lines before this one"})
    limit = query_integer(
        1,
        10_000,
        load_default=100,
        metadata={"description": "with `offset`, `from_line`, `before_line`: how many lines"},
    )

    @validates_schema
    def _one_place(self, data: dict[str, Any], **_: Any) -> None:
        given = [name for name in ("offset", "from_line", "before_line") if name in data]
        if len(given) > 1:
            raise ValidationError(f"cannot be given together with {given[0]}", given[1])


class SearchQuery(LogFilterQuery):
    keyword = text(1, 1000, required=True, metadata={"description": "letter case does not count, but in a `regex`"})
    regex = fields.Boolean(load_default=False, metadata={"description": "the keyword is a regular expression"})
    start_time = moment("lines read at or after this moment (ISO 8601)")
    end_time = moment("lines read at or before this moment (ISO 8601)")
    from_line = query_integer(1, load_default=1, metadata={"description": "the line to begin with"})
    limit = query_integer(1, 10_000, load_default=100, metadata={"description": "how many results at most"})


class LogLineSchema(Answer):
    line_number = fields.Integer()
    timestamp = fields.String(metadata={"description": "when it was read"})
    level = choice(*LEVELS)
    type = choice(*TYPES[:-1])
    message = fields.String()
    epoch = whole_or_null()
    step = whole_or_null()


class LogsAnswerSchema(Answer):
    task_id = fields.String()
    log_file = fields.String()
    total_lines = fields.Integer(metadata={"description": "of the file"})
    next_cursor = fields.Integer(metadata={"description": "`offset` of the lines that come next"})
    logs = fields.List(fields.Nested(LogLineSchema))


class SearchResultSchema(LogLineSchema):
    matched_text = fields.String()


class SearchAnswerSchema(Answer):
    task_id = fields.String()
    query = fields.String()
    total_matches = fields.Integer()
    complete = fields.Boolean(metadata={"description": "false: ended by its time limit, there may be more"})
    next_line = whole_or_null("`from_line` of a search that goes on; null: it is complete")
    results = fields.List(fields.Nested(SearchResultSchema))
