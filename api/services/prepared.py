"""Preprocessed datasets: who may see them, what is in them, and that no half of one is ever left.

Their directories are made by a child beside their place and renamed when they are whole; their rows change in the
transactions of the jobs that make them. What a crash leaves between the two is mended here, at start and after ends.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.job import Job, JobStatus
from api.models.prepared import Item, Prepared
from api.services.engines.preprocessing.sources import is_name
from api.services.store import jobs as job_store
from api.services.store import prepared as store
from api.services.store.database import Database
from api.utils.downloads import open_beneath
from api.utils.errors import Conflict, Forbidden, NotFound

log = logging.getLogger(__name__)
ENGINE = "preprocessing"
MANIFEST = "meta/manifest.json"
LEFT = re.compile(r"\.(?P<name>.+)\.(?P<job>[A-Za-z0-9_\-]+)\.(?P<what>part|gone)")
KEPT = 32  # manifests in memory


class PreparedDatasets:
    """`ended` is told of each job that has ended, inside its transaction."""

    def __init__(
        self,
        db: Database,
        root: Path,
        *,
        ended: Callable[[str], None] = lambda _job_id: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self.root = root
        self._ended = ended
        self._clock = clock
        self._lock = threading.RLock()  # around whatever changes files
        self._left: list[tuple[str, str]] = []  # (name, job) of ends without a dataset: their files are yet to go
        self._manifests: dict[str, tuple[tuple[int, int], list[Item]]] = {}

    # ---- hooks of a job's life, in its transactions

    def reserve(self, connection: Connection, job: Job) -> None:
        """The name is this job's from now on, or Conflict."""
        name = job.spec.params["dataset_name"]
        store.reserve(connection, name, job, self._clock())
        if os.path.lexists(self.root / name) and self._maker(name) != job.id:
            raise store.taken(name)

    def on_end(self, connection: Connection, job: Job) -> None:
        self._ended(job.id)
        if job.status is JobStatus.COMPLETED:
            summary = job.progress.get("notes", {}).get("summary", {})
            store.complete(connection, job, summary, self._clock())
        else:
            store.release(connection, job)
            self._left.append((job.spec.params["dataset_name"], job.id))

    # ---- what crashes, failures and cancels leave

    def tidy(self) -> None:
        """Removes the files of jobs that ended without a dataset. A chore: cheap while there are none."""
        while self._left:
            name, job_id = self._left.pop()
            with self._lock:
                self._clean(name, job_id)

    def _clean(self, name: str, job_id: str) -> None:
        if self.may_write(job_id):
            return  # its end was not committed, or it was queued again
        _remove(self.root / f".{name}.{job_id}.part")
        if self._maker(name) == job_id and not self._is_whole(name, job_id):
            _remove(self.root / name)

    def may_write(self, job_id: str) -> bool:
        """Whether a job is there and has not ended."""
        try:
            with self._db.read() as connection:
                return not job_store.get(connection, job_id).status.is_terminal
        except NotFound:
            return False

    def _is_whole(self, name: str, job_id: str) -> bool:
        with self._db.read() as connection:
            row = store.find(connection, name)
        return row is not None and row.job_id == job_id and row.is_ready

    def _maker(self, name: str) -> str | None:
        """The job that made the directory of this name; None where there is none of ours."""
        try:
            with open_beneath(self.root / name, MANIFEST) as file:
                job = json.load(file).get("job")
        except (FileNotFoundError, ValueError, AttributeError):
            return None
        return job if isinstance(job, str) else None

    def recover(self) -> None:
        """At start, before anything else runs: what an earlier service left half done."""
        self.root.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.root.iterdir()):
            left = LEFT.fullmatch(path.name)
            if left is None:
                self._recover_whole(path)
            elif left["what"] == "gone":
                self._recover_gone(path, left["name"], left["job"])
            elif not self.may_write(left["job"]):
                _remove(path)

    def _recover_whole(self, path: Path) -> None:
        """Renamed by a job that then failed before it could say so: nobody owns it."""
        maker = self._maker(path.name)
        if maker is None:
            return
        with self._db.read() as connection:
            try:
                job = job_store.get(connection, maker)
            except NotFound:
                return  # of another database: somebody's data, and not ours to remove
        if job.status in (JobStatus.FAILED, JobStatus.STOPPED):
            self._clean(path.name, maker)

    def _recover_gone(self, path: Path, name: str, job_id: str) -> None:
        """A removal that was under way: undone while the row stands, else finished."""
        with self._db.read() as connection:
            row = store.find(connection, name)
        if row is not None and row.job_id == job_id and not os.path.lexists(self.root / name):
            path.rename(self.root / name)
        else:
            _remove(path)

    # ---- look

    def page(self, actor: Actor, *, limit: int, offset: int) -> tuple[list[Prepared], int]:
        viewer = actor.viewer
        with self._db.read() as connection:
            return store.page(connection, viewer, limit=limit, offset=offset)

    def find(self, name: str) -> Prepared | None:
        """Whoever's it is."""
        if not is_name(name):
            return None
        with self._db.read() as connection:
            return store.find(connection, name)

    def get(self, actor: Actor, name: str) -> Prepared:
        found = self.find(name)
        if found is None:
            raise NotFound(f"there is no dataset {name!r}")
        if not actor.may_read(found.owner_id, found.team_id):
            raise Forbidden(f"dataset {name} belongs to somebody else")
        return found

    def mine(self, actor: Actor, name: str) -> Prepared:
        """To be changed."""
        found = self.get(actor, name)
        actor.require_run()
        if not actor.may_change(found.owner_id):
            raise Forbidden(f"dataset {name} belongs to somebody else")
        return found

    def directory(self, name: str) -> Path | None:
        """Of a whole dataset; for engines, which ask nobody who wants to know."""
        found = self.find(name)
        path = self.root / name
        return path if found is not None and found.is_ready and path.is_dir() else None

    def readable(self, actor: Actor, name: str) -> Path | None:
        """The same for somebody. Raises Forbidden."""
        path = self.directory(name)
        if path is not None:
            self.get(actor, name)
        return path

    def whole(self, found: Prepared) -> Path:
        """Its directory. Raises Conflict while it is being made."""
        if not found.is_ready:
            raise Conflict(f"dataset {found.name} is being made by job {found.job_id}")
        return self.root / found.name

    def items(self, found: Prepared) -> list[Item]:
        """As its manifest has them; read once for as long as the file stays the same."""
        try:
            with open_beneath(self.whole(found), MANIFEST) as file:
                info = os.fstat(file.fileno())
                mark = (info.st_mtime_ns, info.st_ino)
                known = self._manifests.get(found.name)
                if known is not None and known[0] == mark:
                    return known[1]
                items = [Item.from_dict(item) for item in json.load(file)["items"]]
        except FileNotFoundError:
            raise NotFound(f"the files of dataset {found.name} are gone") from None
        except (ValueError, KeyError, TypeError):
            raise Conflict(f"the manifest of dataset {found.name} is damaged") from None
        while len(self._manifests) >= KEPT:
            self._manifests.pop(next(iter(self._manifests)), None)
        self._manifests[found.name] = mark, items
        return items

    def item(self, found: Prepared, number: int) -> Item:
        items = self.items(found)
        if not 1 <= number <= len(items):
            raise NotFound(f"dataset {found.name} has no item {number}; it has {len(items)}")
        return items[number - 1]

    # ---- change

    @contextmanager
    def changing(self, found: Prepared) -> Iterator[Path]:
        """Its directory, while nobody else changes it; afterwards it has been updated."""
        with self._lock:
            directory = self.whole(found)
            if not directory.is_dir():
                raise NotFound(f"the files of dataset {found.name} are gone")
            yield directory
            with self._db.write() as connection:
                store.touch(connection, found.name, self._clock())

    def delete(self, actor: Actor, name: str) -> None:
        """Row and files. Conflict while it is made, or a job that waits or runs names its directory."""
        found = self.mine(actor, name)
        with self._lock:
            directory = self.whole(found)
            gone = self.root / f".{name}.{found.job_id}.gone"
            with self._db.write() as connection:
                if user := self._user(connection, directory):
                    raise Conflict(f"job {user} uses dataset {name}", data={"task_id": user})
                if directory.exists():
                    _remove(gone)
                    directory.rename(gone)
                store.remove(connection, name)
            _remove(gone)
            self._manifests.pop(name, None)

    @staticmethod
    def _user(connection: Connection, directory: Path) -> str | None:
        """A live job whose request names a path in the directory."""
        shown = re.escape(json.dumps(str(directory.resolve()))[:-1])
        named = re.compile(rf'{shown}(?:/|")')
        for status in (JobStatus.RUNNING, JobStatus.QUEUED):
            for job in job_store.with_status(connection, status):
                if named.search(job_store.spec_text(job.spec)):
                    return job.id
        return None


def _remove(path: Path) -> None:
    """Gone, or said why not; the next start tries again."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as problem:
        log.warning("could not remove %s: %s", path, problem)
