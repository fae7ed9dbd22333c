"""Does a directory hold something to train on? By suffix, and by the first bytes of one file; nothing is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

IMAGES = frozenset(
    (
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".avif",
        ".heic",
        ".heif",
        ".jxl",
        ".jp2",
        ".ppm",
        ".pgm",
        ".tga",
    )
)
VIDEOS = frozenset((".mp4", ".avi", ".mov", ".mkv", ".flv", ".wmv", ".m4v", ".webm", ".mpg", ".mpeg", ".ts", ".3gp"))
ARCHIVES = frozenset((".tar",))
MEDIA = IMAGES | VIDEOS | ARCHIVES

ENTRIES_MAX = 200_000  # entries of a directory that are looked at
HEADERS_MAX = 16  # files of which one must look right
HEADER_BYTES = 512

_STARTS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"BM",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"\xff\x0a",
    b"\0\0\0\x0cJXL ",
    b"\0\0\0\x0cjP  ",
    b"P5",
    b"P6",
    b"\x1aE\xdf\xa3",
    b"FLV",
    b"0&\xb2u\x8ef\xcf\x11",
    b"\0\0\x01\xba",
    b"\0\0\x01\xb3",
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_NO_MAGIC = (".tga", ".tar")  # a TGA has none, an old tar neither


def media_problem(directory: Path) -> str | None:
    """What is wrong with a directory as a dataset; None: nothing that can be seen from outside."""
    tried = 0
    try:
        for entry in _media(directory):
            if _looks_right(entry):
                return None
            tried += 1
            if tried >= HEADERS_MAX:
                break
    except OSError as problem:
        return f"{directory} cannot be read: {problem.strerror}"
    if tried:
        return f"{directory}: none of the media files looked at begins like an image, a video or a tar"
    return f"{directory} holds no image or video (train.py does not look into subdirectories)"


def _media(directory: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        for count, entry in enumerate(entries):
            if count >= ENTRIES_MAX:
                return
            if Path(entry.name).suffix.lower() in MEDIA and entry.is_file():
                yield entry


def _looks_right(entry: os.DirEntry[str]) -> bool:
    try:
        descriptor = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        header = os.read(descriptor, HEADER_BYTES)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return begins_like_media(header, Path(entry.name).suffix.lower())


def begins_like_media(header: bytes, suffix: str) -> bool:
    if not header:
        return False
    riff = header[:4] == b"RIFF" and header[8:12] in (b"WEBP", b"AVI ")
    transport = suffix == ".ts" and header[:1] == b"G"
    return suffix in _NO_MAGIC or transport or riff or header[4:8] in _BOXES or header.startswith(_STARTS)
