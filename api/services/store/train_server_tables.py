"""The table of the YOLO train server's models: which job is the training of which name."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from api.services.store.schema import metadata

train_server_runs = Table(
    "train_server_runs",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("name", String(200), nullable=False),  # the newest job of a name is the one that is meant by it
    Column("place", String(64), nullable=False),  # of its training set, below <data>/train_server
    Index("ix_train_server_runs_name", "name", "job_seq"),
)
