"""The thread in which a cluster's executor asks its engine: only where this service supervises."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Asker:
    """`loop` is called in the thread, and returns soon after `stopping` is set. Begun and ended as often as need be."""

    def __init__(self, name: str, loop: Callable[[], None]) -> None:
        self._name = name
        self._loop = loop
        self._thread: threading.Thread | None = None
        self.wake = threading.Event()
        self.stopping = threading.Event()

    @property
    def on(self) -> bool:
        return self._thread is not None

    @property
    def silence(self) -> str | None:
        """Why nothing is heard, where nobody asks."""
        return None if self.on else f"this service stands by and does not ask {self._name.capitalize()}"

    def begin(self) -> None:
        """Once, however often it is called."""
        if self._thread is None:
            self.stopping.clear()
            self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
            self._thread.start()

    def end(self, patience: float = 1.0) -> bool:
        """Whether it has ended, within so many seconds: it may be waiting for an answer."""
        self.stopping.set()
        self.wake.set()
        if self._thread is not None:
            self._thread.join(patience)
            if self._thread.is_alive():
                return False
            self._thread = None
        return True
