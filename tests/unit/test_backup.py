"""`run.py backup` and `run.py restore`, over both databases: whole or not there, and nothing overwritten."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from api import backup as module
from api import cli
from api.services.store import jobs as store
from api.services.store.database import Database
from api.services.store.schema import events, jobs
from api.settings import Settings, load
from api.utils.locks import DirectoryLock
from tests import postgres
from tests.unit.toys import START, add_job

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
FOUND = {
    "configs/a.toml": b"lr = 1", "logs/a.log": b"step 1\n", "training_runs/a/model.safetensors": bytes(5000),
    "datasets/ds/x.png": b"\x89PNG", "trainyard.toml": b"workers = 3\n", "attempts/a/1/exit.json": b"{}",
}  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(kind: str, tmp_path: Path) -> Callable[[str], Settings]:
    """Settings of a service with a data directory and a database of its own."""

    def make(name: str) -> Settings:
        flags: dict[str, Any] = {"data_dir": str(tmp_path / name)}
        if kind == "postgresql":
            flags["database_url"] = postgres.cluster().url(postgres.cluster().database())
        return load(flags, {})

    return make


@pytest.fixture
def used(place: Callable[[str], Settings]) -> Settings:
    """What a service left: some rows, some files, and what is nobody's to keep."""
    settings = place("old")
    for name, content in {**FOUND, "tmp/upload": b"half", "trash/a.json": b"[]"}.items():
        path = settings.data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (settings.data_dir / "training_runs" / "latest").symlink_to("a")
    (settings.data_dir / "training_runs" / "a").chmod(0o750)
    os.mkfifo(settings.data_dir / "attempts" / "a" / "pipe")
    db = Database(settings.database_url)
    db.prepare()
    with db.write() as connection:
        for number in range(3):
            job = add_job(connection, name=f"job {number} \t\\N \N{SNOWMAN}", tags=("a", "b"))
        store.remove(connection, job)
    db.close()
    return settings


def rows(settings: Settings) -> list[Any]:
    db = Database(settings.database_url)
    with db.read() as connection:
        found: list[Any] = [*connection.execute(select(jobs).order_by(jobs.c.seq)).all()]
        found += connection.execute(select(events).order_by(events.c.seq)).all()
    db.close()
    return found


def files(settings: Settings) -> dict[str, bytes]:
    every = (p for p in settings.data_dir.rglob("*") if p.is_file() and "trainyard.db" not in p.name)
    found = {str(p.relative_to(settings.data_dir)): p.read_bytes() for p in every}
    return {name: content for name, content in found.items() if name != "service.lock"}


def typed(settings: Settings, *words: object) -> int:
    return cli.main([str(word) for word in words] + flags(settings))


def flags(settings: Settings) -> list[str]:
    return ["--data-dir", str(settings.data_dir), "--database-url", settings.database_url]


def test_there_and_back(used: Settings, place: Callable[[str], Settings], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert typed(used, "backup", kept) == 0
    assert kept.stat().st_mode & 0o777 == 0o700 and not (tmp_path / "kept.partial").exists()
    new = place("new")
    assert typed(new, "restore", kept) == 0
    assert rows(new) == rows(used) and len(rows(new)) == 4
    assert files(new) == FOUND
    assert os.readlink(new.data_dir / "training_runs" / "latest") == "a"
    assert (new.data_dir / "training_runs" / "a").stat().st_mode & 0o777 == 0o750
    db = Database(new.database_url)
    db.prepare()
    with db.write() as connection:
        assert add_job(connection, now=START).seq == 4, "numbers go on, also after the one that was removed"
    db.close()


def test_while_somebody_writes(used: Settings, place: Callable[[str], Settings], tmp_path: Path) -> None:
    """It waits for no writer, no writer waits for it, and what is not committed is not in it."""
    before = rows(used)
    db = Database(used.database_url)
    with db.write() as connection:
        add_job(connection)
        assert typed(used, "backup", tmp_path / "kept") == 0
    db.close()
    new = place("new")
    assert typed(new, "restore", tmp_path / "kept") == 0
    assert rows(new) == before and len(rows(used)) == len(before) + 2


def test_what_is_left_out(used: Settings, place: Callable[[str], Settings], tmp_path: Path) -> None:
    assert typed(used, "backup", tmp_path / "kept", "--without", "training_runs,datasets") == 0
    new = place("new")
    assert typed(new, "restore", tmp_path / "kept") == 0
    assert files(new) == {n: c for n, c in FOUND.items() if not n.startswith(("training_runs", "datasets"))}
    assert typed(used, "backup", tmp_path / "other", "--without", "everything") == 1
    assert not (tmp_path / "other").exists()


def test_nothing_is_overwritten(
    used: Settings, place: Callable[[str], Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    assert typed(used, "backup", kept) == 0
    assert typed(used, "backup", kept) == 1 and "exists already" in capsys.readouterr().err
    assert typed(used, "backup", used.data_dir / "kept") == 1 and "would hold itself" in capsys.readouterr().err
    before = files(used), rows(used)
    assert typed(used, "restore", kept) == 1 and "nothing is overwritten" in capsys.readouterr().err
    assert (files(used), rows(used)) == before
    new = place("new")
    (new.data_dir / "datasets").mkdir(parents=True)
    (new.data_dir / "datasets" / "mine.png").write_bytes(b"mine")
    assert typed(new, "restore", kept) == 1 and "datasets is there already" in capsys.readouterr().err
    assert files(new) == {"datasets/mine.png": b"mine"}
    lock = DirectoryLock.take(new.data_dir)
    assert typed(new, "restore", kept) == 1 and "in use by pid" in capsys.readouterr().err
    lock.release()


def test_a_damaged_backup(
    used: Settings, place: Callable[[str], Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    assert typed(used, "backup", kept) == 0
    new = place("new")
    for name, damage in (
        ("files/logs/a.log", lambda p: p.write_bytes(b"step 2\n")),
        ("files/datasets/ds/x.png", lambda p: p.unlink()),
        ("manifest.json", lambda p: p.write_text("{")),
        ("manifest.json", lambda p: p.unlink()),
    ):
        copy = tmp_path / "damaged"
        shutil.copytree(kept, copy, symlinks=True)
        damage(copy / name)
        assert typed(new, "restore", copy) == 1
        assert name.rpartition("/")[2] in capsys.readouterr().err
        shutil.rmtree(copy)
    assert not new.data_dir.exists() or files(new) == {}


class Cut(BaseException):
    """As if the process had been killed there."""


@pytest.mark.parametrize("point", ["restore.before_files", "restore.before_database", "restore.before_end"])
def test_a_restore_that_was_cut_goes_on(
    used: Settings,
    place: Callable[[str], Settings],
    tmp_path: Path,
    point: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = tmp_path / "kept"
    assert typed(used, "backup", kept) == 0

    def cut(name: str) -> None:
        if name == point:
            raise Cut

    new = place("new")
    with monkeypatch.context() as patch:
        patch.setattr(module, "fault", cut)
        with pytest.raises(Cut):
            typed(new, "restore", kept)
    assert typed(new, "serve", "--port", "0") == 1 and "was not finished" in capsys.readouterr().err
    assert typed(new, "restore", kept) == 0
    assert rows(new) == rows(used) and files(new) == FOUND
    assert module.unfinished(new) is None


def test_a_backup_that_is_killed_has_no_name(used: Settings, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    command = [sys.executable, "run.py", "backup", str(kept), *flags(used), "--fault", "backup.before_name"]
    killed = subprocess.run(command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not kept.exists() and (tmp_path / "kept.partial").exists()
    assert typed(used, "backup", kept) == 0
    assert kept.exists() and not (tmp_path / "kept.partial").exists()
