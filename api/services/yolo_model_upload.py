"""A model that somebody uploads: a zip of weights and, perhaps, model.json. A child opens the weights, never we."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol

from api.models.accounts import Actor
from api.models.yolo_history import METRICS, from_results
from api.models.yolo_model import UPLOADED, YoloModel
from api.models.yolo_model_json import MOST_BYTES, BadMetadata, Metadata, read
from api.services.accounts import AccountService
from api.services.engines.base import Availability
from api.services.executors.short import Ended
from api.services.store import yolo_models as store
from api.services.store.database import Database
from api.services.yolo_models import ID, WEIGHTS, YoloModels
from api.utils.disks import sync_file_system
from api.utils.errors import Insufficient, Malformed, Unavailable
from api.utils.faults import fault
from api.utils.zips import BadZip, SafeZip, ZipLimits, plain_name, read_zip

log = logging.getLogger(__name__)
CHILD = "api.children.yolo_weights"
REFUSED = 3  # the child's exit code for weights that are not taken
SECONDS = 180.0
AT_A_TIME = 2
PATIENCE = 60.0  # seconds that an upload waits for the ones before it
LIMITS = ZipLimits(files=1000, total=8 * 1024**3, single=4 * 1024**3, ratio=200)
_ROOM = 64 * 1024**2  # bytes that an upload leaves free
_MEMBER = re.compile(r"(?P<top>(?:[^/]+/)?)weights/[^/]+\.pt", re.IGNORECASE)


class Runner(Protocol):
    def run(self, module: str, given: bytes, *, cwd: Path, seconds: float) -> Ended: ...

    def close(self) -> None: ...


class YoloModelUploads:
    """`state`: whether there is an ultralytics to open weights with."""

    def __init__(
        self,
        db: Database,
        accounts: AccountService,
        models: YoloModels,
        runner: Runner,
        state: Callable[[], Availability],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._models = models
        self._runner = runner
        self._state = state
        self._clock = clock
        self._places = threading.BoundedSemaphore(AT_A_TIME)

    def close(self) -> None:
        self._runner.close()

    def upload(self, actor: Actor, filename: str, file: BinaryIO, team_id: int | None = None) -> YoloModel:
        actor.require_run()
        if team_id is not None:
            self._accounts.team_for(actor, team_id)
        state = self._state()
        if not state.available:
            raise Unavailable(f"weights cannot be checked here: {state.reason}", retry_after=3600)
        with self._models.draft() as draft:
            weights = draft / WEIGHTS
            member, said = _unpack(file, weights)
            with TemporaryDirectory() as scratch:
                facts = self._facts(member, weights, Path(scratch))
            values = _values(said, facts, plain_name(filename) or "model.zip", member)
            sync_file_system(draft)
            fault("model.checked")
            owner = {"owner_id": actor.user_id, "team_id": team_id, "file_size": weights.stat().st_size}
            return self._add(draft, said.model_id, {**values, **owner})

    def _facts(self, member: str, weights: Path, scratch: Path) -> dict[str, Any]:
        """What the weights say about themselves. Raises Malformed for those that are not taken."""
        task = json.dumps({"parent": os.getpid(), "weights": str(weights)}).encode()
        with self._one_place():
            ended = self._runner.run(CHILD, task, cwd=scratch, seconds=SECONDS)
        if ended.code == REFUSED:
            raise Malformed(f"file: {member} {ended.error.splitlines()[-1] if ended.error else 'is refused'}")
        if ended.timed_out or ended.code < 0:
            raise Malformed(f"file: {member} takes more time or memory to be read than a model may")
        if ended.code:
            log.error("checking uploaded weights ended with %d: %s", ended.code, ended.error)
            raise Unavailable(f"the weights could not be checked: the process ended with exit code {ended.code}")
        found: dict[str, Any] = json.loads((scratch / "facts.json").read_bytes())
        return found

    @contextmanager
    def _one_place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=PATIENCE):
            raise Unavailable("too many models are being checked; try again", retry_after=10)
        try:
            yield
        finally:
            self._places.release()

    def _add(self, draft: Path, wanted: str | None, values: Mapping[str, Any]) -> YoloModel:
        """Under the id of the archive where that is well-formed and free, else under a new one."""
        now = self._clock()
        with self._db.write() as connection:
            kept = wanted is not None and ID.fullmatch(wanted) and self._models.is_free(connection, wanted)
            model_id = wanted if wanted is not None and kept else self._models.free_id(connection)
            self._models.name(draft, model_id)
            fault("model.named")
            return store.add(connection, {**values, "id": model_id, "created_at": now, "updated_at": now})


def _unpack(file: BinaryIO, weights: Path) -> tuple[str, Metadata]:
    """The weights onto the disk; the name that they had, and what model.json says. Raises Malformed, Insufficient."""
    try:
        with read_zip(file, LIMITS) as archive:
            top, member = _layout(archive.names)
            if archive.size(member) + _ROOM > shutil.disk_usage(weights.parent).free:
                raise Insufficient(f"the disk has no room for the {archive.size(member)} bytes of {member}")
            said = _metadata(archive, f"{top}model.json")
            with open(weights, "xb") as target:
                archive.copy(member, target)
    except BadZip as problem:
        raise Malformed(f"file: the archive {problem}") from None
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Insufficient("the disk is full; nothing of the archive was kept") from None
        raise
    folder = top.removesuffix("/")
    if said.model_id is None and folder:
        said = replace(said, model_id=folder)
    return member, said


def _layout(names: tuple[str, ...]) -> tuple[str, str]:
    """The folder before `weights/` ("" for none), and the weights that are taken: best.pt, last.pt, else the first."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        match = _MEMBER.fullmatch(name)
        hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
        if match is not None and not hidden:
            found.setdefault(match["top"], []).append(name)
    if not found:
        raise Malformed("file: the archive has no weights/*.pt, neither at its root nor one folder below")
    if len(found) > 1:
        raise Malformed(f"file: the archive holds several models: {', '.join(sorted(found))[:200]}")
    (top, members), *_ = found.items()
    order = ("best.pt", "last.pt")
    return top, min(members, key=lambda each: (order.index(base) if (base := _base(each)) in order else 2, each))


def _base(member: str) -> str:
    return PurePosixPath(member).name.lower()


def _metadata(archive: SafeZip, name: str) -> Metadata:
    if name not in archive.names:
        return Metadata()
    try:
        return read(archive.read(name, MOST_BYTES))
    except (BadMetadata, BadZip) as problem:
        raise Malformed(f"file: {name} {problem}") from None


def _values(said: Metadata, facts: Mapping[str, Any], filename: str, member: str) -> dict[str, Any]:
    """A row's fields. Of names and texts model.json decides, of the rest the weights themselves."""
    own = tuple(facts["classes"])
    if said.classes and len(said.classes) != len(own):
        raise Malformed(f"file: model.json names {len(said.classes)} classes, and {member} has {len(own)}")
    config = {} if said.job_config is None else {"job_config": dict(said.job_config)}
    origin = {"origin": dict(said.origin)} if said.origin else {}
    return {
        "name": said.name or filename.removesuffix(".zip")[:200] or "model",
        "description": f"Uploaded model from {filename}" if said.description is None else said.description,
        "tags": ["uploaded"] if said.tags is None else list(said.tags),
        "source": UPLOADED,
        "classes": list(said.classes or own),
        "task": facts["task"],
        "job_id": None,
        "dataset_id": None,
        "dataset_version": None,
        "base_model": said.origin.get("base_model") or facts["base_model"],
        "info": {name: facts[name] for name in ("imgsz", "epochs", "model_info")} | config | origin,
        "metrics": dict(said.metrics) or _metrics(facts["metrics"]),
        "history": said.history or from_results(facts["series"]),
    }


def _metrics(measured: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: measured[column] for name, column in METRICS.items() if column in measured}
