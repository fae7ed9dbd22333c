"""Models of the YOLO train server"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "train_server_runs",
        sa.Column("job_seq", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("place", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_seq"], ["jobs.seq"], name=op.f("fk_train_server_runs_job_seq"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_seq", name=op.f("pk_train_server_runs")),
    )
    with op.batch_alter_table("train_server_runs", schema=None) as batch_op:
        batch_op.create_index("ix_train_server_runs_name", ["name", "job_seq"], unique=False)


def downgrade() -> None:
    op.drop_table("train_server_runs")
