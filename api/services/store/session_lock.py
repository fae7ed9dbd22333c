"""The right to supervise, among all services of one PostgreSQL: a lock that lives as long as a session of its own."""

from __future__ import annotations

import logging
from typing import Any

import psycopg

log = logging.getLogger(__name__)


class SessionLock:
    """Not for two threads at once. The server lets go when the session ends, however that comes about."""

    def __init__(self, conninfo: dict[str, Any], key: tuple[int, int]) -> None:
        self._conninfo = conninfo
        self._key = key
        self._session: psycopg.Connection[Any] | None = None
        self._has = False

    def take(self) -> bool | None:
        """Whether it is ours now; None where the server does not answer."""
        try:
            if self._session is None:
                self._session = psycopg.connect(**self._conninfo, autocommit=True)
            if not self._has:
                row = self._session.execute("SELECT pg_try_advisory_lock(%s, %s)", self._key).fetchone()
                self._has = bool(row and row[0])
            else:
                self._session.execute("SELECT 1")
        except psycopg.Error as problem:
            if self._has:
                log.warning("the session that holds the supervisor's lock is lost: %s", problem)
            self.release()
            return None
        return self._has

    def release(self) -> None:
        session, self._session, self._has = self._session, None, False
        if session is not None:
            session.close()
