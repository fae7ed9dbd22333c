"""Which job is the training of which model of the YOLO train server: the only SQL that touches it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from api.models.job import Job
from api.services.store import jobs as store
from api.services.store.train_server_tables import train_server_runs as runs


@dataclass(frozen=True, slots=True)
class Run:
    """`place`: the folder of its training set."""

    name: str
    job: Job
    place: str


def add(connection: Connection, job: Job, name: str, place: str) -> None:
    connection.execute(insert(runs).values(job_seq=job.seq, name=name, place=place))


def of(connection: Connection, name: str) -> list[Run]:
    """All of a name, oldest first: the last is the one that is meant by it."""
    query = select(runs.c.job_seq, runs.c.place).where(runs.c.name == name).order_by(runs.c.job_seq)
    rows = connection.execute(query).all()
    jobs = store.by_number(connection, [row.job_seq for row in rows])
    return [Run(name, jobs[row.job_seq], row.place) for row in rows]


def newest(connection: Connection) -> list[Run]:
    """Of each name the one that is meant, oldest first."""
    latest = select(func.max(runs.c.job_seq)).group_by(runs.c.name)
    rows = connection.execute(select(runs).where(runs.c.job_seq.in_(latest)).order_by(runs.c.job_seq)).all()
    jobs = store.by_number(connection, [row.job_seq for row in rows])
    return [Run(row.name, jobs[row.job_seq], row.place) for row in rows]


def places(connection: Connection) -> set[str]:
    return set(connection.execute(select(runs.c.place)).scalars())
