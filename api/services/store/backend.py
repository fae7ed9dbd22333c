"""What the store asks of a database, whichever it is: SQLite's and PostgreSQL's answers are modules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, Engine

from api.utils.errors import Unavailable

if TYPE_CHECKING:
    from api.services.store.session_lock import SessionLock  # needs the driver, which is an extra


class DamagedDatabase(RuntimeError):
    """The database exists and cannot be used; it is never replaced silently."""


class StorageFull(Unavailable):
    """A write did not fit on the disk."""


class Backend(Protocol):
    """One kind of database."""

    #: what its driver raises, as SQLAlchemy wraps it and as it is
    errors: tuple[type[Exception], ...]
    name: str  # for people, without a password
    kind: str  # sqlite | postgresql

    def engine(self, size: int, *, writes: bool) -> Engine:
        """Connections whose transactions read one moment, or write alone: no other writer anywhere."""
        ...

    def prepare(self, writer: Engine) -> None:
        """Makes or migrates the schema. Raises DamagedDatabase."""
        ...

    def before_write(self, connection: Connection, *, durable: bool) -> None:
        """Called outside a transaction. `durable`: the commit must survive a power cut."""
        ...

    def supervisor_lock(self) -> SessionLock | None:
        """Who has it supervises. None: a database of one service."""
        ...

    def is_empty(self, writer: Engine) -> bool:
        """Nothing is there yet that a backup could overwrite."""
        ...

    def dump(self, directory: Path) -> None:
        """One moment of it, as files. Raises DamagedDatabase."""
        ...

    def load(self, directory: Path, writer: Engine) -> None:
        """Where it is empty: all that `dump` wrote, or nothing. Raises DamagedDatabase."""
        ...

    def examine(self) -> tuple[bool | None, str]:
        """For `run.py doctor`: whether it can be used (None: it is yet to be made), and in words what there is."""
        ...

    def translated(self, problem: Exception) -> Exception | None:
        """As Unavailable or StorageFull; None where it is a fault of ours."""
        ...
