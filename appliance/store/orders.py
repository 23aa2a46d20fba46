"""Orders: what a machine is told to do, signed for one boot of it. Fences rise per machine and never fall."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from agent.wire import MonAnswer, OrderKind, SignedOrder, from_data
from appliance.store import rows, schema

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
    """``payload`` and ``signature`` as in `wire.SignedOrder`; ``fraction`` 0..1; times are seconds since the epoch.
    ``answers`` are those of a ``ceph`` order that is over."""

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
    answers: tuple[MonAnswer, ...] = ()

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
    values = {name: getattr(row, name) for name in OrderRow.__slots__}
    connection.execute(insert(_table).values(**{**values, "answers": rows.dump(row.answers)}))


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


def newest(connection: Connection, plan: str, step: str) -> OrderRow | None:
    """The order of a step that was made last, of whatever machine (fences count per machine)."""
    query = select(_table).where(_table.c.plan == plan, _table.c.step == step)
    row = connection.execute(query.order_by(_table.c.created.desc(), _table.c.fence.desc()).limit(1)).mappings().first()
    return _row(row) if row else None


def active_for(connection: Connection, step: str) -> tuple[OrderRow, ...]:
    """Orders of all machines for ``step`` (of any plan) that are not over."""
    query = select(_table).where(_table.c.step == step, _table.c.state.in_(ACTIVE))
    return tuple(_row(row) for row in connection.execute(query.order_by(_table.c.created)).mappings())


def last_for(connection: Connection, machine: str, step: str) -> OrderRow | None:
    """What the machine was told last for ``step`` (of any plan)."""
    query = select(_table).where(_table.c.machine == machine, _table.c.step == step)
    row = connection.execute(query.order_by(_table.c.fence.desc()).limit(1)).mappings().first()
    return _row(row) if row else None


def latest_for(connection: Connection, step: str) -> OrderRow | None:
    """What any machine was told last for ``step``."""
    query = select(_table).where(_table.c.step == step).order_by(_table.c.created.desc(), _table.c.fence.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    return _row(row) if row else None


def void_for(connection: Connection, step: str, *, at: float, plan: str | None = None) -> int:
    """Withdraw what any machine works on for ``step``, of ``plan`` or of any."""
    query = update(_table).where(_table.c.step == step, _table.c.state.in_(ACTIVE))
    if plan is not None:
        query = query.where(_table.c.plan == plan)
    return connection.execute(query.values(state=OrderState.VOID, updated=at)).rowcount


def touched(connection: Connection, machine: str, *, since: float) -> bool:
    """Whether the machine was given an order, or told of one, since then."""
    query = select(_table.c.id).where(_table.c.machine == machine, _table.c.updated >= since)
    return connection.execute(query.limit(1)).first() is not None


def forget(connection: Connection, machine: str, step: str, *, below: int) -> None:
    """Remove what the machine was told for ``step`` (of any plan) with a fence below ``below``. The highest fence of a
    machine must stay: fences never fall."""
    here = (_table.c.machine == machine, _table.c.step == step, _table.c.fence < below)
    connection.execute(delete(_table).where(*here))


def note(
    connection: Connection,
    order: str,
    state: OrderState,
    *,
    stage: str,
    fraction: float,
    message: str,
    at: float,
    answers: tuple[MonAnswer, ...] = (),
) -> None:
    """What the machine told about it."""
    values = {"stage": stage, "fraction": fraction, "message": message, "answers": rows.dump(answers)}
    connection.execute(update(_table).where(_table.c.id == order).values(state=state, updated=at, **values))


def void_of_machine(connection: Connection, machine: str, *, at: float) -> int:
    """Withdraw what the machine works on; returns how many orders that were."""
    query = update(_table).where(_table.c.machine == machine, _table.c.state.in_(ACTIVE))
    return connection.execute(query.values(state=OrderState.VOID, updated=at)).rowcount


def _row(row: RowMapping) -> OrderRow:
    answers = tuple(from_data(MonAnswer, answer) for answer in rows.load(row["answers"]))
    values = {"kind": OrderKind(row["kind"]), "state": OrderState(row["state"]), "answers": answers}
    return OrderRow(**{**row, **values})
