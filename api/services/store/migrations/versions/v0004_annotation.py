"""Annotation: boxes and tasks"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "yolo_label_sets",
        sa.Column("dataset_seq", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("imported", sa.Integer(), nullable=True),
        sa.Column("names_unwritten", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_seq", "number"],
            ["yolo_versions.dataset_seq", "yolo_versions.number"],
            name=op.f("fk_yolo_label_sets_dataset_seq_number"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_seq", "number", name=op.f("pk_yolo_label_sets")),
    )
    op.create_table(
        "yolo_images",
        sa.Column("dataset_seq", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("image_id", sa.String(length=100), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("annotated", sa.Boolean(), nullable=False),
        sa.Column("boxes", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("unwritten", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=True),
        sa.Column("proposals", sa.Text(), nullable=True),
        sa.Column("proposed_by", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["dataset_seq", "number"],
            ["yolo_label_sets.dataset_seq", "yolo_label_sets.number"],
            name=op.f("fk_yolo_images_dataset_seq_number"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("dataset_seq", "number", "position", name=op.f("pk_yolo_images")),
        sa.UniqueConstraint(
            "dataset_seq", "number", "image_id", name=op.f("uq_yolo_images_dataset_seq_number_image_id")
        ),
        sa.UniqueConstraint("dataset_seq", "number", "path", name=op.f("uq_yolo_images_dataset_seq_number_path")),
    )
    with op.batch_alter_table("yolo_images", schema=None) as batch_op:
        batch_op.create_index(
            "ix_yolo_images_annotated", ["dataset_seq", "number", "annotated", "position"], unique=False
        )
        batch_op.create_index(
            "ix_yolo_images_unwritten",
            ["dataset_seq", "number", "position"],
            unique=False,
            sqlite_where=sa.text("unwritten = 1"),
        )
    op.create_table(
        "yolo_tasks",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("dataset_seq", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_seq"],
            ["yolo_datasets.seq"],
            name=op.f("fk_yolo_tasks_dataset_seq"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_yolo_tasks")),
        sa.UniqueConstraint("id", name=op.f("uq_yolo_tasks_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("yolo_tasks", schema=None) as batch_op:
        batch_op.create_index("ix_yolo_tasks_dataset_seq", ["dataset_seq"], unique=False)


def downgrade() -> None:
    op.drop_table("yolo_tasks")
    op.drop_table("yolo_images")
    op.drop_table("yolo_label_sets")
