"""From any earlier schema to the newest.

Alembic is imported only where there is something to do: it is a fifth of what a start imports.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

MIGRATIONS = Path(__file__).parent / "migrations"
#: a migration's file is named after its revision: v0001_first.py
NEWEST = max(path.name[1:5] for path in MIGRATIONS.glob("versions/v[0-9]*.py"))


class OtherVersion(Exception):
    """A revision that we do not know made this database."""


def is_current(connection: Connection) -> bool:
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [NEWEST]


def upgrade(connection: Connection, revision: str = "head") -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as problem:
        raise OtherVersion(str(problem)) from problem
