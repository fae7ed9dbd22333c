"""The tables of the core. Migrations are written from these; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("dialect", String(32), nullable=False),
    Column("engine", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("owner_id", Integer, nullable=False),
    Column("team_id", Integer),
    Column("status", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("lane", String(8), nullable=False),  # see api.models.room
    Column("resources", Text, nullable=False),  # the spec's, as JSON: what the scheduler looks at
    Column("held", Boolean, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("spec", Text, nullable=False),  # JSON, decoded by hand
    Column("attempt", Integer, nullable=False),
    Column("series", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("reason", String(32)),
    Column("stop_requested_at", Float),
    Column("stop_forced", Boolean, nullable=False),
    Column("failure", JSON(none_as_null=True)),
    Column("error_message", Text),
    Column("warnings", JSON, nullable=False),
    Column("gpu_ids", JSON, nullable=False),
    Column("core_ids", JSON, nullable=False),
    Column("progress", JSON, nullable=False),
    Column("usage", JSON(none_as_null=True)),  # the tree's cpu and memory, sampled while it runs
    Column("log_position", JSON, nullable=False),  # a logreader Cursor: what of the log the tables hold
    Column("total_lines", Integer, nullable=False),
    Index("ix_jobs_queue", "status", "lane", "held", text("priority DESC"), "seq"),
    Index("ix_jobs_by_status", "status", "seq", "owner_id", "team_id"),
    Index("ix_jobs_owner_id_seq", "owner_id", "seq"),
    Index("ix_jobs_by_engine", "engine", "seq", "owner_id", "team_id"),
    Index("ix_jobs_by_dialect", "dialect", "seq", "owner_id", "team_id"),
    Index("ix_jobs_list", "seq", "owner_id", "team_id", "id", "name"),  # what a list looks at, a tenth of a row
    sqlite_autoincrement=True,
)

job_tags = Table(
    "job_tags",
    metadata,
    Column("tag", String(200), primary_key=True),
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Index("ix_job_tags_job_seq", "job_seq"),
)

job_gpus = Table(
    "job_gpus",
    metadata,
    Column("gpu_id", Integer, primary_key=True),
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Index("ix_job_gpus_job_seq", "job_seq"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("series", Integer, nullable=False),
    Column("output_dir", Text, nullable=False),
    Column("resume_from", Text),
    Column("pid", Integer),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("exit_code", Integer),
    Column("reason", String(32)),
    Column("command", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
)

file_positions = Table(
    "file_positions",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("position", Integer, nullable=False),
)

log_spans = Table(
    "log_spans",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("first_line", Integer, primary_key=True),
    Column("line_count", Integer, nullable=False),
    Column("byte_start", Integer, nullable=False),
    Column("byte_end", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("level", Integer, nullable=False),
    Column("type", String(8), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("epoch", Integer),
    Column("step", Integer),
    Index("ix_log_spans_bytes", "job_seq", "byte_end"),
    Index("ix_log_spans_severe", "job_seq", "level", "first_line", sqlite_where=text("level >= 30")),
    sqlite_with_rowid=False,
)

metric_series = Table(
    "metric_series",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("axis", String(8), nullable=False),
    Column("name", Text, nullable=False),
    Column("points", Integer, nullable=False),
    Column("first_x", Integer, nullable=False),
    Column("last_x", Integer, nullable=False),
    Column("last_value", Float),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("job_seq", "attempt", "axis", "name"),
    sqlite_autoincrement=True,
)

metric_points = Table(
    "metric_points",
    metadata,
    Column("series_id", Integer, ForeignKey("metric_series.id", ondelete="CASCADE"), primary_key=True),
    Column("x", Integer, primary_key=True),
    Column("value", Float),
    Column("epoch", Integer),
    Column("at", Float, nullable=False),
    sqlite_with_rowid=False,
)

#: extremes of each run of 8, 64, 512, ... points of a series, so that a thinned read costs the same however long it is
metric_rollups = Table(
    "metric_rollups",
    metadata,
    Column("series_id", Integer, ForeignKey("metric_series.id", ondelete="CASCADE"), primary_key=True),
    Column("level", Integer, primary_key=True),
    Column("bucket", Integer, primary_key=True),
    Column("min_x", Integer),
    Column("min_value", Float),
    Column("max_x", Integer),
    Column("max_value", Float),
    Column("null_x", Integer),
    sqlite_with_rowid=False,
)

metric_epochs = Table(
    "metric_epochs",
    metadata,
    Column("series_id", Integer, ForeignKey("metric_series.id", ondelete="CASCADE"), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("total", Float, nullable=False),
    Column("points", Integer, nullable=False),
    Column("last_x", Integer, nullable=False),
    Column("at", Float, nullable=False),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", Float, nullable=False),
    Index("ix_events_job_seq_seq", "job_seq", "seq"),
    sqlite_autoincrement=True,
)
