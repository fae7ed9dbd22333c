"""What a conversion found: boxes in pixels of images that are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

Corners = tuple[float, float, float, float]


@dataclass
class Boxes:
    """`category_map`: what the dataset calls a class -> its index and name here."""

    classes: list[str]
    category_map: dict[str, dict[str, object]]
    by_image: dict[str, list[tuple[int, Corners]]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # as the annotations tell them
    splits: dict[str, str] = field(default_factory=dict)


class ImageFinder:
    """An image by what an annotation calls it: its whole path, the end of one, or its bare name if that is unique."""

    def __init__(self, images: Sequence[str]) -> None:
        self._by_base: dict[str, list[str]] = defaultdict(list)
        for image in images:
            self._by_base[PurePosixPath(image).name].append(image)

    def find(self, told: str, near: str | None = None) -> str | None:
        """`near`: a word that the path should hold where several fit."""
        told = told.replace("\\", "/").strip("/")
        fitting = self._by_base.get(PurePosixPath(told).name, [])
        exact = [image for image in fitting if image == told or image.endswith("/" + told)]
        for candidates in (exact, fitting):
            if len(candidates) > 1 and near:
                candidates = [image for image in candidates if near in image.lower()]
            if len(candidates) == 1:
                return candidates[0]
        return None
