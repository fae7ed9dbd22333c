"""What a directory of sources holds, by names alone; nothing is opened here."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from api.utils.errors import Invalid

#: as the child has them, which imports nothing of the service; a test compares
VIDEOS = frozenset((".mp4", ".avi", ".mov", ".mkv", ".flv", ".wmv", ".m4v", ".webm"))
IMAGES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"))
LOOKED_AT = 200_000  # entries of a directory
_YOLO = re.compile(r"ds_\d{8}_", re.IGNORECASE | re.ASCII)
NAME_BYTES = 200  # so that the name beside which a dataset is made still is one that file systems take


def checked_name(name: object, field: str = "dataset_name") -> str:
    """A dataset's name, which is a directory's: letters and digits of any script, `_`, `-` and `.`. Raises Invalid."""
    if not isinstance(name, str) or not is_name(name):
        raise Invalid(field, "must be letters, digits, _, - or . (not first or last), at most 200 bytes, in NFC form")
    if _YOLO.match(name):
        raise Invalid(field, "must not look like the id of a YOLO dataset (ds_20240115_123456...)")
    return name


def is_name(name: str) -> bool:
    return (
        1 <= len(name.encode("utf-8", "replace")) <= NAME_BYTES
        and all(char.isalnum() or char in "_-." for char in name)
        and name[0] not in ".-"
        and name[-1] != "."
        and unicodedata.is_normalized("NFC", name)
    )


def is_source(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEOS | IMAGES


def has_sources(directory: Path) -> bool:
    return any(is_source(entry.name) and not entry.is_dir(follow_symlinks=False) for entry in _entries(directory))


def has_captions(directory: Path) -> bool:
    """Whether a text lies beside one of the sources."""
    texts: set[str] = set()
    media: set[str] = set()
    for entry in _entries(directory):
        stem, suffix = os.path.splitext(entry.name)
        if suffix == ".txt":
            texts.add(stem)
        elif is_source(entry.name):
            media.add(stem)
    return not texts.isdisjoint(media)


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        for count, entry in enumerate(entries):
            if count >= LOOKED_AT:
                return
            yield entry
