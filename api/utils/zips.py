"""Archives from strangers: every name, size and overlap is judged before the first byte is unpacked.

zipfile itself takes overlapping entries (43 kB that unpack to 10 GB), cuts names at NUL, and raises half a dozen
kinds of exception; here all that is wrong is a BadZip.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from api.utils.texts import is_plain

_DRIVE = re.compile(r"[A-Za-z]:")
_EOCD = struct.Struct("<4s4H2IH")
_EOCD64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_LOCAL_HEADER = 30  # bytes, before the name
_MOST_RATIO = 200  # unpacked to packed, of a whole archive over _RATIO_FREE bytes
_RATIO_FREE = 100 * 1024**2
_SINGLE_RATIO_FREE = 10 * 1000**2
_CHUNK = 1 << 20
#: what zipfile raises over damaged archives
_PROBLEMS = (
    zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, ValueError, EOFError,
    OverflowError, IndexError, UnicodeError,
)  # fmt: skip


class BadZip(Exception):
    """The archive cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class ZipLimits:
    files: int
    total: int  # bytes, unpacked
    name: int = 1000  # bytes
    depth: int = 32
    single: int | None = None  # bytes of one file, unpacked; None: as many as all together
    ratio: int | None = None  # unpacked to packed, of one file over _SINGLE_RATIO_FREE bytes; None: any


class SafeZip:
    """An archive whose directory has been judged. Its names are relative paths without anything odd in them."""

    def __init__(self, archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> None:
        self._archive = archive
        self._entries = entries

    @property
    def names(self) -> tuple[str, ...]:
        """Of the files, in the archive's order; directories are not among them."""
        return tuple(self._entries)

    @property
    def total(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(info.file_size for info in self._entries.values())

    def size(self, name: str) -> int:
        return self._entries[name].file_size

    def read(self, name: str, limit: int) -> bytes:
        """A small file. Raises BadZip over a damaged one, or one that is longer than `limit`."""
        if self.size(name) > limit:
            raise BadZip(f"is longer than {limit} bytes")
        return b"".join(self._chunks(name))

    def copy(self, name: str, target: BinaryIO) -> None:
        for chunk in self._chunks(name):
            target.write(chunk)

    def _chunks(self, name: str) -> Iterator[bytes]:
        """Never more than the directory says, whatever the data unpacks to."""
        info = self._entries[name]
        left = info.file_size
        try:
            with self._archive.open(info) as file:
                while chunk := file.read(min(_CHUNK, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        raise BadZip("unpacks to more than its directory says")
                    yield chunk
        except _PROBLEMS as problem:
            raise BadZip(f"is damaged: {problem}") from None
        if left:
            raise BadZip("unpacks to less than its directory says")


def natural(name: str) -> list[Any]:
    """A key to sort by: page2 before page10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"([0-9]{1,18})", name)]


def plain_name(text: str) -> str:
    """What a stranger calls a file, without the folders before it, as an archive of ours could hold it; "" for none."""
    base = _DRIVE.sub("", text.replace("\\", "/").rpartition("/")[2])
    kept = "".join(char for char in base if char.isprintable())
    while len(kept.encode()) > 255:
        kept = kept[1:]  # its end tells the kind
    return "" if kept in (".", "..") else kept


@contextmanager
def open_zip(path: Path, limits: ZipLimits) -> Iterator[SafeZip]:
    """Raises BadZip, before anything is unpacked, for an archive that is not wholly sound."""
    with open(path, "rb") as file, read_zip(file, limits) as archive:
        yield archive


@contextmanager
def read_zip(file: BinaryIO, limits: ZipLimits) -> Iterator[SafeZip]:
    """The same of an open, seekable file, which stays open."""
    start = _directory(file, limits)
    try:
        archive = zipfile.ZipFile(file)
    except _PROBLEMS as problem:
        raise BadZip(f"is no usable zip: {problem}") from None
    with archive:
        yield SafeZip(archive, _judged(archive, start, file.seek(0, os.SEEK_END), limits))


def _directory(file: BinaryIO, limits: ZipLimits) -> int:
    """Where the central directory begins, by the archive's end: it must lie right before that, and be short enough."""
    size = file.seek(0, os.SEEK_END)
    tail_start = max(0, size - _EOCD.size - 0xFFFF)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _EOCD.size:
        raise BadZip("is no zip, or only the beginning of one")
    _, disk, first_disk, here, count, length, offset, comment = _EOCD.unpack_from(tail, at)
    if at + _EOCD.size + comment != len(tail):
        raise BadZip("has other data behind its end")
    end = tail_start + at
    if 0xFFFF in (count, here) or 0xFFFFFFFF in (length, offset) or _has_locator(file, end):
        end, disk, first_disk, here, count, length, offset = _zip64(file, end)
    if disk or first_disk or here != count:
        raise BadZip("is a part of a split archive")
    if count > limits.files:
        raise BadZip(f"has {count} entries; at most {limits.files} are taken")
    if not count:
        raise BadZip("is empty")
    if offset + length != end or length > count * (46 + 3 * 0xFFFF):
        raise BadZip("has data that belongs to no file")
    return int(offset)


def _has_locator(file: BinaryIO, end: int) -> bool:
    """Whether there is a zip64 directory, as zipfile looks for it: its own archives have one from 2 GiB on, while all
    numbers still fit the old one."""
    if end < _LOCATOR.size:
        return False
    file.seek(end - _LOCATOR.size)
    return file.read(4) == b"PK\6\7"


def _zip64(file: BinaryIO, end: int) -> tuple[int, ...]:
    if end < _LOCATOR.size:
        raise BadZip("is damaged at its end")
    file.seek(end - _LOCATOR.size)
    mark, _, where, _ = _LOCATOR.unpack(file.read(_LOCATOR.size))
    if mark != b"PK\6\7" or where + _EOCD64.size + _LOCATOR.size != end:
        raise BadZip("is damaged at its end")
    file.seek(where)
    mark, _, _, _, disk, first_disk, here, count, length, offset = _EOCD64.unpack(file.read(_EOCD64.size))
    if mark != b"PK\6\6":
        raise BadZip("is damaged at its end")
    return where, disk, first_disk, here, count, length, offset


def _judged(archive: zipfile.ZipFile, start: int, size: int, limits: ZipLimits) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    files: dict[str, zipfile.ZipInfo] = {}
    seen: dict[str, str] = {}  # what a file system without case knows: file | folder
    total = 0
    for info in infos:
        name = _checked_name(info, limits)
        _check_kind(info, name)
        _check_size(info, name, limits)
        total += info.file_size
        if total > limits.total:
            raise BadZip(f"unpacks to more than {limits.total} bytes (at {name!r})")
        _check_clash(name, info.is_dir(), seen)
        if not info.is_dir():
            files[name] = info
    if not files:
        raise BadZip("has no file in it")
    if total > _RATIO_FREE and total > _MOST_RATIO * size:
        raise BadZip(f"unpacks to {total} bytes from {size}: that is a bomb")
    _check_overlaps(infos, start)
    return files


def _checked_name(info: zipfile.ZipInfo, limits: ZipLimits) -> str:
    raw = info.orig_filename
    name = raw.removesuffix("/")
    parts = name.split("/")
    shown = repr(raw[:80])
    if any(part in ("", ".", "..") for part in parts) or _DRIVE.match(name) or "\\" in raw:
        raise BadZip(f"has an unsafe name in it: {shown}")
    if not is_plain(raw):
        raise BadZip(f"has a name with control characters in it: {shown}")
    encoded = [len(part.encode()) for part in parts]
    if max(encoded) > 255 or sum(encoded) > limits.name or len(parts) > limits.depth:
        raise BadZip(f"has a name in it that is too long: {shown}")
    return name


def _check_kind(info: zipfile.ZipInfo, name: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        raise BadZip(f"{name!r} in it is no plain file")
    if info.flag_bits & 0x41:
        raise BadZip(f"{name!r} in it is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadZip(f"{name!r} in it is packed in a way that is not taken (only deflate is)")
    if info.is_dir() and info.file_size:
        raise BadZip(f"{name!r} in it is a directory with content")


def _check_size(info: zipfile.ZipInfo, name: str, limits: ZipLimits) -> None:
    size = info.file_size
    if limits.single is not None and size > limits.single:
        raise BadZip(f"{name!r} in it unpacks to {size} bytes; at most {limits.single} are taken")
    if limits.ratio is not None and size > _SINGLE_RATIO_FREE and size > limits.ratio * info.compress_size:
        raise BadZip(f"{name!r} in it unpacks to {size} bytes from {info.compress_size}: that is a bomb")


def _check_clash(name: str, is_dir: bool, seen: dict[str, str]) -> None:
    key = unicodedata.normalize("NFC", name).casefold()
    parts = key.split("/")
    for length in range(1, len(parts)):
        if seen.setdefault("/".join(parts[:length]), "folder") != "folder":
            raise BadZip(f"{name!r} in it lies below a file")
    if key in seen and not (is_dir and seen[key] == "folder"):
        raise BadZip(f"{name!r} is in it twice, or differs from another name in case only")
    seen[key] = "folder" if is_dir else "file"


def _check_overlaps(infos: list[zipfile.ZipInfo], start: int) -> None:
    """`start`: where the central directory begins. The true extents are a little longer than what is summed here."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    if ordered[0].header_offset != 0:
        raise BadZip("has other data before its first file")
    for info, following in zip(ordered, [*(i.header_offset for i in ordered[1:]), start], strict=True):
        if info.header_offset + _LOCAL_HEADER + info.compress_size > following:
            raise BadZip(f"{info.filename!r} in it overlaps another file")
