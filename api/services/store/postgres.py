"""PostgreSQL, by psycopg.

A write begins with a lock that ends with its transaction, so that writes of all services are one after the other as
SQLite's are. Its isolation is READ COMMITTED: each of its statements sees what was committed before the lock was had,
where a snapshot would be of the moment before the wait. Readers see one moment (REPEATABLE READ) and cannot write.
Every commit is flushed: the server may crash alone, and what a reader of logs remembers must not be ahead of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import Column, Connection, Engine, Integer, create_engine, event, inspect, text
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.types import BigInteger

from api.services.store.backend import DamagedDatabase, StorageFull
from api.services.store.migrate import OtherVersion, is_current, upgrade
from api.services.store.session_lock import SessionLock
from api.services.store.snapshots import dump_postgres, load_postgres
from api.utils.errors import Unavailable

log = logging.getLogger(__name__)
MARK = "Trainyard"  # the comment on alembic_version, so that a stranger's database is never migrated
LOCKS = 0x54524E59  # "TRNY": the first half of our advisory locks' keys
WRITER, SUPERVISOR = 1, 2  # the second
CONNECT = {"connect_timeout": 5, "tcp_user_timeout": 15_000, "keepalives_idle": 30, "application_name": "trainyard"}
SESSION = {"lock_timeout": "5s", "idle_in_transaction_session_timeout": "5min", "synchronous_commit": "on"}


class Types(PGTypeCompiler):
    """As wide as SQLite's: 64 bits in every integer, no text cut, and sorted by code points."""

    def visit_INTEGER(self, type_: Any, **kw: Any) -> str:
        return "BIGINT"

    def visit_VARCHAR(self, type_: Any, **kw: Any) -> str:
        return self.visit_TEXT(type_, **kw)

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:
        return 'TEXT COLLATE "C"' if isinstance(kw.get("type_expression"), Column) else "TEXT"


class Dialect(PGDialect_psycopg):
    """psycopg's, with our types."""

    supports_statement_cache = True
    type_compiler_cls = Types
    colspecs = {**PGDialect_psycopg.colspecs, Integer: PGDialect_psycopg.colspecs[BigInteger]}  # noqa: RUF012


registry.register("postgresql.trainyard", __name__, "Dialect")


class PlainText(StrDumperUnknown):
    """PostgreSQL's texts have no NUL: one from a log is kept as U+FFFD (what clients send is refused before)."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd"))


class PostgresBackend:
    """A database of our own on somebody's server."""

    errors: tuple[type[Exception], ...] = (DBAPIError, psycopg.Error, PoolTimeout)

    kind = "postgresql"

    def __init__(self, url: str) -> None:
        given = make_url(url)
        self.url = given.set(drivername="postgresql+trainyard")
        self.name = given.render_as_string(hide_password=True)

    def engine(self, size: int, *, writes: bool) -> Engine:
        """With few connections: a server has 100 in all unless it is told otherwise."""
        engine = create_engine(
            self.url,
            pool_size=size,
            max_overflow=16,
            pool_timeout=10,
            pool_pre_ping=True,
            paramstyle="format",
            isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
            connect_args={name: value for name, value in CONNECT.items() if name not in self.url.query},
        )
        event.listen(engine, "connect", _on_connect(writes))
        if writes:
            event.listen(engine, "begin", _alone)
        return engine

    def supervisor_lock(self) -> SessionLock:
        return SessionLock(self._conninfo(), (LOCKS, SUPERVISOR))

    def _conninfo(self) -> dict[str, Any]:
        """As psycopg takes it."""
        named = self.url.translate_connect_args(username="user", database="dbname")
        return {**CONNECT, **named, **self.url.query}

    def is_empty(self, writer: Engine) -> bool:
        with self._told(), writer.connect() as connection:
            return not inspect(connection).get_table_names()

    def dump(self, directory: Path) -> None:
        with self._told():
            dump_postgres(self, directory)

    def load(self, directory: Path, writer: Engine) -> None:
        with self._told():
            load_postgres(self, directory, writer)

    def examine(self) -> tuple[bool | None, str]:
        engine = self.engine(1, writes=False)
        try:
            with self._told(), engine.connect() as connection:
                version = connection.exec_driver_sql("SHOW server_version").scalar()
                told = f"PostgreSQL {version}, {self.name}"
                _check(connection, self.name)
                if not inspect(connection).get_table_names():
                    return None, f"{told}: its tables will be made at the first start"
                size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
                leads = connection.execute(text(_HOLDER), {"key": LOCKS, "which": SUPERVISOR}).scalar()
                who = "a service supervises" if leads else "no service supervises now"
                return True, f"{told}, {size / 1024**2:.1f} MiB, {who}"
        except DamagedDatabase as problem:
            return False, str(problem)
        finally:
            engine.dispose()

    def mark(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{MARK}'")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self.errors as problem:
            told = _line(getattr(problem, "orig", problem))
            raise DamagedDatabase(f"the database {self.name} cannot be used: {told}") from problem
        except OtherVersion as problem:
            raise DamagedDatabase(f"the database {self.name} was made by another version: {problem}") from problem

    def before_write(self, connection: Connection, *, durable: bool) -> None:
        """Every commit is flushed, see above."""

    def translated(self, problem: Exception) -> Exception | None:
        if isinstance(problem, PoolTimeout):
            return Unavailable("all connections to the database are in use; try again", retry_after=5)
        driver = getattr(problem, "orig", problem)
        state = getattr(driver, "sqlstate", None) or ""
        if state in ("53100", "53200") or state.startswith("58"):
            return StorageFull("the disk that holds the database is full or failing; nothing was changed")
        if state in ("55P03", "40001", "40P01"):
            return Unavailable("the database is busy; try again", retry_after=5)
        if state.startswith(("08", "53", "57")) or (not state and isinstance(driver, psycopg.OperationalError)):
            log.warning("the database does not answer: %s", _line(driver))  # where it is, is nobody's business
            return Unavailable("the database does not answer; try again", retry_after=5)
        return None

    # ---- made, checked, migrated

    def prepare(self, writer: Engine) -> None:
        """In one transaction, which waits for that of another service that starts."""
        with self._told(), writer.connect() as connection, connection.begin():
            _check(connection, self.name)
            if not is_current(connection):
                upgrade(connection)
                self.mark(connection)


_HOLDER = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = :key "
    "AND objid::bigint = :which AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def _check(connection: Connection, name: str) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise DamagedDatabase(f"the database {name} has encoding {encoding}; Trainyard needs UTF8")
    tables = inspect(connection).get_table_names()
    if not tables:
        return
    mark = "SELECT obj_description(to_regclass('alembic_version'), 'pg_class')"
    if connection.execute(text(mark)).scalar() != MARK:
        raise DamagedDatabase(f"the database {name} holds tables that are not Trainyard's; give it one of its own")


def _on_connect(writes: bool) -> Any:
    def configure(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.adapters.register_dumper(str, PlainText)
        for name, value in SESSION.items():
            connection.execute(f"SET {name} = '{value}'")
        connection.commit()
        connection.read_only = not writes

    return configure


def _alone(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCKS}, {WRITER})")


def _line(problem: object) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0][:300] if lines else type(problem).__name__
