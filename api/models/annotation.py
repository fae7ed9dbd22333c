"""Boxes on the images of a prepared dataset: what is kept of them, and which of them can be kept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from api.models.yolo import Dataset, Version
from api.utils.errors import Invalid
from api.utils.yolo_labels import BadLabel, box_label

SLACK = 1.0  # pixels by which a box may leave the image: it is cut there
MOST_BOXES = 10_000  # of one image
MOST_TOLD = 20  # problems of one request
Size = tuple[int, int]


class Key(NamedTuple):
    """A version of a dataset, as rows name it."""

    dataset_seq: int
    number: int

    @classmethod
    def of(cls, dataset: Dataset, version: Version) -> Key:
        return cls(dataset.seq, version.number)


class Box(NamedTuple):
    """Pixels, from the upper left corner."""

    class_id: int
    x1: float
    y1: float
    x2: float
    y2: float


class Proposal(NamedTuple):
    """What a model thinks is there."""

    class_id: int
    x1: float
    y1: float
    x2: float
    y2: float
    conf: float


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The boxes of one version. `imported`: images that had labels when it was prepared; None: still being read."""

    total: int
    imported: int | None


@dataclass(frozen=True, slots=True)
class AnnotationTask:
    """Rights are those of its dataset; so are the classes and boxes, which all tasks of a version share."""

    seq: int
    id: str
    dataset_id: str
    number: int
    created_at: float

    @property
    def version(self) -> str:
        return f"v{self.number}"


@dataclass(frozen=True, slots=True)
class Item:
    """An image in a list."""

    position: int
    image_id: str
    path: str  # in the version's directory
    width: int
    height: int
    annotated: bool
    box_count: int
    proposed: bool


@dataclass(frozen=True, slots=True)
class Image:
    """An image with its boxes. `annotated` without boxes: somebody has said that nothing is on it."""

    position: int
    image_id: str
    path: str
    width: int
    height: int
    annotated: bool
    boxes: tuple[Box, ...]
    revision: int
    updated_at: float | None
    proposals: tuple[Proposal, ...] | None  # None: no model was asked
    proposed_by: str | None

    @property
    def size(self) -> Size:
        return self.width, self.height

    @property
    def tag(self) -> str:
        """Another one after each change of its boxes, and another image's is another."""
        return f"{self.position}-{self.revision}"


def image_id(position: int, path: str) -> str:
    """`images/train/0001.jpg` -> `train_0001`; names that would not do in an id have their number instead."""
    _, split, name = path.split("/", 2)
    stem = name.rpartition(".")[0]
    return f"{split}_{stem}" if re.fullmatch(r"[A-Za-z0-9_.\-]{1,80}", stem) else f"{split}.{position}"


def boxes_text(boxes: Sequence[Box] | Sequence[Proposal]) -> str:
    return json.dumps(boxes, separators=(",", ":"))


def checked(boxes: Sequence[Box], size: Size, classes: int, field: str = "boxes") -> tuple[Box, ...]:
    """Cut at the image's edges. Raises Invalid naming each that cannot be kept."""
    kept, problems = [], []
    for number, box in enumerate(boxes):
        cut = _cut(box, size)
        problem = _problem(box, cut, size, classes)
        if problem is not None:
            problems.append((f"{field}.{number}{problem[0]}", problem[1]))
        kept.append(cut)
    if problems:
        raise Invalid(*problems[0], more=problems[1:MOST_TOLD])
    return tuple(kept)


def _cut(box: Box, size: Size) -> Box:
    (left, right), (top, bottom) = (
        (min(max(low, 0.0), limit), min(max(high, 0.0), limit))
        for low, high, limit in ((box.x1, box.x2, size[0]), (box.y1, box.y2, size[1]))
    )
    return Box(box.class_id, float(left), float(top), float(right), float(bottom))


def _problem(box: Box, cut: Box, size: Size, classes: int) -> tuple[str, str] | None:
    """The field, with its dot, and what is wrong with it."""
    if not 0 <= box.class_id < classes:
        return ".class_id", f"must be less than {classes}, the number of classes" if classes else "there are no classes"
    for name, value, limit in zip(Box._fields[1:], box[1:], (*size, *size), strict=True):
        if not -SLACK <= value <= limit + SLACK:
            return f".{name}", f"lies outside the image, which has {size[0]} x {size[1]} pixels"
    if not (box.x1 < box.x2 and box.y1 < box.y2):
        return "", "x1 must be less than x2, and y1 less than y2"
    try:
        box_label(cut.class_id, cut[1:], size)
    except BadLabel as problem:
        return "", f"is {problem}"
    return None


def yolo_lines(boxes: Sequence[Box], size: Size) -> str:
    """A label file of boxes that were checked."""
    return "".join(box_label(box.class_id, box[1:], size).line() + "\n" for box in boxes)


def extended(known: Sequence[str], given: Sequence[str]) -> list[str]:
    """The classes of a version for a task that names its own: more may follow, and class_0, class_1, ... may get
    their names. Raises Invalid for others, since boxes that exist would change their meaning."""
    for number, (old, new) in enumerate(zip(known, given, strict=False)):
        if new not in (old, f"class_{number}") and old != f"class_{number}":
            raise Invalid(
                f"classes.{number}",
                f"is {old!r} in this version, whose tasks share their boxes; name its classes in their order, more may "
                "follow, or prepare the dataset with other classes",
            )
    named = [old if new == f"class_{n}" else new for n, (old, new) in enumerate(zip(known, given, strict=False))]
    found = [*named, *given[len(known) :], *known[len(given) :]]
    if len(set(found)) != len(found):
        raise Invalid("classes", "two classes have one name")
    return found


def proposals_of(
    rows: Sequence[Sequence[float]], names: Sequence[str], classes: Mapping[str, int], size: Size
) -> tuple[Proposal, ...]:
    """Of a model's `[class, conf, x1, y1, x2, y2]`, those whose class the dataset has."""
    found = []
    for number, conf, *corners in rows:
        index = classes.get(names[int(number)])
        if index is None:
            continue
        cut = _cut(Box(index, *corners), size)
        if _problem(cut, cut, size, len(classes)) is None:
            found.append(Proposal(*cut, conf))
    return tuple(found)
