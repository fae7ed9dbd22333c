"""Preprocessed datasets: the only SQL that touches them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.models.accounts import Viewer
from api.models.job import Job, JobStatus
from api.models.prepared import Prepared
from api.services.store.prepared_tables import prepared_datasets as table
from api.services.store.schema import jobs
from api.services.store.viewers import seen_by
from api.utils.errors import Conflict

COUNTS = ("video_count", "image_count", "caption_count", "file_count")
_FIELDS = ("name", "owner_id", "team_id", "job_id", "created_at", "updated_at", *COUNTS, "total_seconds")
_ROWS = select(*(table.c[name] for name in _FIELDS), jobs.c.status).select_from(
    table.outerjoin(jobs, jobs.c.seq == table.c.job_seq)
)


def _of(row: Row[Any]) -> Prepared:
    fields = dict(zip(_FIELDS, row, strict=False))
    return Prepared(**fields, making=None if row.status is None else JobStatus(row.status))


def reserve(connection: Connection, name: str, job: Job, now: float) -> None:
    """In the transaction that queues the job. Raises Conflict where the name is taken: two at once make one."""
    values = {
        "name": name,
        "owner_id": job.owner_id,
        "team_id": job.team_id,
        "job_id": job.id,
        "job_seq": job.seq,
        "created_at": now,
        "updated_at": now,
        **dict.fromkeys(COUNTS, 0),
    }
    holder = connection.execute(select(table.c.job_id).where(table.c.name == name)).scalar()
    try:
        if holder is None:
            connection.execute(insert(table).values(values))
            return
    except IntegrityError:  # another service's writer was quicker
        pass
    raise taken(name)


def taken(name: str) -> Conflict:
    return Conflict(f"there is a dataset {name!r} already; choose another name", data={"dataset_name": name})


def complete(connection: Connection, job: Job, summary: Mapping[str, Any], now: float) -> None:
    counts = {name: int(summary.get(name, 0)) for name in COUNTS}
    values = {**counts, "total_seconds": summary.get("total_seconds"), "job_seq": None, "updated_at": now}
    connection.execute(update(table).where(table.c.job_seq == job.seq).values(values))


def release(connection: Connection, job: Job) -> None:
    connection.execute(delete(table).where(table.c.job_seq == job.seq))


def find(connection: Connection, name: str) -> Prepared | None:
    row = connection.execute(_ROWS.where(table.c.name == name)).first()
    return None if row is None else _of(row)


def page(connection: Connection, viewer: Viewer, *, limit: int, offset: int) -> tuple[list[Prepared], int]:
    """Sorted by name, with the number of all that the viewer may see."""
    conditions = seen_by(viewer, table)
    rows = connection.execute(_ROWS.where(*conditions).order_by(table.c.name).limit(limit).offset(offset))
    found = [_of(row) for row in rows]
    total = connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
    return found, total


def touch(connection: Connection, name: str, now: float) -> None:
    connection.execute(update(table).where(table.c.name == name).values(updated_at=now))


def remove(connection: Connection, name: str) -> None:
    connection.execute(delete(table).where(table.c.name == name))
