"""The tables of documents and OCR models. Counts are kept with each part, in the transaction that changes its
lines: a report on 100,000 lines reads as many rows as the document has pages."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from api.services.store.schema import metadata

ocr_documents = Table(
    "ocr_documents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner_id", Integer, nullable=False),
    Column("team_id", Integer),
    Column("name", Text, nullable=False),
    Column("script", Text),
    Column("language", Text),
    Column("read_direction", String(3), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_ocr_documents_owner_id", "owner_id", "id"),
    sqlite_autoincrement=True,
)

ocr_parts = Table(
    "ocr_parts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("document_id", Integer, ForeignKey("ocr_documents.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("image", Text),  # relative to the data directory
    Column("width", Integer),
    Column("height", Integer),
    Column("xml_name", Text),
    Column("lines", Integer, nullable=False),
    Column("with_baseline", Integer, nullable=False),
    Column("with_polygon", Integer, nullable=False),
    Column("with_text", Integer, nullable=False),
    UniqueConstraint("document_id", "name"),
    UniqueConstraint("document_id", "position"),
    Index("ix_ocr_parts_counts", "document_id", "lines", "with_baseline", "with_polygon", "with_text", "image"),
    sqlite_autoincrement=True,
)

ocr_lines = Table(
    "ocr_lines",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("part_id", Integer, ForeignKey("ocr_parts.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("external_id", Text),
    Column("baseline", Text),  # JSON [[x, y], ...], decoded by hand
    Column("boundary", Text),
    Column("text", Text, nullable=False),
    Column("has_baseline", Boolean, nullable=False),
    Column("has_polygon", Boolean, nullable=False),
    Column("has_text", Boolean, nullable=False),
    UniqueConstraint("part_id", "position"),
    sqlite_autoincrement=True,
)

ocr_models = Table(
    "ocr_models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner_id", Integer, nullable=False),
    Column("team_id", Integer),
    Column("name", Text, nullable=False),
    Column("job", String(16), nullable=False),
    Column("base_model_id", Integer, ForeignKey("ocr_models.id", ondelete="SET NULL")),
    Column("file", Text),  # relative to the data directory
    Column("file_size", Integer),
    Column("accuracy", Float),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_ocr_models_owner_id", "owner_id", "id"),
    Index("ix_ocr_models_base_model_id", "base_model_id"),
    sqlite_autoincrement=True,
)

ocr_trainings = Table(
    "ocr_trainings",
    metadata,
    Column("job_seq", Integer, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("model_id", Integer, ForeignKey("ocr_models.id", ondelete="CASCADE"), nullable=False),
    Column("task", String(16), nullable=False),
    Column("document_ids", JSON, nullable=False),
    Column("documents", Integer, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("lines", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_ocr_trainings_model_id", "model_id", "job_seq"),
)
