"""A value inside a text of JSON, in each database's words."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, String, literal
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


class json_length(FunctionElement[int]):  # noqa: N801, RUF100
    """How many things the array holds that a column's text is."""

    type = Integer()
    inherit_cache = True


@compiles(json_length, "sqlite")
def _sqlite_length(element: json_length, compiler: Any, **kw: Any) -> str:
    return f"json_array_length({compiler.process(element.clauses, **kw)})"


@compiles(json_length, "postgresql")
def _postgresql_length(element: json_length, compiler: Any, **kw: Any) -> str:
    return f"json_array_length(({compiler.process(element.clauses, **kw)})::json)"
