"""Why a job waits where the queue is an engine's: in words, from what the executor last heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from api.models.job import Job
from api.models.progress import duration
from api.services.executors.base import RunState
from api.services.handover import Handover
from api.services.store import jobs as store

if TYPE_CHECKING:
    from api.services.supervisor import Parts


class EngineQueue:
    """Looks and answers; asks no engine."""

    def __init__(self, parts: Parts, handover: Handover, clock: Callable[[], float] = time.time) -> None:
        self._parts = parts
        self._handover = handover
        self._clock = clock

    def reason(self, job: Job) -> str:
        return self.reasons([job])[0]

    def reasons(self, waiting: Iterable[Job]) -> list[str]:
        with self._parts.db.read() as connection:
            attempts = [(job, store.attempt(connection, job)) for job in waiting]
        executor, told = self._parts.executor, []
        for job, attempt in attempts:
            seen = executor.poll(executor.handle(self._parts.workspaces.of(attempt)))
            if seen.state is RunState.ABSENT:
                told.append(self._not_there(job))
            else:
                told.append(self._there(job, seen.state, seen.note))
        return told

    def _there(self, job: Job, state: RunState, note: str | None) -> str:
        name = self._parts.executor.name
        if job.stop_requested_at is not None:
            return f"is being withdrawn from {name}"
        if state is not RunState.PENDING:
            return "is about to start"
        if job.held:
            return f"is held in {name}; release it to let it start"
        return f"{name}: {note or 'is in the queue'}"

    def _not_there(self, job: Job) -> str:
        name, now = self._parts.executor.name, self._clock()
        if job.held:
            return "is held; release it to let it start"
        if job.not_before > now:
            return f"failed and is tried again in {duration(job.not_before - now)}"
        return self._handover.note(job.id) or f"is about to be handed over to {name}"
