"""Which rows somebody's list shows: the one place where that is said in SQL."""

from __future__ import annotations

from sqlalchemy import Table, or_
from sqlalchemy.sql import ColumnElement

from api.models.accounts import Viewer


def seen_by(viewer: Viewer, table: Table) -> tuple[ColumnElement[bool], ...]:
    """Conditions on rows that have an `owner_id` and perhaps a `team_id`."""
    if viewer.everything:
        return ()
    return (or_(table.c.owner_id == viewer.user_id, table.c.team_id.in_(sorted(viewer.team_ids))),)
