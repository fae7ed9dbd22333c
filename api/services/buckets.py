"""diffusion-pipe's size buckets for a dataset: a proposal, and what would fall into each. Pure.

The rule (its dataset loader's): an item goes to the aspect ratio that is nearest on a logarithmic scale, a video also
to the longest frame bucket that it fills; a video shorter than every frame bucket above 1 is passed over. Each
bucket gives floor(items x repeats / global batch) steps, once for each resolution.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api.models.prepared import Item

SIDE_MULTIPLE = 16
RATIOS = 7  # aspect ratios that are listed one by one; of more a range is proposed
LONGEST = 129  # frames of a proposed bucket
SMALLEST, LARGEST = 256, 1024  # proposed resolutions


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user fixes; the rest is proposed."""

    resolutions: tuple[int, ...] = ()
    frame_buckets: tuple[int, ...] = ()
    ar_buckets: tuple[float, ...] = ()
    num_repeats: float = 1
    global_batch: int = 1
    epochs: int | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    aspect_ratio: float
    width: int
    height: int
    frames: int
    items: int
    steps: int  # of an epoch


@dataclass(frozen=True, slots=True)
class Proposal:
    """`passed_over`: numbers of videos that no frame bucket takes."""

    dataset: dict[str, Any]
    buckets: list[Bucket]
    passed_over: list[int]
    steps_per_epoch: int
    total_steps: int | None
    warnings: list[str] = field(default_factory=list)


def propose(items: Sequence[Item], directory: str, choice: Choice) -> Proposal:
    resolutions = choice.resolutions or (_resolution(items),)
    frames = tuple(sorted({1, *(choice.frame_buckets or _frame_buckets(items))}))
    ratios, named = _ratios(items, choice.ar_buckets)
    dataset = {
        "resolutions": list(resolutions),
        "enable_ar_bucket": True,
        **named,
        "frame_buckets": list(frames),
        "directory": [{"path": directory, "num_repeats": choice.num_repeats}],
    }
    counted, passed_over = _count(items, ratios, frames)
    buckets = [
        _bucket(ratio, length, count, resolution, choice)
        for resolution in resolutions
        for (ratio, length), count in sorted(counted.items())
    ]
    steps = sum(bucket.steps for bucket in buckets)
    total = None if choice.epochs is None else steps * choice.epochs
    warnings = [*_enlarged(items, max(resolutions)), *_warnings(buckets, passed_over, choice)]
    return Proposal(dataset, buckets, passed_over, steps, total, warnings)


def _resolution(items: Sequence[Item]) -> int:
    """The side of a square as large as the smallest item, in steps of 64, so that none is enlarged; not less than what
    models are made for."""
    side = min(math.sqrt(item.width * item.height) for item in items)
    return int(min(LARGEST, max(SMALLEST, side // 64 * 64)))


def _frame_buckets(items: Sequence[Item]) -> set[int]:
    """4k+1, as video models want it: what the shortest, the middle and the longest video fill."""
    lengths = [item.frames for item in items if item.kind == "video"]
    if not lengths:
        return {1}
    wanted = (min(lengths), statistics.median_low(lengths), max(lengths))
    return {max(1, (min(length, LONGEST) - 1) // 4 * 4 + 1) for length in wanted}


def _ratios(items: Sequence[Item], chosen: tuple[float, ...]) -> tuple[list[float], dict[str, Any]]:
    """The ratios that items may be brought to, and the keys that say so."""
    found = sorted({round(item.width / item.height, 2) for item in items})
    if chosen or len(found) <= RATIOS:
        listed = [float(ratio) for ratio in chosen or found]
        return listed, {"ar_buckets": listed}
    low, high = max(found[0], 0.2), min(found[-1], 5.0)
    spaced = [low * (high / low) ** (index / (RATIOS - 1)) for index in range(RATIOS)]
    return spaced, {"min_ar": low, "max_ar": high, "num_ar_buckets": RATIOS}


def _count(
    items: Sequence[Item], ratios: Sequence[float], frames: Sequence[int]
) -> tuple[Counter[tuple[float, int]], list[int]]:
    counted: Counter[tuple[float, int]] = Counter()
    passed_over = []
    for item in items:
        ratio = min(ratios, key=lambda each: abs(math.log(item.width / item.height / each)))
        length = 1
        if item.kind == "video":
            length = max((each for each in frames if 1 < each <= item.frames), default=0)
        if length:
            counted[ratio, length] += 1
        else:
            passed_over.append(item.number)
    return counted, passed_over


def _bucket(ratio: float, frames: int, items: int, resolution: int, choice: Choice) -> Bucket:
    width, height = _side(resolution * math.sqrt(ratio)), _side(resolution / math.sqrt(ratio))
    steps = int(items * choice.num_repeats) // choice.global_batch
    return Bucket(round(ratio, 3), width, height, frames, items, steps)


def _side(length: float) -> int:
    return max(SIDE_MULTIPLE, round(length / SIDE_MULTIPLE) * SIDE_MULTIPLE)


def _enlarged(items: Sequence[Item], side: int) -> list[str]:
    small = sum(item.width * item.height < side * side for item in items)
    return [f"{small} items are smaller than {side}x{side} and are enlarged"] if small else []


def _warnings(buckets: Sequence[Bucket], passed_over: Sequence[int], choice: Choice) -> list[str]:
    found = []
    lost = sum(bucket.items for bucket in buckets if not bucket.steps)
    if lost:
        found.append(
            f"{lost} items are in buckets that hold less than one batch of {choice.global_batch} and are not trained on"
        )
    if passed_over:
        found.append(f"{len(passed_over)} videos are shorter than every frame bucket above 1 and are passed over")
    return found
