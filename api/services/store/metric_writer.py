"""Metric series, written: each point once, and extremes of runs of points, so that a chart costs the same however long
it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, case, func, insert, select, update
from sqlalchemy.sql.dml import Insert

from api.models.events import Axis, Metric
from api.services.store.bulk import insert_rows
from api.services.store.schema import metric_epochs, metric_points, metric_rollups, metric_series
from api.services.store.upsert import upsert

FACTOR = 8  # points a bucket of the first level; each further level has as many of those before
LEVELS = 7


class SeriesWriter:
    """Writes one attempt's metrics. Remembers where each series is, so that a batch costs no reads."""

    def __init__(self, job_seq: int, attempt: int) -> None:
        self.job_seq = job_seq
        self.attempt = attempt
        self._known: dict[tuple[Axis, str], _Tail] | None = None

    def write(self, connection: Connection, metrics: Sequence[Metric], now: float) -> list[Metric]:
        """Appends in order, in the caller's transaction; returns what was new, with its step filled in.

        A step that is not larger than the series' last one is there already, and is dropped. When the
        transaction fails, `reset` must be called.
        """
        known = self._load(connection)
        fresh: list[Metric] = []
        for metric in metrics:
            name, value, step, epoch, axis, at = metric
            tail = known.get((axis, name))
            if tail is None:
                tail = known[axis, name] = _Tail()
            x = step if axis is Axis.STEP else epoch
            if x is None:
                x = (tail.last_x or 0) + 1
            if tail.last_x is None:
                tail.id = self._begin(connection, axis, name, x, now)
            elif x <= tail.last_x:
                continue
            tail.last_x = x
            tail.new.append((tail.id, x, value, epoch, at or now))
            fresh.append(metric if axis is Axis.EPOCH or step == x else metric._replace(step=x))
        for (axis, _), tail in known.items():
            if tail.new:
                _append(connection, tail, axis is Axis.STEP, now)
        return fresh

    def reset(self) -> None:
        self._known = None

    def _load(self, connection: Connection) -> dict[tuple[Axis, str], _Tail]:
        if self._known is None:
            mine = (metric_series.c.job_seq == self.job_seq, metric_series.c.attempt == self.attempt)
            rows = connection.execute(select(metric_series).where(*mine))
            self._known = {(Axis(row.axis), row.name): _Tail(row.id, row.points, row.last_x) for row in rows}
        return self._known

    def _begin(self, connection: Connection, axis: Axis, name: str, x: int, now: float) -> int:
        values = {
            "job_seq": self.job_seq,
            "attempt": self.attempt,
            "axis": axis.value,
            "name": name,
            "points": 0,
            "first_x": x,
            "last_x": x,
            "updated_at": now,
        }
        return int(connection.execute(insert(metric_series).values(values)).inserted_primary_key[0])  # type: ignore[index]


#: as the table has it: series, x, value, epoch, at
PointRow = tuple[int, int, float | None, int | None, float]


@dataclass(slots=True)
class _Tail:
    """The end of a series. `new`: what this batch adds to it."""

    id: int = 0
    points: int = 0
    last_x: int | None = None
    new: list[PointRow] = field(default_factory=list)


def _append(connection: Connection, tail: _Tail, sum_epochs: bool, now: float) -> None:
    rows, tail.new = tail.new, []
    insert_rows(connection, _new_points, rows)
    _roll_up(connection, tail.id, tail.points, rows)
    if sum_epochs:
        _sum_epochs(connection, tail.id, rows, now)
    tail.points += len(rows)
    last = {"last_x": rows[-1][1], "last_value": rows[-1][2]}
    statement = update(metric_series).where(metric_series.c.id == tail.id)
    connection.execute(statement.values(points=tail.points, updated_at=now, **last))


def _new_points(_: Connection) -> Insert:
    return insert(metric_points)


def _roll_up(connection: Connection, series_id: int, before: int, points: Sequence[PointRow]) -> None:
    """Merges a batch into the extremes of every level, each made of those of the level below. `before`: how many
    points the series had."""
    xs, values = [point[1] for point in points], [point[2] for point in points]
    nulls = [x if value is None else None for x, value in zip(xs, values, strict=True)]
    columns: tuple[Sequence[Any], ...] = (xs, values, xs, values, nulls)
    rows: list[tuple[object, ...]] = []
    for level in range(1, LEVELS + 1):
        made = []
        for bucket in range(before // FACTOR, (before + len(columns[0]) - 1) // FACTOR + 1):
            run = slice(max(0, bucket * FACTOR - before), (bucket + 1) * FACTOR - before)
            low_x, low, high_x, high, null_x = [column[run] for column in columns]
            null = next((x for x in null_x if x is not None), None)
            extremes = (*_first_of(min, low_x, low), *_first_of(max, high_x, high), null)
            made.append(extremes)
            rows.append((series_id, level, bucket, *extremes))
        columns, before = tuple(zip(*made, strict=True)), before // FACTOR
    insert_rows(connection, _new_rollups, rows)


def _first_of(
    best: Callable[[Sequence[float]], float], xs: Sequence[int | None], values: Sequence[float | None]
) -> tuple[int | None, float | None]:
    """Where the lowest or the highest value is, and that value. Of equal ones the first counts, so that it does not
    matter in which batches the points came."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return None, None
    value = best(numbers)
    return xs[values.index(value)], value


def _new_rollups(connection: Connection) -> Insert:
    table = metric_rollups.c
    statement = upsert(connection, metric_rollups)
    new = statement.excluded
    lower = (table.min_value.is_(None)) | (new.min_value < table.min_value)
    higher = (table.max_value.is_(None)) | (new.max_value > table.max_value)
    made: Insert = statement.on_conflict_do_update(
        index_elements=["series_id", "level", "bucket"],
        set_={
            "min_x": case((lower, new.min_x), else_=table.min_x),
            "min_value": case((lower, new.min_value), else_=table.min_value),
            "max_x": case((higher, new.max_x), else_=table.max_x),
            "max_value": case((higher, new.max_value), else_=table.max_value),
            "null_x": func.coalesce(table.null_x, new.null_x),
        },
    )
    return made


def _sum_epochs(connection: Connection, series_id: int, points: Iterable[PointRow], now: float) -> None:
    rows: list[tuple[object, ...]] = []
    for epoch, run in groupby(points, itemgetter(3)):
        measured = [(point[1], point[2]) for point in run if point[2] is not None]
        if epoch is not None and measured:
            total = sum([value for _, value in measured])
            rows.append((series_id, epoch, total, len(measured), measured[-1][0], now))
    insert_rows(connection, _new_epochs, rows)


def _new_epochs(connection: Connection) -> Insert:
    statement = upsert(connection, metric_epochs)
    old, new = metric_epochs.c, statement.excluded
    made: Insert = statement.on_conflict_do_update(
        index_elements=["series_id", "epoch"],
        set_={
            "total": old.total + new.total,
            "points": old.points + new.points,
            "last_x": new.last_x,
            "at": new.at,
        },
    )
    return made
