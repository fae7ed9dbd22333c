"""Where in a dataset its parts lie. Only items and their captions are on top: trainers take every file there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    root: Path

    def make(self) -> None:
        for directory in (self.root, self.meta, self.meta / "first_frames", self.meta / "thumbnails"):
            directory.mkdir()

    @property
    def meta(self) -> Path:
        return self.root / "meta"

    @property
    def manifest(self) -> Path:
        return self.meta / "manifest.json"

    def media(self, number: int, suffix: str) -> Path:
        return self.root / f"{number}.{suffix}"

    def caption(self, number: int) -> Path:
        return self.root / f"{number}.txt"

    def first_frame(self, number: int) -> Path:
        return self.meta / "first_frames" / f"{number}.jpg"

    def thumbnail(self, number: int) -> Path:
        return self.meta / "thumbnails" / f"{number}.jpg"

    def remove(self, number: int) -> None:
        for path in (self.media(number, "mp4"), self.media(number, "png"), self.caption(number),
                     self.first_frame(number), self.thumbnail(number)):  # fmt: skip
            path.unlink(missing_ok=True)
