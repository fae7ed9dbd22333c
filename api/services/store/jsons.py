"""A value inside a text of JSON, in each database's words."""

from __future__ import annotations

from typing import Any

from sqlalchemy import String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.functions import FunctionElement


class json_at(FunctionElement[str]):  # noqa: N801, RUF100 - it stands where a function stands
    """`json_at(jobs.c.spec, "params.task")`: a text, NULL where there is none. Its keys are names without dots."""

    type = String()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], path: str) -> None:
        super().__init__(column, literal(path, String))


@compiles(json_at, "sqlite")
def _sqlite(element: json_at, compiler: Any, **kw: Any) -> str:
    column, path = (compiler.process(each, **kw) for each in element.clauses)
    return f"json_extract({column}, '$.' || {path})"


@compiles(json_at, "postgresql")
def _postgresql(element: json_at, compiler: Any, **kw: Any) -> str:
    r"""A `\u0000`, which a text of PostgreSQL cannot hold, must not keep the other values from being read."""
    column, path = (compiler.process(each, **kw) for each in element.clauses)
    return f"(replace({column}, '\\u0000', '\\ufffd')::json #>> string_to_array({path}, '.'))"
