"""The connection to the database: many readers, one writer.

SQLite in WAL mode. Job state is committed with `synchronous=FULL` (an answered request survives a power cut);
what is read from logs with NORMAL, since log offset and rows share a transaction and are read again after one.
All writes go through one connection: it makes the order of writes plain, `BEGIN IMMEDIATE` never fails half-way,
and SQLite before 3.51.3 can corrupt a WAL that two connections write and checkpoint at once.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool

from api.services.store.migrate import OtherVersion, is_current, upgrade
from api.utils.errors import Unavailable

log = logging.getLogger(__name__)
APPLICATION_ID = 0x54524E59  # "TRNY", so that a stranger's SQLite file is never migrated

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cell_size_check=ON",
    "PRAGMA journal_size_limit=67108864",
)


class DamagedDatabase(RuntimeError):
    """The file exists and cannot be used; it is never replaced silently."""


class Database:
    """Readers and the one writer of a database."""

    def __init__(self, url: str, *, readers: int = 16) -> None:
        self.url = make_url(url)
        self.path = Path(self.url.database or "")
        self._lock = threading.RLock()
        self._depth = 0
        self._durable = True
        self._connection: Connection | None = None
        self._readers = self._engine(readers, writes=False)
        self._writer = self._engine(1, writes=True)

    def _engine(self, size: int, *, writes: bool) -> Engine:
        engine = create_engine(
            self.url,
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=256,
            connect_args={"check_same_thread": False, "timeout": 5.0},
        )
        event.listen(engine, "connect", _on_connect(writes))
        begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    def prepare(self) -> None:
        """Creates or migrates the schema. Raises DamagedDatabase rather than start anew over a broken file."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.path.exists():
            self._check_owner()
        else:
            self._create()
        try:
            self._check()
            with self._writer.connect() as connection:
                current = is_current(connection)
            if not current:
                with self._writer.connect() as connection:
                    upgrade(connection)
        except (DatabaseError, sqlite3.DatabaseError) as problem:
            told = getattr(problem, "orig", problem)
            raise DamagedDatabase(f"the database {self.path} cannot be used: {told}") from problem
        except OtherVersion as problem:
            raise DamagedDatabase(f"the database {self.path} was made by another version: {problem}") from problem
        self.path.chmod(0o600)

    def _check_owner(self) -> None:
        """From the header alone: SQLite itself would turn a stranger's file into WAL mode, and empty a cut one."""
        with open(self.path, "rb") as file:
            header = file.read(100)
        if header[:16] != b"SQLite format 3\0":
            raise DamagedDatabase(f"the database {self.path} is not an SQLite file; restore it from a backup")
        if header[68:72] != APPLICATION_ID.to_bytes(4, "big"):
            raise DamagedDatabase(f"the database {self.path} is not Trainyard's")

    def _create(self) -> None:
        """An empty database that is marked as ours from the moment that it has its name."""
        journal = self.path.with_name(self.path.name + "-wal")
        if journal.exists() and journal.stat().st_size:
            raise DamagedDatabase(f"the database {self.path} is gone, but its journal {journal.name} is still there")
        draft = self.path.with_name(self.path.name + ".new")
        draft.unlink(missing_ok=True)
        with closing(sqlite3.connect(draft)) as raw:
            raw.execute(f"PRAGMA application_id={APPLICATION_ID}")
        draft.replace(self.path)

    def _check(self) -> None:
        with self._writer.connect() as connection:
            raw = driver(connection)
            small = self.path.stat().st_size < 200 * 1024 * 1024
            verdict = raw.execute("PRAGMA integrity_check(1)" if small else "PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise DamagedDatabase(f"the database {self.path} is damaged ({verdict}); restore it from a backup")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._readers.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """One transaction of the one writer. Nested use joins the outer transaction."""
        with self._lock:
            if self._depth:
                assert self._connection is not None
                yield self._connection
                return
            connection = self._connection = self._connection or self._writer.connect()
            if durable != self._durable:
                driver(connection).execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self._depth += 1
            try:
                with connection.begin():
                    yield connection
            except (OperationalError, sqlite3.OperationalError) as problem:  # the driver's own: BEGIN is its
                raise _translated(problem) from problem
            finally:
                self._depth -= 1

    def check_writable(self) -> None:
        """Raises Unavailable when a transaction cannot be had."""
        with self.write(durable=False):
            pass

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._writer.dispose()
            self._readers.dispose()


def _on_connect(writes: bool) -> Any:
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun by us, never by the driver
        for pragma in PRAGMAS:
            connection.execute(pragma)
        connection.execute("PRAGMA synchronous=FULL")
        if not writes:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA wal_autocheckpoint=0")

    return configure


def driver(connection: Connection) -> sqlite3.Connection:
    raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    return raw


def _translated(problem: Exception) -> Exception:
    text = str(getattr(problem, "orig", problem))
    if "database is locked" in text:
        return Unavailable("the database is busy; try again", retry_after=5)
    if "disk is full" in text or "disk I/O error" in text:
        return StorageFull("the disk that holds the database is full or failing; nothing was changed")
    return problem


class StorageFull(Unavailable):
    """A write did not fit on the disk."""
