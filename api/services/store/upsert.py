"""INSERT … ON CONFLICT, which each database has in a class of its own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import sqlite


def upsert(connection: Connection, table: Table) -> Any:
    """An insert that knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # every start of a service that has SQLite would pay for it

        return postgresql.insert(table)
    return sqlite.insert(table)
