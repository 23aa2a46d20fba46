"""OSDs that no plan made and that people want to be gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "osd_removal",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("fsid", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked", sa.Float(), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_osd_removal")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_osd_removal_state"), "osd_removal", ["state"], unique=False)
