"""Jobs, their attempts and their leases: the only SQL that touches them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, or_, select, text, update

from api.models.job import Attempt, EndReason, Failure, Job, JobSpec, JobStatus, Resources
from api.models.room import lane_of
from api.services.store import leases, webhooks
from api.services.store.events import publish
from api.services.store.jsons import json_at
from api.services.store.schema import attempts, job_gpus, job_tags, jobs
from api.utils.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job about to be inserted; ids are made by the dialect and tried again if one is taken."""

    spec: JobSpec
    dialect: str
    owner_id: int
    team_id: int | None
    output_dir: Callable[[str], str]  # of the job's id
    new_id: Callable[[], str]  # "": the row's number is the id
    warnings: tuple[str, ...] = ()


def spec_text(spec: JobSpec) -> str:
    """As the database keeps it."""
    data = {name: getattr(spec, name) for name in JobSpec.__dataclass_fields__}
    data["resources"] = asdict(spec.resources)
    for name in ("params", "env", "extra"):
        data[name] = dict(data[name])
    return json.dumps(data)


@lru_cache(maxsize=512)
def spec_of(text: str) -> JobSpec:
    """Kept, since a spec never changes, is the largest part of a row, and is read with every look at a job."""
    fields = json.loads(text)
    resources = fields["resources"]
    resources["gpu_ids"], resources["cpu_ids"] = tuple(resources["gpu_ids"]), tuple(resources["cpu_ids"])
    fields["resources"] = Resources(**resources)
    fields["tags"] = tuple(fields["tags"])
    return JobSpec(**fields)


_FIELDS = tuple(Job.__dataclass_fields__)
JOBS = select(*(jobs.c[name] for name in _FIELDS))


def job_from_row(row: Row[Any]) -> Job:
    """Of a query that `JOBS` begins."""
    fields = dict(zip(_FIELDS, row, strict=True))
    fields["spec"] = spec_of(fields["spec"])
    fields["status"] = JobStatus(fields["status"])
    fields["reason"] = EndReason(fields["reason"]) if fields["reason"] else None
    fields["failure"] = Failure(**fields["failure"]) if fields["failure"] else None
    for name in ("warnings", "gpu_ids", "core_ids"):
        fields[name] = tuple(fields[name])
    return Job(**fields)


def attempt_from_row(row: Row[Any], job_id: str) -> Attempt:
    return Attempt(
        job_id=job_id,
        number=row.number,
        series=row.series,
        output_dir=row.output_dir,
        resume_from=row.resume_from,
        pid=row.pid,
        started_at=row.started_at,
        ended_at=row.ended_at,
        exit_code=row.exit_code,
        reason=EndReason(row.reason) if row.reason else None,
        command=tuple(row.command),
        environment=row.environment,
    )


# ---- reading


_GET = JOBS.where(jobs.c.id == bindparam("job_id"))


def get(connection: Connection, job_id: str) -> Job:
    row = connection.execute(_GET, {"job_id": job_id}).first()
    if row is None:
        raise NotFound(f"there is no job {job_id!r}")
    return job_from_row(row)


def extras(connection: Connection, seq: int) -> Row[Any]:
    """Columns that only the detail and the ingestion need: usage, log_position, total_lines."""
    columns = (jobs.c.usage, jobs.c.log_position, jobs.c.total_lines)
    return connection.execute(select(*columns).where(jobs.c.seq == seq)).one()


def attempts_of(connection: Connection, job: Job) -> list[Attempt]:
    rows = connection.execute(select(attempts).where(attempts.c.job_seq == job.seq).order_by(attempts.c.number))
    return [attempt_from_row(row, job.id) for row in rows]


def attempt(connection: Connection, job: Job, number: int | None = None) -> Attempt:
    chosen = job.attempt if number is None else number
    query = select(attempts).where(attempts.c.job_seq == job.seq, attempts.c.number == chosen)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"job {job.id} has no attempt {chosen}")
    return attempt_from_row(row, job.id)


def with_status(connection: Connection, status: JobStatus) -> list[Job]:
    query = JOBS.where(jobs.c.status == status).order_by(jobs.c.seq)
    return [job_from_row(row) for row in connection.execute(query)]


def by_number(connection: Connection, numbers: Collection[int]) -> dict[int, Job]:
    rows = connection.execute(JOBS.where(jobs.c.seq.in_(list(numbers))))
    return {job.seq: job for job in map(job_from_row, rows)}


def ids(connection: Connection) -> set[str]:
    return set(connection.execute(select(jobs.c.id)).scalars())


# ---- writing


def add(connection: Connection, new: NewJob, now: float) -> Job:
    """One more job in the queue."""
    job_id = _free_id(connection, new.new_id)
    spec = new.spec
    values = {
        "id": job_id,
        "dialect": new.dialect,
        "engine": spec.engine,
        "name": spec.name,
        "owner_id": new.owner_id,
        "team_id": new.team_id,
        "status": JobStatus.QUEUED,
        "priority": spec.priority,
        "lane": lane_of(spec.resources),
        "resources": json.dumps(asdict(spec.resources)),
        "held": False,
        "not_before": 0.0,
        "retries": 0,
        "spec": spec_text(spec),
        "attempt": 1,
        "series": 1,
        "created_at": now,
        "updated_at": now,
        "stop_forced": False,
        "warnings": list(new.warnings),
        "gpu_ids": [],
        "core_ids": [],
        "progress": {},
        "log_position": {},
        "total_lines": 0,
    }
    seq = connection.execute(insert(jobs).values(values)).inserted_primary_key[0]  # type: ignore[index]
    if spec.tags:
        connection.execute(insert(job_tags), [{"tag": tag, "job_seq": seq} for tag in dict.fromkeys(spec.tags)])
    if spec.resources.gpu_ids:
        connection.execute(insert(job_gpus), [{"gpu_id": gpu, "job_seq": seq} for gpu in spec.resources.gpu_ids])
    _add_attempt(connection, seq, 1, 1, new.output_dir(job_id), None)
    job = get(connection, job_id)
    publish_status(connection, job, now)
    return job


def _free_id(connection: Connection, new_id: Callable[[], str]) -> str:
    while True:
        candidate = new_id() or str(_next_number(connection))
        if connection.execute(select(jobs.c.seq).where(jobs.c.id == candidate)).first() is None:
            return candidate


_NEXT_ON_SQLITE = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'jobs'"
_NEXT_ON_POSTGRES = "SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM jobs_seq_seq"


def _next_number(connection: Connection) -> int:
    """What the next row will be numbered; true within a transaction of the one writer."""
    postgres = connection.dialect.name == "postgresql"
    query = text(_NEXT_ON_POSTGRES if postgres else _NEXT_ON_SQLITE)
    return int(connection.execute(query).scalar_one())


def _add_attempt(
    connection: Connection, seq: int, number: int, series: int, output_dir: str, resume_from: str | None
) -> None:
    connection.execute(
        insert(attempts).values(
            job_seq=seq,
            number=number,
            series=series,
            output_dir=output_dir,
            resume_from=resume_from,
            command=[],
            environment={},
        )
    )


def requeue(
    connection: Connection,
    job: Job,
    now: float,
    *,
    resume_from: str | None,
    output_dir: str,
    new_series: bool,
    retries: int = 0,
    not_before: float = 0.0,
) -> Job:
    """The same job with one more attempt, in the queue again. The caller has seen to the end of the last one."""
    number = job.attempt + 1
    series = number if new_series else job.series
    fresh = transition(
        connection,
        job,
        JobStatus.QUEUED,
        now,
        attempt=number,
        series=series,
        retries=retries,
        not_before=not_before,
        held=False,
        started_at=None,
        ended_at=None,
        reason=None,
        stop_requested_at=None,
        stop_forced=False,
        failure=None,
        error_message=None,
        warnings=[],
        usage=None,
        progress={} if new_series else _carried(job.progress),
    )
    _add_attempt(connection, job.seq, number, series, output_dir, resume_from)
    return fresh


def _carried(progress: Mapping[str, Any]) -> dict[str, Any]:
    """What stays true of a job when another attempt continues it."""
    kept = (
        "total_epochs",
        "total_steps",
        "total_steps_estimated",
        "steps_per_epoch",
        "filed_step",
        "best_loss",
        "best_epoch",
        "best_epoch_loss",
    )
    return {name: progress[name] for name in kept if name in progress}


EDGES: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.STOPPED, JobStatus.FAILED}),
    # back to the queue: a retry, which is no end
    JobStatus.RUNNING: frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.QUEUED}),
    # a resume or a restart, with one attempt more
    JobStatus.COMPLETED: frozenset({JobStatus.QUEUED}),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.STOPPED: frozenset({JobStatus.QUEUED}),
}


def transition(connection: Connection, job: Job, to: JobStatus, now: float, **values: Any) -> Job:
    """The one place where a status changes. Raises Conflict when the job is no longer where it was seen."""
    if to not in EDGES.get(job.status, frozenset()):
        raise Conflict(f"job {job.id} is {job.status} and cannot become {to}")
    changed = connection.execute(
        update(jobs)
        .where(jobs.c.seq == job.seq, jobs.c.status == job.status, jobs.c.attempt == job.attempt)
        .values(status=to, updated_at=now, **values)
    )
    if changed.rowcount != 1:
        raise Conflict(f"job {job.id} changed meanwhile; look again")
    fresh = get(connection, job.id)
    publish_status(connection, fresh, now)
    webhooks.enqueue(connection, fresh, now)
    return fresh


def finish(
    connection: Connection,
    job: Job,
    reason: EndReason,
    now: float,
    *,
    exit_code: int | None,
    failure: Failure | None,
    ended_at: float | None = None,
) -> Job:
    """Ends the current attempt and with it the job; leases go back in the same transaction."""
    ended = ended_at if ended_at is not None else now
    end_attempt(connection, job, reason, exit_code=exit_code, ended_at=ended)
    return transition(
        connection,
        job,
        reason.status,
        now,
        held=False,
        reason=reason,
        ended_at=ended,
        failure=None if failure is None else asdict(failure),
        error_message=None if failure is None else failure.hint,
        progress={**job.progress, "phase": "done"},
    )


def end_attempt(connection: Connection, job: Job, reason: EndReason, *, exit_code: int | None, ended_at: float) -> None:
    connection.execute(
        update(attempts)
        .where(attempts.c.job_seq == job.seq, attempts.c.number == job.attempt)
        .values(ended_at=ended_at, exit_code=exit_code, reason=reason)
    )
    leases.give_back(connection, job.seq)


def request_stop(connection: Connection, job: Job, now: float, *, force: bool) -> Job:
    """Raises the flag that the job's own worker acts on. A second request can only add force."""
    first = job.stop_requested_at or now
    connection.execute(
        update(jobs)
        .where(jobs.c.seq == job.seq, jobs.c.attempt == job.attempt)
        .values(stop_requested_at=first, stop_forced=job.stop_forced or force, updated_at=now)
    )
    fresh = get(connection, job.id)
    publish_status(connection, fresh, now)
    return fresh


def save_launch(connection: Connection, job: Job, command: Sequence[str], environment: Mapping[str, str]) -> None:
    connection.execute(
        update(attempts)
        .where(attempts.c.job_seq == job.seq, attempts.c.number == job.attempt)
        .values(command=list(command), environment=dict(environment))
    )


def save_start(connection: Connection, job: Job, pid: int | None, started_at: float | None) -> None:
    connection.execute(
        update(attempts)
        .where(attempts.c.job_seq == job.seq, attempts.c.number == job.attempt)
        .values(pid=pid, started_at=started_at)
    )


def save(connection: Connection, job: Job, now: float, **values: Any) -> None:
    """Columns that are not the status: progress, usage, warnings, log_position, total_lines."""
    if values.keys() & {"status", "reason", "attempt"}:
        raise ValueError("the status is changed by transition()")
    connection.execute(update(jobs).where(jobs.c.seq == job.seq).values(updated_at=now, **values))


def remove(connection: Connection, job: Job) -> None:
    """The row and, by the foreign keys, all that hangs on it."""
    gone = connection.execute(delete(jobs).where(jobs.c.seq == job.seq, jobs.c.status != JobStatus.RUNNING))
    if gone.rowcount != 1:
        get(connection, job.id)  # NotFound: somebody else has just removed it
        raise Conflict(f"job {job.id} runs; stop it first")


def publish_status(connection: Connection, job: Job, now: float) -> None:
    data = {
        "task_id": job.id,
        "status": job.status,
        "engine": job.engine,
        "attempt": job.attempt,
        "reason": job.reason,
        "stop_requested": job.stop_requested_at is not None,
    }
    publish(connection, job.seq, "status", data, now)


def user_of_dataset(connection: Connection, dataset_id: str) -> str | None:
    """A job that waits or runs and was given a dataset."""
    named = (json_at(jobs.c.spec, place) for place in ("dataset.dataset_id", "extra.dataset_id"))
    live = jobs.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING))
    query = select(jobs.c.id).where(live, or_(*(name == dataset_id for name in named)))
    return connection.execute(query.limit(1)).scalar()


def user_of_output(connection: Connection, directory: str) -> str | None:
    """The job that writes, or will write, into a directory."""
    query = select(jobs.c.id).join(attempts, attempts.c.job_seq == jobs.c.seq).where(attempts.c.output_dir == directory)
    return connection.execute(query.limit(1)).scalar()
