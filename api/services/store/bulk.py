"""Many rows at once, without what SQLAlchemy does for each: the one way of writing that a flood of lines takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.dml import Insert

#: by how a statement is made, and for which database. SQLAlchemy itself never keeps an INSERT … ON CONFLICT, whose
#: making and compiling took most of the time of a turn that had one step to write.
_compiled: dict[tuple[Callable[[Connection], Insert], str], str] = {}


def insert_rows(
    connection: Connection,
    made: Callable[[Connection], Insert],
    rows: Sequence[tuple[Any, ...]],
    columns: Sequence[str] | None = None,
) -> None:
    """`made`: a function of a module, called once a database. `rows` in the order of the table's columns, or of
    `columns`, which must be that of the table; their values as the database keeps them (no JSON)."""
    if not rows:
        return
    key = made, connection.dialect.name
    if key not in _compiled:
        _compiled[key] = str(made(connection).compile(dialect=connection.dialect, column_keys=columns))
    connection.exec_driver_sql(_compiled[key], list(rows))
