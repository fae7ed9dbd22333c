"""The database in a backup: taken at one moment while services go on, and put back where there is none."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, inspect, text

from api.services.store.backend import DamagedDatabase
from api.services.store.migrate import upgrade
from api.services.store.tables import metadata

if TYPE_CHECKING:
    from api.services.store.postgres import PostgresBackend
    from api.services.store.sqlite import SqliteBackend

FILE = "trainyard.db"
INDEX = "tables.json"


# ---- SQLite: a file


def dump_sqlite(backend: SqliteBackend, directory: Path) -> None:
    """`VACUUM INTO`: of one moment, without what was deleted, and no writer waits for it."""
    if not backend.path.exists():
        raise DamagedDatabase(f"there is no database {backend.path}")
    backend.check_owner()
    copy = directory / FILE
    try:
        with closing(sqlite3.connect(f"{backend.path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as raw:
            raw.execute("VACUUM INTO ?", (str(copy),))
        with closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)) as raw:
            verdict = raw.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as problem:
        raise DamagedDatabase(f"the database {backend.path} cannot be copied: {problem}") from problem
    if verdict != "ok":
        raise DamagedDatabase(f"the copy of the database {backend.path} is damaged: {verdict}")
    copy.chmod(0o600)


def load_sqlite(backend: SqliteBackend, directory: Path) -> None:
    backend.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = backend.path.with_name(backend.path.name + ".restoring")
    shutil.copyfile(directory / FILE, draft)
    draft.chmod(0o600)
    with open(draft, "rb") as file:
        os.fsync(file.fileno())
    draft.replace(backend.path)


# ---- PostgreSQL: a file a table, by COPY, which asks for no program of the server's version


def dump_postgres(backend: PostgresBackend, directory: Path) -> None:
    engine = backend.engine(1, writes=False)
    try:
        with engine.connect() as connection, connection.begin():
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            tables = {name: _columns(connection, name) for name in _tables(connection)}
            for name, columns in tables.items():
                with open(directory / f"{name}.copy", "wb") as file:
                    _copy_out(connection, f'COPY "{name}" ({_quoted(columns)}) TO STDOUT', file)
            index = {"version": version, "tables": tables, "sequences": _sequences(connection)}
    finally:
        engine.dispose()
    (directory / INDEX).write_text(json.dumps(index, indent=1), "utf-8")


def load_postgres(backend: PostgresBackend, directory: Path, writer: Engine) -> None:
    """In one transaction: all of it is there, or nothing."""
    index = json.loads((directory / INDEX).read_text("utf-8"))
    unknown = index["tables"].keys() - metadata.tables.keys()
    if unknown:
        raise DamagedDatabase(f"the backup holds tables that this version does not know: {', '.join(sorted(unknown))}")
    with writer.connect() as connection, connection.begin():
        upgrade(connection, str(index["version"]))
        backend.mark(connection)
        for table in metadata.sorted_tables:
            if table.name in index["tables"]:
                columns = _quoted(index["tables"][table.name])
                with open(directory / f"{table.name}.copy", "rb") as file:
                    _copy_in(connection, f'COPY "{table.name}" ({columns}) FROM STDIN', file)
        for name, (last, called) in index["sequences"].items():
            connection.execute(
                text("SELECT setval(:name, :last, :called)"), {"name": name, "last": last, "called": called}
            )


def _tables(connection: Connection) -> list[str]:
    return [name for name in inspect(connection).get_table_names() if name in metadata.tables]


def _columns(connection: Connection, table: str) -> list[str]:
    query = text(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND table_name = :name ORDER BY ordinal_position"
    )
    return [str(name) for name in connection.execute(query, {"name": table}).scalars()]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _sequences(connection: Connection) -> dict[str, list[Any]]:
    names = connection.execute(text("SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()"))
    found = {}
    for name in names.scalars().all():
        row = connection.exec_driver_sql(f'SELECT last_value, is_called FROM "{name}"').one()  # noqa: S608
        found[str(name)] = [row.last_value, row.is_called]
    return found


def _copy_out(connection: Connection, statement: str, file: Any) -> None:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            file.write(block)


def _copy_in(connection: Connection, statement: str, file: Any) -> None:
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        while block := file.read(1 << 20):
            copy.write(block)
