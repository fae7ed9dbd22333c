"""The supervisor: starts what waits, follows what runs, ends what must end.

One thread schedules, one worker thread follows each running job and is the only writer of that job's row while
it runs. Each does its work in turns that return, so that a test can call them with a clock of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.models.job import EndReason, Failure, Job, JobStatus
from api.models.room import Offer
from api.services.endings import NO_HOOKS, Endings
from api.services.engines.base import Engine
from api.services.executors.base import Executor
from api.services.feed import Feed
from api.services.handover import Handover
from api.services.store import jobs as store
from api.services.store import leases, queue
from api.services.store.database import Database
from api.services.telemetry import QUEUE_WAIT
from api.services.worker import Worker
from api.services.workspaces import Workspaces
from api.utils.errors import TrainyardError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0  # after a turn that failed


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the supervisor waits for things, in seconds, and what it does about a failure."""

    stop_grace: float = 120.0
    stall_seconds: float = 120.0
    kill_grace: float = 10.0
    force_grace: float = 5.0
    retry_pause: float = 10.0  # before the first retry of a job; twice as long before each further one
    hold_on_failure: bool = False  # when a job fails, what its owner has waiting is held back


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker works with."""

    db: Database
    engines: Mapping[str, Engine]
    executor: Executor
    workspaces: Workspaces
    feed: Feed
    limits: Limits
    base_env: Mapping[str, str]
    endings: Endings = NO_HOOKS

    def finish(
        self,
        connection: Connection,
        job: Job,
        reason: EndReason,
        now: float,
        *,
        exit_code: int | None,
        failure: Failure | None,
        ended_at: float | None = None,
    ) -> Job:
        """Ends a job that is not tried again; after a failure the rest of its owner's is held where that is set."""
        ended = self.endings.finish(
            connection, job, reason, now, exit_code=exit_code, failure=failure, ended_at=ended_at
        )
        if ended.status is JobStatus.FAILED and self.limits.hold_on_failure:
            queue.hold_all(connection, ended.owner_id, now)
        return ended


class Supervisor:
    """Owns the workers. `offer` says what jobs may have now: leases are not its business."""

    def __init__(
        self,
        parts: Parts,
        offer: Callable[[], Offer],
        *,
        clock: Callable[[], float] = time.time,
        interval: float = 0.2,
    ) -> None:
        self.parts = parts
        self.clock = clock
        self.interval = interval
        self._offer = offer
        self._chores: tuple[Callable[[], None], ...] = ()
        self._workers: dict[str, Worker] = {}
        self._unfollowed: set[str] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._threads: list[threading.Thread] = []
        self._last_turn = time.monotonic()
        self.handover: Handover | None = None
        if parts.executor.traits.queues:
            self.handover = Handover(parts, self._ports_in_use, lambda: offer().per_user)

    # ---- life

    def attend(self, *chores: Callable[[], None]) -> None:
        """Small things that want doing now and then, by a thread that may write."""
        self._chores += chores

    def start(self) -> None:
        """Re-adopts what is alive, and only then accepts new work. May come again after a `close` that was true."""
        self._stopping.clear()
        with self._lock:
            self._workers.clear()
        self._last_turn = time.monotonic()
        self.adopt()
        scheduler = threading.Thread(target=self._schedule, name="scheduler", daemon=True)
        self._threads.append(scheduler)
        scheduler.start()
        for worker in self.workers():
            self._follow(worker)

    def close(self, deadline: float = 8.0) -> bool:
        """Stops following; trainings go on by themselves. Waits for turns under way, at most `deadline` seconds;
        whether all have ended."""
        self._stopping.set()
        self._wake.set()
        end = time.monotonic() + deadline
        for worker in self.workers():
            worker.wake()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def wake(self) -> None:
        self._wake.set()

    def wake_worker(self, job_id: str) -> None:
        """Makes the job's worker look at once (a stop was asked for)."""
        with self._lock:
            worker = self._workers.get(job_id)
        if worker is not None:
            worker.wake()

    def last_turn_age(self) -> float:
        """Seconds since the scheduler last finished a turn; for health."""
        return time.monotonic() - self._last_turn

    def workers(self) -> list[Worker]:
        with self._lock:
            return list(self._workers.values())

    def own_pids(self) -> frozenset[int]:
        """Processes of our running jobs, as last sampled."""
        return frozenset(pid for worker in self.workers() for pid in worker.pids)

    def owner_of(self, pid: int) -> str | None:
        return next((worker.job.id for worker in self.workers() if pid in worker.pids), None)

    # ---- adoption

    def adopt(self) -> None:
        """One worker for each job that the database says runs; each has looked once before this returns."""
        with self.parts.db.write() as connection:
            running = store.with_status(connection, JobStatus.RUNNING)
            leases.rebuild(connection, running)
        for job in running:
            worker = self._worker(job)
            if worker is not None and not self._turn(worker):
                with self._lock:
                    self._workers[job.id] = worker
        if running:
            log.info("adopted %d running job(s)", len(running))

    # ---- scheduling

    def turn(self) -> int:
        """Starts what can start now; returns how many. A running job that nobody follows is followed first."""
        followed = {worker.job.id for worker in self.workers()}  # looked at first: one may end meanwhile
        with self.parts.db.read() as connection:
            running = store.with_status(connection, JobStatus.RUNNING)
        for job in running:
            if job.id not in followed:
                self._take(job)
        if self.handover is not None:
            begun = self.handover.turn(self.clock())
            for job in begun:
                self._take(job)
            return len(begun)
        started = 0
        while not self._stopping.is_set() and (claimed := self._claim()) is not None:
            self._take(claimed)
            started += 1
        return started

    def _take(self, job: Job) -> None:
        worker = self._worker(job)
        if worker is None:
            return
        with self._lock:
            self._workers[job.id] = worker
        self._follow(worker)

    def _claim(self) -> Job | None:
        with self.parts.db.read() as connection:
            if not queue.any_queued(connection):
                return None
        offer = self._offer()
        with self.parts.db.write() as connection:
            job = queue.claim(connection, offer, self.clock())
        if job is not None:
            if job.attempt == 1:
                QUEUE_WAIT.observe(max(0.0, self.clock() - job.created_at))
            self.parts.feed.notify()
        return job

    def _schedule(self) -> None:
        while not self._stopping.is_set():
            try:
                self.turn()
                for chore in self._chores:
                    chore()
            except Unavailable as problem:
                log.warning("scheduling: %s; will try again", problem.message)
            except Exception:  # the loop must outlive whatever one turn meets; /readyz tells when it no longer turns
                log.exception("scheduling failed; will try again")
            else:
                self._last_turn = time.monotonic()
            self._wake.wait(1.0 if self.handover is None else self.handover.pause)
            self._wake.clear()

    # ---- following

    def _worker(self, job: Job) -> Worker | None:
        """None when it cannot be made now (its engine is gone, the database does not answer): tried again each turn."""
        try:
            worker = Worker(self.parts, job, clock=self.clock, ports=self._ports_in_use)
        except Exception as problem:  # one job that cannot be followed must not keep the others from it
            if job.id not in self._unfollowed:
                log.exception("job %s cannot be followed (%r); will try again", job.id, problem)
            self._unfollowed.add(job.id)
            return None
        self._unfollowed.discard(job.id)
        return worker

    def _ports_in_use(self) -> set[int]:
        return {port for worker in self.workers() for port in worker.ports}

    def _follow(self, worker: Worker) -> None:
        thread = threading.Thread(target=self._run, args=(worker,), name=f"worker-{worker.job.id}", daemon=True)
        with self._lock:
            self._threads = [t for t in self._threads if t.is_alive() or not t.ident] + [thread]
        thread.start()

    def _run(self, worker: Worker) -> None:
        while not self._stopping.is_set():
            if self._turn(worker):
                break
            worker.wait(RETRY_SECONDS if worker.broken else 0.0 if worker.behind else self.interval)
        else:
            return
        self.wake()

    def _turn(self, worker: Worker) -> bool:
        """One turn, whatever it meets. True when the job has ended."""
        try:
            if worker.turn(self.clock()):
                self._drop(worker)
                return True
            return False
        except TrainyardError as problem:
            log.warning("job %s: %s; will try again", worker.job.id, problem)
        except Exception:  # a worker must outlive a full disk or a bug; the job stays where it is until a turn works
            log.exception("job %s: a turn failed; will try again", worker.job.id)
        worker.broken = True
        return False

    def _drop(self, worker: Worker) -> None:
        with self._lock:
            if self._workers.get(worker.job.id) is worker:  # it may be that of a resume which came at once
                del self._workers[worker.job.id]
