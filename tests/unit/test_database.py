"""The database file and its connections: made, refused, written by one, read by many, full, locked."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from api.services.store import jobs as store
from api.services.store.database import DamagedDatabase, Database, StorageFull
from api.services.store.schema import jobs
from api.services.store.sqlite import APPLICATION_ID, SqliteBackend, driver
from api.services.store.tables import metadata
from api.utils.errors import Unavailable
from tests.unit.toys import add_job


@contextmanager
def opened(path: Path, *, prepare: bool = True) -> Iterator[Database]:
    db = Database(f"sqlite:///{path}")
    try:
        if prepare:
            db.prepare()
        yield db
    finally:
        db.close()


def names(db: Database) -> list[str]:
    with db.read() as connection:
        return list(connection.execute(select(jobs.c.id).order_by(jobs.c.seq)).scalars())


# ---- made


def test_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    with opened(tmp_path / "a" / "db") as db, db.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SQLAlchemy cannot reflect the index by an expression: looked at below
            differences = compare_metadata(context, metadata)
        assert [d for d in differences if getattr(d[1], "name", None) != "ix_jobs_queue"] == []
        (made,) = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'ix_jobs_queue'")).scalars()
        assert made.split("jobs ", 1)[1] == "(status, lane, held, priority DESC, seq)"
        assert connection.execute(text("PRAGMA application_id")).scalar() == APPLICATION_ID
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        without_rowid = connection.execute(
            text("SELECT name FROM pragma_table_list WHERE wr AND name NOT LIKE 'sqlite%' ORDER BY name")
        ).scalars()
        expected = [t.name for t in metadata.sorted_tables if not t.dialect_options["sqlite"]["with_rowid"]]
        assert list(without_rowid) == sorted(expected)


def test_numbers_of_rows_are_never_reused_where_they_are_shown(db: Database) -> None:
    """AUTOINCREMENT: SQLite else gives the largest rowid again after a delete."""
    with db.read() as connection:
        made = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")).all()
    wanted = {t.name for t in metadata.sorted_tables if t.dialect_options["sqlite"]["autoincrement"]}
    assert {name for name, sql in made if "AUTOINCREMENT" in (sql or "")} == wanted >= {"jobs", "events", "users"}


def test_nobody_else_reads_it_or_its_journals(tmp_path: Path) -> None:
    """They hold what it holds, and a data directory that was there before may be open to all."""
    with opened(tmp_path / "db") as db:
        with db.write() as connection:
            add_job(connection)
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"db": 0o600, "db-wal": 0o600, "db-shm": 0o600}


def test_prepare_twice_keeps_everything(tmp_path: Path) -> None:
    with opened(tmp_path / "db") as db:
        with db.write() as connection:
            job = add_job(connection)
        db.prepare()
        assert names(db) == [job.id]
    with opened(tmp_path / "db") as db:
        assert names(db) == [job.id]
    assert (tmp_path / "db").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["db"]


# ---- refused


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE theirs (a)")
        raw.execute("INSERT INTO theirs VALUES (1)")
        raw.commit()


def half(path: Path) -> None:
    with opened(path):
        pass
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.touch()


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(9000))


def words(path: Path) -> None:
    path.write_text("not a database at all\n" * 500)


def header_only(path: Path) -> None:
    with opened(path):
        pass
    os.truncate(path, 100)


def flipped(path: Path) -> None:
    with opened(path) as db, db.write() as connection:
        add_job(connection)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for offset in range(4096, size, 4096):
            file.seek(offset)
            file.write(b"\xff" * 16)


def future(path: Path) -> None:
    with opened(path) as db, db.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))


@pytest.mark.parametrize("make", [foreign, half, empty, garbage, words, header_only, flipped, future])
def test_a_file_that_is_not_a_sound_database_of_ours(tmp_path: Path, make: object) -> None:
    path = tmp_path / "db"
    make(path)  # type: ignore[operator]
    before = contents(tmp_path)
    with opened(path, prepare=False) as db:
        with pytest.raises(DamagedDatabase, match=str(path)):
            db.prepare()
    assert contents(tmp_path) == before


def test_a_database_that_lost_its_main_file(tmp_path: Path) -> None:
    path = tmp_path / "db"
    (tmp_path / "db-wal").write_bytes(b"x" * 100)
    with opened(path, prepare=False) as db:
        with pytest.raises(DamagedDatabase, match="db-wal"):
            db.prepare()
    assert contents(tmp_path) == {"db-wal": b"x" * 100}


def test_a_crash_while_it_was_first_made(tmp_path: Path) -> None:
    (tmp_path / "db.new").write_bytes(b"half of a draft")
    with opened(tmp_path / "db") as db:
        assert names(db) == []
    with opened(tmp_path / "db2", prepare=False) as db:
        SqliteBackend(tmp_path / "db2")._create()  # it has its name, and no tables yet
        db.prepare()
        assert names(db) == []


# ---- read and written


def test_readers_cannot_write(db: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"), db.read() as connection:
        add_job(connection)
    assert names(db) == []


def test_a_reader_sees_one_moment(db: Database) -> None:
    with db.read() as reader:
        assert reader.execute(select(jobs)).all() == []
        with db.write() as writer:
            add_job(writer)
        assert reader.execute(select(jobs)).all() == []
    assert len(names(db)) == 1


def test_nested_writes_are_one_transaction(db: Database) -> None:
    with pytest.raises(KeyError), db.write() as outer:
        add_job(outer)
        with db.write(durable=False) as inner:
            assert inner is outer
            add_job(inner)
        raise KeyError
    assert names(db) == []
    with db.write() as outer:
        first = add_job(outer)
        with db.write() as inner:
            second = add_job(inner)
    assert names(db) == [first.id, second.id]


def test_a_failed_transaction_leaves_nothing_and_the_next_works(db: Database) -> None:
    for problem in (RuntimeError("power cut"), KeyboardInterrupt()):
        with pytest.raises(type(problem)), db.write() as connection:
            add_job(connection)
            raise problem
    with pytest.raises(OperationalError), db.write() as connection:
        add_job(connection)
        connection.execute(text("SELECT * FROM nothing"))
    with db.write() as connection:
        job = add_job(connection)
    assert names(db) == [job.id]


def test_only_what_must_survive_a_power_cut_is_synced(db: Database) -> None:
    seen = []
    for durable in (True, False, False, True, True):
        with db.write(durable=durable) as connection:
            add_job(connection)
            seen.append(driver(connection).execute("PRAGMA synchronous").fetchone()[0])
    assert seen == [2, 1, 1, 2, 2]  # FULL, NORMAL


def test_foreign_keys_hold(db: Database) -> None:
    for use in (db.read, db.write):
        with use() as connection:
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


# ---- trouble

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_lock_held_by_another_process(db: Database) -> None:
    with db.write() as connection:
        driver(connection).execute("PRAGMA busy_timeout=50")
        job = add_job(connection)
    command = [sys.executable, "-c", HOLDER, db.backend.name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Unavailable) as caught:
            db.check_writable()
        assert caught.value.retry_after > 0
        assert names(db) == [job.id]  # readers do not mind
        holder.stdin.write(b"\n")
    db.check_writable()
    with db.write() as connection:
        add_job(connection)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "disk"
    target.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.xfail("there is no mount command")
    if done.returncode:
        pytest.xfail(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield target
    subprocess.run(["umount", str(target)], check=True)


@pytest.mark.parametrize("durable", [True, False])
def test_a_full_disk(tiny_disk: Path, durable: bool) -> None:
    with opened(tiny_disk / "db") as db:
        kept = []
        with pytest.raises(StorageFull):
            for _ in range(1000):
                with db.write(durable=durable) as connection:
                    job = add_job(connection, description="x" * 20_000)
                kept.append(job.id)
        assert len(kept) > 3 and names(db) == kept  # what was answered is there, and can be read
        for _ in range(3):
            with pytest.raises(StorageFull), db.write() as connection:
                add_job(connection, description="x" * 50_000)
        assert names(db) == kept
        subprocess.run(["mount", "-o", "remount,size=8m", str(tiny_disk)], check=True)
        with db.write() as connection:
            kept.append(add_job(connection, description="x" * 50_000).id)
        assert names(db) == kept
        with db.read() as connection:
            assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"
            assert store.get(connection, kept[-1]).id == kept[-1]
