"""The wish to end: a file that the service makes, or SIGTERM. It is acted on between two batches."""

from __future__ import annotations

import os
import signal
from types import FrameType

SIGTERM_CODE = 128 + signal.SIGTERM


class Stopped(Exception):
    """Not an error: the work was cut short because somebody asked."""

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.code = code


class Stop:
    def __init__(self, path: str) -> None:
        self._path = path
        self._terminated = False
        self.listen()

    def listen(self) -> None:
        """Lightning puts a handler of its own in this one's place when it starts to fit."""
        signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._terminated = True

    def wanted(self) -> bool:
        return self._terminated or os.path.exists(self._path)

    def check(self) -> None:
        if self.wanted():
            raise self.stopped()

    def stopped(self) -> Stopped:
        return Stopped("SIGTERM", SIGTERM_CODE) if self._terminated else Stopped("a stop was asked for", 0)
