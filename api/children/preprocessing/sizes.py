"""How large an item becomes."""

from __future__ import annotations

from typing import NamedTuple

Resolution = int | tuple[int, int] | None


class Size(NamedTuple):
    """Scale to this, then cut the middle out of it."""

    scaled: tuple[int, int]
    cut: tuple[int, int]


def fitted(width: int, height: int, wanted: Resolution, *, even: bool = False) -> Size:
    """A number bounds the shorter side (nothing is enlarged); a pair is filled and what sticks out is cut off.

    `even`: H.264 with its usual chroma has sides of even length only.
    """
    if isinstance(wanted, tuple):
        factor = max(wanted[0] / width, wanted[1] / height)
        scaled = max(wanted[0], round(width * factor)), max(wanted[1], round(height * factor))
        cut = wanted
    else:
        factor = 1.0 if wanted is None else min(1.0, wanted / min(width, height))
        scaled = cut = max(1, round(width * factor)), max(1, round(height * factor))
    if even:
        cut = max(2, cut[0] - cut[0] % 2), max(2, cut[1] - cut[1] % 2)
        scaled = max(scaled[0], cut[0]), max(scaled[1], cut[1])
    return Size(scaled, cut)
