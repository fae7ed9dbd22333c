"""A dataset that a small YOLO can learn: coloured squares, discs and triangles on a grey ground."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw

CLASSES = ("square", "disc", "triangle")
_COLOURS = ((200, 60, 50), (50, 160, 70), (60, 80, 200))


def draw(root: Path, *, train: int = 16, val: int = 8, size: int = 64, seed: int = 1) -> Path:
    """Writes images, labels and data.yaml below `root`; the path of the last."""
    chance = random.Random(seed)
    for split, count in (("train", train), ("val", val)):
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(count):
            picture, lines = _scene(chance, size)
            picture.save(images / f"{number:04}.png")
            (labels / f"{number:04}.txt").write_text("\n".join(lines) + "\n")
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    data = root / "data.yaml"
    data.write_text(f"path: {root}\ntrain: images/train\nval: images/val\nnames:\n{names}")
    return data


def _scene(chance: random.Random, size: int) -> tuple[Image.Image, list[str]]:
    ground = chance.randint(90, 160)
    picture = Image.new("RGB", (size, size), (ground, ground, ground))
    pen, lines = ImageDraw.Draw(picture), []
    for column in range(chance.randint(1, 2)):
        kind = chance.randrange(len(CLASSES))
        side = chance.randint(size // 4, size // 3)
        left = chance.randint(2, size // 2 - side - 2) + column * (size // 2)
        top = chance.randint(2, size - side - 2)
        box = (left, top, left + side, top + side)
        if kind == 0:
            pen.rectangle(box, fill=_COLOURS[kind])
        elif kind == 1:
            pen.ellipse(box, fill=_COLOURS[kind])
        else:
            pen.polygon(((left, top + side), (left + side, top + side), (left + side // 2, top)), fill=_COLOURS[kind])
        centre = ((left + side / 2) / size, (top + side / 2) / size)
        lines.append(f"{kind} {centre[0]:.6f} {centre[1]:.6f} {side / size:.6f} {side / size:.6f}")
    return picture, lines
