"""The YOLO train server's use cases: models by name, each the newest training of that name, on the one job core."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection

from api.models.accounts import Actor
from api.models.dialect import YOLO_TRAIN_SERVER
from api.models.job import Job, JobSpec
from api.services.engines.ultralytics.models import Start, with_fallback
from api.services.gpus.desk import GpuDesk
from api.services.jobs import JobService
from api.services.store import jobs as job_store
from api.services.store import train_server as store
from api.services.store.database import Database
from api.services.store.train_server import Run
from api.services.yolo_train_request import hyper, labels, start_of
from api.services.yolo_train_sets import TrainSet, TrainSets
from api.utils.downloads import open_beneath
from api.utils.errors import Conflict, Forbidden, NotFound, TrainyardError
from api.utils.paths import PathPolicy

WEIGHTS = ("last.pt", "best.pt")
STOP_SECONDS = 30.0  # that a request waits for the end of a training
ALL = "*"
NONE = ("", "None")  # what clients write for no validation set
MOST_ARGUMENTS = 1024**2  # bytes of args.yaml


@dataclass(frozen=True, slots=True)
class Started:
    """`warnings`: what a user should know; `ignored`: hyper-parameters that say nothing to ultralytics."""

    job: Job
    warnings: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cleared:
    names: tuple[str, ...]
    failed: Mapping[str, str]


class TrainServer:
    """Raises the errors of api.utils.errors."""

    def __init__(
        self, db: Database, jobs: JobService, sets: TrainSets, gpus: GpuDesk, weights: Path, roots: PathPolicy
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._sets = sets
        self._gpus = gpus
        self._weights = weights
        self._roots = roots

    def sweep(self) -> None:
        """At the start, before anything is asked for: what crashes and removed jobs have left."""
        with self._db.read() as connection:
            known = store.places(connection)
        self._sets.sweep(known)

    def close(self) -> None:
        self._sets.close()

    # ---- start

    def start(self, actor: Actor, asked: Mapping[str, Any]) -> Started:
        """`asked`: the request with its defaults. Raises Conflict for a name that trains, or is there already."""
        actor.require_run()
        before = self._runs(asked["model_name"])
        self._check_free(actor, before, asked)
        start = start_of(asked["model_type"], self._weights)
        chosen = hyper(asked["hyp_dict"], asked["model_type"])
        device, notes = self._device(asked["device"])
        params = {
            "task": "train",
            "epochs": asked["epochs"],
            "imgsz": asked["imgsz"],
            "batch": asked["batch_size"],
            "workers": asked["workers"],
            "device": device,
            **chosen.used,
        }
        classes = labels(asked["labels"], self._roots)
        if asked["continue_train"] and before and self._is_resumable(before[-1].job):
            job = self._jobs.resume(actor, before[-1].job.id, None)
            return Started(job, _unheeded(job.spec.params, params), chosen.ignored)
        val = None if asked["val_ucd"] in (None, *NONE) else asked["val_ucd"]
        with self._sets.made(actor, asked["train_ucd"], val, classes) as made:
            begin = self._begin(start, before, made) if asked["continue_train"] else start
            fallback = with_fallback(begin)
            warnings = (*made.warnings, *notes, *chosen.notes, *([fallback.warning] if fallback.warning else []))
            given = {**params, "data": str(made.data), "model": begin.model, "pretrained": "auto"}
            extra = {name: value for name, value in asked.items() if name != "model_name"}
            spec = JobSpec("ultralytics", asked["model_name"], given, extra={**extra, "ignored": list(chosen.ignored)})
            job = self._submit(actor, spec, warnings, before, made)
        return Started(job, warnings, chosen.ignored)

    def _runs(self, name: str) -> list[Run]:
        with self._db.read() as connection:
            return store.of(connection, name)

    def _check_free(self, actor: Actor, before: list[Run], asked: Mapping[str, Any]) -> None:
        if not before:
            return
        name, job = asked["model_name"], before[-1].job
        if not job.status.is_terminal:
            raise Conflict(f"{name} is training already: it is {job.status}", data={"task_id": job.id})
        if not asked["continue_train"]:
            raise Conflict(
                f"{name} exists: give continue_train, or clear it (/clear_train_cache/{name})",
                data={"task_id": job.id},
            )
        if not actor.may_change(job.owner_id):
            raise Forbidden(f"the model {name} belongs to somebody else")

    def _is_resumable(self, job: Job) -> bool:
        return any(saved.kind == "state" for saved in self._jobs.checkpoints(job))

    def _begin(self, start: Start, before: list[Run], made: TrainSet) -> Start:
        """A finished training leaves no state to resume: the next begins from its last weights."""
        if not before:
            return start
        for name in WEIGHTS:
            try:
                with self._weights_of(before[-1].job, name) as file, open(made.place / "start.pt", "xb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
                    os.fsync(copy.fileno())
            except FileNotFoundError:
                continue
            return Start("weights", str(made.place / "start.pt"))
        return start

    def _device(self, device: int) -> tuple[str, tuple[str, ...]]:
        known = self._gpus.known()
        if device in known:
            return str(device), ()
        there = f"there {'is' if len(known) == 1 else 'are'} {', '.join(map(str, known))}" if known else "there is none"
        why = "device -1 is the CPU" if device < 0 else f"there is no GPU {device} here ({there})"
        return "cpu", (f"{why}: it trains on the CPU, which is slow",)

    def _submit(self, actor: Actor, spec: JobSpec, warnings: tuple[str, ...], before: list[Run], made: TrainSet) -> Job:
        def also(connection: Connection, job: Job) -> None:
            known = [run.job.seq for run in store.of(connection, spec.name)]
            if known != [run.job.seq for run in before]:
                raise Conflict(f"{spec.name} was started by somebody else just now")
            store.add(connection, job, spec.name, made.place.name)

        return self._jobs.submit(actor, spec, YOLO_TRAIN_SERVER, warnings=warnings, also=also)

    # ---- look

    def runs(self, actor: Actor) -> list[Run]:
        """Those that the caller may read, oldest first."""
        actor.require_read()
        with self._db.read() as connection:
            found = store.newest(connection)
        return [run for run in found if actor.may_read(run.job.owner_id, run.job.team_id)]

    def job(self, actor: Actor, name: str) -> Job:
        """The training that a name stands for."""
        return self._jobs.get(actor, self._known(name)[-1].job.id)

    def _known(self, name: str) -> list[Run]:
        found = self._runs(name)
        if not found:
            raise NotFound(f"there is no model {name[:200]!r}")
        return found

    def pid(self, job: Job) -> int | None:
        with self._db.read() as connection:
            return job_store.attempt(connection, job).pid if job.is_alive else None

    def options(self, job: Job) -> list[str]:
        """YAML: what was asked for, then every argument that ultralytics uses (those it was given, until it tells)."""
        asked = {"model_name": job.spec.name, **job.spec.extra}
        lines = [f"{name}: {json.dumps(asked.get(name), ensure_ascii=False)}" for name in _SHOWN]
        try:
            with open_beneath(self._output(job), "args.yaml") as file:
                told = file.read(MOST_ARGUMENTS).decode("utf-8", "replace")
            return lines + told.splitlines()
        except FileNotFoundError:
            given = {name: value for name, value in job.spec.params.items() if name != "model"}
            given["model"] = job.spec.params["model"]["value"]
            return lines + [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in given.items()]

    def _output(self, job: Job) -> Path:
        with self._db.read() as connection:
            return Path(job_store.attempt(connection, job).output_dir)

    def weights(self, actor: Actor, name: str, file: str) -> BinaryIO:
        job = self.job(actor, name)
        try:
            return self._weights_of(job, file)
        except FileNotFoundError:
            raise NotFound(f"{name} has no {file} yet") from None

    def _weights_of(self, job: Job, name: str) -> BinaryIO:
        """Raises FileNotFoundError."""
        return open_beneath(self._output(job), f"weights/{name}")

    def has_output(self, job: Job) -> bool:
        return self._output(job).is_dir()

    # ---- change

    def terminate(self, actor: Actor, name: str) -> Job:
        """Waits a while for the end of all its processes."""
        job = self._known(name)[-1].job
        return self._jobs.stop(actor, job.id, force=False, wait=STOP_SECONDS).job

    def clear(self, actor: Actor, name: str) -> Cleared:
        """Removes a model (`*`: all of the caller's that do not train): jobs, logs, weights and training set."""
        actor.require_run()
        chosen = [run for run in self.runs(actor) if actor.may_change(run.job.owner_id)]
        if name != ALL:
            run = self._known(name)[-1]
            self._jobs.mine(actor, run.job.id)
            chosen = [run]
        cleared, failed = [], {}
        for run in chosen:
            try:
                self._clear(actor, run.name)
            except TrainyardError as problem:
                failed[run.name] = problem.message
            else:
                cleared.append(run.name)
        return Cleared(tuple(cleared), failed)

    def _clear(self, actor: Actor, name: str) -> None:
        """Its newest training goes last, so that what a crash leaves is still called so."""
        runs = self._runs(name)
        alive = next((run.job for run in runs if not run.job.status.is_terminal), None)
        if alive is not None:
            raise Conflict(f"it is {alive.status}: terminate it first")
        for run in runs:
            self._jobs.delete(actor, run.job.id, files=True)
            self._sets.remove(run.place)


#: of the request, what opt_yaml begins with; the rest stands among ultralytics' arguments
_SHOWN = ("model_name", "model_type", "train_ucd", "val_ucd", "labels", "hyp_dict", "ignored")


def _unheeded(used: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[str, ...]:
    """A training that goes on keeps what it was begun with."""
    names = (set(used) | set(given)) - {"task", "data", "model", "pretrained"}
    differing = sorted(name for name in names if used.get(name) != given.get(name))
    if not differing:
        return ()
    told = ", ".join(f"{name} {used.get(name, 'as ultralytics has it')}" for name in differing)
    return (f"it goes on with what it was started with: {told}",)
