"""The table of inference sessions."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, String, Table

from api.services.store.schema import metadata

infer_sessions = Table(
    "infer_sessions",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner_id", Integer, nullable=False),
    Column("team_id", Integer),
    Column("kind", String(16), nullable=False),
    Column("model_ids", JSON, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_infer_sessions_owner_id", "owner_id", "seq"),
    Index("ix_infer_sessions_created_at", "created_at"),
    sqlite_autoincrement=True,
)
