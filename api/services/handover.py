"""Handing over: what waits goes to an engine that has a queue of its own, and runs here once it runs there.

A job stays `queued` until the engine has started it. What is known of a handed-over job is known by the executor, from
files beside the job; so a crash at any point leaves a job that is either not handed over or found again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.models.job import Attempt, EndReason, Failure, Job
from api.models.workspace import Workspace
from api.services.executors.base import ClusterExecutor, LaunchError, Observation, RunState, Terms
from api.services.launching import free_ports, launch
from api.services.store import jobs as store
from api.services.store import queue
from api.services.store.queue import Handed
from api.services.telemetry import QUEUE_WAIT
from api.utils.errors import Conflict, NotFound, TrainyardError, Unavailable

if TYPE_CHECKING:
    from api.services.supervisor import Parts

log = logging.getLogger(__name__)
RETRY_SECONDS = 5.0  # after an engine that did not take a job; twice as long each time, up to
RETRY_MOST = 60.0
HANDING_SECONDS = 2.0  # of a turn: to hand over takes a moment each
PAUSE, IDLE_PAUSE = 0.25, 1.0  # between two turns while something is pending there, and while nothing is


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt keeps things, and what the executor calls it."""

    attempt: Attempt
    workspace: Workspace
    handle: str


class Handover:
    """The scheduler's part where the queue is the engine's. Called by one thread."""

    def __init__(self, parts: Parts, ports: Callable[[], set[int]], per_user: Callable[[], int]) -> None:
        if not isinstance(parts.executor, ClusterExecutor):
            raise TypeError(f"{parts.executor.name} has no queue of its own")
        self.pause = IDLE_PAUSE
        self._parts = parts
        self._executor = parts.executor
        self._ports_in_use = ports
        self._per_user = per_user
        self._places: dict[tuple[str, int], Place] = {}
        self._notes: dict[str, str] = {}  # job id -> why the engine did not take it
        self._later: dict[str, tuple[float, float]] = {}  # job id -> when it is tried again, and the pause before that

    def note(self, job_id: str) -> str | None:
        """Why a job was not handed over when that was last looked at; for all, where the engine is not heard."""
        return self._notes.get(job_id) or self._executor.problem()

    def turn(self, now: float) -> list[Job]:
        """Looks at all that wait; those that the engine has begun are running now, and returned."""
        with self._parts.db.read() as connection:
            waiting = queue.handed(connection)
            users = Counter(queue.running_by_user(connection))
        self._forget({(one.id, one.attempt) for one in waiting})
        begun: list[Job] = []
        fresh: list[Handed] = []
        for one in waiting:
            place = self._place(one)
            seen = RunState.ABSENT if place is None else self._executor.poll(place.handle).state
            if place is None or seen is RunState.ABSENT:
                fresh.append(one)
                continue
            users[one.owner_id] += 1
            if job := self._guarded(one, now, self._attend):
                begun.append(job)
        self.pause = PAUSE if self._places else IDLE_PAUSE
        self._hand_over_all(fresh, users, now)
        return begun

    def _hand_over_all(self, fresh: list[Handed], users: Counter[int], now: float) -> None:
        """In order, for a while: what has begun meanwhile wants to be followed too."""
        away, until = self._executor.problem(), time.monotonic() + HANDING_SECONDS
        for one in fresh:
            if time.monotonic() > until:
                self.pause = 0.0
                return
            if away is not None and one.stop_requested_at is None:
                self._notes[one.id] = f"{self._executor.name} does not take it yet: {away}"
                continue
            limit = self._per_user()
            if one.stop_requested_at is None and limit and users[one.owner_id] >= limit:
                mine = f"waits for one of its owner's jobs to end that are with {self._executor.name} already"
                self._notes[one.id] = f"{mine}: {limit} at a time are allowed"
                continue
            if self._guarded(one, now, self._hand_over) is not None:
                users[one.owner_id] += 1

    def _guarded(self, one: Handed, now: float, step: Callable[[Handed, float], Job | None]) -> Job | None:
        """One job that meets something unforeseen must not keep the others from their turn."""
        try:
            return step(one, now)
        except (Conflict, NotFound):  # it was stopped or deleted between two looks
            return None
        except Unavailable as problem:
            self._say(one.id, f"{self._executor.name} does not take it yet: {problem.message}")
            pause = min(RETRY_MOST, 2 * self._later.get(one.id, (0.0, RETRY_SECONDS / 2))[1])
            self._later[one.id] = now + pause, pause
        except Exception as problem:
            if self._notes.get(one.id) != repr(problem):
                log.exception("job %s cannot be handed over; will try again", one.id)
            self._notes[one.id] = repr(problem)
        return None

    # ---- what the engine does not have

    def _hand_over(self, one: Handed, now: float) -> Job | None:
        """The job, where the engine took it."""
        with self._parts.db.read() as connection:
            job = store.get(connection, one.id)
        place = self._place(one)
        if place is None:
            return None
        if job.stop_requested_at is not None:
            self._executor.stop(place.handle, 0)  # a handing over that was cut short must begin nothing
            self._finish(job, EndReason.STOPPED_BY_USER, None, now)
            return None
        if one.held or one.not_before > now or self._later.get(one.id, (0.0, 0.0))[0] > now:
            return None
        try:
            engine = self._parts.engines[job.engine]
            ports = free_ports(2, self._ports_in_use())
            launch(self._parts, engine, job, place.attempt, place.workspace, ports)
        except Unavailable:
            raise
        except (TrainyardError, LaunchError, OSError) as problem:
            kind = "bad_config" if isinstance(problem, TrainyardError) else "unknown"
            self._finish(job, EndReason.LAUNCH_FAILED, Failure(kind, str(problem)), now)
            return None
        self._notes.pop(one.id, None)
        self._later.pop(one.id, None)
        log.info("job %s was handed over to %s", job.id, self._executor.name)
        return job

    # ---- what it has

    def _attend(self, one: Handed, now: float) -> Job | None:
        """The job, once the engine has begun it."""
        place = self._place(one)
        if place is None:
            return None
        seen = self._executor.poll(place.handle)
        if seen.state is RunState.PENDING:
            if one.stop_requested_at is not None:
                self._executor.stop(place.handle, 0)
            else:
                self._executor.amend(place.handle, Terms(priority=one.priority, held=one.held))
            return None
        with self._parts.db.read() as connection:
            job = store.get(connection, one.id)
        if seen.state is RunState.EXITED and seen.started_at is None:
            self._never_began(job, seen, now)
            return None
        with self._parts.db.write() as connection:
            job = queue.begin(connection, job, now)
        if job.attempt == 1:
            QUEUE_WAIT.observe(max(0.0, (seen.started_at or now) - job.created_at))
        self._parts.feed.notify()
        return job

    def _never_began(self, job: Job, seen: Observation, now: float) -> None:
        if job.stop_requested_at is not None:
            self._finish(job, EndReason.STOPPED_BY_USER, None, now)
        else:
            failure = Failure("unknown", f"could not be started: {seen.error or seen.note or 'nobody says why'}")
            self._finish(job, EndReason.LAUNCH_FAILED, failure, now)

    # ---- common

    def _finish(self, job: Job, reason: EndReason, failure: Failure | None, now: float) -> None:
        with self._parts.db.write() as connection:
            latest = store.get(connection, job.id)
            ended = self._parts.finish(connection, latest, reason, now, exit_code=None, failure=failure)
        self._parts.feed.notify()
        log.info("job %s %s (%s) before it began", ended.id, ended.status, reason)

    def _place(self, one: Handed) -> Place | None:
        """None: the job went away between two looks."""
        key = one.id, one.attempt
        if key not in self._places:
            try:
                with self._parts.db.read() as connection:
                    attempt = store.attempt(connection, store.get(connection, one.id), one.attempt)
            except NotFound:
                return None
            workspace = self._parts.workspaces.of(attempt)
            self._places[key] = Place(attempt, workspace, self._executor.handle(workspace))
        return self._places[key]

    def _forget(self, waiting: set[tuple[str, int]]) -> None:
        for key in self._places.keys() - waiting:
            del self._places[key]
        names = {name for name, _ in waiting}
        for kept in (self._notes, self._later):
            for name in kept.keys() - names:
                del kept[name]

    def _say(self, job_id: str, problem: str) -> None:
        if self._notes.get(job_id) != problem:
            log.warning("job %s: %s; will try again", job_id, problem)
        self._notes[job_id] = problem
