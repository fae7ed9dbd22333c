"""Pages to import: small images, and XML that describes them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from api.utils.pagexml import TextLine, XmlPage, write_alto, write_page

MOMENT = "2026-11-21T12:00:00Z"


def picture(width: int = 60, height: int = 40, form: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new("L", (width, height), 200).save(target, form)
    return target.getvalue()


def line(number: int, text: str | None = None) -> TextLine:
    y = 10 * number
    return TextLine(
        external_id=f"l{number}",
        baseline=((2, y), (30, y + 1), (58, y)),
        boundary=((2, y - 8), (58, y - 8), (58, y + 2), (2, y + 2)),
        text=f"line {number}" if text is None else text,
    )


def page(name: str, lines: Sequence[TextLine] | int = 3) -> XmlPage:
    found = tuple(line(n) for n in range(1, lines + 1)) if isinstance(lines, int) else tuple(lines)
    return XmlPage(name, 60, 40, found)


def xml(name: str, lines: Sequence[TextLine] | int = 3, form: str = "page") -> bytes:
    made = page(name, lines)
    return write_alto(made) if form == "alto" else write_page(made, MOMENT)


def archive(files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return target.getvalue()


def book(pages: int = 3, lines: int = 3, form: str = "page") -> dict[str, bytes]:
    """So many pages with their images."""
    found: dict[str, bytes] = {}
    for number in range(1, pages + 1):
        found[f"{number:04}.xml"] = xml(f"{number:04}.png", lines, form)
        found[f"{number:04}.png"] = picture()
    return found


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        return {name: made.read(name) for name in made.namelist()}


def put(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">'
    + b"".join(b'<!ENTITY lol%d "%s">' % (n, (b"&lol%d;" % (n - 1) if n > 1 else b"&lol;") * 10) for n in range(1, 10))
    + b"]><PcGts><Page>&lol9;</Page></PcGts>"
)
HOSTILE: Mapping[str, bytes] = {
    "laughs.xml": LAUGHS,
    "quadratic.xml": b'<!DOCTYPE a [<!ENTITY a "' + b"x" * 100_000 + b'">]><alto>' + b"&a;" * 10_000 + b"</alto>",
    "outside.xml": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><PcGts><Page imageFilename="&x;"/></PcGts>',
    "network.xml": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><alto/>',
    "parameter.xml": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/x"> %x;]><alto/>',
    "deep.xml": b"<alto>" + b"<a>" * 200_000 + b"</a>" * 200_000 + b"</alto>",
    "wide.xml": b"<alto>" + b"<a/>" * 600_000 + b"</alto>",
    "attributes.xml": b"<alto " + b" ".join(b'a%d=""' % n for n in range(1_000_000)) + b"/>",
    "undefined.xml": b"<alto>&x;</alto>",
    "comment.xml": b"<alto><!--" + b"x" * 12_000_000 + b"--></alto>",
    "half.xml": xml("a.png")[:-40],
    "none.xml": b"",
    "text.xml": b"hello",
    "other.xml": b"<html><body/></html>",
    "encoding.xml": b'<?xml version="1.0" encoding="nonsense"?><alto/>',
}
