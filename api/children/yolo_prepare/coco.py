"""COCO's JSON: categories become classes in the order of their ids, boxes stay boxes, the rest is counted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from api.children.yolo_prepare.boxes import Boxes, ImageFinder, is_number
from api.children.yolo_prepare.classes import checked
from api.children.yolo_prepare.findings import Findings, Unusable
from api.children.yolo_prepare.layouts import WORDS, split_of
from api.children.yolo_prepare.sources import Source, suffix

MOST_BYTES = 1024**3
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_SPLIT = re.compile(r"(?<![a-z])(train|val|valid|test)(?![a-z])", re.IGNORECASE)
Document = dict[str, Any]


def read(source: Source, images: Sequence[str], given: list[str] | None, findings: Findings) -> Boxes | None:
    """None: there is no COCO file. `given`: the classes that are wanted, by name; others are dropped."""
    documents = {name: found for name in source.names if (found := _document(source, name, findings)) is not None}
    if not documents:
        return None
    names = _categories(documents)
    classes = given or checked([names[key] for key in sorted(names)], "categories")
    index = {name: position for position, name in enumerate(classes)}
    kept = {key: index[name] for key, name in names.items() if name in index}
    shown: dict[str, dict[str, object]] = {
        str(key): {"index": kept[key], "name": names[key]} for key in sorted(names) if key in kept
    }
    boxes = Boxes(classes, shown)
    finder = ImageFinder(images)
    for name, document in documents.items():
        _take(name, document, kept, finder, boxes, findings)
    return boxes


def _document(source: Source, name: str, findings: Findings) -> Document | None:
    """A JSON file that is COCO's; others are none of ours."""
    if suffix(name) != ".json":
        return None
    try:
        document = json.loads(source.read(name, MOST_BYTES))
    except (ValueError, OSError, RecursionError) as problem:
        findings.add("annotation", name, f"is not read: {problem}")
        return None
    if not isinstance(document, dict) or not all(isinstance(document.get(k), list) for k in ("images", "annotations")):
        return None
    if not isinstance(document.get("categories"), list):
        findings.add("annotation", name, "is not read: it has images and annotations, but no categories")
        return None
    return document


def _categories(documents: Mapping[str, Document]) -> dict[int, str]:
    names: dict[int, str] = {}
    for file, document in documents.items():
        for category in document["categories"]:
            key = _whole(category.get("id")) if isinstance(category, dict) else None
            if key is None or not category.get("name"):
                raise Unusable(f"{file}: a category without a number as its id, or without a name")
            name = str(category["name"]).strip()
            if names.setdefault(key, name) != name:
                raise Unusable(f"{file}: category {key} is called {name!r}, and otherwise elsewhere")
    return names


def _whole(value: object) -> int | None:
    """7, or what tables make of it: 7.0 and "7"."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _take(
    file: str, document: Document, kept: Mapping[int, int], finder: ImageFinder, boxes: Boxes, findings: Findings
) -> None:
    said = _SPLIT.search(PurePosixPath(file).stem)
    split = WORDS[said[1].lower()] if said else split_of(file, {})
    by_id: dict[int | str, str] = {}
    for row in document["images"]:
        told = row.get("file_name") if isinstance(row, dict) else None
        image = finder.find(told, split) if isinstance(told, str) else None
        if image is None:
            findings.add("missing_image", file, f"names an image that is not there: {told!r}")
            continue
        if split:
            boxes.splits.setdefault(image, split)
        key = _key(row.get("id"))
        if key is None:
            findings.add("annotation", file, f"has no id for {told}, so that nothing is known about it")
            continue
        if by_id.setdefault(key, image) != image:
            raise Unusable(f"{file}: {by_id[key]} and {image} have one id, {key}")
        boxes.by_image.setdefault(image, [])
        size = _whole(row.get("width")), _whole(row.get("height"))
        if size[0] is not None and size[1] is not None:
            boxes.sizes[image] = (size[0], size[1])
    for annotation in document["annotations"]:
        _take_box(file, annotation, by_id, kept, boxes, findings)


def _key(value: object) -> int | str | None:
    whole = _whole(value)
    return whole if whole is not None else value if isinstance(value, str) and value else None


def _take_box(
    file: str,
    annotation: Any,
    by_id: Mapping[int | str, str],
    kept: Mapping[int, int],
    boxes: Boxes,
    findings: Findings,
) -> None:
    if not isinstance(annotation, dict):
        findings.dropped["damaged annotations"] += 1
        return
    key, category = _key(annotation.get("image_id")), _whole(annotation.get("category_id"))
    image = None if key is None else by_id.get(key)
    box = annotation.get("bbox")
    if image is None:
        findings.dropped["annotations of missing images"] += 1
    elif annotation.get("iscrowd"):
        findings.dropped["crowds"] += 1
    elif category is None or category not in kept:
        findings.dropped["annotations of other classes"] += 1
    elif not (isinstance(box, list) and len(box) == 4 and all(is_number(each) for each in box)):
        findings.dropped["annotations without a box"] += 1
    else:
        for what in ("segmentation", "keypoints"):
            if annotation.get(what):
                findings.dropped[f"{what} (the box was kept)"] += 1
        x, y, width, height = box
        boxes.by_image[image].append((kept[category], (x, y, x + width, y + height)))
