"""A long curve as few points that look the same."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float | None]


def lttb(points: Sequence[Point], limit: int) -> list[int]:
    """Indices of at most `limit` points, in order, by largest-triangle-three-buckets; x must not fall.

    The first and the last point are always kept. A point without a value is kept only where a whole bucket has none,
    so that the gap stays visible.
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


def _value(points: Sequence[Point], index: int) -> tuple[float, float] | None:
    x, y = points[index]
    return None if y is None else (x, y)


def _mean(points: Sequence[Point], start: int, end: int) -> tuple[float, float] | None:
    known = [(x, y) for x, y in points[start:end] if y is not None]
    if not known:
        return None
    return sum(x for x, _ in known) / len(known), sum(y for _, y in known) / len(known)


def _farthest(
    points: Sequence[Point], start: int, end: int, left: tuple[float, float] | None, right: tuple[float, float] | None
) -> int:
    """The point that spans the largest triangle with `left` and `right`; a missing one is level with the other."""
    return start
