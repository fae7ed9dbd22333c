"""What YOLO reads: label files, line by line, and data.yaml."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

MOST_BYTES = 16 * 1024**2
MOST_LINES = 50_000
DECIMALS = 6  # as labels are written
MOST_CLASSES = 10_000
SLACK = 1e-3  # what rounding may put outside the image


class BadLabel(ValueError):
    """A label cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Label:
    """A class and either its box (middle, width, height) or the points of its polygon, in parts of the image."""

    index: int
    numbers: tuple[float, ...]

    def line(self) -> str:
        return " ".join([str(self.index), *(f"{number:.{DECIMALS}f}" for number in self.numbers)])


def parse(text: str, classes: int | None = None) -> tuple[Label, ...]:
    """All of a file, or BadLabel for its first bad line. `classes`: how many there are; None: not known yet."""
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if len(lines) > MOST_LINES:
        raise BadLabel(f"has more than {MOST_LINES} lines")
    return tuple(_label(number, columns, classes) for number, columns in lines)


def _label(line: int, columns: list[str], classes: int | None) -> Label:
    is_polygon = len(columns) >= 7 and len(columns) % 2 == 1
    if len(columns) != 5 and not is_polygon:
        raise BadLabel(f"line {line}: {len(columns)} columns; a box has 5, a polygon an odd number from 7 on")
    try:
        values = [float(column) for column in columns]
    except ValueError:
        raise BadLabel(f"line {line}: not all of it are numbers") from None
    if not all(math.isfinite(value) for value in values):
        raise BadLabel(f"line {line}: not all of it are finite numbers")
    index = class_index(values[0], line)
    if classes is not None and index >= classes:
        raise BadLabel(f"line {line}: class {index}, of {classes} classes from 0 on")
    numbers = values[1:]
    if not all(-SLACK <= number <= 1 + SLACK for number in numbers):
        raise BadLabel(f"line {line}: coordinates must lie between 0 and 1")
    if not is_polygon and round(min(numbers[2:]), DECIMALS) <= 0:
        raise BadLabel(f"line {line}: a box without a size")
    return Label(index, tuple(min(1.0, max(0.0, number)) for number in numbers))


def corners(label: Label, size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """In pixels, cut at the image's edges; of a polygon those of the box around it. None: nothing is left of it."""
    if len(label.numbers) == 4:
        x, y, width, height = label.numbers
        across, down = (x - width / 2, x + width / 2), (y - height / 2, y + height / 2)
    else:
        across, down = (label.numbers[0::2], label.numbers[1::2])  # type: ignore[assignment]
    left, right = (round(min(max(value, 0.0), 1.0) * size[0], DECIMALS) for value in (min(across), max(across)))
    top, bottom = (round(min(max(value, 0.0), 1.0) * size[1], DECIMALS) for value in (min(down), max(down)))
    return (left, top, right, bottom) if left < right and top < bottom else None


def class_index(value: float, line: int) -> int:
    if not (value == int(value) and 0 <= value < MOST_CLASSES):
        raise BadLabel(f"line {line}: the class must be a whole number from 0 to {MOST_CLASSES - 1}")
    return int(value)


def box_label(index: int, box: tuple[float, float, float, float], size: tuple[int, int]) -> Label:
    """Of corners in pixels, cut at the image's edges. Raises BadLabel for what is not in the image."""
    width, height = size
    if not all(math.isfinite(value) for value in box):
        raise BadLabel("a box with a number that is none")
    left, right = (min(max(value, 0.0), width) for value in (box[0], box[2]))
    top, bottom = (min(max(value, 0.0), height) for value in (box[1], box[3]))
    wide, high = (right - left) / width, (bottom - top) / height
    if round(min(wide, high), DECIMALS) <= 0:
        raise BadLabel("a box without a size, or outside the image")
    return Label(index, ((left + right) / 2 / width, (top + bottom) / 2 / height, wide, high))


def data_yaml(path: str, classes: Sequence[str], has_test: bool) -> str:
    """Ours alone: nothing of the dataset's own file but names."""
    document: dict[str, Any] = {"path": path, "train": "images/train", "val": "images/val"}
    if has_test:
        document["test"] = "images/test"
    document |= {"nc": len(classes), "names": dict(enumerate(classes))}
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
