"""Small pages of printed text, with the lines that are on them: enough for a small network to learn from."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from api.models.ocr import Line, Page, Part

WORDS = "six ten two ox next tent sow wins"
WIDTH, LINE = 300, 56


def draw(directory: Path, pages: int, lines: int, *, seed: int = 1) -> list[Page]:
    """Writes `page1.png`, ... ; the images of the pages that come back are relative to the directory."""
    rng = random.Random(seed)
    font = ImageFont.load_default(size=28)
    return [_page(directory, number, lines, rng, font) for number in range(1, pages + 1)]


def _page(directory: Path, number: int, count: int, rng: random.Random, font: ImageFont.FreeTypeFont) -> Page:
    height = LINE * count + 20
    image = Image.new("L", (WIDTH, height), 255)
    pen = ImageDraw.Draw(image)
    found: list[Line] = []
    for index in range(count):
        text = " ".join(rng.choices(WORDS.split(), k=2))
        top = 10 + index * LINE
        pen.text((12, top + 6), text, fill=0, font=font)
        right = min(WIDTH - 4, 16 + int(pen.textlength(text, font=font)))
        baseline = ((10, top + 36), (right, top + 36))
        boundary = ((8, top + 2), (right + 2, top + 2), (right + 2, top + 48), (8, top + 48))
        found.append(Line(number * 1000 + index, number, index + 1, None, baseline, boundary, text))
    name = f"page{number}.png"
    image.save(directory / name)
    part = Part(number, 1, number, name, name, WIDTH, height, None, count, count, count, count)
    return Page(part, tuple(found))
