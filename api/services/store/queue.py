"""The queue: who is next, who waits where, what is held back. The rule itself is in api.models.room."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update
from sqlalchemy.sql import ColumnElement, Select

from api.models.job import Job, JobStatus, Resources
from api.models.room import Grant, Lane, Offer
from api.services.store import leases
from api.services.store.jobs import get, publish_status, transition
from api.services.store.queue_tables import gpu_drains, idempotency_keys
from api.services.store.schema import job_gpus, jobs
from api.services.store.upsert import upsert
from api.utils.errors import Conflict


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job, as the scheduler sees it."""

    seq: int
    id: str
    owner_id: int
    team_id: int | None
    priority: int
    lane: Lane
    wanted: Resources
    held: bool
    not_before: float
    name: str

    @property
    def order(self) -> tuple[int, int]:
        """Smaller is earlier."""
        return -self.priority, self.seq


_COLUMNS = (
    jobs.c.seq,
    jobs.c.id,
    jobs.c.owner_id,
    jobs.c.team_id,
    jobs.c.priority,
    jobs.c.lane,
    jobs.c.resources,
    jobs.c.held,
    jobs.c.not_before,
    jobs.c.name,
)
_ORDER = (jobs.c.priority.desc(), jobs.c.seq)


@lru_cache(maxsize=1024)
def _resources(text: str) -> Resources:
    """Kept: most jobs of a queue ask for one of a few things."""
    fields = json.loads(text)
    fields["gpu_ids"], fields["cpu_ids"] = tuple(fields["gpu_ids"]), tuple(fields["cpu_ids"])
    return Resources(**fields)


def _waiting(row: Row[Any]) -> Waiting:
    fields = dict(zip(Waiting.__slots__, row, strict=True))
    return Waiting(**{**fields, "lane": Lane(row.lane), "wanted": _resources(row.resources)})


# ---- who is next


def claim(connection: Connection, offer: Offer, now: float) -> Job | None:
    """Takes the next job that can start: marks it running and leases what it needs, in the caller's transaction.

    A long queue is read only as far as it has to be.
    """
    room = leases.left_of(connection, offer.room)
    full = users_at_limit(connection, offer.per_user)
    lines = {lane: _line(connection, lane, full, now) for lane in Lane if room.is_open(lane)}
    heads = {lane: next(line, None) for lane, line in lines.items()}
    while first := min((head for head in heads.values() if head is not None), key=lambda h: h.order, default=None):
        given = room.grant(first.wanted)
        if given is not None and offer.fits_a_node(first.wanted):
            return _take(connection, first, given, now)
        if offer.could_ever(first.wanted):  # one that this machine cannot hold now keeps nothing from anybody
            room, offer = room.keeping(first.wanted), offer.keeping(first.wanted)
        heads[first.lane] = next(lines[first.lane], None)
        heads = {lane: head for lane, head in heads.items() if room.is_open(lane)}
    return None


def _line(connection: Connection, lane: Lane, without_users: Collection[int], now: float) -> Iterator[Waiting]:
    mine = (jobs.c.status == JobStatus.QUEUED, jobs.c.lane == lane, jobs.c.held.is_(False), jobs.c.not_before <= now)
    query = select(*_COLUMNS).where(*mine).order_by(*_ORDER)
    if without_users:
        query = query.where(jobs.c.owner_id.not_in(sorted(without_users)))
    with connection.execute(query.execution_options(yield_per=32)) as rows:
        for row in rows:
            yield _waiting(row)


def users_at_limit(connection: Connection, limit: int) -> frozenset[int]:
    """Users who run as many jobs as one may; nobody where there is no limit."""
    if limit <= 0:
        return frozenset()
    query = select(jobs.c.owner_id).where(jobs.c.status == JobStatus.RUNNING).group_by(jobs.c.owner_id)
    return frozenset(connection.execute(query.having(func.count() >= limit)).scalars())


def _take(connection: Connection, waiting: Waiting, given: Grant, now: float) -> Job:
    leases.take(connection, waiting.seq, given)
    if given.gpus:
        rows = [{"gpu_id": gpu, "job_seq": waiting.seq} for gpu in given.gpus]
        connection.execute(upsert(connection, job_gpus).on_conflict_do_nothing(), rows)
    return transition(
        connection,
        get(connection, waiting.id),
        JobStatus.RUNNING,
        now,
        gpu_ids=list(given.gpus),
        core_ids=list(given.cores),
        started_at=now,
    )


# ---- who waits


def _queued(*conditions: ColumnElement[bool]) -> Select[Any]:
    return select(*_COLUMNS).where(jobs.c.status == JobStatus.QUEUED, *conditions)


def _before(job: Job) -> ColumnElement[bool]:
    earlier = (jobs.c.priority == job.priority) & (jobs.c.seq < job.seq)
    return or_(jobs.c.priority > job.priority, earlier) & jobs.c.held.is_(False)


def position(connection: Connection, job: Job) -> int | None:
    """1 is next; None when the job does not wait, or is held back."""
    if job.status is not JobStatus.QUEUED or job.held:
        return None
    ahead = select(func.count()).select_from(jobs).where(jobs.c.status == JobStatus.QUEUED, _before(job))
    return int(connection.execute(ahead).scalar_one()) + 1


def positions(connection: Connection) -> dict[int, int]:
    """Of every job that waits and is not held back, by its number."""
    order = (jobs.c.priority.desc(), jobs.c.seq)
    query = select(jobs.c.seq).where(jobs.c.status == JobStatus.QUEUED, jobs.c.held.is_(False)).order_by(*order)
    return {seq: place for place, seq in enumerate(connection.execute(query).scalars(), start=1)}


def line(connection: Connection, *, limit: int, until: Job | None = None) -> list[Waiting]:
    """The first `limit` of the queue in order, the held ones last; with `until` only those ahead of that job."""
    ahead = () if until is None else (_before(until),)
    found: list[Waiting] = []
    for held in (False, True) if until is None else (False,):
        for lane in Lane:  # in the index's order, so that a long queue is not sorted to show its beginning
            part = _queued(jobs.c.lane == lane, jobs.c.held.is_(held), *ahead).order_by(*_ORDER).limit(limit)
            found += (_waiting(row) for row in connection.execute(part))
    return sorted(found, key=lambda one: (one.held, *one.order))[:limit]


def waiting(connection: Connection, job: Job) -> Waiting:
    """A queued job as the scheduler sees it. Raises Conflict when it no longer waits."""
    row = connection.execute(_queued(jobs.c.seq == job.seq)).first()
    if row is None:
        raise Conflict(f"job {job.id} no longer waits")
    return _waiting(row)


def length(connection: Connection, owner_id: int | None = None) -> int:
    mine = () if owner_id is None else (jobs.c.owner_id == owner_id,)
    query = select(func.count()).select_from(jobs).where(jobs.c.status == JobStatus.QUEUED, *mine)
    return int(connection.execute(query).scalar_one())


def any_queued(connection: Connection) -> bool:
    query = select(jobs.c.seq).where(jobs.c.status == JobStatus.QUEUED).limit(1)
    return connection.execute(query).first() is not None


def any_waits_for_gpu(connection: Connection) -> bool:
    """Whether a job could use a GPU that were given back; those held back do not count."""
    waits = _queued(jobs.c.lane != Lane.PLACE, jobs.c.held.is_(False))
    return any(_resources(row.resources).gpus for row in connection.execute(waits))


def oldest(connection: Connection) -> float | None:
    """When the job that waits longest was submitted."""
    query = select(func.min(jobs.c.created_at)).where(jobs.c.status == JobStatus.QUEUED)
    return connection.execute(query).scalar()


def gpu_claimant(connection: Connection, gpu_id: int) -> str | None:
    """The job that holds a GPU, or that waits for just this one."""
    holder = leases.gpu_holder(connection, gpu_id)
    if holder is not None:
        return holder
    for row in connection.execute(_queued(jobs.c.lane != Lane.PLACE).order_by(*_ORDER)):
        if gpu_id in _resources(row.resources).gpu_ids:
            return str(row.id)
    return None


# ---- where the queue is an engine's


@dataclass(frozen=True, slots=True)
class Handed:
    """A queued job, as far as handing it over to an engine with a queue of its own needs it."""

    id: str
    attempt: int
    owner_id: int
    priority: int
    held: bool
    not_before: float
    stop_requested_at: float | None


_HANDED = tuple(jobs.c[name] for name in Handed.__slots__)


def handed(connection: Connection) -> list[Handed]:
    """All that wait, in order."""
    query = select(*_HANDED).where(jobs.c.status == JobStatus.QUEUED).order_by(*_ORDER)
    return [Handed(*row) for row in connection.execute(query)]


def running_by_user(connection: Connection) -> dict[int, int]:
    query = select(jobs.c.owner_id, func.count()).where(jobs.c.status == JobStatus.RUNNING)
    return {owner: number for owner, number in connection.execute(query.group_by(jobs.c.owner_id))}


def begin(connection: Connection, job: Job, now: float) -> Job:
    """The engine has started it: it runs, and leases nothing here."""
    return transition(connection, job, JobStatus.RUNNING, now, gpu_ids=[], core_ids=[], started_at=now)


# ---- what people change about it


def reorder(connection: Connection, job: Job, now: float, **values: Any) -> Job:
    """`priority` or `held` of a job that waits. Raises Conflict when it does no longer."""
    waits = (jobs.c.seq == job.seq, jobs.c.status == JobStatus.QUEUED)
    if connection.execute(update(jobs).where(*waits).values(updated_at=now, **values)).rowcount != 1:
        raise Conflict(f"job {job.id} does not wait: it is {get(connection, job.id).status}")
    fresh = get(connection, job.id)
    publish_status(connection, fresh, now)
    return fresh


def hold_all(connection: Connection, owner_id: int, now: float) -> int:
    """Holds back all that a user has waiting; how many."""
    mine = (jobs.c.status == JobStatus.QUEUED, jobs.c.owner_id == owner_id, jobs.c.held.is_(False))
    return connection.execute(update(jobs).where(*mine).values(held=True, updated_at=now)).rowcount


@dataclass(frozen=True, slots=True)
class Drain:
    """A GPU that nothing new is started on, since an admin says so."""

    uuid: str
    reason: str
    by: str
    at: float


def drains(connection: Connection) -> Mapping[str, Drain]:
    """By the device's uuid."""
    return {row.uuid: Drain(*row) for row in connection.execute(select(gpu_drains))}


def drain(connection: Connection, what: Drain) -> None:
    connection.execute(delete(gpu_drains).where(gpu_drains.c.uuid == what.uuid))
    connection.execute(insert(gpu_drains).values(uuid=what.uuid, reason=what.reason, by=what.by, at=what.at))


def undrain(connection: Connection, uuid: str) -> bool:
    """False: it was in service."""
    return connection.execute(delete(gpu_drains).where(gpu_drains.c.uuid == uuid)).rowcount == 1


# ---- requests that are sent again


def made_by(connection: Connection, owner_id: int, key: str) -> tuple[bytes, str] | None:
    """The digest of the request that a user sent under a key, and the id of the job it made."""
    query = (
        select(idempotency_keys.c.digest, jobs.c.id)
        .join(jobs, jobs.c.seq == idempotency_keys.c.job_seq)
        .where(idempotency_keys.c.owner_id == owner_id, idempotency_keys.c.key == key)
    )
    row = connection.execute(query).first()
    return None if row is None else (row.digest, row.id)


def remember(connection: Connection, owner_id: int, key: str, digest: bytes, job: Job, now: float) -> None:
    values = {"owner_id": owner_id, "key": key, "digest": digest, "job_seq": job.seq, "at": now}
    connection.execute(insert(idempotency_keys).values(values))


def forget_keys(connection: Connection, before: float) -> None:
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.at < before))
