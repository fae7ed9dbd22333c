"""Training data: pages out of a file of one JSON object a line, what of them can be used, and the validation split.

Nothing of torch or kraken: what is wrong with the data is said within a second.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from PIL import Image, UnidentifiedImageError

from api.children.common.report import Problem, event, say
from api.children.kraken_train.report import warn

Points = list[tuple[int, int]]
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Line:
    baseline: Points
    boundary: Points
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    image: str
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Sets:
    """For recognition the items are lines, each with its image; for segmentation they are pages."""

    training: list[Any]
    validation: list[Any]
    lines: int  # of both


def sets(settings: dict[str, Any]) -> Sets:
    """What a training works on."""
    recognition = settings["task"] == "train"
    pages = usable(settings["data"], recognition=recognition)
    items: list[Any] = [(page.image, line) for page in pages for line in page.lines] if recognition else list(pages)
    unit = "lines" if recognition else "pages"
    training, validation = split(items, settings["seed"], unit)
    event("data", pages=len(pages), training=len(training), validation=len(validation), unit=unit)
    say(f"{len(training)} {unit} to train on and {len(validation)} to validate on")
    return Sets(training, validation, sum(len(page.lines) for page in pages))


def usable(path: str, *, recognition: bool) -> list[Page]:
    pages, left = read(path, recognition=recognition)
    left.report()
    return _readable(pages)


def _readable(pages: list[Page]) -> list[Page]:
    """Those whose image is one: kraken would put another line in the place of each that it cannot read."""
    fine: list[Page] = []
    for page in pages:
        try:
            with Image.open(page.image):
                fine.append(page)
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as problem:
            warn(f"a page ({len(page.lines)} lines) is left out, its image cannot be read: {problem}")
    return fine


@dataclass(slots=True)
class Left:
    """What cannot be trained on, and why: said before the training, since kraken would replace it without a word."""

    no_image: list[str] = field(default_factory=list)  # names of pages
    lines: int = 0  # on those pages
    no_baseline: int = 0
    no_boundary: int = 0
    no_text: int = 0

    def report(self) -> None:
        if self.no_image:
            names = ", ".join(self.no_image[:10]) + (", ..." if len(self.no_image) > 10 else "")
            warn(f"{len(self.no_image)} pages ({self.lines} lines) are left out, their images are missing: {names}")
        for count, what in (
            (self.no_baseline, "a baseline"),
            (self.no_boundary, "a bounding polygon"),
            (self.no_text, "a transcription"),
        ):
            if count:
                warn(f"{count} lines without {what} are left out")


def read(path: str, *, recognition: bool) -> tuple[list[Page], Left]:
    """The pages with a line that can be used, each with those lines only."""
    pages: list[Page] = []
    left = Left()
    with open(path, encoding="utf-8") as file:
        for entry in map(json.loads, file):
            if entry["image"] is None or not os.path.isfile(entry["image"]):
                left.no_image.append(str(entry["name"]))
                left.lines += len(entry["lines"])
                continue
            lines = list(_usable(entry["lines"], left, recognition=recognition))
            if lines:
                pages.append(Page(entry["image"], lines))
    return pages, left


def _usable(lines: list[dict[str, Any]], left: Left, *, recognition: bool) -> Iterator[Line]:
    """Segmentation needs baselines; recognition needs polygons and texts too."""
    for line in lines:
        baseline, boundary, text = _points(line["baseline"]), _points(line["boundary"]), line["text"]
        if len(baseline) < 2:
            left.no_baseline += 1
        elif recognition and len(boundary) < 3:
            left.no_boundary += 1
        elif recognition and not text.strip():
            left.no_text += 1
        else:
            yield Line(baseline, boundary, text)


def _points(raw: list[list[int]] | None) -> Points:
    return [(x, y) for x, y in raw or ()]


def split(items: list[Item], seed: int, what: str) -> tuple[list[Item], list[Item]]:
    """For training and for validation: a tenth, rounded down, but at least one. The same seed gives the same split."""
    if len(items) < 2:
        raise Problem("dataset_empty", f"there are {len(items)} usable {what}; a training needs at least 2")
    held = set(random.Random(seed).sample(range(len(items)), max(1, len(items) // 10)))
    training = [item for index, item in enumerate(items) if index not in held]
    return training, [items[index] for index in sorted(held)]
