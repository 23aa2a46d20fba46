"""Plans in numbers, so that a list of them does not read their documents."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_plan = sa.table("plan", sa.column("hash", sa.String), sa.column("document", sa.Text), sa.column("counts", sa.Text))


def upgrade() -> None:
    op.add_column("plan", sa.Column("counts", sa.Text(), nullable=False, server_default="{}"))
    connection = op.get_bind()
    for hash_ in connection.execute(sa.select(_plan.c.hash)).scalars().all():
        document = connection.execute(sa.select(_plan.c.document).where(_plan.c.hash == hash_)).scalar_one()
        counts = json.dumps(_count(json.loads(document)))
        connection.execute(sa.update(_plan).where(_plan.c.hash == hash_).values(counts=counts))


def _count(document: dict) -> dict[str, int | bool]:  # type: ignore[type-arg]
    plan = document["plan"]
    fates = [disk["fate"] for disk in plan.get("disks", ())]
    severities = [finding["severity"] for finding in document.get("lint", ())]
    return {
        "steps": len(plan.get("steps", ())),
        "waits": len(plan.get("waits", ())),
        "erased": fates.count("erase"),
        "assigned": fates.count("assign"),
        "errors": severities.count("error"),
        "warnings": severities.count("warning"),
        "changes": plan.get("changes", True),
    }
