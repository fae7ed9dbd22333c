"""Images by their first bytes (facts A24, A25)."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from PIL import Image

from api.utils.images import BadImage, ImageHeader, image_header, is_image


def saved(form: str, size: tuple[int, int] = (37, 21), **options: object) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size).save(target, form, **options)
    return target.getvalue()


def header(content: bytes) -> ImageHeader:
    return image_header(io.BytesIO(content))


@pytest.mark.parametrize(
    ("content", "extension"),
    [
        (saved("PNG"), ".png"),
        (saved("JPEG"), ".jpg"),
        (saved("JPEG", progressive=True, exif=b"Exif\0\0" + b"x" * 60_000), ".jpg"),
        (saved("TIFF"), ".tif"),
        (saved("TIFF", compression="tiff_lzw"), ".tif"),
    ],
)
def test_sizes_are_those_that_a_decoder_sees(content: bytes, extension: str) -> None:
    assert header(content) == ImageHeader(extension, 37, 21) and is_image(content[:8])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8\xff\xe0" + b"\xff" * 100, b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\0\0", b"<svg/>", b"<html>", b"8BPS" + b"\0" * 100, saved("GIF"), saved("BMP"), saved("WEBP"),
        b"GIF89a/*" + b"\0" * 50 + b"*/=1;alert(1)",
    ],
)  # fmt: skip
def test_what_is_no_image_of_ours(content: bytes) -> None:
    with pytest.raises(BadImage):
        header(content)


def test_a_bomb_is_refused_by_its_header() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    big = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    with pytest.raises(BadImage, match="30000 x 30000"):
        header(big)
    with pytest.raises(BadImage, match="without a size"):
        header(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 0, 0, 0, 0)))


def test_a_tiff_that_lies_about_its_tags_ends() -> None:
    with pytest.raises(BadImage):
        header(b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 65535 * 12)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_damage_is_never_anything_but_a_bad_image(form: str) -> None:
    raw = saved(form)
    dice = random.Random(3)
    for _ in range(2000):
        mutant = bytearray(raw[: dice.randint(1, len(raw))])
        for _ in range(dice.randint(1, 6)):
            mutant[dice.randrange(min(len(mutant), 200))] = dice.randrange(256)
        try:
            header(bytes(mutant))
        except BadImage:
            pass
