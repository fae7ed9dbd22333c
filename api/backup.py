"""`run.py backup DIR` and `run.py restore DIR`: the database and the data directory, while the service runs.

A backup is a directory that has its name only when all of it is there: `manifest.json` lists every file with its
SHA-256. The database is of one moment; the files are copied after it, so that no row is without its files but for what
somebody removes meanwhile. A restore goes only where nothing is; one that was cut leaves a note that keeps the service
from starting, and goes on when it is called again.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from api.services.store.database import DamagedDatabase, Database, is_postgres
from api.settings import Settings, add_flags
from api.utils import faults
from api.utils.errors import TrainyardError
from api.utils.faults import fault
from api.utils.locks import DataDirectoryBusy, DirectoryLock
from api.utils.trees import Entry, copy_tree, entry_of, sync_directory
from api.version import VERSION

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE, FILES = "database", "files"
NOTE = "restoring.json"
#: of the data directory: what lives as long as a process, notes of removals under way, our own note
PASSING = frozenset({"tmp", "trash", "service.lock", NOTE})


class BackupError(Exception):
    """One line for whoever typed the command."""


def add_commands(subparsers: Any) -> None:
    for name, text in (
        ("backup", "copy the database and the data directory, also while the service runs"),
        ("restore", "put a backup back where there is nothing yet"),
    ):
        parser = subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        parser.add_argument("directory", type=Path, metavar="DIR", help="the backup, a directory of its own")
        if name == "backup":
            parser.add_argument(
                "--without",
                default="",
                metavar="NAMES",
                help="what to leave out of the data directory, separated by commas: training_runs,datasets,...",
            )
        add_flags(parser)


def run(chosen: argparse.Namespace, settings: Settings) -> int:
    """Exit status: 0 done, 1 not."""
    faults.arm(settings.fault or None)
    try:
        if chosen.command == "backup":
            backup(settings, chosen.directory, frozenset(filter(None, chosen.without.split(","))))
        else:
            restore(settings, chosen.directory)
    except (BackupError, DamagedDatabase, DataDirectoryBusy) as problem:
        return _failed(str(problem))
    except TrainyardError as problem:
        return _failed(problem.message)
    except OSError as problem:
        return _failed(f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem))
    return 0


def _failed(message: str) -> int:
    print(f"run.py: {message}", file=sys.stderr)
    return 1


def unfinished(settings: Settings) -> str | None:
    """Why a service must not start here."""
    if (settings.data_dir / NOTE).exists():
        return f"a restore of {settings.data_dir} was not finished; call `run.py restore` with the same backup again"
    return None


# ---- what there is


def _places(settings: Settings) -> dict[str, Path]:
    """Name in the backup -> where it lies: the data directory's entries, and the directories that may be set apart."""
    apart = {"configs": settings.config_dir, "logs": settings.log_dir, "training_runs": settings.output_dir}
    found = {path.name: path for path in settings.data_dir.iterdir() if path.name not in PASSING}
    return {**found, **{name: path for name, path in apart.items() if path.exists()}}


def _own_files(settings: Settings) -> frozenset[Path]:
    """Of an SQLite database that lies in the data directory: it is copied in its own way."""
    if is_postgres(settings.database_url):
        return frozenset()
    path = Path(make_url(settings.database_url).database or "")
    return frozenset(path.with_name(path.name + end) for end in ("", "-wal", "-shm", ".new", ".restoring"))


# ---- backup


def backup(settings: Settings, directory: Path, without: frozenset[str]) -> None:
    directory = directory.absolute()
    if os.path.lexists(directory):
        raise BackupError(f"{directory} exists already; a backup is a new directory")
    if directory.resolve().is_relative_to(settings.data_dir.resolve()):
        raise BackupError(f"{directory} lies in the data directory; a backup of it would hold itself")
    if not settings.data_dir.is_dir():
        raise BackupError(f"there is no data directory {settings.data_dir}")
    places = _places(settings)
    unknown = without - places.keys()
    if unknown:
        raise BackupError(
            f"--without: there is no {', '.join(sorted(unknown))}; there are: {', '.join(sorted(places))}"
        )
    draft = directory.with_name(directory.name + ".partial")
    lock = _begin(draft)
    try:
        made = _collect(settings, draft, {name: path for name, path in places.items() if name not in without})
        made["without"] = sorted(without)
        _write(draft / MANIFEST, made)
        fault("backup.before_name")
        draft.rename(directory)
        sync_directory(directory.parent)
    finally:
        os.close(lock)
    size = sum(entry["size"] for entry in made["entries"])
    left = f"; without {', '.join(sorted(without))}" if without else ""
    print(f"{directory}: {made['database']} and {len(made['entries'])} entries, {size} bytes{left}")


def _begin(draft: Path) -> int:
    """An empty draft, whatever a backup that was cut has left; the lock that keeps another one out of it."""
    draft.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(draft.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BackupError(f"another backup is being written in {draft.parent}") from None
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    return descriptor


def _collect(settings: Settings, draft: Path, places: dict[str, Path]) -> dict[str, Any]:
    """The database first: what its rows speak of is there already, and stays unless somebody removes it."""
    db = Database(settings.database_url)
    try:
        (draft / DATABASE).mkdir(mode=0o700)
        db.backend.dump(draft / DATABASE)
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
    finally:
        db.close()
    entries = list(_described(draft))
    (draft / FILES).mkdir(mode=0o700)
    apart = {settings.config_dir, settings.log_dir, settings.output_dir}
    skip = _own_files(settings)
    for name, path in sorted(places.items()):
        inside = frozenset(each for each in apart if each != path and each.is_relative_to(path))
        entries += list(copy_tree(path, draft, f"{FILES}/{name}", skip | inside))
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_at": made_at,
        "data_dir": str(settings.data_dir),
        "database": db.backend.kind,
        "entries": [entry.as_dict() for entry in entries],
    }


def _described(draft: Path) -> Iterator[Entry]:
    for path in sorted((draft / DATABASE).iterdir()):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        entry = entry_of(draft, f"{DATABASE}/{path.name}")
        assert entry is not None
        yield entry


def _write(path: Path, content: object) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=True)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


# ---- restore


def restore(settings: Settings, directory: Path) -> None:
    directory = directory.absolute()
    made = _checked(directory)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = DirectoryLock.take(settings.data_dir)
    db = Database(settings.database_url)
    try:
        if made["database"] != db.backend.kind:
            raise BackupError(
                f"the backup is of {made['database']}, and TRAINYARD_DATABASE_URL names {db.backend.name}"
            )
        targets = _targets(settings, directory)
        note = {"backup": str(directory), "made_at": made["made_at"]}
        begun = settings.data_dir / NOTE
        again = begun.exists() and json.loads(begun.read_text("utf-8")) == note
        if not again:
            _refuse_what_is_there(begun, directory, targets, db)
            _write(begun, note)
        fault("restore.before_files")
        for name, target in targets.items():
            _place(directory, name, target, made["entries"])
        fault("restore.before_database")
        if db.is_empty():
            db.load(directory / DATABASE)
        fault("restore.before_end")
        begun.unlink()
        sync_directory(settings.data_dir)
    finally:
        db.close()
        lock.release()
    print(f"{settings.data_dir} is as it was at {made['made_at']}")
    if made["data_dir"] != str(settings.data_dir):
        print(f"note: it was {made['data_dir']}, and jobs and datasets name their files by that path")


def _checked(directory: Path) -> dict[str, Any]:
    """The manifest of a backup that is whole, to the last byte."""
    try:
        made = json.loads((directory / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise BackupError(f"{directory} is no backup: it has no {MANIFEST}") from None
    except ValueError as problem:
        raise BackupError(f"{directory / MANIFEST} cannot be read: {problem}") from None
    if not isinstance(made, dict) or made.get("format") != FORMAT:
        raise BackupError(f"{directory} was made by another version; this one reads format {FORMAT}")
    for fields in made["entries"]:
        wanted, found = Entry(**fields), entry_of(directory, fields["path"])
        same = found is not None and (found.kind, found.size, found.sha256, found.target) == (
            (wanted.kind, wanted.size, wanted.sha256, wanted.target)
        )
        if not same:
            raise BackupError(f"the backup is damaged: {wanted.path} is " + ("missing" if found is None else "changed"))
    return made


def _targets(settings: Settings, directory: Path) -> dict[str, Path]:
    apart = {"configs": settings.config_dir, "logs": settings.log_dir, "training_runs": settings.output_dir}
    names = sorted(path.name for path in (directory / FILES).iterdir())
    return {name: apart.get(name, settings.data_dir / name) for name in names}


def _refuse_what_is_there(note: Path, directory: Path, targets: dict[str, Path], db: Database) -> None:
    if note.exists():
        raise BackupError(f"a restore of another backup was begun here: {note}")
    if not db.is_empty():
        raise BackupError(f"there is a database already: {db.backend.name}; nothing is overwritten")
    for name, target in targets.items():
        empty = target.is_dir() and not target.is_symlink() and not any(target.iterdir())
        same = target.is_file() and entry_of(target.parent, target.name) == entry_of(directory / FILES, name)
        if os.path.lexists(target) and not empty and not same:
            raise BackupError(f"{target} is there already; nothing is overwritten")


def _place(directory: Path, name: str, target: Path, entries: list[dict[str, Any]]) -> None:
    """A copy under its final name; in the place of an empty directory, or of what an earlier try put there."""
    draft = target.with_name(target.name + ".restoring")
    for old in (draft, target):
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    for _ in copy_tree(directory / FILES / name, draft.parent, draft.name):
        pass
    root = f"{FILES}/{name}"
    for fields in entries:
        if fields["kind"] == "directory" and (fields["path"] + "/").startswith(root + "/"):
            (draft / fields["path"][len(root) + 1 :]).chmod(fields["mode"])
    draft.rename(target)
    sync_directory(target.parent)
