"""Metric series, read: raw or thinned, over the attempts that belong together.

A *line* (what a chart shows) is made of the series of the attempts that belong together: where two attempts
have the same range of steps, the newer one wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.sql import Select

from api.models.events import Axis
from api.models.job import Job
from api.services.store.metric_writer import FACTOR, LEVELS
from api.services.store.schema import attempts, metric_epochs, metric_points, metric_rollups, metric_series
from api.utils.downsample import lttb

EXTREMES_FROM = 50  # a line thinned to so many points or more has the lowest and the highest value for certain


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a line; `x` is a step, or an epoch. `value` None: it was not a number."""

    x: int
    value: float | None
    epoch: int | None
    at: float


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a line that one attempt's series gives: its steps outside `hidden` ranges."""

    series_id: int
    points: int
    first_x: int
    last_x: int
    hidden: tuple[tuple[int, int], ...]

    @property
    def overlapped(self) -> bool:
        return any(low <= self.last_x and high >= self.first_x for low, high in self.hidden)

    def shows(self, x: int) -> bool:
        return not any(low <= x <= high for low, high in self.hidden)


@dataclass(frozen=True, slots=True)
class Line:
    """A thinned or raw read."""

    total_points: int
    downsampled: bool
    points: list[Point]


def names(connection: Connection, job: Job, series: int) -> list[dict[str, object]]:
    """What was recorded in the attempts of a series."""
    rows = connection.execute(
        select(
            metric_series.c.name,
            metric_series.c.axis,
            func.sum(metric_series.c.points).label("points"),
            func.max(metric_series.c.last_x).label("last_x"),
            func.max(metric_series.c.updated_at).label("updated_at"),
        )
        .join(
            attempts, (attempts.c.job_seq == metric_series.c.job_seq) & (attempts.c.number == metric_series.c.attempt)
        )
        .where(metric_series.c.job_seq == job.seq, attempts.c.series == series)
        .group_by(metric_series.c.name, metric_series.c.axis)
        .order_by(metric_series.c.name, metric_series.c.axis)
    )
    return [
        {
            "name": r.name,
            "type": r.axis,
            "points": int(r.points),
            "last": r.last_x,
            "updated_at": r.updated_at,
        }
        for r in rows
    ]


_SEGMENTS = (
    select(metric_series.c.id, metric_series.c.points, metric_series.c.first_x, metric_series.c.last_x)
    .join(attempts, (attempts.c.job_seq == metric_series.c.job_seq) & (attempts.c.number == metric_series.c.attempt))
    .where(
        metric_series.c.job_seq == bindparam("job_seq"),
        attempts.c.series == bindparam("series"),
        metric_series.c.axis == bindparam("axis"),
        metric_series.c.name == bindparam("name"),
        metric_series.c.attempt <= bindparam("upto"),
    )
    .order_by(metric_series.c.attempt)
)


def segments(
    connection: Connection, job: Job, series: int, axis: Axis, name: str, *, upto: int | None = None
) -> list[Segment]:
    """Oldest attempt first. `upto`: as if later attempts had not been."""
    last = job.attempt if upto is None else upto
    given = {"job_seq": job.seq, "series": series, "axis": axis.value, "name": name, "upto": last}
    rows = connection.execute(_SEGMENTS, given).all()
    ranges = [(row.first_x, row.last_x) for row in rows]
    return [
        Segment(row.id, row.points, row.first_x, row.last_x, tuple(ranges[index + 1 :]))
        for index, row in enumerate(rows)
    ]


def last_points(connection: Connection, parts: Sequence[Segment], limit: int, since: int | None) -> Line:
    """The newest `limit` raw points, oldest first."""
    total = _total(connection, parts, since)
    found: list[Point] = []
    for part in parts:
        query = _points(part, since).order_by(metric_points.c.x.desc()).limit(limit)
        found += [Point(r.x, r.value, r.epoch, r.at) for r in connection.execute(query)]
    found.sort(key=lambda point: point.x)
    return Line(total, False, found[-limit:])


def thinned(connection: Connection, parts: Sequence[Segment], limit: int, since: int | None) -> Line:
    """The whole line in at most `limit` points that keep its shape (LTTB over the extremes of its runs)."""
    total = _total(connection, parts, since)
    if total <= max(limit, 1):
        return last_points(connection, parts, max(limit, 1), since)
    candidates: dict[int, float | None] = {}
    for part in parts:
        candidates.update(_candidates(connection, part, limit, total, since))
    ordered = sorted(candidates.items())
    extremes = _ends(ordered) if limit >= EXTREMES_FROM else set()
    kept = {ordered[index][0] for index in lttb(ordered, limit - len(extremes))} | extremes
    return Line(total, True, at(connection, parts, sorted(kept)))


def _ends(points: Sequence[tuple[int, float | None]]) -> set[int]:
    """Where the lowest and the highest value are, which LTTB alone may leave out."""
    numbers = [(value, x) for x, value in points if value is not None]
    return {min(numbers)[1], max(numbers)[1]} if numbers else set()


def _points(part: Segment, since: int | None) -> Select[Any]:
    query = select(metric_points).where(metric_points.c.series_id == part.series_id)
    if since is not None:
        query = query.where(metric_points.c.x >= since)
    for low, high in part.hidden:
        query = query.where((metric_points.c.x < low) | (metric_points.c.x > high))
    return query


def _total(connection: Connection, parts: Sequence[Segment], since: int | None) -> int:
    total = 0
    for part in parts:
        if part.overlapped:
            query = _points(part, since).with_only_columns(func.count())
            total += int(connection.execute(query).scalar_one())
        else:
            total += part.points - _before(connection, part, since)
    return total


def _before(connection: Connection, part: Segment, since: int | None) -> int:
    """How many points of a series come before a step: known where it has one at every step, else counted from the
    nearer end."""
    if since is None or since <= part.first_x:
        return 0
    if since > part.last_x:
        return part.points
    if part.points == part.last_x - part.first_x + 1:
        return since - part.first_x
    query = select(func.count()).where(metric_points.c.series_id == part.series_id)
    if since - part.first_x <= part.last_x - since:
        return int(connection.execute(query.where(metric_points.c.x < since)).scalar_one())
    return part.points - int(connection.execute(query.where(metric_points.c.x >= since)).scalar_one())


def _candidates(
    connection: Connection, part: Segment, limit: int, total: int, since: int | None
) -> dict[int, float | None]:
    """Points that a thinned line may be made of: all of a short series, the extremes of a long one's runs."""
    if part.last_x < (since or part.first_x):
        return {}
    level = 0
    while level < LEVELS and part.points // FACTOR ** (level + 1) >= limit * part.points / total:
        level += 1
    if level == 0:
        rows = connection.execute(_points(part, since))
        return {row.x: row.value for row in rows}
    found: dict[int, float | None] = {}
    hidden = _before(connection, part, since)
    for each in range(level, 0, -1):  # the run that `since` cuts is looked at by the smaller runs that it is made of
        size, larger = FACTOR**each, FACTOR ** (each + 1)
        runs = metric_rollups.c
        query = select(metric_rollups).where(runs.series_id == part.series_id, runs.level == each)
        query = query.where(runs.bucket >= hidden // size)
        if each < level:
            query = query.where(runs.bucket < (hidden // larger + 1) * FACTOR)
        for row in connection.execute(query):
            for x, value in ((row.min_x, row.min_value), (row.max_x, row.max_value), (row.null_x, None)):
                if x is not None and (since is None or x >= since) and part.shows(x):
                    found[x] = value
        if hidden % size == 0:
            break
    shown = _points(part, since)
    found.update({row.x: row.value for row in connection.execute(shown.order_by(metric_points.c.x).limit(FACTOR))})
    found.update(_first(connection, shown, [metric_points.c.x.desc()]))
    if part.overlapped:  # a run's extreme may be one that is not shown
        values = shown.where(metric_points.c.value.is_not(None))
        found.update(_first(connection, values, [metric_points.c.value, metric_points.c.value.desc()]))
    return found


def _first(connection: Connection, query: Select[Any], orders: Sequence[Any]) -> dict[int, float | None]:
    rows = [connection.execute(query.order_by(order).limit(1)).first() for order in orders]
    return {row.x: row.value for row in rows if row is not None}


def at(connection: Connection, parts: Sequence[Segment], xs: Sequence[int]) -> list[Point]:
    """The points of a line at some x."""
    found: dict[int, Point] = {}
    for part in parts:
        mine = [x for x in xs if part.first_x <= x <= part.last_x and part.shows(x)]
        for start in range(0, len(mine), 500):
            query = select(metric_points).where(
                metric_points.c.series_id == part.series_id, metric_points.c.x.in_(mine[start : start + 500])
            )
            found.update({r.x: Point(r.x, r.value, r.epoch, r.at) for r in connection.execute(query)})
    return [found[x] for x in sorted(found)]


def epoch_means(connection: Connection, parts: Sequence[Segment]) -> list[Point]:
    """The mean of each epoch's step values, for a trainer that reports none of its own."""
    sums: dict[int, tuple[float, int, float]] = {}
    for part in parts:
        for epoch, total, number, when in connection.execute(_epoch_sums(part)):
            before = sums.get(epoch, (0.0, 0, 0.0))
            sums[epoch] = (before[0] + total, before[1] + number, when)
    return [Point(epoch, total / number, epoch, when) for epoch, (total, number, when) in sorted(sums.items())]


def _epoch_sums(part: Segment) -> Select[Any]:
    """Epoch, sum, number of values, time; from the points where a newer attempt hides some of them."""
    if not part.overlapped:
        kept = metric_epochs.c
        return select(kept.epoch, kept.total, kept.points, kept.at).where(kept.series_id == part.series_id)
    points = metric_points.c
    columns = (points.epoch, func.sum(points.value), func.count(points.value), func.max(points.at))
    shown = _points(part, None).where(points.epoch.is_not(None), points.value.is_not(None))
    return shown.with_only_columns(*columns).group_by(points.epoch)


def last_value(connection: Connection, job: Job, name: str, axis: Axis = Axis.STEP) -> float | None:
    query = (
        select(metric_series.c.last_value)
        .where(
            metric_series.c.job_seq == job.seq,
            metric_series.c.name == name,
            metric_series.c.axis == axis.value,
        )
        .order_by(metric_series.c.attempt.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()
