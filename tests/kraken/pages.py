"""Small pages of printed text, with the lines that are on them: enough for a small network to learn from."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from api.services.store.documents import NewPart
from api.utils.pagexml import FlatLine, TextLine

WORDS = ("six", "ten", "two", "ox", "next", "tent", "sow", "wins")
WIDTH, LINE = 300, 56


def draw(data_dir: Path, folder: str, pages: int, lines: int, words: Sequence[str], *, polygons: bool) -> list[NewPart]:
    """Writes `page1.png`, ... into the folder of the data directory."""
    (data_dir / folder).mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    return [
        _page(data_dir, f"{folder}/page{n}.png", lines, rng.choices(words, k=2 * lines), polygons)
        for n in range(1, pages + 1)
    ]


def _page(data_dir: Path, image: str, count: int, words: Sequence[str], polygons: bool) -> NewPart:
    font = ImageFont.load_default(size=28)
    height = LINE * count + 20
    picture = Image.new("L", (WIDTH, height), 255)
    pen = ImageDraw.Draw(picture)
    found: list[FlatLine] = []
    for index in range(count):
        text = " ".join(words[2 * index : 2 * index + 2])
        top = 10 + index * LINE
        pen.text((12, top + 6), text, fill=0, font=font)
        right = min(WIDTH - 4, 16 + int(pen.textlength(text, font=font)))
        baseline = ((10, top + 36), (right, top + 36))
        boundary = ((8, top + 2), (right + 2, top + 2), (right + 2, top + 48), (8, top + 48))
        found.append(TextLine(None, baseline, boundary if polygons else None, text).flat())
    picture.save(data_dir / image)
    return NewPart(Path(image).name, image, WIDTH, height, None, found)
