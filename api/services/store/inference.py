"""Inference sessions: the only SQL that touches them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from api.models.accounts import Viewer
from api.models.inference import InferSession
from api.services.store.infer_tables import infer_sessions as sessions
from api.services.store.viewers import seen_by
from api.utils.errors import NotFound


def _session(row: Row[Any]) -> InferSession:
    fields = dict(row._mapping)
    return InferSession(**{**fields, "model_ids": tuple(fields["model_ids"])})


def find(connection: Connection, session_id: str) -> InferSession | None:
    row = connection.execute(select(sessions).where(sessions.c.id == session_id)).first()
    return None if row is None else _session(row)


def get(connection: Connection, session_id: str) -> InferSession:
    found = find(connection, session_id)
    if found is None:
        raise NotFound(f"there is no inference session {session_id!r}")
    return found


def page(connection: Connection, viewer: Viewer, limit: int, offset: int) -> tuple[list[InferSession], int]:
    """What the viewer may see, newest first, and how many there are."""
    conditions = seen_by(viewer, sessions)
    total = connection.execute(select(func.count()).select_from(sessions).where(*conditions)).scalar_one()
    query = select(sessions).where(*conditions).order_by(sessions.c.seq.desc()).limit(limit).offset(offset)
    return [_session(row) for row in connection.execute(query)], int(total)


def names(connection: Connection) -> set[str]:
    return set(connection.execute(select(sessions.c.id)).scalars())


def older_than(connection: Connection, moment: float, limit: int) -> list[str]:
    query = select(sessions.c.id).where(sessions.c.created_at < moment).order_by(sessions.c.created_at).limit(limit)
    return list(connection.execute(query).scalars())


def free_id(connection: Connection, make: Callable[[], str]) -> str:
    while True:
        candidate = make()
        if find(connection, candidate) is None:
            return candidate


def add(connection: Connection, values: Mapping[str, Any]) -> InferSession:
    """`values`: every field of an InferSession but `seq`."""
    connection.execute(insert(sessions).values(**values))
    return get(connection, values["id"])


def remove(connection: Connection, session_id: str) -> bool:
    """False: somebody else was faster."""
    return connection.execute(delete(sessions).where(sessions.c.id == session_id)).rowcount == 1
