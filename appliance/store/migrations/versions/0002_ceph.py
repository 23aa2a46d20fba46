"""What Ceph says of itself, answers to orders, and what a step's code keeps between two looks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ceph_state",
        sa.Column("fsid", sa.String(length=36), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("fsid", name=op.f("pk_ceph_state")),
    )
    # Rows that are there already need a value: SQLite adds no NOT NULL column without a default.
    op.add_column("order", sa.Column("answers", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("step", sa.Column("memo", sa.Text(), nullable=False, server_default="{}"))
    op.create_index(op.f("ix_order_step"), "order", ["step"], unique=False)
