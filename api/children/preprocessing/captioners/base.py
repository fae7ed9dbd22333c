"""The seam of captioners: a picture in, a text out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be described: an item's picture (a video's first frame), and the file that it came from."""

    picture: Path
    source: Path


class CaptionError(Exception):
    """No caption for this item. `final`: nor for any other, so that asking again is of no use."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class Captioner(Protocol):
    def caption(self, subject: Subject) -> str:
        """The text; "" where there is nothing to say. Raises CaptionError."""
        ...
