"""Leases: the GPUs, cores and memory that running jobs hold. They come and go with the status, in its transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, func, insert, select

from api.models.job import Job, JobStatus
from api.models.room import Grant, Lane, Room, without
from api.services.store.queue_tables import core_leases, gpu_leases, memory_leases
from api.services.store.schema import jobs

INFERENCE = "inference"
TABLES = (gpu_leases, core_leases, memory_leases)


def take(connection: Connection, job_seq: int, given: Grant) -> None:
    """Raises IntegrityError where somebody holds one of them already."""
    if given.gpus:
        connection.execute(insert(gpu_leases), [{"gpu_id": gpu, "job_seq": job_seq} for gpu in given.gpus])
    if given.cores:
        connection.execute(insert(core_leases), [{"core_id": core, "job_seq": job_seq} for core in given.cores])
    if given.memory:
        connection.execute(insert(memory_leases).values(job_seq=job_seq, bytes=given.memory))


def give_back(connection: Connection, job_seq: int) -> None:
    for table in TABLES:
        connection.execute(delete(table).where(table.c.job_seq == job_seq))


def take_for_inference(connection: Connection, gpu_id: int) -> None:
    """For the process that answers inference requests, which is no job. Raises IntegrityError."""
    connection.execute(insert(gpu_leases).values(gpu_id=gpu_id, job_seq=None))


def give_back_inference(connection: Connection) -> None:
    connection.execute(delete(gpu_leases).where(gpu_leases.c.job_seq.is_(None)))


def rebuild(connection: Connection, running: Iterable[Job]) -> None:
    """Leases as the running jobs say; whoever else held one has ended."""
    for table in TABLES:
        connection.execute(delete(table))
    for job in running:
        take(connection, job.seq, held_by(job))


def held_by(job: Job) -> Grant:
    """What a running job was given."""
    wanted = job.spec.resources
    return Grant(job.gpu_ids, job.core_ids, wanted.memory or 0 if wanted.cpus is not None else 0)


def left_of(connection: Connection, room: Room) -> Room:
    """What of the room nobody holds."""
    used = connection.execute(select(func.coalesce(func.sum(memory_leases.c.bytes), 0))).scalar_one()
    placed = (jobs.c.status == JobStatus.RUNNING, jobs.c.lane == Lane.PLACE)
    busy = connection.execute(select(func.count()).select_from(jobs).where(*placed)).scalar_one()
    return Room(
        gpus=without(room.gpus, set(connection.execute(select(gpu_leases.c.gpu_id)).scalars())),
        places=max(0, room.places - busy),
        cores=without(room.cores, set(connection.execute(select(core_leases.c.core_id)).scalars())),
        memory=max(0, room.memory - used),
    )


def gpu_holders(
    connection: Connection, placed: Mapping[int, str] | None = None
) -> Mapping[int, tuple[str | None, str]]:
    """GPU number -> (job id, engine) that holds it; no job, where it is the inference process. `placed`: the jobs that
    a cluster's engine gave GPUs to; which they are only that knows, and numbers leased are a mere count."""
    query = select(gpu_leases.c.gpu_id, jobs.c.id, jobs.c.engine).join_from(
        gpu_leases, jobs, jobs.c.seq == gpu_leases.c.job_seq, isouter=True
    )
    found: dict[int, tuple[str | None, str]] = {
        gpu: (job_id, engine or INFERENCE) for gpu, job_id, engine in connection.execute(query)
    }
    if placed:
        those = select(jobs.c.id, jobs.c.engine).where(jobs.c.id.in_(set(placed.values())))
        engines = {job_id: engine for job_id, engine in connection.execute(those)}
        found = {gpu: holder for gpu, holder in found.items() if holder[0] not in engines}
        found |= {gpu: (job_id, engines[job_id]) for gpu, job_id in placed.items() if job_id in engines}
    return found


def gpu_holder(connection: Connection, gpu_id: int) -> str | None:
    """The job that holds it."""
    query = select(jobs.c.id).join(gpu_leases, gpu_leases.c.job_seq == jobs.c.seq).where(gpu_leases.c.gpu_id == gpu_id)
    return connection.execute(query).scalar()
