"""Many rows at once, without what SQLAlchemy does for each: the one way of writing that a flood of lines takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.dml import Insert


def insert_rows(
    connection: Connection, statement: Insert, rows: Sequence[tuple[Any, ...]], columns: Sequence[str] | None = None
) -> None:
    """`rows` in the order of the table's columns, or of `columns`, which must be that of the table; their values as
    the database keeps them (no JSON)."""
    if rows:
        compiled = statement.compile(dialect=connection.dialect, column_keys=columns)
        connection.exec_driver_sql(str(compiled), list(rows))
