"""Somebody's directory: what lies in it, and reads that cannot leave it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from api.children.yolo_prepare.findings import Unusable
from api.utils.downloads import open_beneath
from api.utils.texts import is_plain

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
MOST_DEPTH = 32


def suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def is_image(name: str) -> bool:
    return suffix(name) in IMAGE_SUFFIXES


class Source:
    """Regular files below a directory by their relative names. Links are neither followed nor seen.

    `names`: those that are meant, where somebody has looked already. `unnamed`: what is passed over for its name.
    """

    def __init__(self, root: Path, most_files: int, names: Iterable[str] | None = None) -> None:
        self.root = root
        self.unnamed: list[str] = []
        if names is not None:
            self.names = sorted(names)
            return
        try:
            self.names = sorted(self._walk("", most_files))
        except OSError as problem:
            raise Unusable(f"its files cannot be read: {problem.strerror}: {problem.filename}") from None

    def _walk(self, below: str, most: int) -> Iterator[str]:
        folders, seen = [(below, 0)], 0
        while folders:
            folder, depth = folders.pop()
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.name.startswith(".") or entry.name == "__MACOSX":
                        continue
                    if not is_plain(entry.name):  # halves of surrogate pairs stand for bytes that are no UTF-8
                        self.unnamed.append(ascii(name)[1:-1])
                        continue
                    mode = entry.stat(follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode) and depth < MOST_DEPTH:
                        folders.append((name, depth + 1))
                    elif stat.S_ISREG(mode):
                        seen += 1
                        if seen > most:
                            raise Unusable(f"there are more than {most} files")
                        yield name

    def read(self, name: str, most: int) -> bytes:
        """A whole file. Raises ValueError for one that is longer, OSError for one that is gone."""
        with open_beneath(self.root, name) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise ValueError(f"is longer than {most} bytes")
        return content

    def text(self, name: str, most: int) -> str:
        return self.read(name, most).decode("utf-8-sig", "replace")
