"""The file that a trainer prints into, also after somebody has removed it: the trainer has it open, and so have we."""

from __future__ import annotations

import os
from pathlib import Path


class LogSource:
    """Opens a log once and holds it. `removed`: its name is gone, or another file's now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None
        self.removed = False

    def descriptor(self, writer: int | None = None) -> int | None:
        """To read from, not to be closed; None while there is no log. `writer`: the trainer's pid."""
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            if self._held is None and writer is not None:
                self._held = self._of(writer)
            self.removed = self._held is not None
            return self._held
        if self._held is None:
            self._held = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self.removed = not os.path.samestat(named, os.fstat(self._held))
        return self._held

    def _of(self, writer: int) -> int | None:
        """The removed file, as its writer still has it."""
        for number in (1, 2):
            link = f"/proc/{writer}/fd/{number}"
            try:
                if os.readlink(link) == f"{os.path.realpath(self._path)} (deleted)":
                    return os.open(link, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # it has ended, or closed that one
                continue
        return None

    def close(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None
