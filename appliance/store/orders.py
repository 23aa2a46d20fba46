"""Orders: what a machine is told to do, signed for one boot of it. Fences rise per machine and never fall."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from agent.wire import OrderKind, SignedOrder
from appliance.store import schema

_table = schema.order


class OrderState(StrEnum):
    """``open``: not heard of since it was made; ``void``: withdrawn, or replaced by one with a higher fence."""

    OPEN = "open"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    VOID = "void"


ACTIVE = (OrderState.OPEN, OrderState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """``payload`` and ``signature`` as in `wire.SignedOrder`; ``fraction`` 0..1; times are seconds since the epoch."""

    id: str
    machine: str
    plan: str
    step: str
    fence: int
    nonce: str
    kind: OrderKind
    payload: str
    signature: str
    state: OrderState
    stage: str
    fraction: float
    message: str
    created: float
    updated: float

    @property
    def signed(self) -> SignedOrder:
        return SignedOrder(payload=self.payload, signature=self.signature)


def next_fence(connection: Connection, machine: str) -> int:
    """One more than any order of this machine ever had."""
    return (
        int(connection.execute(select(func.max(_table.c.fence)).where(_table.c.machine == machine)).scalar() or 0) + 1
    )


def add(connection: Connection, row: OrderRow) -> None:
    """Insert; active orders of the machine become void, it works on one at a time."""
    void_of_machine(connection, row.machine, at=row.created)
    connection.execute(insert(_table).values(**{name: getattr(row, name) for name in OrderRow.__slots__}))


def get(connection: Connection, order: str) -> OrderRow | None:
    """The order with this id."""
    row = connection.execute(select(_table).where(_table.c.id == order)).mappings().first()
    return _row(row) if row else None


def active_of_machine(connection: Connection, machine: str) -> OrderRow | None:
    """The order that this machine works on, or shall work on."""
    query = select(_table).where(_table.c.machine == machine, _table.c.state.in_(ACTIVE))
    row = connection.execute(query.order_by(_table.c.fence.desc()).limit(1)).mappings().first()
    return _row(row) if row else None


def of_step(connection: Connection, plan: str, step: str) -> tuple[OrderRow, ...]:
    """All orders of a step, the newest (highest fence) first."""
    query = select(_table).where(_table.c.plan == plan, _table.c.step == step).order_by(_table.c.fence.desc())
    return tuple(_row(row) for row in connection.execute(query).mappings())


def note(
    connection: Connection, order: str, state: OrderState, *, stage: str, fraction: float, message: str, at: float
) -> None:
    """What the machine told about it."""
    connection.execute(
        update(_table)
        .where(_table.c.id == order)
        .values(state=state, stage=stage, fraction=fraction, message=message, updated=at)
    )


def void_of_machine(connection: Connection, machine: str, *, at: float) -> int:
    """Withdraw what the machine works on; returns how many orders that were."""
    query = update(_table).where(_table.c.machine == machine, _table.c.state.in_(ACTIVE))
    return connection.execute(query.values(state=OrderState.VOID, updated=at)).rowcount


def _row(row: RowMapping) -> OrderRow:
    return OrderRow(**{**row, "kind": OrderKind(row["kind"]), "state": OrderState(row["state"])})
