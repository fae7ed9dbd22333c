"""Fewer points that keep a line's shape: Largest-Triangle-Three-Buckets (Steinarsson, 2013)."""

from __future__ import annotations

from collections.abc import Sequence


def lttb(points: Sequence[tuple[float, float | None]], limit: int) -> list[int]:
    """Indices of at most `limit` of the points, in order; the first and the last are always among them.

    A value that is None takes no part in the areas; a bucket that holds nothing else gives its first one.
    """
    count = len(points)
    if limit >= count:
        return list(range(count))
    if limit < 3:
        return [0, count - 1][:limit] if limit > 0 else []
    width = (count - 2) / (limit - 2)
    kept = [0]
    before = points[0]
    for bucket in range(limit - 2):
        start, end = int(bucket * width) + 1, int((bucket + 1) * width) + 1
        ahead = points[end : min(int((bucket + 2) * width) + 1, count)] or points[-1:]
        best = _largest(points, start, end, before, ahead)
        kept.append(best)
        if points[best][1] is not None:
            before = points[best]
    kept.append(count - 1)
    return kept


def _largest(
    points: Sequence[tuple[float, float | None]],
    start: int,
    end: int,
    before: tuple[float, float | None],
    ahead: Sequence[tuple[float, float | None]],
) -> int:
    """The point of [start, end) that spans the largest triangle with the last kept one and the mean of the next."""
    values = [(x, y) for x, y in ahead if y is not None]
    left_x, left_y = before[0], before[1] or 0.0
    if values:
        mean_x = sum(x for x, _ in values) / len(values)
        mean_y = sum(y for _, y in values) / len(values)
    else:
        mean_x, mean_y = ahead[0][0], left_y
    dx, dy = left_x - mean_x, mean_y - left_y
    best, largest = start, -1.0
    for index in range(start, end):
        x, y = points[index]
        if y is None:
            continue
        area = abs(dx * (y - left_y) - (left_x - x) * dy)
        if area > largest:
            best, largest = index, area
    return best
