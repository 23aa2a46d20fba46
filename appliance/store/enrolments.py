"""Enrolment requests: untrusted, kept until a person or a rule decides."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from agent.wire import EnrolmentState
from appliance.store import schema

_table = schema.enrolment


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRow:
    """``token`` is the secret under which the agent asks for its state; ``code`` what its console shows; ``inventory`` is
    JSON of `agent.wire.Inventory`, as the machine claims it; ``approved_by`` an actor or a rule, empty while pending."""

    token: str
    machine: str
    state: EnrolmentState
    reason: str
    csr: str
    key_sha256: str
    code: str
    nonce: str
    clock_offset: float
    inventory: str
    remote: str
    approved_by: str
    created: float


def add(connection: Connection, row: EnrolmentRow) -> None:
    """Insert a new request."""
    connection.execute(insert(_table).values({name: getattr(row, name) for name in EnrolmentRow.__slots__}))


def get(connection: Connection, token: str) -> EnrolmentRow | None:
    """The request with this token."""
    row = connection.execute(select(_table).where(_table.c.token == token)).mappings().first()
    return _row(row) if row else None


def of_key(connection: Connection, key_sha256: str) -> EnrolmentRow | None:
    """The newest request that was made with this key."""
    query = select(_table).where(_table.c.key_sha256 == key_sha256).order_by(_table.c.created.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return _row(row) if row else None


def of_machine(connection: Connection, machine: str) -> tuple[EnrolmentRow, ...]:
    """All requests of a machine, the newest first."""
    query = select(_table).where(_table.c.machine == machine).order_by(_table.c.created.desc(), _table.c.token)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def pending(connection: Connection) -> tuple[EnrolmentRow, ...]:
    """All requests that wait for a decision, the oldest first."""
    query = select(_table).where(_table.c.state == EnrolmentState.PENDING).order_by(_table.c.created, _table.c.token)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def count_since(connection: Connection, remote: str, at: float) -> int:
    """How many requests came from an address since ``at``."""
    query = select(func.count()).where(_table.c.remote == remote, _table.c.created >= at)
    return int(connection.execute(query).scalar_one())


def count_pending(connection: Connection) -> int:
    """How many requests wait for a decision."""
    return int(connection.execute(select(func.count()).where(_table.c.state == EnrolmentState.PENDING)).scalar_one())


def decide(
    connection: Connection, token: str, state: EnrolmentState, *, approved_by: str = "", reason: str = ""
) -> None:
    """Approve, refuse, or note why it still waits."""
    connection.execute(
        update(_table).where(_table.c.token == token).values(state=state, approved_by=approved_by, reason=reason)
    )


def refresh(
    connection: Connection, token: str, *, nonce: str, clock_offset: float, inventory: str, remote: str
) -> None:
    """The same key asked again: what it says now replaces what it said before."""
    connection.execute(
        update(_table)
        .where(_table.c.token == token)
        .values(nonce=nonce, clock_offset=clock_offset, inventory=inventory, remote=remote)
    )


def move(connection: Connection, source: str, target: str) -> None:
    """All requests of ``source`` become requests of ``target``."""
    connection.execute(update(_table).where(_table.c.machine == source).values(machine=target))


def _row(row: RowMapping) -> EnrolmentRow:
    return EnrolmentRow(**{**row, "state": EnrolmentState(row["state"])})
