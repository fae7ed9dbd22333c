"""What PostgreSQL needs that SQLite does not: its own checks, one writer among processes, its ways of being away."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from api.models.accounts import Viewer
from api.models.job import EndReason, Failure
from api.services.store import job_lists
from api.services.store import jobs as store
from api.services.store.database import DamagedDatabase, Database, StorageFull
from api.services.store.schema import jobs
from api.services.store.tables import metadata
from api.utils.errors import Unavailable
from tests import postgres
from tests.acceptance.harness import wait_for
from tests.unit.toys import START, add_job, claim

pytestmark = pytest.mark.postgres


@contextmanager
def opened(url: str, *, prepare: bool = True) -> Iterator[Database]:
    db = Database(url)
    try:
        if prepare:
            db.prepare()
        yield db
    finally:
        db.close()


@pytest.fixture
def url() -> str:
    return postgres.cluster().url(postgres.cluster().database())


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with opened(url) as made:
        yield made


def names(db: Database) -> list[str]:
    with db.read() as connection:
        return list(connection.execute(select(jobs.c.id).order_by(jobs.c.seq)).scalars())


# ---- made and refused


def test_migrations_make_exactly_the_tables_of_the_code(db: Database, url: str) -> None:
    plain = create_engine(url, poolclass=NullPool)
    with plain.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SQLAlchemy cannot reflect the index by an expression
            differences = compare_metadata(context, metadata)
        assert [d for d in differences if getattr(d[1], "name", None) != "ix_jobs_queue"] == []
        kinds = "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'public'"
        found = set(connection.execute(text(kinds + " AND table_name <> 'alembic_version'")).scalars())
    assert found == {"bigint", "text", "double precision", "boolean", "json", "bytea"}, "as wide as SQLite's"


def test_two_that_start_at_once_make_it_once(url: str) -> None:
    databases = [Database(url) for _ in range(3)]
    problems: list[Exception] = []

    def prepare(db: Database) -> None:
        try:
            db.prepare()
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=prepare, args=(db,)) for db in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == [] and names(databases[0]) == []
    for db in databases:
        db.close()


def refused(url: str, match: str) -> None:
    with opened(url, prepare=False) as db, pytest.raises(DamagedDatabase, match=match):
        db.prepare()


def test_a_database_that_is_not_ours(url: str) -> None:
    name = url.partition("@/")[2].partition("?")[0]
    postgres.cluster().sql("CREATE TABLE theirs (a int)", name)
    refused(url, "holds tables that are not Trainyard's")
    postgres.cluster().sql("CREATE TABLE alembic_version (version_num text)", name)
    refused(url, "holds tables that are not Trainyard's")


def test_one_of_a_later_version(db: Database, url: str) -> None:
    with db.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    refused(url, "made by another version")


def test_one_that_is_not_there() -> None:
    refused(postgres.cluster().url("nothing"), 'cannot be used: .*"nothing" does not exist')


def test_a_password_is_not_told() -> None:
    with opened("postgresql+psycopg://me:hunter2@127.0.0.1:1/x", prepare=False) as db:
        with pytest.raises(DamagedDatabase) as caught:
            db.prepare()
    assert "hunter2" not in str(caught.value) and "me:***@127.0.0.1" in str(caught.value)


# ---- read and written


def test_readers_see_one_moment_and_cannot_write(db: Database) -> None:
    with db.read() as reader:
        assert reader.execute(select(jobs)).all() == []
        with db.write() as writer:
            add_job(writer)
        assert reader.execute(select(jobs)).all() == []
    assert len(names(db)) == 1
    with pytest.raises(DBAPIError, match="read-only"), db.read() as connection:
        add_job(connection)


def test_texts_and_numbers_are_kept_as_sqlite_does(db: Database) -> None:
    """64 bits, no text cut; but a NUL, which PostgreSQL has no place for, is shown as U+FFFD."""
    with db.write() as connection:
        job = add_job(connection, name="\N{GREEK SMALL LETTER ALPHA}" * 200, tags=("t" * 200,))
        assert claim(connection, places=1) is not None
        store.save(connection, job, START, total_lines=2**62, progress={"phase": "a\0b\ud800"})
        failure = Failure("exit_code", "Traceback: \0 in a \0log")
        job = store.finish(
            connection, store.get(connection, job.id), EndReason.EXIT_CODE, START, exit_code=1, failure=failure
        )
    with db.read() as connection:
        again = store.get(connection, job.id)
        assert again.error_message == "Traceback: \ufffd in a \ufffdlog"
        assert again.progress["phase"] == "done" and store.extras(connection, job.seq).total_lines == 2**62


def test_values_inside_a_spec(db: Database) -> None:
    with db.write() as connection:
        job = add_job(connection, params={"task": "detect", "odd": "\0 \\u0000"}, extra={"dataset_id": "ds_1"})
        add_job(connection)
        found, _ = job_lists.page(
            connection, Viewer(1, everything=True), job_lists.JobFilter(task="detect"), limit=9, offset=0
        )
        assert [each.id for each in found] == [job.id]
        assert store.user_of_dataset(connection, "ds_1") == job.id
        assert store.user_of_dataset(connection, "ds_2") is None


def test_numbers_of_jobs_are_never_reused(db: Database) -> None:
    for _ in range(3):
        with db.write() as connection:
            job = add_job(connection)
            assert store._next_number(connection) == job.seq + 1
            store.remove(connection, job)


# ---- one writer among processes

CLAIMER = """
import sys, time
from api.models.room import Room
from api.services.store import queue
from api.services.store.database import Database
from api.services.store.queue import Offer
db = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while True:
    with db.write() as connection:
        job = queue.claim(connection, Offer(Room(gpus=(0, 1, 2), places=4), (0, 1, 2)), time.time())
    if job is None:
        break
    print(job.id, *job.gpu_ids, flush=True)
"""


def test_claims_of_many_processes_are_one_after_the_other(db: Database, url: str) -> None:
    """What is left is counted and then taken: two that count at the same time would both take the last place."""
    with db.write() as connection:
        for number in range(24):
            add_job(connection, gpus=number % 2)
    argv = [sys.executable, "-c", CLAIMER, url]
    claimers = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    for each in claimers:
        assert each.stdout is not None and each.stdout.readline() == "ready\n"
    for each in claimers:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    lines = [line.split() for each in claimers for line in each.communicate(timeout=60)[0].splitlines()]
    assert [each.returncode for each in claimers] == [0] * 5
    assert len(lines) == len({job for job, *_ in lines}) == 7, "four places and three GPUs, and no more"
    assert sorted(gpu for _, *gpus in lines for gpu in gpus) == ["0", "1", "2"]


def test_a_lock_held_by_another_process(db: Database, url: str) -> None:
    with db.write() as connection:
        connection.exec_driver_sql("SET lock_timeout = '100ms'")
        job = add_job(connection)
    with opened(url, prepare=False) as other, other.write():
        done = threading.Event()

        def write() -> None:
            with pytest.raises(Unavailable) as caught:
                db.check_writable()
            assert caught.value.retry_after > 0
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(20)
        assert done.is_set() and names(db) == [job.id], "readers do not mind"
    db.check_writable()


# ---- away, full


def test_connections_that_are_cut(db: Database) -> None:
    """The pool's are dead, and nobody notices: those who ask next get new ones."""
    with db.write() as connection:
        job = add_job(connection)
    assert names(db) == [job.id]
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'trainyard'"
    postgres.cluster().sql(cut)
    assert names(db) == [job.id]
    db.check_writable()
    with pytest.raises(Unavailable, match="does not answer"), db.write() as connection:
        add_job(connection)
        postgres.cluster().sql(cut)
        add_job(connection)
    assert names(db) == [job.id], "what was not committed is not there"
    with pytest.raises(Unavailable), db.read() as connection:
        postgres.cluster().sql(cut)
        connection.execute(select(jobs))


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (psycopg.errors.DiskFull("could not extend file"), StorageFull),
        (psycopg.errors.IoError("could not write"), StorageFull),
        (psycopg.errors.TooManyConnections("sorry"), Unavailable),
        (psycopg.errors.CannotConnectNow("starting up"), Unavailable),
        (psycopg.errors.LockNotAvailable("timeout"), Unavailable),
        (psycopg.OperationalError("connection refused"), Unavailable),
        (psycopg.errors.UniqueViolation("taken"), None),
        (psycopg.errors.SyntaxError("ours"), None),
    ],
)
def test_what_is_told(db: Database, problem: Exception, told: type[Exception] | None) -> None:
    found = db.backend.translated(problem)
    assert found is None if told is None else type(found) is told


# ---- who supervises


def test_the_right_to_supervise(db: Database, url: str) -> None:
    with opened(url, prepare=False) as other:
        mine, theirs = db.backend.supervisor_lock(), other.backend.supervisor_lock()
        assert mine is not None and theirs is not None
        assert mine.take() is True and mine.take() is True and theirs.take() is False
        postgres.cluster().sql(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2"
        )
        assert mine.take() is None, "the session is gone"
        assert theirs.take() is True and mine.take() is False
        theirs.release()
        wait_for(mine.take, 10, "the server to see that the other session has ended")
        mine.release()
