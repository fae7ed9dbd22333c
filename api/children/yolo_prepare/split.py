"""Which images are for validation: drawn by a seed, the same each time."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence


def draw_val(groups: Mapping[str, Sequence[str]], part: float, seed: int) -> frozenset[str]:
    """Names of about `part` of all images, at least one of two. Copies of one image, a group, stay together: what is
    validated on was not trained on."""
    total = sum(map(len, groups.values()))
    wanted = min(max(round(total * part), 1), total - 1)
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    chosen: list[str] = []
    for key in order:
        if len(chosen) + len(groups[key]) <= wanted:
            chosen += groups[key]
    return frozenset(chosen)
