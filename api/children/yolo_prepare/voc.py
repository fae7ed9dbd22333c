"""Pascal VOC: an XML file an image, its splits in ImageSets/Main."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree import ElementTree

from api.children.yolo_prepare.boxes import Boxes, Corners, ImageFinder
from api.children.yolo_prepare.classes import checked
from api.children.yolo_prepare.findings import Findings
from api.children.yolo_prepare.layouts import split_of
from api.children.yolo_prepare.sources import Source, suffix

MOST_BYTES = 4 * 1024**2
MOST_OBJECTS = 10_000


@dataclass(frozen=True, slots=True)
class _Page:
    image: str
    size: tuple[int, int] | None
    objects: tuple[tuple[str, Corners], ...]


def read(source: Source, images: Sequence[str], given: list[str] | None, findings: Findings) -> Boxes | None:
    """None: there is no annotation of this kind. `given`: the classes that are wanted; others are dropped."""
    finder = ImageFinder(images)
    files = [name for name in source.names if suffix(name) == ".xml"]
    unread: set[str] = set()
    pages = [page for name in files if (page := _page(source, name, finder, findings, unread)) is not None]
    if not pages and not unread:
        return None
    seen = sorted({name for page in pages for name, _ in page.objects})
    classes = given or (checked(seen, "objects") if seen else [])
    index = {name: position for position, name in enumerate(classes)}
    boxes = Boxes(
        classes, {name: {"index": index[name], "name": name} for name in seen if name in index}, unread=unread
    )
    for page in pages:
        kept = boxes.by_image.setdefault(page.image, [])
        for name, corners in page.objects:
            if name in index:
                kept.append((index[name], corners))
            else:
                findings.dropped["objects of other classes"] += 1
        if page.size:
            boxes.sizes[page.image] = page.size
    _splits(source, finder, boxes)
    return boxes


def _page(source: Source, name: str, finder: ImageFinder, findings: Findings, unread: set[str]) -> _Page | None:
    mine = finder.stem(PurePosixPath(name).stem, str(PurePosixPath(name).parent))
    try:
        content = source.read(name, MOST_BYTES)
        parser = ElementTree.XMLParser(target=_Plain())  # noqa: S314  no document type, so no entities; sizes limited
        root = ElementTree.XML(content, parser)
        if root.tag != "annotation":
            return None
        told = root.findtext("filename") or ""
        image = finder.find(told, split_of(name, {})) or mine
        if image is None:
            findings.add("missing_image", name, f"names an image that is not there: {told!r}")
            return None
        objects = root.findall("object")
        if len(objects) > MOST_OBJECTS:
            raise ValueError(f"has more than {MOST_OBJECTS} objects")
        return _Page(image, _size(root), tuple(map(_object, objects)))
    except (ValueError, OSError, ElementTree.ParseError) as problem:
        findings.add("annotation", name, f"is not read: {problem}")
        if mine is not None:
            unread.add(mine)
        return None


class _Plain(ElementTree.TreeBuilder):
    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("has a document type, which is not taken")


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    texts = (root.findtext("size/width"), root.findtext("size/height"))
    width, height = (int(text) if text and text.strip().isdigit() else 0 for text in texts)
    return (width, height) if width and height else None


def _object(element: ElementTree.Element) -> tuple[str, Corners]:
    """Its pixels count from 1, and the last one belongs to the box."""
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError("an object without a name")
    left, top, right, bottom = (
        float(element.findtext(f"bndbox/{part}") or "nan") for part in ("xmin", "ymin", "xmax", "ymax")
    )
    return name, (left - 1, top - 1, right, bottom)


def _splits(source: Source, finder: ImageFinder, boxes: Boxes) -> None:
    for split in ("test", "val", "train"):
        wanted = f"ImageSets/Main/{split}.txt"
        for name in source.names:
            if name != wanted and not name.endswith("/" + wanted):
                continue
            for line in source.text(name, MOST_BYTES).splitlines():
                if line.split() and (image := finder.stem(line.split()[0])):
                    boxes.splits[image] = split
