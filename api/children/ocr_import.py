"""Takes an archive or a directory of ALTO, PAGE and images apart: `python -m api.children.ocr_import PLAN`.

PLAN is a JSON file: `source`, `archive` (else a directory), `target`, `files`, `bytes`. Into `target` go `pages.jsonl`,
a line a page in the order of the document, and `images/`. What cannot be read is said and left out, page by page.
Every line of output is a JSON object; names in it may be anybody's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from api.utils.downloads import open_beneath
from api.utils.images import BadImage, image_header
from api.utils.pagexml import MOST_BYTES, BadXml, XmlPage, read_page
from api.utils.zips import BadZip, ZipLimits, natural, open_zip, plain_name

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
RESERVE = 256 * 1024**2  # bytes of the disk that an import leaves free
SHOWN = 100  # files whose problems the job keeps; the log has all


class Unusable(Exception):
    """The source as a whole cannot be taken."""


class Source(Protocol):
    """Files by their names relative to the import, with slashes."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def read(self, name: str, limit: int) -> bytes: ...

    def copy(self, name: str, target: BinaryIO) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of the machine; links in it are neither followed nor seen."""

    root: Path
    names: tuple[str, ...]

    @classmethod
    def of(cls, root: Path, most: int) -> Folder:
        found: list[str] = []
        for folder, subfolders, names in os.walk(root):
            subfolders.sort()
            for name in names:
                path = os.path.join(folder, name)
                relative = os.path.relpath(path, root)
                if stat.S_ISREG(os.lstat(path).st_mode) and relative.isprintable():  # surrogates are not
                    found.append(relative)
            if len(found) > most:
                raise Unusable(f"has more than {most} files")
        return cls(root, tuple(found))

    def read(self, name: str, limit: int) -> bytes:
        with open_beneath(self.root, name) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise BadXml(f"is longer than {limit} bytes")
        return content

    def copy(self, name: str, target: BinaryIO) -> None:
        with open_beneath(self.root, name) as file:
            shutil.copyfileobj(file, target, 1 << 20)


@contextmanager
def opened(plan: dict[str, Any]) -> Iterator[Source]:
    path = Path(plan["source"])
    if not plan["archive"]:
        yield Folder.of(path, plan["files"])
        return
    with open_zip(path, ZipLimits(plan["files"], plan["bytes"])) as archive:
        room = shutil.disk_usage(plan["target"]).free - RESERVE
        if archive.total > room:
            raise Unusable(f"unpacks to {archive.total} bytes, and the disk has room for {max(0, room)}")
        yield archive


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


@dataclass
class Import:
    """One run. Page names and image names are those of the source."""

    source: Source
    target: Path
    total: int = 0
    pages: int = 0
    lines: int = 0
    images: int = 0
    failed: int = 0
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.kinds = {name: os.path.splitext(name)[1].lower() for name in self.source.names}
        self.by_base: dict[str, list[str]] = {}
        for name, kind in self.kinds.items():
            if kind in IMAGES:
                self.by_base.setdefault(os.path.basename(name), []).append(name)

    def run(self) -> None:
        (self.target / "images").mkdir(exist_ok=True)
        xml = sorted((n for n, kind in self.kinds.items() if kind == ".xml"), key=natural)
        pictures = sorted((n for n, kind in self.kinds.items() if kind in IMAGES), key=natural)
        if not xml and not pictures:
            raise Unusable("has neither XML nor images in it")
        self.total = len(xml)
        say(event="plan", pages=self.total)
        with open(self.target / "pages.jsonl", "w", encoding="utf-8") as out:
            for name in xml:
                self._attempt(name, out, self._described)
            bare = [name for name in pictures if name not in self.seen]
            self.total += len(bare)
            for name in bare:
                self._attempt(name, out, self._bare)
            out.flush()
            os.fsync(out.fileno())
        sync(self.target / "images")
        sync(self.target)
        say(event="end", pages=self.pages, lines=self.lines, images=self.images, failed=self.failed)

    def _attempt(self, name: str, out: Any, read: Any) -> None:
        try:
            page = read(name)
        except (BadXml, BadZip, BadImage, FileNotFoundError) as problem:
            text = "is gone" if isinstance(problem, FileNotFoundError) else str(problem)
            self._fail(name, text)
        else:
            json.dump(page, out)
            out.write("\n")
            self.pages += 1
        say(event="page", file=shown(name), done=self.pages + self.failed, total=self.total, lines=self.lines)

    def _fail(self, name: str, problem: str) -> None:
        self.failed += 1
        say(event="failed", file=shown(name), message=problem[:300], kept=self.failed <= SHOWN, failed=self.failed)

    def _described(self, name: str) -> dict[str, Any]:
        """A page by its XML, with its image if the source has that."""
        page = read_page(self.source.read(name, MOST_BYTES))
        wanted = page.image.replace("\\", "/")  # as programs on Windows write it
        image = self._find(name, wanted)
        known = image or normal(os.path.join(os.path.dirname(name), wanted)) or plain_name(wanted)
        if not known:
            raise BadXml("names no image")
        if known in self.seen:
            raise BadXml(f"describes {shown(known)!r} like another file before it")
        stored = self._image_of(name, image, page) if image is not None else None
        self.seen.add(known)
        self.lines += len(page.lines)
        size = (page.width, page.height) if None not in (page.width, page.height) else (None, None)
        if stored is not None and size == (None, None):
            size = stored[1:]
        return {
            "name": known,
            "image": stored[0] if stored is not None else None,
            "width": size[0],
            "height": size[1],
            "xml_name": name,
            "lines": [line.flat() for line in page.lines],
        }

    def _image_of(self, xml: str, name: str, page: XmlPage) -> tuple[str, int, int] | None:
        """A page whose image is no image is one without; that is a problem of the image's, not of the page's."""
        try:
            stored = self._store(name)
        except (BadImage, BadZip, FileNotFoundError) as problem:
            self.seen.add(name)
            self._fail(name, str(problem))
            return None
        if None not in (page.width, page.height) and (page.width, page.height) != stored[1:]:
            text = (
                f"is for an image of {page.width} x {page.height} pixels; {shown(name)} has {stored[1]} x {stored[2]}"
            )
            say(event="odd", file=shown(xml), message=text)
        return stored

    def _bare(self, name: str) -> dict[str, Any]:
        image, width, height = self._store(name)
        return {"name": name, "image": image, "width": width, "height": height, "xml_name": None, "lines": None}

    def _find(self, xml: str, image: str) -> str | None:
        """Beside the XML; else in the folder above it, as Transkribus has it; else the only one of its name."""
        folder = os.path.dirname(xml)
        for place in (folder, os.path.dirname(folder)):
            candidate = normal(os.path.join(place, image))
            if candidate is not None and self.kinds.get(candidate) in IMAGES:
                return candidate
        named = self.by_base.get(os.path.basename(image), [])
        return named[0] if len(named) == 1 else None

    def _store(self, name: str) -> tuple[str, int, int]:
        """A copy under a name of our own, on the disk for good."""
        draft = self.target / "images" / "draft"
        with open(draft, "w+b") as file:
            self.source.copy(name, file)
            header = image_header(file)
            file.flush()
            os.fsync(file.fileno())
        own = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16] + header.extension
        draft.replace(self.target / "images" / own)
        self.images += 1
        return own, header.width, header.height


def normal(path: str) -> str | None:
    """Without `.` and `..`; None for what leaves the import."""
    found = os.path.normpath(path)
    return None if found.startswith(("/", "..")) or found == "." or ":" in found[:2] else found


def shown(name: str) -> str:
    return name if len(name) <= 200 else "…" + name[-199:]


def sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main() -> int:
    plan = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    try:
        with opened(plan) as source:
            Import(source, Path(plan["target"])).run()
    except (Unusable, BadZip) as problem:
        say(event="unusable", message=f"the {'archive' if plan['archive'] else 'directory'} {problem}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
