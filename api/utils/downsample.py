"""A long curve as few points that look the same."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float | None]
Known = tuple[float, float]


def lttb(points: Sequence[Point], limit: int) -> list[int]:
    """Indices of at most `limit` points, in order, by largest-triangle-three-buckets; x must not fall.

    The first and the last point are always kept (the first alone with a limit of 1). Another without a value
    is kept only where a whole bucket has none, so that the gap stays visible.
    """
    size = len(points)
    if size <= limit:
        return list(range(size))
    if limit < 3:
        return [0, size - 1][: max(limit, 0)]
    width = (size - 2) / (limit - 2)
    edges = [1 + int(number * width) for number in range(limit - 2)]
    edges += [size - 1, size]
    kept = [0]
    anchor = _value(points, 0)
    for start, end, after in zip(edges, edges[1:], edges[2:], strict=False):
        best = _farthest(points, start, end, anchor, _mean(points, end, after))
        kept.append(best)
        anchor = _value(points, best) or anchor
    return [*kept, size - 1]


def _value(points: Sequence[Point], index: int) -> Known | None:
    x, y = points[index]
    return None if y is None else (x, y)


def _mean(points: Sequence[Point], start: int, end: int) -> Known | None:
    known = [(x, y) for x, y in points[start:end] if y is not None]
    if not known:
        return None
    return sum(x for x, _ in known) / len(known), sum(y for _, y in known) / len(known)


def _farthest(points: Sequence[Point], start: int, end: int, left: Known | None, right: Known | None) -> int:
    """The point of the largest triangle with `left` and `right`: the one farthest, upright, from their line.

    Where one of them is missing the line is level, where both are it is the bucket's own mean.
    """
    base = left or right or _mean(points, start, end)
    if base is None:
        return start
    (x0, y0), slope = base, 0.0
    if left and right and right[0] != left[0]:
        slope = (right[1] - y0) / (right[0] - x0)
    best, farthest = start, -1.0
    for index, (x, y) in enumerate(points[start:end], start):
        if y is not None:
            distance = abs(y - y0 - slope * (x - x0))
            if distance > farthest:
                best, farthest = index, distance
    return best
