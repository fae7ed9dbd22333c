"""Lists of jobs, and how many there are of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.sql import ColumnElement, Select

from api.models.accounts import Viewer
from api.models.job import Job, JobStatus
from api.services.store.jobs import JOBS, job_from_row
from api.services.store.jsons import json_at
from api.services.store.schema import job_gpus, job_tags, jobs
from api.services.store.viewers import seen_by


@dataclass(frozen=True, slots=True)
class JobFilter:
    """What a list shows. None: any."""

    status: JobStatus | None = None
    gpu_id: int | None = None
    engine: str | None = None
    dialect: str | None = None
    tag: str | None = None
    q: str | None = None
    team_id: int | None = None
    task: str | None = None  # of an engine that has several


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of a list: a column of the jobs, the order of submission among equals."""

    column: str = "seq"
    descending: bool = True


NEWEST_FIRST = Sort()


def page(
    connection: Connection,
    viewer: Viewer,
    wanted: JobFilter,
    *,
    limit: int,
    offset: int,
    order: Sort = NEWEST_FIRST,
) -> tuple[list[Job], int]:
    """Jobs in order, with the number of all that match."""
    matching, seq = _matching(viewer, wanted, joined=order.column != "seq")
    keys = _keys(order, seq)
    shown = matching.order_by(*keys).limit(limit).offset(offset)
    rows = connection.execute(JOBS.where(jobs.c.seq.in_(shown)).order_by(*_keys(order, jobs.c.seq)))
    found = [job_from_row(row) for row in rows]
    if len(found) < limit and (found or not offset):
        return found, offset + len(found)
    return found, connection.execute(matching.with_only_columns(func.count())).scalar_one()


def _keys(order: Sort, seq: ColumnElement[int]) -> list[ColumnElement[Any]]:
    columns = [seq] if order.column == "seq" else [jobs.c[order.column], seq]
    return [_directed(column, descending=order.descending) for column in columns]


def _directed(column: ColumnElement[Any], *, descending: bool) -> ColumnElement[Any]:
    """What is not there counts as least, which each database sees in its own way unless it is told."""
    directed = column.desc() if descending else column.asc()
    if not getattr(column, "nullable", False):
        return directed
    return directed.nulls_last() if descending else directed.nulls_first()


def _matching(viewer: Viewer, wanted: JobFilter, *, joined: bool = False) -> tuple[Select[Any], ColumnElement[int]]:
    """The numbers of the jobs that a list is about, and that column. Reads indexes only: a job's row is large."""
    conditions = _conditions(viewer, wanted)
    if wanted.tag is None and wanted.gpu_id is None:
        return select(jobs.c.seq).select_from(jobs).where(*conditions), jobs.c.seq
    table = job_gpus if wanted.tag is None else job_tags
    own = job_gpus.c.gpu_id == wanted.gpu_id if wanted.tag is None else job_tags.c.tag == wanted.tag
    seq = table.c.job_seq
    matching = select(seq).select_from(table).where(own)
    if conditions or joined:
        matching = matching.join(jobs, jobs.c.seq == seq).where(*conditions)
    return matching, seq


def _conditions(viewer: Viewer, wanted: JobFilter) -> list[ColumnElement[bool]]:
    """On the jobs themselves: all but a tag, and a GPU where no tag is given."""
    found = list(seen_by(viewer, jobs))
    for column, value in (
        (jobs.c.status, wanted.status),
        (jobs.c.engine, wanted.engine),
        (jobs.c.dialect, wanted.dialect),
        (jobs.c.team_id, wanted.team_id),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.task is not None:
        found.append(json_at(jobs.c.spec, "params.task") == wanted.task)
    if wanted.gpu_id is not None and wanted.tag is not None:
        found.append(jobs.c.seq.in_(select(job_gpus.c.job_seq).where(job_gpus.c.gpu_id == wanted.gpu_id)))
    if wanted.q:
        found.append(or_(*(c.icontains(wanted.q, autoescape=True) for c in (jobs.c.id, jobs.c.name))))
    return found


def counts(connection: Connection) -> dict[JobStatus, int]:
    """How many jobs there are of each status. Those that completed are most: they are what the others leave."""
    others = [status for status in JobStatus if status is not JobStatus.COMPLETED]
    rows = connection.execute(
        select(jobs.c.status, func.count()).where(jobs.c.status.in_(others)).group_by(jobs.c.status)
    )
    found = {JobStatus(status): number for status, number in rows}
    total = connection.execute(select(func.count()).select_from(jobs)).scalar_one()
    found[JobStatus.COMPLETED] = total - sum(found.values())
    return {status: found.get(status, 0) for status in JobStatus}


def counts_by_engine(connection: Connection) -> list[tuple[str, str, int]]:
    query = select(jobs.c.engine, jobs.c.status, func.count()).group_by(jobs.c.engine, jobs.c.status)
    return [(engine, status, number) for engine, status, number in connection.execute(query)]
