"""Where the YOLO platform's datasets lie: `<data>/datasets/<dataset>/{source,v1,v2,...}`, each whole or not there.

What is being made lies in `.yolo-drafts` until it is on the disk; then it gets its name, in the transaction that tells
of it. What a crash leaves without a row is removed at the next start.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from api.utils import drafts
from api.utils.disks import sync_file_system
from api.utils.downloads import open_beneath
from api.utils.errors import Insufficient, Malformed
from api.utils.faults import fault
from api.utils.zips import BadZip, SafeZip, ZipLimits, read_zip
from api.utils.zipstream import ZipStream

SOURCE = "source"
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
LABELS = frozenset({".txt", ".xml"})
_WANTED = IMAGES | LABELS | {".yaml", ".yml", ".json", ".names"}
_NO_LABELS = frozenset({"classes.txt", "labels.txt", "train.txt", "val.txt", "test.txt", "readme.txt"})
_ID = re.compile(r"ds_\d{8}_\d{6}_[0-9a-f]{8}")
_VERSION = re.compile(r"v\d+")
_ROOM = 64 * 1024**2  # bytes that an upload leaves free


@dataclass(frozen=True, slots=True)
class Content:
    """What came: bytes of all, images, and files that may label them."""

    size: int
    images: int
    labels: int


class YoloFiles:
    def __init__(self, data_dir: Path, limits: ZipLimits) -> None:
        self.root = data_dir / "datasets"
        self._drafts = self.root / ".yolo-drafts"
        self._limits = limits

    def of(self, dataset_id: str) -> Path:
        return self.root / dataset_id

    def sweep(self, known: Mapping[str, set[str]]) -> None:
        """At the start: drafts, datasets and versions that no row knows."""
        shutil.rmtree(self._drafts, ignore_errors=True)
        self._drafts.mkdir(parents=True, mode=0o700)
        for place in self.root.iterdir():
            if not _ID.fullmatch(place.name) or not place.is_dir():
                continue
            inside = {path.name for path in place.iterdir()}
            versions = {name for name in inside if _VERSION.fullmatch(name)}
            if place.name not in known and inside <= versions | {SOURCE}:  # ours, and not another keeper's of this name
                shutil.rmtree(place, ignore_errors=True)
            for name in versions - known.get(place.name, versions):
                shutil.rmtree(place / name, ignore_errors=True)

    def draft(self) -> AbstractContextManager[Path]:
        """A directory for what is being made, gone afterwards unless it has got its name."""
        return drafts.draft(self._drafts)

    def unpack(self, file: BinaryIO, target: Path) -> Content:
        """An archive's images and labels, onto the disk. Raises Malformed naming what is wrong, Insufficient."""
        try:
            with read_zip(file, self._limits) as archive:
                if archive.total + _ROOM > shutil.disk_usage(target).free:
                    raise Insufficient(f"the disk has no room for the {archive.total} bytes of this archive")
                content = _extract(archive, target)
        except BadZip as problem:
            raise Malformed(f"file: the archive {problem}") from None
        except OSError as problem:
            if problem.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Insufficient("the disk is full; nothing of the archive was kept") from None
            raise
        sync_file_system(target)
        fault("dataset.unpacked")
        return content

    def survey(self, directory: Path, most: int) -> Content:
        """A directory of somebody's, by its names alone. Raises Malformed."""
        size = images = labels = files = 0
        for folder, subfolders, names in os.walk(directory):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in names:
                files += 1
                if files > most:
                    raise Malformed(f"path: there are more than {most} files in the directory")
                try:
                    size += os.lstat(os.path.join(folder, name)).st_size
                except FileNotFoundError:
                    continue
                images += is_image(name)
                labels += is_label(name)
        return Content(size, images, labels)

    def name(self, draft: Path, final: Path) -> None:
        """What is whole and on the disk gets its name. For use in the transaction that tells of it."""
        drafts.name(draft, final)

    def open(self, relative: str) -> BinaryIO:
        """Raises FileNotFoundError."""
        return open_beneath(self.root, relative)

    def export(self, dataset_id: str, version: str, *, labels: bool) -> Iterator[bytes]:
        """A zip of a prepared version. What is missing at the beginning raises before the first byte is sent."""
        place = self.of(dataset_id) / version
        with open_beneath(place, "portable.yaml") as file:
            document = file.read()
        return _exported(place, document, ("images", "labels") if labels else ("images",))

    def remove(self, dataset_id: str) -> None:
        shutil.rmtree(self.of(dataset_id), ignore_errors=True)


def is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGES


def is_label(name: str) -> bool:
    path = PurePosixPath(name.lower())
    return path.suffix in LABELS and path.name not in _NO_LABELS


def _extract(archive: SafeZip, target: Path) -> Content:
    size = images = labels = 0
    for name in archive.names:
        path = PurePosixPath(name)
        if path.suffix.lower() not in _WANTED or any(part.startswith((".", "__MACOSX")) for part in path.parts):
            continue
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "xb") as file:
            try:
                archive.copy(name, file)
            except BadZip as problem:
                raise BadZip(f"cannot be unpacked: {name!r} in it {problem}") from None
        size += archive.size(name)
        images += is_image(name)
        labels += is_label(name)
    return Content(size, images, labels)


def _exported(place: Path, document: bytes, kinds: tuple[str, ...]) -> Iterator[bytes]:
    archive = ZipStream()
    yield from archive.add_bytes("data.yaml", document)
    for kind in kinds:
        for folder, subfolders, names in os.walk(place / kind):
            subfolders.sort()
            for name in sorted(names):
                relative = os.path.relpath(os.path.join(folder, name), place)
                with open_beneath(place, relative) as file:
                    yield from archive.add_file(relative, file)
    yield from archive.finish()
