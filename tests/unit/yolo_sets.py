"""Datasets as people have them: images with coloured shapes and labels in every layout."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

SIZE = (64, 48)
LABEL = "0 0.5 0.5 0.25 0.5\n"


def picture(number: int = 0, size: tuple[int, int] = SIZE, form: str = "PNG") -> bytes:
    """Each number has its own content."""
    made = io.BytesIO()
    Image.new("RGB", size, (number % 251, number // 251, 7)).save(made, form)
    return made.getvalue()


def flat(count: int = 10, label: str = LABEL, *, below: str = "") -> dict[str, bytes]:
    files = {f"{below}images/{n:03}.png": picture(n) for n in range(count)}
    return files | {f"{below}labels/{n:03}.txt": label.encode() for n in range(count)}


def coco(count: int = 4) -> dict[str, bytes]:
    images = [{"id": n, "file_name": f"{n}.png", "width": SIZE[0], "height": SIZE[1]} for n in range(count)]
    boxes = [
        {"id": n, "image_id": n, "category_id": 7 if n % 2 else 3, "bbox": [16, 12, 32, 24], "iscrowd": 0}
        for n in range(count)
    ]
    boxes += [
        {"id": 90, "image_id": 0, "category_id": 3, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        {"id": 91, "image_id": 0, "category_id": 3, "bbox": [1, 1, 5, 5], "segmentation": [[1, 1, 2, 2, 3, 3]]},
        {"id": 92, "image_id": 77, "category_id": 3, "bbox": [1, 1, 5, 5]},
    ]
    document = {
        "images": [*images, {"id": 50, "file_name": "gone.png"}],
        "annotations": boxes,
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
    }
    files = {f"images/{n}.png": picture(n) for n in range(count)}
    return files | {"annotations/instances_all.json": json.dumps(document).encode()}


def voc(count: int = 4) -> dict[str, bytes]:
    files = {f"JPEGImages/{n}.png": picture(n) for n in range(count)}
    for n in range(count):
        thing = "<object><name>{}</name><bndbox><xmin>17</xmin><ymin>13</ymin><xmax>48</xmax><ymax>36</ymax></bndbox></object>"
        things = thing.format("dog" if n % 2 else "cat")
        size = f"<size><width>{SIZE[0]}</width><height>{SIZE[1]}</height></size>"
        page = f"<annotation><filename>{n}.png</filename>{size}{things}</annotation>"
        files[f"Annotations/{n}.xml"] = page.encode()
    files["ImageSets/Main/train.txt"] = b"0\n1\n2\n"
    files["ImageSets/Main/val.txt"] = b"3\n"
    return files


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return root


def packed(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()
