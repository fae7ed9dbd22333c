"""What kind of image a file is and how large, from its first bytes: nothing is decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

MOST_PIXELS = 100_000_000
_SEGMENTS = 2000  # of a JPEG that are looked at
_TAGS = 1000  # of a TIFF's first directory
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})  # among the JPEG markers C0 to CF


class BadImage(Exception):
    """No image that we take; the text says why."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    extension: str  # with the dot
    width: int
    height: int


def image_header(file: BinaryIO) -> ImageHeader:
    """Of an open, seekable file. Raises BadImage."""
    file.seek(0)
    start = file.read(32)
    try:
        if start.startswith(b"\x89PNG\r\n\x1a\n"):
            if start[12:16] != b"IHDR":
                raise BadImage("is a damaged PNG")
            found = ImageHeader(".png", *struct.unpack(">II", start[16:24]))
        elif start.startswith(b"\xff\xd8\xff"):
            found = _jpeg(file)
        elif start[:4] in (b"II*\0", b"MM\0*"):
            found = _tiff(file, "<" if start.startswith(b"II") else ">")
        else:
            raise BadImage("is neither PNG nor JPEG nor TIFF")
    except struct.error:
        raise BadImage("is a damaged image") from None
    if not (found.width and found.height):
        raise BadImage("is an image without a size")
    if found.width * found.height > MOST_PIXELS:
        raise BadImage(f"has {found.width} x {found.height} pixels; at most {MOST_PIXELS} are taken")
    return found


def is_image(start: bytes) -> bool:
    """By the first bytes of a file."""
    return start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*"))


def _jpeg(file: BinaryIO) -> ImageHeader:
    file.seek(2)
    for _ in range(_SEGMENTS):
        marker = file.read(2)
        while marker[1:] == b"\xff":  # fill bytes
            marker = marker[1:] + file.read(1)
        if len(marker) < 2 or marker[0] != 0xFF:
            break
        kind = marker[1]
        if kind == 0x01 or 0xD0 <= kind <= 0xD7:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= kind <= 0xCF and kind not in _NOT_FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return ImageHeader(".jpg", width, height)
        if kind in (0xD9, 0xDA) or length < 2:
            break
        file.seek(length - 2, 1)
    raise BadImage("is a damaged JPEG")


def _tiff(file: BinaryIO, order: str) -> ImageHeader:
    file.seek(4)
    (offset,) = struct.unpack(order + "I", file.read(4))
    file.seek(offset)
    (count,) = struct.unpack(order + "H", file.read(2))
    sizes: dict[int, int] = {}
    for _ in range(min(count, _TAGS)):
        tag, kind, _number, raw = struct.unpack(order + "HHI4s", file.read(12))
        if tag in (256, 257) and kind in (3, 4):
            sizes[tag] = struct.unpack(order + ("H2x" if kind == 3 else "I"), raw)[0]
    if sizes.keys() != {256, 257}:
        raise BadImage("is a damaged TIFF")
    return ImageHeader(".tif", sizes[256], sizes[257])
