"""What people do with jobs: submit, look, stop, resume, restart, delete. Every dialect comes through here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from api.models.accounts import Actor
from api.models.dialect import Dialect
from api.models.job import Attempt, Checkpoint, EndReason, Job, JobSpec, JobStatus
from api.models.progress import expected_end
from api.services.endings import NO_HOOKS, Endings
from api.services.engines.base import Engine
from api.services.executors.base import Executor
from api.services.feed import Feed
from api.services.fitting import Checked, Fitting
from api.services.gpus.desk import GpuDesk
from api.services.store import job_lists, queue
from api.services.store import jobs as store
from api.services.store.database import Database
from api.services.store.job_lists import NEWEST_FIRST, JobFilter, Sort
from api.services.supervisor import Supervisor
from api.services.worker import stop_grace
from api.services.workspaces import Workspaces
from api.utils.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from api.utils.faults import fault
from api.utils.times import iso

if TYPE_CHECKING:
    from sqlalchemy import Connection

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
#: what would change which program runs, or on which device
OWN_VARIABLES = re.compile(r"LD_.*|PYTHON.*|PATH|BASH_ENV|CUDA_VISIBLE_DEVICES|TRAINYARD_.*", re.DOTALL)


WITHDRAW_SECONDS = 5.0  # that deleting a job waits for an engine to give it back
KEY_SECONDS = 7 * 86400  # how long a request that is sent again is known


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a request known when it is sent again: the caller's key for it, and a SHA-256 of what it asks for."""

    key: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class StopResult:
    """What is true after a stop was asked for and, at most `wait` seconds, waited for."""

    job: Job
    checkpoint_saved: bool  # one that is newer than the request was seen on disk
    last_checkpoint: Checkpoint | None
    grace_seconds: float | None  # how long a graceful stop may take; None once it has ended


class JobService:
    """The use cases. Raises the errors of api.utils.errors; knows no HTTP and no dialect's words."""

    def __init__(
        self,
        db: Database,
        engines: Mapping[str, Engine],
        executor: Executor,
        supervisor: Supervisor,
        workspaces: Workspaces,
        feed: Feed,
        gpus: GpuDesk,
        *,
        grace: float,
        fitting: Fitting,
        max_queued: int = 0,
        endings: Endings = NO_HOOKS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._engines = engines
        self._executor = executor
        self._supervisor = supervisor
        self._workspaces = workspaces
        self._feed = feed
        self._gpus = gpus
        self._grace = grace
        self._fitting = fitting
        self._max_queued = max_queued
        self._forgot_at = 0.0
        self._endings = endings
        self._clock = clock

    # ---- submit

    def submit(
        self,
        actor: Actor,
        spec: JobSpec,
        dialect: Dialect,
        *,
        team_id: int | None = None,
        wait: bool = True,
        request: Request | None = None,
        warnings: tuple[str, ...] = (),
        also: Callable[[Connection, Job], None] | None = None,
    ) -> Job:
        """Into the queue. `wait` False: an explicit GPU that is not free is a Conflict.

        `request`: sent again, it finds the job it made. `also` writes rows in the transaction that adds the job.
        """
        actor.require_run()
        if request is not None and (made := self._made(actor, request)) is not None:
            return made
        checked, further = self.checked(actor, spec)
        new = store.NewJob(
            spec=checked,
            dialect=dialect.name,
            owner_id=actor.user_id,
            team_id=team_id,
            output_dir=lambda job_id: self._workspaces.output_of(job_id, 1, checked.output_dir),
            new_id=dialect.new_id,
            warnings=warnings + further,
        )
        fault("submit.before_insert")
        with self._db.write() as connection:
            if request is not None and (made := self._made(actor, request, connection)) is not None:
                return made
            self._check_place(connection, actor, checked, wait=wait)
            job = store.add(connection, new, self._clock())
            if request is not None:
                queue.remember(connection, actor.user_id, request.key, request.digest, job, self._clock())
            if also is not None:
                also(connection, job)
        fault("submit.after_insert")
        self._feed.notify()
        self._supervisor.wake()
        return job

    def checked(self, actor: Actor, spec: JobSpec) -> Checked:
        """As `submit` would take it, with the defaults filled in, and what it would warn of; nothing is queued."""
        actor.require_run()
        self._check_env(spec.env)
        checked = self._engine(spec.engine).validate(spec)
        self._check_output(checked.output_dir)
        return self._fitting.check(checked)

    def _made(self, actor: Actor, request: Request, connection: Connection | None = None) -> Job | None:
        """The job that this very request made before. Raises Invalid where it was another request."""
        if connection is None:
            with self._db.read() as reading:
                return self._made(actor, request, reading)
        found = queue.made_by(connection, actor.user_id, request.key)
        if found is None:
            return None
        digest, job_id = found
        if digest != request.digest:
            raise Invalid("Idempotency-Key", f"was used for another request, which made job {job_id}")
        return store.get(connection, job_id)

    def _check_place(self, connection: Connection, actor: Actor, spec: JobSpec, *, wait: bool) -> None:
        """What depends on the other jobs, in the transaction that adds this one."""
        if self._max_queued and queue.length(connection, actor.user_id) >= self._max_queued:
            raise TooMany(f"{self._max_queued} of your jobs wait already, and no more may", retry_after=60)
        user = spec.output_dir and store.user_of_output(connection, spec.output_dir)
        if user:
            raise Invalid("config.output_dir", f"is the output directory of job {user}; give each one of its own")
        if not wait and self._fitting.names_gpus:
            for gpu_id in spec.resources.gpu_ids:
                self._refuse_busy(gpu_id, queue.gpu_claimant(connection, gpu_id))

    def forget_requests(self) -> None:
        """Those whose sender has long known what became of them."""
        now = self._clock()
        if now - self._forgot_at > 3600:
            self._forgot_at = now
            with self._db.write(durable=False) as connection:
                queue.forget_keys(connection, now - KEY_SECONDS)

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            raise Invalid("engine", f"there is no engine {name!r}; there are: {', '.join(sorted(self._engines))}")
        return self._engines[name]

    @staticmethod
    def _check_env(env: Mapping[str, str]) -> None:
        problems = [(f"env.{n}", "the service sets this itself") for n in env if OWN_VARIABLES.fullmatch(n)]
        problems += [(f"env.{n}", "is not a variable's name") for n in env if not VARIABLE.fullmatch(n)]
        if problems:
            raise Invalid(*problems[0], more=problems[1:])

    def _check_output(self, directory: str | None) -> None:
        if directory is None:
            return
        path = Path(directory)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise Invalid("config.output_dir", "exists and is not empty; give each job a directory of its own")

    def _refuse_busy(self, gpu_id: int, claimant: str | None) -> None:
        view = self._gpus.view()
        if claimant is None and gpu_id in view.free:
            return
        raise Conflict(
            "busy: " + (f"GPU {gpu_id} by job {claimant}" if claimant else str(view.why_not(gpu_id))),
            data={
                "gpu_id": gpu_id,
                "current_task": claimant,
                "estimated_available_time": iso(self._expected_end(claimant)),
                "available_gpus": list(view.free),
            },
        )

    def _expected_end(self, job_id: str | None) -> float | None:
        if job_id is None:
            return None
        with self._db.read() as connection:
            return expected_end(store.get(connection, job_id).progress, self._clock())

    # ---- look

    def get(self, actor: Actor, job_id: str) -> Job:
        with self._db.read() as connection:
            job = store.get(connection, job_id)
        if not actor.may_read(job.owner_id, job.team_id):
            raise Forbidden(f"job {job_id} belongs to somebody else")
        return job

    def page(
        self, actor: Actor, wanted: JobFilter, *, limit: int, offset: int, order: Sort = NEWEST_FIRST
    ) -> tuple[list[Job], int]:
        viewer = actor.viewer
        with self._db.read() as connection:
            return job_lists.page(connection, viewer, wanted, limit=limit, offset=offset, order=order)

    def checkpoints(self, job: Job, attempt: Attempt | None = None) -> list[Checkpoint]:
        """What is on disk of the job's current series, oldest first."""
        if attempt is None:
            with self._db.read() as connection:
                attempt = store.attempt(connection, job)
        return list(self._engine(job.engine).checkpoints(self._workspaces.of(attempt)))

    # ---- change

    def mine(self, actor: Actor, job_id: str) -> Job:
        """A job that the caller may change. Raises NotFound, Forbidden."""
        job = self.get(actor, job_id)
        actor.require_run()
        if not actor.may_change(job.owner_id):
            raise Forbidden(f"job {job_id} belongs to somebody else")
        return job

    def stop(self, actor: Actor, job_id: str, *, force: bool, wait: float) -> StopResult:
        """Asks, and waits at most `wait` seconds for the end. A second request can only add force."""
        job = self.mine(actor, job_id)
        with self._db.write() as connection:
            job = store.get(connection, job_id)
            if job.status.is_terminal:
                raise Conflict(f"job {job_id} has already ended: {job.status}", data={"task_id": job_id})
            if job.status is JobStatus.QUEUED and not self._executor.traits.queues:
                job = store.request_stop(connection, job, self._clock(), force=force)
                job = self._endings.finish(connection, job, EndReason.STOPPED_BY_USER, self._clock())
            elif job.stop_requested_at is None or (force and not job.stop_forced):
                job = store.request_stop(connection, job, self._clock(), force=force)
        fault("stop.after_flag")
        self._feed.notify()
        self._supervisor.wake_worker(job_id)
        self._supervisor.wake()
        return self._stopped(self._wait_for_end(job_id, wait))

    def _wait_for_end(self, job_id: str, wait: float) -> Job:
        deadline = time.monotonic() + wait
        version = self._feed.version
        while True:
            with self._db.read() as connection:
                job = store.get(connection, job_id)
            left = deadline - time.monotonic()
            if job.status.is_terminal or left <= 0:
                return job
            version = self._feed.wait(version, min(left, 0.5))

    def _stopped(self, job: Job) -> StopResult:
        saved = self.checkpoints(job)
        states = [checkpoint for checkpoint in saved if checkpoint.kind == "state"]
        asked = job.stop_requested_at or 0.0
        newer = any(checkpoint.timestamp >= asked for checkpoint in states)
        grace = None if job.status.is_terminal else stop_grace(job, self._grace)
        return StopResult(job, newer, (states or saved)[-1] if saved else None, grace)

    def resume(self, actor: Actor, job_id: str, checkpoint: str | None) -> Job:
        """Another attempt of the same job that goes on from a checkpoint."""
        job = self._ended(self.mine(actor, job_id))
        with self._db.read() as connection:
            attempt = store.attempt(connection, job)
        states = [c for c in self.checkpoints(job, attempt) if c.kind == "state"]
        if not states:
            raise Conflict(f"job {job_id} has no checkpoint to resume from; restart it instead")
        names = [c.name for c in states]
        if checkpoint is not None and checkpoint not in names:
            raise NotFound(f"job {job_id} has no checkpoint {checkpoint!r}; there are: {', '.join(names)}")
        return self._again(job, checkpoint or names[-1], attempt.output_dir, new_series=False)

    def begin_again(self, actor: Actor, job_id: str, weights: str) -> Job:
        """A new series in the directory of the last one, beginning with weights that it left there."""
        job = self._ended(self.mine(actor, job_id))
        with self._db.read() as connection:
            attempt = store.attempt(connection, job)
        if weights not in [c.name for c in self.checkpoints(job, attempt) if c.kind == "weights"]:
            raise NotFound(f"job {job_id} has no weights {weights!r} to begin with")
        return self._again(job, weights, attempt.output_dir, new_series=True)

    def restart(self, actor: Actor, job_id: str) -> Job:
        """The same request from nothing: a new series in an output directory of its own."""
        job = self._ended(self.mine(actor, job_id))
        directory = self._workspaces.output_of(job.id, job.attempt + 1, job.spec.output_dir)
        return self._again(job, None, directory, new_series=True)

    def _ended(self, job: Job) -> Job:
        if not job.status.is_terminal:
            raise Conflict(f"job {job.id} has not ended: it is {job.status}")
        return job

    def _again(self, job: Job, resume_from: str | None, directory: str, *, new_series: bool) -> Job:
        self._engine(job.engine).validate(job.spec)
        with self._db.write() as connection:
            fresh = store.requeue(
                connection,
                job,
                self._clock(),
                resume_from=resume_from,
                output_dir=directory,
                new_series=new_series,
            )
            self._endings.again(connection, fresh)
        self._feed.notify()
        self._supervisor.wake()
        return fresh

    def delete(self, actor: Actor, job_id: str, *, files: bool) -> None:
        """The job and all that the service kept about it; with `files` its output directories too."""
        job = self.mine(actor, job_id)
        if job.status is JobStatus.QUEUED and self._executor.traits.queues:  # the engine may have it
            job = self.stop(actor, job_id, force=True, wait=WITHDRAW_SECONDS).job
            if not job.status.is_terminal:
                raise Conflict(f"job {job_id} is being withdrawn from {self._executor.name}; delete it then")
        if job.status is JobStatus.RUNNING:
            raise Conflict(f"job {job_id} runs; stop it first")
        with self._db.read() as connection:
            outputs = sorted({a.output_dir for a in store.attempts_of(connection, job)})
        self._workspaces.note_removal(job, outputs if files else [])
        fault("delete.after_note")
        try:
            with self._db.write() as connection:
                store.remove(connection, job)
        finally:
            fault("delete.after_row")
            self.finish_removals(job_id)
        self._feed.notify()

    def finish_removals(self, only: str | None = None) -> None:
        """Of all jobs at start: a crash may have come between a row and its files."""

        def exists(job_id: str) -> bool:
            with self._db.read() as connection:
                try:
                    store.get(connection, job_id)
                except NotFound:
                    return False
            return True

        self._workspaces.finish_removals(exists, only)
