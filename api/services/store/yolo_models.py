"""Registered models of the YOLO platform: the only SQL that touches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from api.models.accounts import Viewer
from api.models.job import JobStatus
from api.models.yolo_model import YoloModel
from api.services.store.schema import jobs
from api.services.store.viewers import seen_by
from api.services.store.yolo_model_tables import yolo_models as models
from api.utils.errors import NotFound


def _model(row: Row[Any]) -> YoloModel:
    fields = dict(row._mapping)
    return YoloModel(**{**fields, "tags": tuple(fields["tags"]), "classes": tuple(fields["classes"])})


def find(connection: Connection, model_id: str) -> YoloModel | None:
    row = connection.execute(select(models).where(models.c.id == model_id)).first()
    return None if row is None else _model(row)


def get(connection: Connection, model_id: str) -> YoloModel:
    found = find(connection, model_id)
    if found is None:
        raise NotFound(f"there is no model {model_id!r}")
    return found


def of_job(connection: Connection, job_id: str) -> YoloModel | None:
    """The newest that it left."""
    row = connection.execute(select(models).where(models.c.job_id == job_id).order_by(models.c.seq.desc())).first()
    return None if row is None else _model(row)


def all_of(connection: Connection, viewer: Viewer) -> list[YoloModel]:
    """What the viewer may see, newest first."""
    conditions = seen_by(viewer, models)
    rows = connection.execute(select(models).where(*conditions).order_by(models.c.seq.desc()))
    return [_model(row) for row in rows]


def names(connection: Connection) -> set[str]:
    """The ids of all."""
    return set(connection.execute(select(models.c.id)).scalars())


def live_use(connection: Connection, model_id: str) -> str | None:
    """A job that waits or runs and whose request names the model, by its id or by the path of its weights."""
    named = (jobs.c.spec.contains(text, autoescape=True) for text in (f'"{model_id}"', f"/{model_id}/weights/"))
    live = jobs.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING))
    return connection.execute(select(jobs.c.id).where(live, or_(*named)).limit(1)).scalar()


def free_id(connection: Connection, make: Callable[[], str]) -> str:
    while True:
        candidate = make()
        if find(connection, candidate) is None:
            return candidate


def add(connection: Connection, values: Mapping[str, Any]) -> YoloModel:
    """`values`: every field of a YoloModel but `seq`."""
    connection.execute(insert(models).values(**values))
    return get(connection, values["id"])


def change(connection: Connection, model: YoloModel, values: Mapping[str, Any]) -> YoloModel:
    connection.execute(update(models).where(models.c.seq == model.seq).values(values))
    return get(connection, model.id)


def remove(connection: Connection, model: YoloModel) -> None:
    connection.execute(delete(models).where(models.c.seq == model.seq))
