"""Metric series: each point once, and extremes of runs of points, so that a chart costs the same however long it is.

A *line* (what a chart shows) is made of the series of the attempts that belong together: where two attempts
have the same range of steps, the newer one wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, insert, select, update
from sqlalchemy.sql import Select

from api.models.events import Axis, Metric
from api.models.job import Job
from api.services.store.bulk import insert_rows
from api.services.store.schema import (
    attempts,
    metric_epochs,
    metric_points,
    metric_rollups,
    metric_series,
)
from api.services.store.upsert import upsert
from api.utils.downsample import lttb

FACTOR = 8  # points a bucket of the first level; each further level has as many of those before
LEVELS = 7
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


# ---- writing


class SeriesWriter:
    """Writes one attempt's metrics. Remembers where each series is, so that a batch costs no reads."""

    def __init__(self, job_seq: int, attempt: int) -> None:
        self.job_seq = job_seq
        self.attempt = attempt
        self._known: dict[tuple[str, str], _Tail] | None = None

    def write(self, connection: Connection, metrics: Sequence[Metric], now: float) -> list[Metric]:
        """Appends in order, in the caller's transaction; returns what was new, with its step filled in.

        A step that is not larger than the series' last one is there already, and is dropped. When the
        transaction fails, `reset` must be called.
        """
        known = self._load(connection)
        fresh: list[Metric] = []
        batches: dict[tuple[str, str], list[tuple[Metric, int]]] = {}
        for metric in metrics:
            key: tuple[str, str] = (metric.axis, metric.name)  # an axis is the string that the row has
            tail = known.get(key)
            if tail is None:
                tail = known[key] = _Tail()
            x = self._x(metric, tail)
            if tail.last_x is not None and x <= tail.last_x:
                continue
            tail.last_x = x
            batches.setdefault(key, []).append((metric, x))
            fresh.append(metric if metric.axis is Axis.EPOCH or metric.step == x else _stepped(metric, x))
        for key, batch in batches.items():
            self._append(connection, key, known[key], batch, now)
        return fresh

    def reset(self) -> None:
        self._known = None

    @staticmethod
    def _x(metric: Metric, tail: _Tail) -> int:
        given = metric.epoch if metric.axis is Axis.EPOCH else metric.step
        return given if given is not None else (0 if tail.last_x is None else tail.last_x) + 1

    def _load(self, connection: Connection) -> dict[tuple[str, str], _Tail]:
        if self._known is None:
            mine = (metric_series.c.job_seq == self.job_seq, metric_series.c.attempt == self.attempt)
            rows = connection.execute(select(metric_series).where(*mine))
            self._known = {(row.axis, row.name): _Tail(row.id, row.points, row.last_x) for row in rows}
        return self._known

    def _append(
        self,
        connection: Connection,
        key: tuple[str, str],
        tail: _Tail,
        batch: list[tuple[Metric, int]],
        now: float,
    ) -> None:
        first, last = batch[0], batch[-1]
        if tail.id is None:
            values = {
                "job_seq": self.job_seq,
                "attempt": self.attempt,
                "axis": key[0],
                "name": key[1],
                "points": 0,
                "first_x": first[1],
                "last_x": last[1],
                "updated_at": now,
            }
            tail.id = connection.execute(insert(metric_series).values(values)).inserted_primary_key[0]  # type: ignore[index]
        rows = [(tail.id, x, m.value, m.epoch, m.at or now) for m, x in batch]
        insert_rows(connection, insert(metric_points), rows)
        _roll_up(connection, tail.id, tail.points, [(x, m.value) for m, x in batch])
        if key[0] == Axis.STEP:
            _sum_epochs(connection, tail.id, batch, now)
        tail.points += len(batch)
        connection.execute(
            update(metric_series)
            .where(metric_series.c.id == tail.id)
            .values(points=tail.points, last_x=last[1], last_value=last[0].value, updated_at=now)
        )


@dataclass(slots=True)
class _Tail:
    id: int | None = None
    points: int = 0
    last_x: int | None = None


def _stepped(metric: Metric, x: int) -> Metric:
    return Metric(metric.name, metric.value, x, metric.epoch, metric.axis, metric.at)


def _roll_up(connection: Connection, series_id: int, before: int, points: Sequence[tuple[int, float | None]]) -> None:
    """Merges a batch into the extremes of every level. `before`: how many points the series had."""
    rows: list[tuple[object, ...]] = []
    for level in range(1, LEVELS + 1):
        size = FACTOR**level
        start = 0
        while start < len(points):
            bucket = (before + start) // size
            end = min(len(points), (bucket + 1) * size - before)
            rows.append((series_id, level, bucket, *_extremes(points[start:end])))
            start = end
    table = metric_rollups.c
    statement = upsert(connection, metric_rollups)
    new = statement.excluded
    lower = (table.min_value.is_(None)) | (new.min_value < table.min_value)
    higher = (table.max_value.is_(None)) | (new.max_value > table.max_value)
    statement = statement.on_conflict_do_update(
        index_elements=["series_id", "level", "bucket"],
        set_={
            "min_x": case((lower, new.min_x), else_=table.min_x),
            "min_value": case((lower, new.min_value), else_=table.min_value),
            "max_x": case((higher, new.max_x), else_=table.max_x),
            "max_value": case((higher, new.max_value), else_=table.max_value),
            "null_x": func.coalesce(table.null_x, new.null_x),
        },
    )
    insert_rows(connection, statement, rows)


def _extremes(points: Sequence[tuple[int, float | None]]) -> tuple[object, ...]:
    """As a row of the rollups has them: lowest, highest, first without a value. Of equal ones the first counts,
    so that it does not matter in which batches the points came."""
    numbers = [(value, x) for x, value in points if value is not None]
    low = min(numbers, key=itemgetter(0), default=(None, None))
    high = max(numbers, key=itemgetter(0), default=(None, None))
    null_x = next((x for x, value in points if value is None), None)
    return low[1], low[0], high[1], high[0], null_x


def _sum_epochs(connection: Connection, series_id: int, batch: Iterable[tuple[Metric, int]], now: float) -> None:
    sums: dict[int, list[float]] = {}
    for metric, x in batch:
        if metric.epoch is not None and metric.value is not None:
            entry = sums.setdefault(metric.epoch, [0.0, 0, 0])
            entry[0] += metric.value
            entry[1] += 1
            entry[2] = x
    if not sums:
        return
    rows = [
        {"series_id": series_id, "epoch": epoch, "total": total, "points": number, "last_x": last, "at": now}
        for epoch, (total, number, last) in sums.items()
    ]
    statement = upsert(connection, metric_epochs)
    old, new = metric_epochs.c, statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["series_id", "epoch"],
        set_={
            "total": old.total + new.total,
            "points": old.points + new.points,
            "last_x": new.last_x,
            "at": new.at,
        },
    )
    connection.execute(statement, rows)


# ---- reading


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
        if not part.overlapped and (since is None or since <= part.first_x):
            total += part.points
        else:
            query = _points(part, since).with_only_columns(func.count())
            total += int(connection.execute(query).scalar_one())
    return total


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
    query = select(metric_rollups).where(metric_rollups.c.series_id == part.series_id, metric_rollups.c.level == level)
    if since is not None and since > part.first_x:
        before = select(func.count()).where(metric_points.c.series_id == part.series_id, metric_points.c.x < since)
        query = query.where(metric_rollups.c.bucket >= connection.execute(before).scalar_one() // FACTOR**level)
    for row in connection.execute(query):
        for x, value in ((row.min_x, row.min_value), (row.max_x, row.max_value), (row.null_x, None)):
            if x is not None and (since is None or x >= since) and part.shows(x):
                found[x] = value
    shown = _points(part, since)
    order = [metric_points.c.x, metric_points.c.x.desc()]
    if part.overlapped or (since is not None and since > part.first_x):  # a run's extreme may be one that is not shown
        shown_values = shown.where(metric_points.c.value.is_not(None))
        order_values = [metric_points.c.value, metric_points.c.value.desc()]
        found.update(_first(connection, shown_values, order_values))
    found.update(_first(connection, shown, order))
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
