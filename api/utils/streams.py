"""A cap on open event streams: each holds a thread, and the rest of the service must keep some."""

from __future__ import annotations

import threading

from api.utils.errors import Unavailable


class Streams:
    """Places for streams, or for what else is to be few; `enter` raises Unavailable when all are taken."""

    def __init__(self, most: int, what: str = "streams") -> None:
        self.most = most
        self._what = what
        self._lock = threading.Lock()
        self._open = 0

    @property
    def open(self) -> int:
        return self._open

    def enter(self) -> Place:
        with self._lock:
            if self._open >= self.most:
                raise Unavailable(f"all {self.most} places for {self._what} are taken", retry_after=5)
            self._open += 1
        return Place(self)

    def _left(self) -> None:
        with self._lock:
            self._open -= 1


class Place:
    """One place; may be left more than once."""

    def __enter__(self) -> None:
        """To be left at the end of a block."""

    def __exit__(self, *_: object) -> None:
        self.leave()

    def __init__(self, streams: Streams) -> None:
        self._streams: Streams | None = streams

    def leave(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams._left()
