"""The end of a job, and what of the catalogue changes with it: a dataset that appears, a model that is registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from api.models.job import EndReason, Failure, Job
from api.services.store import jobs as store

#: Called in the transaction that ends a job of its engine, so that both are true or neither is: it writes rows and
#: touches no file. It sees the ended job.
OnEnd = Callable[[Connection, Job], None]


#: Called before the end of a job whose child did what it was asked, while the job still runs: takes in what the child
#: left, in transactions as small as it likes. Called again after a crash, so that doing it twice must be as once.
Settle = Callable[[Job], None]


def in_turn(*settlers: Settle) -> Settle:
    """Each knows which jobs are its own."""

    def settle(job: Job) -> None:
        for one in settlers:
            one(job)

    return settle


class Endings:
    """`finish()` with the engine's own part of it."""

    def __init__(
        self,
        hooks: Mapping[str, OnEnd] | None = None,
        settlers: Mapping[str, Settle] | None = None,
        again: Mapping[str, OnEnd] | None = None,
    ) -> None:
        """`again`: as the hooks, for a job that is queued once more after it had ended."""
        self._hooks = dict(hooks or {})
        self._settlers = dict(settlers or {})
        self._again = dict(again or {})

    def settle(self, job: Job) -> None:
        """Before `finish` with the reason DONE."""
        if settle := self._settlers.get(job.engine):
            settle(job)

    def again(self, connection: Connection, job: Job) -> None:
        """In the transaction that queues it. May raise Conflict: what its end gave back may be somebody else's now."""
        if hook := self._again.get(job.engine):
            hook(connection, job)

    def finish(
        self,
        connection: Connection,
        job: Job,
        reason: EndReason,
        now: float,
        *,
        exit_code: int | None = None,
        failure: Failure | None = None,
        ended_at: float | None = None,
    ) -> Job:
        ended = store.finish(connection, job, reason, now, exit_code=exit_code, failure=failure, ended_at=ended_at)
        if hook := self._hooks.get(job.engine):
            hook(connection, ended)
        return ended


NO_HOOKS = Endings()
