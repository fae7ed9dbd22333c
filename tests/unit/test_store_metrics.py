"""Metric series: written once whatever the batches, read thinned without losing their shape, joined over attempts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, event, insert, select

from api.models.events import Axis, Metric
from api.models.job import Job
from api.services.store import jobs as store
from api.services.store import metrics, schema
from api.services.store.database import Database
from api.services.store.metric_writer import FACTOR, LEVELS, SeriesWriter
from api.services.store.metrics import Point
from tests.unit.toys import START, add_job

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
values = st.one_of(st.none(), st.integers(-50, 50).map(float))


def loss(x: int, value: float | None, epoch: int | None = 1) -> Metric:
    return Metric("loss", value, x, epoch)


def write(connection: Connection, job: Job, attempt: int, points: Sequence[Metric], now: float = START) -> list[Metric]:
    return SeriesWriter(job.seq, attempt).write(connection, points, now)


def another(connection: Connection, job: Job, *, new_series: bool = False) -> Job:
    """The job with one more attempt, as a resume or a restart makes it."""
    number = job.attempt + 1
    series = number if new_series else job.series
    connection.execute(
        insert(schema.attempts).values(
            job_seq=job.seq, number=number, series=series, output_dir="/o", command=[], environment={}
        )
    )
    connection.execute(schema.jobs.update().where(schema.jobs.c.seq == job.seq).values(attempt=number, series=series))
    return store.get(connection, job.id)


def line(connection: Connection, job: Job, limit: int = 10_000, since: int | None = None, **which: Any) -> metrics.Line:
    parts = metrics.segments(connection, job, which.pop("series", job.series), Axis.STEP, "loss", **which)
    return metrics.thinned(connection, parts, limit, since)


def drawn(points: Sequence[Point]) -> list[tuple[int, float | None]]:
    return [(point.x, point.value) for point in points]


def rows(connection: Connection, job: Job) -> dict[str, list[tuple[Any, ...]]]:
    """All that is kept of a job's metrics, without the series' numbers and the times of writing."""
    (series,) = connection.execute(select(schema.metric_series).where(schema.metric_series.c.job_seq == job.seq)).all()
    found = {"series": [(series.axis, series.name, series.points, series.first_x, series.last_x, series.last_value)]}
    for table in (schema.metric_points, schema.metric_rollups, schema.metric_epochs):
        query = select(table).where(table.c.series_id == series.id).order_by(*table.primary_key)
        mine = connection.execute(query).all()
        found[table.name] = [tuple(row)[1:] for row in mine]
    return found


# ---- writing


@given(st.lists(values, min_size=1, max_size=200), st.data())
@relaxed
def test_batches_make_no_difference(db: Database, numbers: list[float | None], data: st.DataObject) -> None:
    points = [loss(2 * i + 1, value, 1 + i // 7) for i, value in enumerate(numbers)]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(points)), max_size=8)) | {0, len(points)})
    with db.write(durable=False) as connection:
        whole, split = add_job(connection), add_job(connection)
        assert write(connection, whole, 1, points) == points
        writer = SeriesWriter(split.seq, 1)
        for start, end in pairwise(cuts):
            if data.draw(st.booleans()):
                writer.reset()
            assert writer.write(connection, points[max(0, start - 2) : end], START) == points[start:end]
        assert rows(connection, split) == rows(connection, whole)


@given(st.lists(values, min_size=1, max_size=600))
@relaxed
def test_rollups_are_the_extremes_of_their_runs(db: Database, numbers: list[float | None]) -> None:
    with db.write(durable=False) as connection:
        job = add_job(connection)
        points = [loss(i + 1, value) for i, value in enumerate(numbers)]
        for start in range(0, len(points), 100):
            write(connection, job, 1, points[start : start + 100])
        found = {(level, bucket): rest for level, bucket, *rest in rows(connection, job)["metric_rollups"]}
    assert len(found) == sum(math.ceil(len(numbers) / FACTOR**level) for level in range(1, LEVELS + 1))
    for (level, bucket), (min_x, low, max_x, high, null_x) in found.items():
        run = numbers[bucket * FACTOR**level : (bucket + 1) * FACTOR**level]
        known = [value for value in run if value is not None]
        assert (low, high) == ((min(known), max(known)) if known else (None, None))
        assert (min_x is None) == (not known) and (null_x is None) == (None not in run)
        assert not known or (numbers[min_x - 1], numbers[max_x - 1]) == (low, high)


def test_a_step_that_is_there_already_is_dropped(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        given_points = [loss(1, 1.0), loss(2, 2.0), loss(2, 9.0), loss(1, 9.0), loss(3, 3.0)]
        fresh = write(connection, job, 1, given_points)
        assert [(m.step, m.value) for m in fresh] == [(1, 1.0), (2, 2.0), (3, 3.0)]
        assert write(connection, job, 1, [loss(3, 9.0)]) == []
        assert drawn(line(connection, job).points) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_metric_without_a_step_is_counted(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        writer = SeriesWriter(job.seq, 1)
        fresh = writer.write(
            connection, [Metric("loss", 5.0), Metric("loss", 6.0), loss(10, 7.0), Metric("loss", 8.0)], START
        )
        assert [m.step for m in fresh] == [1, 2, 10, 11]
        fresh = SeriesWriter(job.seq, 1).write(connection, [Metric("loss", 9.0)], START)
        assert [m.step for m in fresh] == [12]


def test_a_writer_whose_transaction_failed(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
    writer = SeriesWriter(job.seq, 1)
    with pytest.raises(RuntimeError), db.write() as connection:
        writer.write(connection, [loss(1, 1.0), loss(2, 2.0)], START)
        raise RuntimeError("power cut")
    writer.reset()
    with db.write() as connection:
        assert len(writer.write(connection, [loss(1, 1.0), loss(2, 2.0), loss(3, 3.0)], START)) == 3
        assert line(connection, job).total_points == 3


def test_names_and_last_values(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        epoch = Metric("loss", 0.5, epoch=1, axis=Axis.EPOCH)
        write(connection, job, 1, [loss(1, 1.0), Metric("lr", 0.1, 1), epoch], START + 3)
        assert [(n["name"], n["type"], n["points"], n["last"]) for n in metrics.names(connection, job, 1)] == [
            ("loss", "epoch", 1, 1), ("loss", "step", 1, 1), ("lr", "step", 1, 1),
        ]  # fmt: skip
        assert metrics.last_value(connection, job, "loss") == 1.0
        assert metrics.last_value(connection, job, "loss", Axis.EPOCH) == 0.5
        assert metrics.last_value(connection, job, "none") is None
        again = another(connection, job, new_series=True)
        assert metrics.names(connection, again, again.series) == []


# ---- reading one series


@given(st.lists(values, min_size=2, max_size=700), st.integers(1, 120), st.one_of(st.none(), st.integers(-5, 800)))
@relaxed
def test_a_thinned_line(db: Database, numbers: list[float | None], limit: int, since: int | None) -> None:
    raw = list(enumerate(numbers, 3))
    with db.write(durable=False) as connection:
        job = add_job(connection)
        write(connection, job, 1, [loss(x, value) for x, value in raw])
        read = line(connection, job, limit, since)
    check_thinned(read, [(x, v) for x, v in raw if since is None or x >= since], limit)


def check_thinned(read: metrics.Line, raw: list[tuple[int, float | None]], limit: int) -> None:
    """What is promised of a thinned line, whatever it is made of."""
    points = drawn(read.points)
    assert read.total_points == len(raw) and read.downsampled == (len(raw) > limit)
    assert len(points) == min(len(raw), limit) or (read.downsampled and len(points) <= limit)
    assert points == sorted(points, key=lambda p: p[0]) and len(dict(points)) == len(points) and set(points) <= set(raw)
    if not read.downsampled:
        assert points == raw
    elif limit >= 2:
        assert (points[0], points[-1]) == (raw[0], raw[-1])
    known = [value for _, value in raw if value is not None]
    if known and limit >= 50:
        shown = [value for _, value in points if value is not None]
        assert (min(shown), max(shown)) == (min(known), max(known))


@given(st.lists(values, max_size=60), st.integers(1, 70), st.one_of(st.none(), st.integers(0, 70)))
@relaxed
def test_the_newest_points(db: Database, numbers: list[float | None], limit: int, since: int | None) -> None:
    raw = [(x, v) for x, v in enumerate(numbers, 1) if since is None or x >= since]
    with db.write(durable=False) as connection:
        job = add_job(connection)
        write(connection, job, 1, [loss(x, value) for x, value in enumerate(numbers, 1)])
        parts = metrics.segments(connection, job, 1, Axis.STEP, "loss")
        read = metrics.last_points(connection, parts, limit, since)
    assert (read.total_points, drawn(read.points)) == (len(raw), raw[-limit:])


def test_a_line_that_is_not_there(db: Database) -> None:
    with db.write() as connection:
        assert line(connection, add_job(connection), 5) == metrics.Line(0, False, [])


def test_a_gap_of_a_whole_stretch_stays_visible(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        write(connection, job, 1, [loss(x, None if 400 <= x < 700 else 1.0 * x) for x in range(1, 1001)])
        shown = drawn(line(connection, job, 50).points)
    assert any(value is None and 400 <= x < 700 for x, value in shown)
    assert not any(value is None and not 400 <= x < 700 for x, value in shown)


@pytest.mark.parametrize("step", [1, 10], ids=["every step", "each tenth"])
@pytest.mark.parametrize("since", [-3, 1, 2, 1_234, 9_991, 15_000, 19_990, 20_001, 30_000])
def test_how_many_points_come_after_a_step(db: Database, step: int, since: int) -> None:
    xs = range(step, 20_001, step)
    with db.write(durable=False) as connection:
        job = add_job(connection)
        write(connection, job, 1, [loss(x, math.sin(x / 900)) for x in xs])
    shown = [(x, math.sin(x / 900)) for x in xs if x >= since]
    with db.read() as connection:
        read = line(connection, job, 60, since)
    assert read.total_points == len(shown)
    check_thinned(read, shown, 60)


@pytest.mark.parametrize(("limit", "since"), [(100, None), (1000, None), (100, 50_000), (100, 99_000)])
def test_a_long_series_is_read_in_few_rows(db: Database, limit: int, since: int | None) -> None:
    size = 100_000
    with db.write(durable=False) as connection:
        job = add_job(connection)
        for start in range(0, size, 20_000):
            batch = [loss(x, math.sin(x / 9000) + (x == 77_777) * 5) for x in range(start + 1, start + 20_001)]
            write(connection, job, 1, batch)
    with db.read() as connection:
        fetched = Fetched(connection)
        read = line(connection, job, limit, since)
    assert read.total_points == size - (since or 1) + 1
    assert len(read.points) <= limit
    if since is None or since <= 77_777:
        assert 77_777 in [point.x for point in read.points]
    assert fetched.rows <= 8 * limit + limit + 50


class Fetched:
    """Counts the rows that a connection's queries gave (by asking each query again, as a count)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asking = False
        self.rows = 0
        event.listen(connection, "before_cursor_execute", self._count)

    def _count(self, connection: Connection, cursor: Any, sql: str, given: Any, *rest: object) -> None:
        if not self._asking and sql.lstrip().startswith("SELECT"):
            self._asking = True
            self.rows += connection.exec_driver_sql(f"SELECT count(*) FROM ({sql}) AS asked", given).scalar_one()
            self._asking = False


# ---- several attempts


@st.composite
def lives(draw: st.DrawFn) -> list[dict[int, float | None]]:
    """Attempts of one series: each a run of ascending steps, in any relation to those before."""
    attempts = []
    for number in range(draw(st.integers(1, 4))):
        start, size = draw(st.integers(1, 40)), draw(st.integers(0, 60))
        stride = draw(st.sampled_from([1, 1, 3]))
        attempts.append({x: draw(values) and 100.0 * number + x for x in range(start, start + size, stride)})
    return attempts


def joined(attempts: Sequence[dict[int, float | None]]) -> list[tuple[int, float | None]]:
    """The rule: where a newer attempt's range is, what older ones have there is hidden."""
    result: dict[int, float | None] = {}
    for attempt in attempts:
        if attempt:
            low, high = min(attempt), max(attempt)
            result = {x: value for x, value in result.items() if not low <= x <= high} | attempt
    return sorted(result.items())


@given(lives(), st.integers(1, 80), st.one_of(st.none(), st.integers(0, 90)))
@settings(relaxed, max_examples=70)
def test_a_resumed_series_is_whole_and_never_doubled(
    db: Database, attempts: list[dict[int, float | None]], limit: int, since: int | None
) -> None:
    with db.write(durable=False) as connection:
        connection.execute(delete(schema.jobs))
        job = add_job(connection)
        for number, steps in enumerate(attempts, 1):
            job = another(connection, job) if number > 1 else job
            write(connection, job, number, [loss(x, value) for x, value in steps.items()])
        expected = joined(attempts)
        shown = [(x, value) for x, value in expected if since is None or x >= since]
        check_thinned(line(connection, job, limit, since), shown, limit)
        parts = metrics.segments(connection, job, 1, Axis.STEP, "loss")
        assert drawn(metrics.last_points(connection, parts, limit, since).points) == shown[-limit:]
        assert drawn(metrics.at(connection, parts, [x for x, _ in expected][::2])) == expected[::2]
        for upto in range(1, len(attempts) + 1):
            assert drawn(line(connection, job, upto=upto).points) == joined(attempts[:upto])


def test_the_extremes_of_a_half_hidden_run_are_those_that_are_shown(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        spikes = {1201: 90.0, 1203: 50.0, 1500: -70.0, 1190: -50.0}  # 1201 and 1500 will be hidden
        write(connection, job, 1, [loss(x, spikes.get(x, 1.0 + x % 5)) for x in range(1, 2001)])
        job = another(connection, job)
        write(connection, job, 2, [loss(x, 2.0) for x in (1201, 1202)])
        job = another(connection, job)
        write(connection, job, 3, [loss(x, 2.0) for x in range(1400, 2001)])
        read = line(connection, job, 50)
    shown = dict(drawn(read.points))
    assert (shown[1203], shown[1190], read.total_points) == (50.0, -50.0, 2000)
    assert min(v for v in shown.values() if v is not None) == -50.0


def test_a_restart_begins_a_new_series(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        write(connection, job, 1, [loss(x, 1.0) for x in range(1, 6)])
        job = another(connection, job, new_series=True)
        assert line(connection, job).points == []
        write(connection, job, 2, [loss(1, 9.0)])
        assert drawn(line(connection, job).points) == [(1, 9.0)]
        assert line(connection, job, series=1).total_points == 5


# ---- epochs


def means(connection: Connection, job: Job) -> list[tuple[int, float | None]]:
    return drawn(metrics.epoch_means(connection, metrics.segments(connection, job, job.series, Axis.STEP, "loss")))


def test_epoch_means(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        write(connection, job, 1, [loss(1, 1.0, 1), loss(2, 3.0, 1), loss(3, None, 2), loss(4, 5.0, 2)])
        write(connection, job, 1, [loss(5, 7.0, 2), loss(6, None, 3)])
        assert means(connection, job) == [(1, 2.0), (2, 6.0)]  # an epoch of nothing but NaN has no mean


def test_an_epoch_that_a_stop_cut_in_two(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection)
        write(connection, job, 1, [loss(x, float(x), 1 + (x - 1) // 4) for x in range(1, 8)])  # stopped at step 7
        job = another(connection, job)  # from the checkpoint at step 5
        write(connection, job, 2, [loss(x, 10.0 * x, 1 + (x - 1) // 4) for x in range(6, 13)])
        assert means(connection, job) == [(1, 2.5), (2, (5 + 60 + 70 + 80) / 4), (3, 105.0)]


@given(lives())
@settings(relaxed, max_examples=40)
def test_epoch_means_are_those_of_the_line(db: Database, attempts: list[dict[int, float | None]]) -> None:
    expected: dict[int, list[float]] = {}
    for x, value in joined(attempts):
        if value is not None:
            expected.setdefault(x // 10, []).append(value)
    with db.write(durable=False) as connection:
        job = add_job(connection)
        for number, steps in enumerate(attempts, 1):
            job = another(connection, job) if number > 1 else job
            write(connection, job, number, [loss(x, value, x // 10) for x, value in steps.items()])
        assert means(connection, job) == [
            (epoch, pytest.approx(sum(v) / len(v))) for epoch, v in sorted(expected.items())
        ]
