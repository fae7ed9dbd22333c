"""The connection to the database: many readers, one writer.

All writes of a process go through one connection at a time, and those of all processes one after the other: SQLite's
`BEGIN IMMEDIATE` sees to that, and on PostgreSQL a lock that every writing transaction takes first. So the code of the
store is right for both: what it has read in a write is still so when it writes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, make_url

from api.services.store.backend import Backend, DamagedDatabase, StorageFull
from api.services.store.sqlite import SqliteBackend

__all__ = ["DamagedDatabase", "Database", "NoDriver", "StorageFull", "backend_of", "is_postgres"]


class NoDriver(DamagedDatabase):
    """The database's Python driver is not installed."""


def is_postgres(url: str) -> bool:
    return url.startswith("postgresql")


def backend_of(url: str) -> Backend:
    if not is_postgres(url):
        return SqliteBackend(Path(make_url(url).database or ""))
    try:
        from api.services.store.postgres import PostgresBackend  # its driver is an extra
    except ModuleNotFoundError as problem:
        raise NoDriver(f"PostgreSQL needs {problem.name}: pip install -r requirements/postgres.txt") from None
    return PostgresBackend(url)


class Database:
    """Readers and the one writer of a database."""

    def __init__(self, url: str, *, readers: int = 16) -> None:
        self.url = url
        self.backend = backend_of(url)
        self._lock = threading.RLock()
        self._current: Connection | None = None  # of the write transaction under way
        self._readers = self.backend.engine(readers, writes=False)
        self._writer = self.backend.engine(1, writes=True)

    def prepare(self) -> None:
        """Creates or migrates the schema. Raises DamagedDatabase rather than start anew over a broken one."""
        self.backend.prepare(self._writer)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One moment of the database, for as long as it is looked at."""
        with self._told(), self._readers.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """One transaction, and no other writes meanwhile. Nested use joins the outer transaction."""
        with self._lock:
            if self._current is not None:
                yield self._current
                return
            try:
                with self._told(), self._writer.connect() as connection:
                    self.backend.before_write(connection, durable=durable)
                    with connection.begin():
                        self._current = connection
                        yield connection
            finally:
                self._current = None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A database that is away, busy or full is told in our words."""
        try:
            yield
        except self.backend.errors as problem:
            told = self.backend.translated(problem)
            if told is None:
                raise
            raise told from problem

    def is_empty(self) -> bool:
        """There is none yet, or none with anything in it."""
        return self.backend.is_empty(self._writer)

    def load(self, directory: Path) -> None:
        """What the backend's `dump` wrote, where it is empty."""
        self.backend.load(directory, self._writer)

    def check_writable(self) -> None:
        """Raises Unavailable when a transaction cannot be had."""
        with self.write(durable=False):
            pass

    def close(self) -> None:
        with self._lock:
            self._writer.dispose()
            self._readers.dispose()
