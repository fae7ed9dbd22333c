"""Draws the bundled data set: coloured shapes with captions, always the same. Run it to renew `data/`."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image, ImageDraw

SIDE = 32
FINE = 4  # drawn this many times larger, then shrunk
COLOURS = {
    "red": (208, 40, 44),
    "orange": (240, 140, 30),
    "yellow": (236, 208, 40),
    "green": (40, 150, 70),
    "cyan": (40, 176, 196),
    "blue": (44, 76, 200),
    "purple": (130, 60, 170),
    "black": (30, 30, 36),
}
SHAPES = ("circle", "square", "triangle", "cross")
PAPER = (244, 238, 226)
RGB = tuple[int, int, int]


def draw_shape(shape: str, colour: RGB, paper: RGB, rng: random.Random) -> Image.Image:
    """One shape near the middle, its place and size a little different each time."""
    image = Image.new("RGB", (SIDE * FINE, SIDE * FINE), paper)
    pen = ImageDraw.Draw(image)
    x, y = (SIDE * FINE * rng.uniform(0.44, 0.56) for _ in range(2))
    r = SIDE * FINE * rng.uniform(0.27, 0.34)
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), colour)
    elif shape == "square":
        pen.rectangle((x - r * 0.9, y - r * 0.9, x + r * 0.9, y + r * 0.9), colour)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x - r, y + r * 0.85), (x + r, y + r * 0.85)], colour)
    else:
        pen.rectangle((x - r, y - r * 0.33, x + r, y + r * 0.33), colour)
        pen.rectangle((x - r * 0.33, y - r, x + r * 0.33, y + r), colour)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def write_set(folder: Path, seed: int, every: int = 1) -> None:
    """All shapes in all colours, or each `every`-th of them."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number, (shape, colour) in enumerate([(s, c) for s in SHAPES for c in COLOURS]):
        image = draw_shape(shape, COLOURS[colour], PAPER, rng)
        if number % every == 0:
            image.save(folder / f"{colour}_{shape}.png")
            (folder / f"{colour}_{shape}.txt").write_text(f"a {colour} {shape} on paper\n")


if __name__ == "__main__":
    here = Path(__file__).resolve().parent / "data"
    write_set(here / "train", seed=1)
    write_set(here / "eval", seed=2, every=3)
