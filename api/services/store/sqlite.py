"""SQLite, in WAL mode.

Job state is committed with `synchronous=FULL` (an answered request survives a power cut); what is read from logs with
NORMAL, since log offset and rows share a transaction and are read again after one. One connection writes: `BEGIN
IMMEDIATE` never fails half-way, and SQLite before 3.51.3 can corrupt a WAL that two connections write and checkpoint
at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool

from api.services.store.backend import DamagedDatabase, StorageFull
from api.services.store.migrate import OtherVersion, is_current, upgrade
from api.services.store.snapshots import dump_sqlite, load_sqlite
from api.utils.errors import Unavailable

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


class SqliteBackend:
    """A file of our own."""

    errors: tuple[type[Exception], ...] = (OperationalError, sqlite3.OperationalError)  # the driver's own: BEGIN is its

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._durable = True  # of the writer's connection

    def engine(self, size: int, *, writes: bool) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=256,
            connect_args={"check_same_thread": False, "timeout": 5.0},
        )
        event.listen(engine, "connect", _on_connect(writes))
        begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    def before_write(self, connection: Connection, *, durable: bool) -> None:
        if durable != self._durable:
            driver(connection).execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def supervisor_lock(self) -> None:
        """The data directory's lock is enough."""

    def is_empty(self, writer: Engine) -> bool:
        return not any(self.path.with_name(self.path.name + end).exists() for end in ("", "-wal"))

    def dump(self, directory: Path) -> None:
        dump_sqlite(self, directory)

    def load(self, directory: Path, writer: Engine) -> None:
        load_sqlite(self, directory)

    def examine(self) -> tuple[bool | None, str]:
        told = f"SQLite {sqlite3.sqlite_version}, {self.path}"
        if not self.path.exists():
            return None, f"{told}: will be made at the first start"
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as raw:
                verdict = raw.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as problem:
            verdict = str(problem)
        size = self.path.stat().st_size / 1024**2
        return verdict == "ok", f"{told}, {size:.1f} MiB" if verdict == "ok" else f"{told} is damaged: {verdict}"

    def translated(self, problem: Exception) -> Exception | None:
        text = str(getattr(problem, "orig", problem))
        if "database is locked" in text:
            return Unavailable("the database is busy; try again", retry_after=5)
        if "disk is full" in text or "disk I/O error" in text:
            return StorageFull("the disk that holds the database is full or failing; nothing was changed")
        return None

    # ---- made, checked, migrated

    def prepare(self, writer: Engine) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self.path.exists():
                self.check_owner()
            else:
                self._create()
            self.path.chmod(0o600)  # before it is opened: its journals get its mode
            self._check(writer)
            with writer.connect() as connection:
                current = is_current(connection)
            if not current:
                with writer.connect() as connection:
                    upgrade(connection)
        except (DatabaseError, sqlite3.DatabaseError, OSError) as problem:
            told = getattr(problem, "orig", problem)
            raise DamagedDatabase(f"the database {self.path} cannot be used: {told}") from problem
        except OtherVersion as problem:
            raise DamagedDatabase(f"the database {self.path} was made by another version: {problem}") from problem

    def check_owner(self) -> None:
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

    def _check(self, writer: Engine) -> None:
        with writer.connect() as connection:
            small = self.path.stat().st_size < 200 * 1024 * 1024
            check = "PRAGMA integrity_check(1)" if small else "PRAGMA quick_check(1)"
            verdict = driver(connection).execute(check).fetchone()[0]
        if verdict != "ok":
            raise DamagedDatabase(f"the database {self.path} is damaged ({verdict}); restore it from a backup")


def _on_connect(writes: bool) -> Callable[[sqlite3.Connection, object], None]:
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
