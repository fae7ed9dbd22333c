"""Wakes whoever follows jobs: the database holds what happened, this says that something did."""

from __future__ import annotations

import threading

from api.services.store import events
from api.services.store.database import Database


class Feed:
    """A counter that grows with each change, and a way to wait for the next one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0

    @property
    def version(self) -> int:
        return self._version

    def notify(self) -> None:
        """Called after a commit, never inside a transaction."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout: float) -> int:
        """Until the version is no longer `seen`, at most `timeout` seconds; returns the version now."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen, timeout)
            return self._version


class EventWatch:
    """Tells the feed of what another service has written."""

    def __init__(self, db: Database, feed: Feed) -> None:
        self._db = db
        self._feed = feed
        self._seen = 0

    def look(self) -> None:
        with self._db.read() as connection:
            newest = events.newest(connection)
        if newest != self._seen:
            self._seen = newest
            self._feed.notify()
