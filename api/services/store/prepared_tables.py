"""The table of preprocessed datasets."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table

from api.services.store.schema import metadata

prepared_datasets = Table(
    "prepared_datasets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),  # taken from the moment that it is asked for
    Column("owner_id", Integer, nullable=False),
    Column("team_id", Integer),
    Column("job_id", String(64), nullable=False),
    # the job that makes it; null once it is whole. A job that is deleted before gives the name back
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE")),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("video_count", Integer, nullable=False),
    Column("image_count", Integer, nullable=False),
    Column("caption_count", Integer, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("total_seconds", Float),
    Index("ix_prepared_datasets_owner_id", "owner_id"),
    Index("ix_prepared_datasets_job_seq", "job_seq"),
    sqlite_autoincrement=True,
)
