"""Inference sessions; a GPU may be leased by the inference process, which is no job"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "infer_sessions",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("model_ids", sa.JSON(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_infer_sessions")),
        sa.UniqueConstraint("id", name=op.f("uq_infer_sessions_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("infer_sessions", schema=None) as batch_op:
        batch_op.create_index("ix_infer_sessions_owner_id", ["owner_id", "seq"], unique=False)
        batch_op.create_index("ix_infer_sessions_created_at", ["created_at"], unique=False)
    with op.batch_alter_table("gpu_leases", schema=None) as batch_op:
        batch_op.alter_column("job_seq", existing_type=sa.Integer(), nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM gpu_leases WHERE job_seq IS NULL")
    with op.batch_alter_table("gpu_leases", schema=None) as batch_op:
        batch_op.alter_column("job_seq", existing_type=sa.Integer(), nullable=False)
    op.drop_table("infer_sessions")
