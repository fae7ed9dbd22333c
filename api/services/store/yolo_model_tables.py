"""The table of the YOLO platform's registered models."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Float, Index, Integer, String, Table, Text

from api.services.store.schema import metadata

yolo_models = Table(
    "yolo_models",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner_id", Integer, nullable=False),
    Column("team_id", Integer),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("source", String(16), nullable=False),
    Column("file_size", BigInteger, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("task", String(16), nullable=False),
    Column("job_id", String(64)),
    Column("dataset_id", String(64)),
    Column("dataset_version", String(16)),
    Column("base_model", Text),
    Column("info", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("history", JSON),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_yolo_models_owner_id", "owner_id", "seq"),
    Index("ix_yolo_models_job_id", "job_id"),
    sqlite_autoincrement=True,
)
