"""COCO's JSON: categories become classes in the order of their ids, boxes stay boxes, the rest is counted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from api.children.yolo_prepare.boxes import Boxes, ImageFinder
from api.children.yolo_prepare.classes import checked
from api.children.yolo_prepare.findings import Findings, Unusable
from api.children.yolo_prepare.layouts import WORDS
from api.children.yolo_prepare.sources import Source, suffix

MOST_BYTES = 1024**3
_SPLIT = re.compile(r"(?<![a-z])(train|val|valid|test)(?![a-z])", re.IGNORECASE)
Document = dict[str, Any]


def read(source: Source, images: Sequence[str], given: list[str] | None, findings: Findings) -> Boxes | None:
    """None: there is no COCO file. `given`: the classes that are wanted, by name; others are dropped."""
    documents = {name: found for name in source.names if (found := _document(source, name)) is not None}
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


def _document(source: Source, name: str) -> Document | None:
    """A JSON file that is COCO's; others are none of ours."""
    if suffix(name) != ".json":
        return None
    try:
        document = json.loads(source.read(name, MOST_BYTES))
    except (ValueError, OSError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return document if all(isinstance(document.get(k), list) for k in ("images", "annotations", "categories")) else None


def _categories(documents: Mapping[str, Document]) -> dict[int, str]:
    names: dict[int, str] = {}
    for file, document in documents.items():
        for category in document["categories"]:
            if not isinstance(category, dict) or not _is_id(category.get("id")) or not category.get("name"):
                raise Unusable(f"{file}: a category without an id or a name")
            name = str(category["name"]).strip()
            if names.setdefault(category["id"], name) != name:
                raise Unusable(f"{file}: category {category['id']} is called {name!r}, and otherwise in another file")
    return names


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _take(
    file: str, document: Document, kept: Mapping[int, int], finder: ImageFinder, boxes: Boxes, findings: Findings
) -> None:
    said = _SPLIT.search(PurePosixPath(file).stem)
    split = WORDS[said[1].lower()] if said else None
    by_id: dict[object, str] = {}
    for row in document["images"]:
        told = row.get("file_name") if isinstance(row, dict) else None
        image = finder.find(told, split) if isinstance(told, str) else None
        if image is None:
            findings.add("missing_image", file, f"names an image that is not there: {told!r}")
            continue
        by_id[_key(row.get("id"))] = image
        boxes.by_image.setdefault(image, [])
        if split:
            boxes.splits.setdefault(image, split)
        if _is_id(row.get("width")) and _is_id(row.get("height")):
            boxes.sizes[image] = (row["width"], row["height"])
    for annotation in document["annotations"]:
        _take_box(file, annotation, by_id, kept, boxes, findings)


def _key(value: object) -> object:
    return value if isinstance(value, (int, str)) else None


def _take_box(
    file: str, annotation: Any, by_id: Mapping[object, str], kept: Mapping[int, int], boxes: Boxes, findings: Findings
) -> None:
    if not isinstance(annotation, dict):
        findings.dropped["damaged annotations"] += 1
        return
    image = by_id.get(_key(annotation.get("image_id")))
    box = annotation.get("bbox")
    if image is None:
        findings.dropped["annotations of missing images"] += 1
    elif annotation.get("iscrowd"):
        findings.dropped["crowds"] += 1
    elif annotation.get("category_id") not in kept if _is_id(annotation.get("category_id")) else True:
        findings.dropped["annotations of other classes"] += 1
    elif not (isinstance(box, list) and len(box) == 4 and all(_is_number(each) for each in box)):
        findings.dropped["annotations without a box"] += 1
    else:
        for what in ("segmentation", "keypoints"):
            if annotation.get(what):
                findings.dropped[f"{what} (the box was kept)"] += 1
        x, y, width, height = box
        boxes.by_image[image].append((kept[annotation["category_id"]], (x, y, x + width, y + height)))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
