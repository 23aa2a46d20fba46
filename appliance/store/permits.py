"""Install permits: issued → claimed → spent, or void. A permit's id is the marker that the install writes to the disk.

========== ====================================================================================================
issued     the plan allows one install of one machine; nothing was written
claimed    the machine has asked, right before its first write; after a power cut the same machine claims it again
spent      the install is done; nothing can claim it any more
void       withdrawn; nothing can claim it any more
========== ====================================================================================================
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from appliance.store import schema

_table = schema.permit


class PermitState(StrEnum):
    ISSUED = "issued"
    CLAIMED = "claimed"
    SPENT = "spent"
    VOID = "void"


OPEN = (PermitState.ISSUED, PermitState.CLAIMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRow:
    """``id`` is a lower-case UUID; times are seconds since the epoch. An archived permit of an earlier run of the same
    plan has ``#`` and a piece of its id after the step's key."""

    id: str
    machine: str
    plan: str
    step: str
    disk_serial: str
    state: PermitState
    issued: float
    claimed: float | None
    spent: float | None


def issue(connection: Connection, *, machine: str, plan: str, step: str, disk_serial: str, at: float) -> PermitRow:
    """The open permit of this step, or a new one. Every other open permit of the machine becomes void: a machine is never
    allowed two installs at a time."""
    existing = of_step(connection, plan, step)
    if existing and existing.state in OPEN and existing.machine == machine:
        void_of_machine(connection, machine, but=existing.id)
        return existing
    if existing:
        connection.execute(update(_table).where(_table.c.id == existing.id).values(step=f"{step}#{existing.id[:8]}"))
    void_of_machine(connection, machine)
    permit = str(uuid.uuid4())
    connection.execute(
        insert(_table).values(
            id=permit,
            machine=machine,
            plan=plan,
            step=step,
            disk_serial=disk_serial,
            state=PermitState.ISSUED,
            issued=at,
        )
    )
    found = get(connection, permit)
    assert found is not None  # noqa: S101 - inserted in this transaction
    return found


def get(connection: Connection, permit: str) -> PermitRow | None:
    """The permit with this id."""
    row = connection.execute(select(_table).where(_table.c.id == permit)).mappings().first()
    return _row(row) if row else None


def of_step(connection: Connection, plan: str, step: str) -> PermitRow | None:
    """The permit of a step, whatever its state."""
    row = connection.execute(select(_table).where(_table.c.plan == plan, _table.c.step == step)).mappings().first()
    return _row(row) if row else None


def open_of_machine(connection: Connection, machine: str) -> PermitRow | None:
    """The permit that this machine may install with now: the reason to boot it into the agent image."""
    query = select(_table).where(_table.c.machine == machine, _table.c.state.in_(OPEN)).limit(1)
    row = connection.execute(query).mappings().first()
    return _row(row) if row else None


def markers(connection: Connection, machine: str) -> tuple[str, ...]:
    """Ids of all permits that this machine ever claimed: what may stand on its disks as the GPT disk GUID."""
    query = select(_table.c.id).where(_table.c.machine == machine, _table.c.claimed.is_not(None)).order_by(_table.c.id)
    return tuple(connection.execute(query).scalars())


def claim(connection: Connection, permit: str, machine: str, *, at: float) -> bool:
    """Issued or claimed → claimed, for its own machine only. False when it may not be claimed."""
    here = (_table.c.id == permit, _table.c.machine == machine)
    if _move(connection, here, (PermitState.ISSUED,), state=PermitState.CLAIMED, claimed=at):
        return True
    return _move(connection, here, (PermitState.CLAIMED,), state=PermitState.CLAIMED)


def spend(connection: Connection, permit: str, machine: str, *, at: float) -> bool:
    """Claimed → spent. False when it was not claimed by this machine."""
    here = (_table.c.id == permit, _table.c.machine == machine)
    return _move(connection, here, (PermitState.CLAIMED,), state=PermitState.SPENT, spent=at)


def void_unclaimed(connection: Connection, plan: str, step: str) -> bool:
    """Issued → void; a claimed permit stays, because the disk may carry its marker."""
    here = (_table.c.plan == plan, _table.c.step == step)
    return _move(connection, here, (PermitState.ISSUED,), state=PermitState.VOID)


def void_of_machine(connection: Connection, machine: str, but: str = "") -> bool:
    """Every open permit of the machine → void, except ``but``."""
    return _move(connection, (_table.c.machine == machine, _table.c.id != but), OPEN, state=PermitState.VOID)


def _move(connection: Connection, here: tuple[Any, ...], before: tuple[PermitState, ...], **values: Any) -> bool:
    query = update(_table).where(*here, _table.c.state.in_(before)).values(**values)
    return connection.execute(query).rowcount > 0


def _row(row: RowMapping) -> PermitRow:
    return PermitRow(**{**row, "state": PermitState(row["state"])})
