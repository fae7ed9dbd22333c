"""Which of the services of one database supervises.

On SQLite a data directory has one service, and that supervises. On PostgreSQL there may be two on one host: one leads,
the other stands by and takes over when it is gone. To lead takes two things: the lock of the data directory, which the
kernel drops when a process dies and which no two processes of a host ever have together, and the database's, which
services elsewhere see. A leader whose session is lost keeps the first while it takes the second again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from api.utils.errors import TrainyardError
from api.utils.locks import DataDirectoryBusy, DirectoryLock

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0


class ServersLock(Protocol):
    """The database's."""

    def take(self) -> bool | None:
        """True: it is ours, or still is. False: somebody else's. None: the database does not answer."""
        ...

    def release(self) -> None: ...


class Leadership:
    """`lock` None: nobody may stand by. `standing_by` is done now and then while another leads, `always` by both."""

    def __init__(
        self,
        data_dir: Path,
        lock: ServersLock | None,
        *,
        standing_by: Sequence[Callable[[], None]] = (),
        always: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._data_dir = data_dir
        self._lock = lock
        self._begin: Callable[[], None] = lambda: None
        self._end: Callable[[], bool] = lambda: True
        self._standing_by = standing_by
        self._always = always
        self._directory: DirectoryLock | None = None
        self._ending = threading.Event()
        self._trouble = ""
        self._thread: threading.Thread | None = None
        self._leaving = False  # what was begun has not all ended yet
        self.leads = lock is None  # where nobody else may

    def start(self, begin: Callable[[], None], end: Callable[[], bool]) -> None:
        """`begin` is what a leader starts; `end` stops it, and says whether all of it has stopped. Both may come
        again."""
        self._begin, self._end = begin, end
        if self._lock is None:
            self._lead()
            return
        self.turn()
        if not self.leads:
            log.info("another service supervises; this one stands by")
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops what was begun, then lets another lead."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(LOOK_SECONDS)
        if self.leads:
            self._end()
        self._give_up()

    def _run(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            try:
                self.turn()
            except TrainyardError as problem:  # the database is away; told once
                if self._trouble != problem.message:
                    self._trouble = problem.message
                    log.warning("looking who supervises: %s; will try again", problem.message)
            except Exception:  # the watch must outlive whatever one turn meets
                log.exception("looking who supervises failed; will try again")

    def turn(self) -> None:
        """One look at the locks, and what follows from it."""
        assert self._lock is not None
        if self.leads:
            if self._leaving or self._lock.take() is False:
                self._step_down()
        elif self._has_directory() and self._lock.take():
            self._lead()
        for chore in (*(() if self.leads else self._standing_by), *self._always):
            chore()

    def _has_directory(self) -> bool:
        if self._directory is None:
            try:
                self._directory = DirectoryLock.take(self._data_dir)
            except DataDirectoryBusy:
                return False
        return True

    def _lead(self) -> None:
        self._begin()
        self.leads = True
        log.info("this service supervises")

    def _step_down(self) -> None:
        """The directory's lock is kept until nothing of ours supervises any more."""
        if not self._leaving:
            log.error("another service took the supervisor's lock of the database; stepping down")
        self._leaving = not self._end()
        if not self._leaving:
            self.leads = False
            self._give_up()

    def _give_up(self) -> None:
        if self._lock is not None:
            self._lock.release()
        if self._directory is not None:
            self._directory.release()
            self._directory = None
