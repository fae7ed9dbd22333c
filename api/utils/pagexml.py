"""ALTO 4 and PAGE (2013 to 2019): read from strangers, and written.

Read event by event: no tree is built, so memory is bounded by what is kept. A document type declaration is refused
before what it declares is looked at, entities are never resolved, nothing is fetched. Namespaces are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lxml import etree

MOST_BYTES = 32 * 1024**2
MOST_ELEMENTS = 500_000
MOST_LINES = 20_000
MOST_POINTS = 10_000  # of one line
MOST_TEXT = 100_000  # characters of one line
MOST_DEPTH = 100
FURTHEST = 10**7  # pixels
_CHUNK = 1 << 16
_NUMBER = re.compile(r"[+-]?\d{1,12}(?:\.\d{0,12})?", re.ASCII)
_WHOLE = re.compile(r"[0-9 ,]+")
_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,199}", re.ASCII)

Points = tuple[tuple[int, int], ...]


class BadXml(Exception):
    """The file cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line as a file has it. A baseline of one point is kept, and counts for none."""

    external_id: str | None
    baseline: Points | None
    boundary: Points | None
    text: str

    def flat(self) -> FlatLine:
        baseline, boundary = self.baseline, self.boundary
        has = (len(baseline or ()) >= 2, len(boundary or ()) >= 3, bool(self.text.strip()))
        return FlatLine(self.external_id, _encoded(baseline), _encoded(boundary), self.text, *has)


class FlatLine(NamedTuple):
    """A line as the database keeps it: points as JSON, and whether each thing is there in the contract's words."""

    external_id: str | None
    baseline: str | None
    boundary: str | None
    text: str
    has_baseline: bool  # at least two points
    has_polygon: bool  # at least three
    has_text: bool


def _encoded(points: Points | None) -> str | None:
    return None if points is None else json.dumps(points, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class XmlPage:
    """`image`: as the file names it."""

    image: str
    width: int | None
    height: int | None
    lines: tuple[TextLine, ...]


# ---- reading


def read_page(content: bytes) -> XmlPage:
    """Raises BadXml."""
    if len(content) > MOST_BYTES:
        raise BadXml(f"is longer than {MOST_BYTES} bytes")
    reader = _Reader()
    parser = etree.XMLParser(
        target=reader, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_pis=True
    )
    try:
        for start in range(0, len(content), _CHUNK):
            parser.feed(content[start : start + _CHUNK])
        parser.close()
    except (etree.LxmlError, ValueError, LookupError) as problem:
        raise BadXml(f"is not well-formed XML: {str(problem)[:200] or 'it is empty'}") from None
    return reader.page()


class _Reader:
    """lxml's parser target: keeps the path of open elements, and hands what counts to the format's own rules."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.rules: _Alto | _PageRules | None = None
        self._elements = 0
        self._text: list[str] | None = None
        self._length = 0

    def doctype(self, *_: Any) -> None:
        raise BadXml("has a document type declaration, which is never taken")

    def start(self, tag: str, attributes: Any) -> None:
        name = tag.rpartition("}")[2]
        self._elements += 1
        self.path.append(name)
        if self._elements > MOST_ELEMENTS:
            raise BadXml(f"has more than {MOST_ELEMENTS} elements")
        if len(self.path) > MOST_DEPTH:
            raise BadXml(f"is nested deeper than {MOST_DEPTH} levels")
        if self.rules is None:
            if name not in ("alto", "PcGts"):
                raise BadXml(f"is neither ALTO nor PAGE: its root element is {name[:80]!r}")
            self.rules = _Alto() if name == "alto" else _PageRules()
        self._text, self._length = ([] if name in self.rules.texts else None), 0
        self.rules.start(name, attributes, self.path)

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
            self._length += len(text)
            if self._length > MOST_TEXT:
                raise BadXml(f"has a text longer than {MOST_TEXT} characters")

    def end(self, _tag: str) -> None:
        assert self.rules is not None
        name = self.path[-1]
        text = "".join(self._text) if self._text is not None and name in self.rules.texts else ""
        self._text = None
        self.rules.end(name, text, self.path)
        self.path.pop()

    def close(self) -> None:
        """lxml wants it."""

    def page(self) -> XmlPage:
        if self.rules is None:
            raise BadXml("is empty")
        return self.rules.page()


def _plain(value: str | None) -> str | None:
    """libxml2, told to resolve no entities, hands on each `&` of an attribute as `&#38;`."""
    return value.replace("&#38;", "&") if value is not None and "&" in value else value


class _Rules:
    """What both formats have: one page, its image and its lines."""

    texts: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.image: str | None = None
        self.size: tuple[int | None, int | None] | None = None
        self.lines: list[TextLine] = []
        self.id: str | None = None
        self.baseline: Points | None = None
        self.boundary: Points | None = None

    def begin_page(self, width: str | None, height: str | None) -> None:
        if self.size is not None:
            raise BadXml("describes more than one page")
        self.size = _extent(width), _extent(height)

    def begin_line(self, identity: str | None) -> None:
        if len(self.lines) >= MOST_LINES:
            raise BadXml(f"has more than {MOST_LINES} lines")
        self.id, self.baseline, self.boundary = (_plain(identity) or None), None, None
        if self.id is not None and len(self.id) > 200:
            self.id = None

    def end_line(self, text: str) -> None:
        if len(text) > MOST_TEXT:
            raise BadXml(f"has a line longer than {MOST_TEXT} characters")
        self.lines.append(TextLine(self.id, self.baseline, self.boundary, text))

    def page(self) -> XmlPage:
        if self.size is None:
            raise BadXml("describes no page")
        if not self.image:
            raise BadXml("names no image")
        if len(self.image) > 1000 or not self.image.isprintable():
            raise BadXml("names its image in a way that no file is named")
        return XmlPage(self.image, *self.size, tuple(self.lines))


class _Alto(_Rules):
    texts = frozenset({"fileName", "MeasurementUnit"})

    def __init__(self) -> None:
        super().__init__()
        self._words: list[str] = []

    def start(self, name: str, attributes: Any, path: Sequence[str]) -> None:
        if name == "Page":
            self.begin_page(attributes.get("WIDTH"), attributes.get("HEIGHT"))
        elif name == "TextLine":
            self.begin_line(attributes.get("ID"))
            self.baseline = _points(attributes.get("BASELINE"))
            self._words = []
        elif name == "Polygon" and path[-3:-1] == ["TextLine", "Shape"]:
            self.boundary = _points(attributes.get("POINTS"))
        elif name in ("String", "SP") and path[-2] == "TextLine":
            self._words.append(_plain(attributes.get("CONTENT")) or " ")

    def end(self, name: str, text: str, path: Sequence[str]) -> None:
        if name == "TextLine":
            self.end_line("".join(self._words))
        elif name == "fileName" and self.image is None:
            self.image = text.strip()
        elif name == "MeasurementUnit" and text.strip() != "pixel":
            raise BadXml(f"measures in {text.strip()[:40]!r}; only pixel is taken")


class _PageRules(_Rules):
    texts = frozenset({"Unicode"})

    def __init__(self) -> None:
        super().__init__()
        self._line: list[tuple[int, str]] = []  # of TextEquiv: index, text
        self._words: list[str] = []
        self._index = 0

    def start(self, name: str, attributes: Any, path: Sequence[str]) -> None:
        parent = path[-2] if len(path) > 1 else ""
        if name == "Page":
            self.begin_page(attributes.get("imageWidth"), attributes.get("imageHeight"))
            self.image = _plain(attributes.get("imageFilename"))
        elif name == "TextLine":
            self.begin_line(attributes.get("id"))
            self._line, self._words = [], []
        elif name == "Baseline" and parent == "TextLine":
            self.baseline = _points(attributes.get("points"))
        elif name == "Coords" and parent == "TextLine":
            self.boundary = _points(attributes.get("points"))
        elif name == "TextEquiv":
            self._index = _extent(attributes.get("index")) or 0

    def end(self, name: str, text: str, path: Sequence[str]) -> None:
        if name == "Unicode" and path[-3:-1] == ["TextLine", "TextEquiv"]:
            self._line.append((self._index, text))
        elif name == "Unicode" and path[-3:-1] == ["Word", "TextEquiv"]:
            self._words.append(text)
        elif name == "TextLine":
            best = min(self._line, default=None, key=lambda pair: pair[0])
            self.end_line(best[1] if best is not None else " ".join(self._words))


def _extent(text: str | None) -> int | None:
    """A length in pixels; None for what is none."""
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    number = int(float(text))
    return number if 0 <= number <= FURTHEST else None


def _points(text: str | None) -> Points | None:
    """`x,y x,y` or `x y x y`; None for none at all, or for what cannot be read as pairs of numbers."""
    words = (text or "").replace(",", " ").split(None, 2 * MOST_POINTS + 1)
    if not words or len(words) % 2:
        return None
    if len(words) > 2 * MOST_POINTS:
        raise BadXml(f"has a line of more than {MOST_POINTS} points")
    try:
        numbers = list(map(int, words)) if _WHOLE.fullmatch(text or "") else [int(float(word)) for word in words]
    except (ValueError, OverflowError):  # no number, or none of this world
        return None
    if max(map(abs, numbers)) > FURTHEST:
        return None
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


# ---- writing

ALTO = "http://www.loc.gov/standards/alto/ns-v4#"
PAGE = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"
_SPACES = re.compile(r"( )")


def write_alto(page: XmlPage) -> bytes:
    """What `read_page` makes the same page of again."""
    root = etree.Element("alto", nsmap={None: ALTO})
    description = etree.SubElement(root, "Description")
    etree.SubElement(description, "MeasurementUnit").text = "pixel"
    source = etree.SubElement(description, "sourceImageInformation")
    etree.SubElement(source, "fileName").text = page.image
    layout = etree.SubElement(root, "Layout")
    size = _present(WIDTH=page.width, HEIGHT=page.height)
    sheet = etree.SubElement(layout, "Page", ID="page", PHYSICAL_IMG_NR="1", **size)
    space = etree.SubElement(sheet, "PrintSpace", HPOS="0", VPOS="0", **size)
    block = etree.SubElement(space, "TextBlock", ID="block")
    for identity, line in zip(_ids(page.lines), page.lines, strict=True):
        place = {} if line.baseline is None else {"BASELINE": " ".join(f"{x} {y}" for x, y in line.baseline)}
        element = etree.SubElement(block, "TextLine", ID=identity, **place)
        if line.boundary is not None:
            points = " ".join(f"{x} {y}" for x, y in line.boundary)
            etree.SubElement(etree.SubElement(element, "Shape"), "Polygon", POINTS=points)
        for word in filter(None, _SPACES.split(line.text)):
            if word == " ":
                etree.SubElement(element, "SP")
            else:
                etree.SubElement(element, "String", CONTENT=word)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def write_page(page: XmlPage, moment: str) -> bytes:
    """What `read_page` makes the same page of again. `moment`: ISO 8601, for the metadata that the format demands."""
    root = etree.Element("PcGts", nsmap={None: PAGE})
    about = etree.SubElement(root, "Metadata")
    for name, text in (("Creator", "Trainyard"), ("Created", moment), ("LastChange", moment)):
        etree.SubElement(about, name).text = text
    size = _present(imageWidth=page.width, imageHeight=page.height)
    sheet = etree.SubElement(root, "Page", imageFilename=page.image, **size)
    region = etree.SubElement(sheet, "TextRegion", id="region")
    right, below = max((page.width or 1) - 1, 0), max((page.height or 1) - 1, 0)
    etree.SubElement(region, "Coords", points=f"0,0 {right},0 {right},{below} 0,{below}")
    for identity, line in zip(_ids(page.lines), page.lines, strict=True):
        element = etree.SubElement(region, "TextLine", id=identity)
        for name, points in (("Coords", line.boundary), ("Baseline", line.baseline)):
            if points is not None:
                etree.SubElement(element, name, points=" ".join(f"{x},{y}" for x, y in points))
        if line.text:
            etree.SubElement(etree.SubElement(element, "TextEquiv"), "Unicode").text = line.text
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _present(**attributes: int | None) -> dict[str, str]:
    return {name: str(value) for name, value in attributes.items() if value is not None}


def _ids(lines: Sequence[TextLine]) -> list[str]:
    """Each line's own where it can stand in XML and is the only one of its kind."""
    used = {"page", "block", "region"}
    found = []
    for number, line in enumerate(lines, 1):
        own = line.external_id
        identity = own if own is not None and _ID.fullmatch(own) and own not in used else f"line_{number}"
        while identity in used:
            identity += "_"
        used.add(identity)
        found.append(identity)
    return found


_NO_XML = re.compile("[^\\t\\n\\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_writable(text: str) -> bool:
    """Whether an XML file can hold it."""
    return not _NO_XML.search(text)
