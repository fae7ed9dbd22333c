"""The tables of the queue: who holds what, what nobody may have, and which request made which job."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from api.services.store.schema import metadata

gpu_leases = Table(
    "gpu_leases",
    metadata,
    Column("gpu_id", Integer, primary_key=True, autoincrement=False),
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE")),  # null: it is the inference process's
    Index("ix_gpu_leases_job_seq", "job_seq"),
)

#: a core's number is the key here as a GPU's is there: two holders of one are a constraint violation
core_leases = Table(
    "core_leases",
    metadata,
    Column("core_id", Integer, primary_key=True, autoincrement=False),
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), nullable=False),
    Index("ix_core_leases_job_seq", "job_seq"),
)

memory_leases = Table(
    "memory_leases",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("bytes", Integer, nullable=False),
)

#: GPUs that an admin has taken out of service, by the driver's name for the device: numbers move when one is lost
gpu_drains = Table(
    "gpu_drains",
    metadata,
    Column("uuid", String(100), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Float, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner_id", Integer, primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256 of the request
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_idempotency_keys_at", "at"),
    Index("ix_idempotency_keys_job_seq", "job_seq"),
)
