"""The tables of the YOLO platform's datasets."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from api.services.store.schema import metadata

yolo_datasets = Table(
    "yolo_datasets",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner_id", Integer, nullable=False),
    Column("team_id", Integer),
    Column("filename", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("path", Text),
    Column("image_count", Integer, nullable=False),
    Column("label_count", Integer, nullable=False),
    Column("description", Text, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_yolo_datasets_owner_id", "owner_id", "seq"),
    sqlite_autoincrement=True,
)

yolo_versions = Table(
    "yolo_versions",
    metadata,
    Column("dataset_seq", Integer, ForeignKey("yolo_datasets.seq", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", Text, nullable=False),  # what was asked for: the same makes no second version
    Column("summary", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("dataset_seq", "key"),
)
