"""Which file is an image of which split, and which label file belongs to it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from api.children.yolo_prepare.sources import is_image, suffix

SPLITS = ("train", "val", "test")
_FOLDER = re.compile(r"(train|training|val|valid|validation|test)(?:[_-]?\d{2,4})?", re.IGNORECASE)
WORDS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
#: texts beside images that are no labels
_NO_LABELS = re.compile(
    r"(classes|labels|obj|train|val|valid|test|readme.*|license.*|notes|requirements)\.(txt|names)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Layout:
    """`splits`: image -> its split, None where the dataset says nothing; `labels`: image -> its label file."""

    splits: Mapping[str, str | None]
    labels: Mapping[str, str]
    strays: Sequence[str]  # label files without an image


def split_word(text: str) -> str | None:
    """The split that a folder's name says."""
    found = _FOLDER.fullmatch(text)
    return WORDS[found[1].lower()] if found else None


def split_of(name: str, folders: Mapping[str, str]) -> str | None:
    parts = PurePosixPath(name).parts[:-1]
    for length in range(len(parts), 0, -1):
        told = folders.get("/".join(parts[:length])) or split_word(parts[length - 1])
        if told:
            return told
    return None


def survey(names: Sequence[str], folders: Mapping[str, str]) -> Layout:
    images = [name for name in names if is_image(name)]
    texts = {name for name in names if suffix(name) == ".txt" and not _NO_LABELS.fullmatch(PurePosixPath(name).name)}
    by_stem: dict[str, list[str]] = defaultdict(list)
    for text in sorted(texts):
        by_stem[PurePosixPath(text).stem].append(text)
    homes = {str(PurePosixPath(image).parent) for image in images}
    labels = {image: found for image in images if (found := _label_file(image, texts, by_stem)) is not None}
    used = set(labels.values())
    strays = [
        text
        for text in sorted(texts - used)
        if "labels" in _lower(PurePosixPath(text).parts[:-1]) or str(PurePosixPath(text).parent) in homes
    ]
    return Layout({image: split_of(image, folders) for image in images}, labels, strays)


def _lower(parts: Sequence[str]) -> list[str]:
    return [part.lower() for part in parts]


def _label_file(image: str, texts: set[str], by_stem: Mapping[str, Sequence[str]]) -> str | None:
    """Beside it, or where `images` in its path says `labels`; else the one file of its name below some `labels`."""
    path = PurePosixPath(image)
    parts = list(path.with_suffix(".txt").parts)
    folders = _lower(parts[:-1])
    if "images" in folders:
        at = len(folders) - 1 - folders[::-1].index("images")
        for word in ("labels", "Labels"):
            candidate = "/".join([*parts[:at], word, *parts[at + 1 :]])
            if candidate in texts:
                return candidate
    beside = str(path.with_suffix(".txt"))
    if beside in texts:
        return beside
    far = [text for text in by_stem.get(path.stem, ()) if "labels" in _lower(PurePosixPath(text).parts[:-1])]
    if len(far) > 1:  # the names are not unique: its split decides
        mine = split_of(image, {})
        far = [text for text in far if split_of(text, {}) == mine]
    return far[0] if len(far) == 1 else None
