"""Why a request cannot be answered."""

from __future__ import annotations


class Failed(Exception):
    """`kind`: "file" (what was sent is no good), "model" (the weights are not), "memory"."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Cancelled(Exception):
    """Nobody waits for it any more."""
