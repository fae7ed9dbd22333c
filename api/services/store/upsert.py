"""INSERT … ON CONFLICT, which each database has in a class of its own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table) -> Any:
    """An insert that knows `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
