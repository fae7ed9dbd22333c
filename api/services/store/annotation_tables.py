"""The tables of annotation: boxes once for each version of a dataset, and the tasks that share them."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from api.services.store.schema import metadata

yolo_label_sets = Table(
    "yolo_label_sets",
    metadata,
    Column("dataset_seq", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("total", Integer, nullable=False),  # images
    Column("imported", Integer),  # NULL: its images are still being read
    Column("names_unwritten", Boolean, nullable=False),  # data.yaml does not have its classes yet
    ForeignKeyConstraint(
        ["dataset_seq", "number"], ["yolo_versions.dataset_seq", "yolo_versions.number"], ondelete="CASCADE"
    ),
)

yolo_images = Table(
    "yolo_images",
    metadata,
    Column("dataset_seq", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),  # in the manifest, from 0
    Column("image_id", String(100), nullable=False),
    Column("path", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("annotated", Boolean, nullable=False),
    Column("boxes", Text, nullable=False),  # JSON
    Column("revision", Integer, nullable=False),
    Column("unwritten", Boolean, nullable=False),  # its label file does not say what the row says yet
    Column("updated_at", Float),
    Column("proposals", Text),  # JSON
    Column("proposed_by", String(64)),
    ForeignKeyConstraint(
        ["dataset_seq", "number"], ["yolo_label_sets.dataset_seq", "yolo_label_sets.number"], ondelete="CASCADE"
    ),
    UniqueConstraint("dataset_seq", "number", "image_id"),
    UniqueConstraint("dataset_seq", "number", "path"),
    Index("ix_yolo_images_annotated", "dataset_seq", "number", "annotated", "position"),
    Index("ix_yolo_images_unwritten", "dataset_seq", "number", "position", sqlite_where=text("unwritten = 1")),
)

yolo_tasks = Table(
    "yolo_tasks",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("dataset_seq", Integer, ForeignKey("yolo_datasets.seq", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_yolo_tasks_dataset_seq", "dataset_seq"),
    sqlite_autoincrement=True,
)
