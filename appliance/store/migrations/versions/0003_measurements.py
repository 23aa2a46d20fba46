"""What was measured of Ceph's pools."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ceph_measurement",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("fsid", sa.String(length=36), nullable=False),
        sa.Column("plan", sa.String(length=64), nullable=False),
        sa.Column("pool", sa.String(length=128), nullable=False),
        sa.Column("machine", sa.String(length=16), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("write_bytes", sa.BigInteger(), nullable=False),
        sa.Column("write_seconds", sa.Float(), nullable=False),
        sa.Column("read_bytes", sa.BigInteger(), nullable=False),
        sa.Column("read_seconds", sa.Float(), nullable=False),
        sa.Column("promise", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ceph_measurement")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_ceph_measurement_fsid"), "ceph_measurement", ["fsid"], unique=False)
