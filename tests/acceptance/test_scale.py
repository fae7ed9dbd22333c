"""A million points and a hundred thousand jobs: how much the database works, never how long.

Work is counted in steps of SQLite's virtual machine, which are the same on every machine. Times are in
`make bench`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from api.models.accounts import Viewer
from api.models.events import Axis
from api.models.job import JobStatus
from api.models.room import Offer, Room
from api.services.store import job_lists, metrics, queue
from api.services.store import jobs as store
from api.services.store.database import Database
from api.services.store.job_lists import JobFilter
from api.services.store.sqlite import driver
from benchmarks.fill import add_jobs, add_points, database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SMALL, LARGE = 1_000, 100_000
POINTS = (1_000, 10_000, 1_000_000)
ADMIN, MEMBER = Viewer(0, everything=True), Viewer(1, frozenset({3}))
TICK = 100  # steps


@contextmanager
def work(connection: Connection) -> Iterator[list[int]]:
    """Steps of SQLite's virtual machine, in the list's only item afterwards."""
    counted = [0]

    def tick() -> int:
        counted[0] += TICK
        return 0

    driver(connection).set_progress_handler(tick, TICK)
    try:
        yield counted
    finally:
        driver(connection).set_progress_handler(None, 0)


def plans(connection: Connection, call: Callable[[], object]) -> list[str]:
    """How SQLite goes about each query of a call."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, sql: str, given: Any, *_rest: object) -> None:
        asked.append((sql, given))

    event.listen(connection, "before_cursor_execute", note)
    call()
    event.remove(connection, "before_cursor_execute", note)
    found = [connection.exec_driver_sql("EXPLAIN QUERY PLAN " + sql, given).all() for sql, given in asked]
    return [str(row[3]) for rows in found for row in rows]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Database]]:
    """Databases of 1,000 and of 100,000 jobs that have ended."""
    home = tmp_path_factory.mktemp("jobs")
    with database(home / "small") as small, database(home / "large") as large:
        add_jobs(small, SMALL)
        add_jobs(large, LARGE)
        yield {SMALL: small, LARGE: large}


LISTS = [
    {}, {"status": JobStatus.COMPLETED}, {"status": JobStatus.FAILED}, {"engine": "diffusion_pipe"},
    {"dialect": "training_v1"}, {"tag": "lora"}, {"tag": "rare"}, {"q": "shapes"}, {"q": "0000012c"},
]  # fmt: skip


@pytest.mark.parametrize("viewer", [ADMIN, MEMBER], ids=["admin", "member"])
@pytest.mark.parametrize("wanted", LISTS, ids=str)
def test_a_list_reads_rows_only_for_what_it_shows(
    filled: dict[int, Database], wanted: dict[str, Any], viewer: Viewer
) -> None:
    """All else is read from indexes, a tenth of the rows' size, and nothing is sorted but a page."""
    with filled[LARGE].read() as connection:
        for offset in (0, 500):
            found = plans(
                connection,
                lambda at=offset: job_lists.page(connection, viewer, JobFilter(**wanted), limit=50, offset=at),
            )  # type: ignore[misc]
            scans = [line for line in found if line.startswith("SCAN jobs")]
            assert all("COVERING INDEX" in line for line in scans), found
            assert not any("TEMP B-TREE" in line for line in found), found


@pytest.mark.parametrize("wanted", [{}, {"status": JobStatus.COMPLETED}, {"tag": "lora"}, {"tag": "rare"}], ids=str)
def test_a_page_of_many_jobs_is_as_much_work_as_one_of_few(filled: dict[int, Database], wanted: dict[str, Any]) -> None:
    """The page itself; how many there are in all is counted in an index."""
    steps = {}
    for size, db in filled.items():
        with db.read() as connection:
            matching, seq = job_lists._matching(ADMIN, JobFilter(**wanted))
            with work(connection) as counted:
                assert len(connection.execute(matching.order_by(seq.desc()).limit(50)).all()) == 50
            steps[size] = counted[0]
    assert steps[LARGE] <= 3 * steps[SMALL] + TICK


def test_a_job_among_many_is_found_by_its_id(filled: dict[int, Database]) -> None:
    steps = {}
    for size, db in filled.items():
        with db.read() as connection, work(connection) as counted:
            job = store.get(connection, f"train_20260101_000000_{size // 3:08x}")
            store.attempts_of(connection, job)
            queue.position(connection, job)
        steps[size] = counted[0]
    assert steps[LARGE] <= steps[SMALL] + TICK


def test_the_next_job_of_a_long_queue_is_claimed_at_once(tmp_path: Path) -> None:
    steps = {}
    for size in (100, 10_000):
        with database(tmp_path / str(size)) as db:
            add_jobs(db, size, status=JobStatus.QUEUED)
            with db.write(durable=False) as connection:
                with work(connection) as counted:
                    job = queue.claim(connection, Offer(Room(places=1)), 1.0)
                assert job is not None and job.spec is not None
            steps[size] = counted[0]
    assert steps[10_000] <= steps[100] + 2 * TICK


@pytest.fixture(scope="module")
def long_lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, dict[int, str]]]:
    with database(tmp_path_factory.mktemp("points")) as db:
        ids = dict(zip(POINTS, add_jobs(db, len(POINTS)), strict=True))
        for size, job in ids.items():
            add_points(db, job, size)
        yield db, ids


@pytest.mark.parametrize("limit", [100, 1000])
@pytest.mark.parametrize("newest", [False, True], ids=["thinned", "newest"])
@pytest.mark.parametrize("middle", [False, True], ids=["whole", "since the middle"])
def test_a_long_line_is_drawn_with_as_much_work_as_a_short_one(
    long_lines: tuple[Database, dict[int, str]], limit: int, newest: bool, middle: bool
) -> None:
    db, ids = long_lines
    read = metrics.last_points if newest else metrics.thinned
    steps = {}
    for size, job_id in ids.items():
        with db.read() as connection:
            job = store.get(connection, job_id)
            since = size // 2 + 5 if middle else None
            with work(connection) as counted:
                line = read(connection, metrics.segments(connection, job, job.series, Axis.STEP, "loss"), limit, since)
            steps[size] = counted[0]
        assert line.total_points == (size if since is None else size - since + 1) and len(line.points) <= limit
    assert steps[POINTS[2]] <= 3 * max(steps[POINTS[0]], steps[POINTS[1]])
