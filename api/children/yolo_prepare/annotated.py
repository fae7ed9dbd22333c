"""A dataset that is one file, a UCD or a COCO JSON, with the images that it names and no others.

A UCD (the "UC dataset" of the YOLO train server's makers) is a JSON object: `uc_list` names its images by their codes,
`shapes` has a list of `{"shape_type", "label", "points"}` in pixels by code, `size_info` their `[width, height]`.
An image is the file that is called like its code, beside the JSON or in `img_cache/` or `images/` there or one above.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from api.children.yolo_prepare import coco
from api.children.yolo_prepare.boxes import Boxes, Corners, is_number
from api.children.yolo_prepare.classes import checked
from api.children.yolo_prepare.findings import Findings, Unusable
from api.children.yolo_prepare.sources import Source, is_image
from api.utils.texts import is_plain

FOLDERS = ("", "img_cache", "images")
AROUND = ("polygon", "rotatedrectangle")  # shapes of which the box around them is kept
Document = dict[str, Any]


def read(root: Path, file: str, given: list[str] | None, most: int, findings: Findings) -> tuple[Source, str, Boxes]:
    """The images that it means, what it is (ucd or coco), and its boxes. Raises Unusable."""
    document = _document(root, file, most)
    if "uc_list" in document or "shapes" in document:
        by_code = _images(root, file, _codes(document, file, most))
        boxes = _boxes(document, file, by_code, given, findings)
        return Source(root, most, boxes.by_image), "ucd", boxes
    home = PurePosixPath(file).parent
    if home.name.lower() != "annotations":  # COCO's images lie beside that folder; else they are looked for below
        root, file = root / home, PurePosixPath(file).name
    images = [name for name in Source(root, most).names if is_image(name)]
    source = Source(root, most, [*images, file])
    found = coco.read(source, images, given, findings)
    if found is None:
        raise Unusable(f"{file} is neither a UCD (uc_list, shapes) nor a COCO JSON (images, annotations, categories)")
    return source, "coco", found


def _document(root: Path, file: str, most: int) -> Document:
    try:
        document = json.loads(Source(root, most, [file]).read(file, coco.MOST_BYTES))
    except (ValueError, OSError, RecursionError) as problem:
        raise Unusable(f"{file} cannot be read as JSON: {problem}") from None
    if not isinstance(document, dict):
        raise Unusable(f"{file} is no JSON object")
    return document


def _codes(document: Document, file: str, most: int) -> list[str]:
    codes = document.get("uc_list")
    if codes is None:
        codes = list(document["shapes"]) if isinstance(document["shapes"], dict) else None
    if not isinstance(codes, list) or not codes or not all(isinstance(code, str) for code in codes):
        raise Unusable(f"{file}: uc_list must be a list of the images' codes, one at least")
    if len(codes) > most:
        raise Unusable(f"{file}: there are more than {most} images in it")
    return list(dict.fromkeys(codes))


def _images(root: Path, file: str, codes: Sequence[str]) -> dict[str, str | None]:
    """Code -> its image, relative to the root; None: there is none."""
    found: dict[str, str | None] = dict.fromkeys(codes)
    for folder in _folders(file):
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    code = PurePosixPath(entry.name).stem
                    if code in found and found[code] is None and is_image(entry.name) and _is_plain(entry):
                        found[code] = str(PurePosixPath(folder, entry.name))
        except OSError:
            continue
    return found


def _folders(file: str) -> Iterator[str]:
    here = PurePosixPath(file).parent
    homes = [here] if here == PurePosixPath(".") else [here, here.parent]
    for home in homes:
        for name in FOLDERS:
            yield str(home / name)


def _is_plain(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and is_plain(entry.name)


def _boxes(
    document: Document, file: str, images: dict[str, str | None], given: list[str] | None, findings: Findings
) -> Boxes:
    shapes = document.get("shapes") or {}
    if not isinstance(shapes, dict):
        raise Unusable(f"{file}: shapes must be an object, with a list of shapes by an image's code")
    classes = given or checked(_labels(document, shapes, images), f"{file}: labels")
    index = {name: position for position, name in enumerate(classes)}
    boxes = Boxes(classes, {name: {"index": position, "name": name} for name, position in index.items()})
    sizes = document.get("size_info")
    for code, image in images.items():
        if image is None:
            findings.add("missing_image", file, f"names an image that is not there: {code!r}")
            continue
        listed = shapes.get(code) or []
        if not isinstance(listed, list):
            raise Unusable(f"{file}: shapes of {code!r} must be a list")
        boxes.by_image[image] = [box for shape in listed if (box := _box(shape, index, findings)) is not None]
        size = _size(sizes.get(code)) if isinstance(sizes, dict) else None
        if size is not None:
            boxes.sizes[image] = size
    return boxes


def _labels(document: Document, shapes: Document, images: dict[str, str | None]) -> list[str]:
    """As the file says itself which it uses, else all there are."""
    used = document.get("label_used")
    if isinstance(used, list) and used:
        return sorted({str(name).strip() for name in used})
    listed = (shape for code in images for shape in shapes.get(code) or [] if isinstance(shape, dict))
    return sorted({str(shape.get("label", "")).strip() for shape in listed} - {""})


def _size(value: object) -> tuple[int, int] | None:
    if isinstance(value, list) and len(value) == 2 and all(type(number) is int and number > 0 for number in value):
        return value[0], value[1]
    return None


def _box(shape: object, index: dict[str, int], findings: Findings) -> tuple[int, Corners] | None:
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
        findings.dropped["damaged annotations"] += 1
        return None
    kind, label, corners = shape.get("shape_type", "rectangle"), shape["label"].strip(), _corners(shape.get("points"))
    if label not in index:
        findings.dropped["annotations of other classes"] += 1
    elif kind != "rectangle" and kind not in AROUND:
        findings.dropped[f"shapes of type {str(kind)[:40]}"] += 1
    elif corners is None:
        findings.dropped["annotations without a box"] += 1
    else:
        if kind in AROUND:
            findings.dropped[f"{kind} (the box around it was kept)"] += 1
        return index[label], corners
    return None


def _corners(points: object) -> Corners | None:
    """Of the box around all points."""
    if not isinstance(points, list) or len(points) < 2:
        return None
    if not all(isinstance(point, list) and len(point) == 2 and all(map(is_number, point)) for point in points):
        return None
    across, down = [point[0] for point in points], [point[1] for point in points]
    return min(across), min(down), max(across), max(down)
