"""The wish to end: a file that the service makes, or SIGTERM. It is acted on between two batches."""

from __future__ import annotations

import os
import signal
from types import FrameType

SIGTERM_CODE = 128 + signal.SIGTERM


class Stopped(BaseException):
    """Not an error: the work was cut short because somebody asked. No library's `except Exception` holds it."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.code = code


class Stop:
    """`path`: the file. SIGTERM is the more urgent of the two."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.urgent = False
        self.listen()

    def listen(self) -> None:
        """Again, where a library (Lightning) has put a handler of its own in this one's place."""
        signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.urgent = True

    def wanted(self) -> bool:
        return self.urgent or os.path.exists(self._path)

    def check(self) -> None:
        if self.wanted():
            raise self.stopped()

    def check_urgent(self) -> None:
        if self.urgent:
            raise self.stopped()

    def stopped(self) -> Stopped:
        return Stopped("SIGTERM", SIGTERM_CODE) if self.urgent else Stopped("a stop was asked for", 0)
