"""Who changed what: written in the transaction of the change, read by people."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from appliance.operations.context import Actor, Appliance, Role
from appliance.store import audit
from appliance.store.audit import AuditRow

PAGE = 500


def record(connection: Connection, app: Appliance, actor: Actor, verb: str, about: str, **detail: Any) -> None:
    """One audit row for a change; ``detail`` is plain data and never holds a secret or an enrolment code."""
    audit.add(
        connection,
        at=app.clock.now(),
        actor=actor.name,
        role=actor.role,
        verb=verb,
        about=about,
        detail={"via": actor.via, **detail},
    )


def list_audit(app: Appliance, actor: Actor, before: int | None = None, limit: int = 100) -> tuple[AuditRow, ...]:
    """Audit rows, the newest first; ``before`` is the ``seq`` to go on from. Operators and admins may read them."""
    actor.require(Role.OPERATOR, "read the audit trail")
    with app.store.read() as connection:
        return audit.before(connection, before, min(max(limit, 1), PAGE))
