"""The right to supervise, among all services of one PostgreSQL: a lock that lives as long as a session of its own."""

from __future__ import annotations

import logging
from typing import Any

import psycopg

log = logging.getLogger(__name__)
#: the server looks whether we are still there; else it would keep the lock of a machine that is gone for two hours
WATCHED = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
END_OLD = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks "
    "WHERE locktype = 'advisory' AND granted AND classid::bigint = %s AND objid::bigint = %s AND pid = %s"
)


class SessionLock:
    """Not for two threads at once. The server lets go when the session ends, however that comes about."""

    def __init__(self, conninfo: dict[str, Any], key: tuple[int, int]) -> None:
        self._conninfo = conninfo
        self._key = key
        self._session: psycopg.Connection[Any] | None = None
        self._has = False
        self._pid = 0  # the server's process of our session
        self._lost: int | None = None  # that of one that broke while it had the lock

    def take(self) -> bool | None:
        """Whether it is ours now; None where that cannot be told yet."""
        try:
            return self._take()
        except psycopg.Error as problem:
            if self._has and self._session is not None:
                log.warning("the session that holds the supervisor's lock is lost: %s", problem)
                self._lost = self._pid
            self.release()
            return None

    def _take(self) -> bool | None:
        if self._session is None:
            self._session = psycopg.connect(**self._conninfo, autocommit=True)
            self._session.execute(WATCHED)
            self._pid = self._session.info.backend_pid
        if self._has:
            self._session.execute("SELECT 1")
            return True
        if self._lost is not None:  # the server may not have noticed yet
            ended = self._session.execute(END_OLD, (*self._key, self._lost)).fetchall()
            if ended:
                return None
            self._lost = None
        row = self._session.execute("SELECT pg_try_advisory_lock(%s, %s)", self._key).fetchone()
        self._has = bool(row and row[0])
        return self._has

    def release(self) -> None:
        session, self._session, self._has = self._session, None, False
        if session is not None:
            session.close()
