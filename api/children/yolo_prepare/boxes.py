"""What a conversion found: boxes in pixels of images that are there."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

Corners = tuple[float, float, float, float]


@dataclass
class Boxes:
    """`category_map`: what the dataset calls a class -> its index and name here; `unread`: images whose annotations
    are damaged."""

    classes: list[str]
    category_map: dict[str, dict[str, object]]
    by_image: dict[str, list[tuple[int, Corners]]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # as the annotations tell them
    splits: dict[str, str] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)


class ImageFinder:
    """An image by what an annotation calls it: its whole path, the end of one, or its bare name if that is unique.

    A Mac writes the same letters in other code points (NFD) than most else does.
    """

    def __init__(self, images: Sequence[str]) -> None:
        self._by_base: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for image in images:
            path = unicodedata.normalize("NFC", image)
            self._by_base[PurePosixPath(path).name].append((path, image))
            self._by_stem[PurePosixPath(path).stem].append(image)

    def find(self, told: str, near: str | None = None) -> str | None:
        """`near`: a word that the path should hold where several fit."""
        told = unicodedata.normalize("NFC", told).replace("\\", "/").strip("/")
        fitting = self._by_base.get(PurePosixPath(told).name, [])
        exact = [image for path, image in fitting if path == told or path.endswith("/" + told)]
        for candidates in (exact, [image for _, image in fitting]):
            if len(candidates) > 1 and near:
                candidates = [image for image in candidates if near in image.lower()]
            if len(candidates) == 1:
                return candidates[0]
        return None

    def stem(self, stem: str, folder: str | None = None) -> str | None:
        """The image whose name it is but for its suffix; of several that which lies in the folder."""
        fitting = self._by_stem.get(unicodedata.normalize("NFC", stem), [])
        if len(fitting) > 1:
            fitting = [image for image in fitting if str(PurePosixPath(image).parent) == folder]
        return fitting[0] if len(fitting) == 1 else None


def is_number(value: object) -> bool:
    """Of JSON, whose whole numbers may be longer than any float, and which may say NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
