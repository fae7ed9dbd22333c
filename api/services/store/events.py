"""The feed: what happened, in order, so that a client that was away can go on where it stopped.

A job keeps its last `KEPT` events (status changes are kept for as long as the job). A client that asks for
something older is told that there is a gap and reads the state instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from api.services.store.schema import events, jobs

KEPT = 512


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """`seq` grows over all jobs."""

    seq: int
    job_id: str
    kind: str  # status | progress | metric | log
    data: Mapping[str, Any]
    at: float
    owner_id: int
    team_id: int | None


def publish(connection: Connection, job_seq: int, kind: str, data: Mapping[str, Any], now: float) -> int:
    values = {"job_seq": job_seq, "kind": kind, "data": dict(data), "at": now}
    return int(connection.execute(insert(events).values(values)).inserted_primary_key[0])  # type: ignore[index]


def prune(connection: Connection, job_seq: int) -> None:
    """Drops all but the newest `KEPT` events of a job that are not status changes."""
    oldest = (
        select(events.c.seq)
        .where(events.c.job_seq == job_seq, events.c.kind != "status")
        .order_by(events.c.seq.desc())
        .offset(KEPT)
        .limit(1)
        .scalar_subquery()
    )
    mine = (events.c.job_seq == job_seq, events.c.kind != "status", events.c.seq <= oldest)
    connection.execute(delete(events).where(*mine))


def since(
    connection: Connection,
    seq: int,
    *,
    job_seq: int | None = None,
    kinds: Collection[str] = (),
    limit: int = 200,
) -> list[FeedEvent]:
    """Events after `seq`, oldest first."""
    query = (
        select(
            events.c.seq,
            events.c.kind,
            events.c.data,
            events.c.at,
            jobs.c.id,
            jobs.c.owner_id,
            jobs.c.team_id,
        )
        .join(jobs, jobs.c.seq == events.c.job_seq)
        .where(events.c.seq > seq)
        .order_by(events.c.seq)
        .limit(limit)
    )
    if job_seq is not None:
        query = query.where(events.c.job_seq == job_seq)
    if kinds:
        query = query.where(events.c.kind.in_(list(kinds)))
    return [
        FeedEvent(row.seq, row.id, row.kind, row.data, row.at, row.owner_id, row.team_id)
        for row in connection.execute(query)
    ]


def newest(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(events.c.seq), 0))).scalar_one())


def oldest_kept(connection: Connection, job_seq: int) -> int:
    """The first event of a job, other than a status change, that is still there; 0 when there is none."""
    mine = (events.c.job_seq == job_seq, events.c.kind != "status")
    return int(connection.execute(select(func.coalesce(func.min(events.c.seq), 0)).where(*mine)).scalar_one())


def missed(connection: Connection, job_seq: int, seq: int) -> bool:
    """Whether some of a job's events after `seq` may be gone: it has had as many as are kept, and `seq` is older."""
    mine = (events.c.job_seq == job_seq, events.c.kind != "status")
    had = connection.execute(select(func.count()).select_from(events).where(*mine)).scalar_one()
    return had >= KEPT and seq + 1 < oldest_kept(connection, job_seq)
