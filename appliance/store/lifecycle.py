"""Moves of machines between phases, and their troubles: the row, the generation and the event in one transaction.

Used by the operations and by the engine's steps. The table of moves is `appliance.model.machine.LIFECYCLE`.
"""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection

from appliance.model.machine import Machine, MachineEvent, Trouble, TroubleKind, move
from appliance.store import events, machines, rows
from appliance.store.database import StoreError
from appliance.store.events import Happening

log = logging.getLogger(__name__)

CLEARED_BY_MOVING = frozenset({TroubleKind.DEADLINE, TroubleKind.BOOT, TroubleKind.SILENT})
"""Troubles that are over when the machine moves on to another phase."""


class UnknownMachine(StoreError):
    """No machine has this id."""


def advance(
    connection: Connection, machine_id: str, event: MachineEvent, *, at: float, why: str = "", **values: Any
) -> Machine:
    """Move a machine along `LIFECYCLE` and write the event; returns the machine as it is now.

    ``values`` are further columns to set with the move. An arrow from a phase to itself changes nothing but these.
    Raises `LifecycleError` when there is no such arrow, `UnknownMachine` when there is no such machine.
    """
    before = _get(connection, machine_id)
    after = move(before.phase, event)
    if after is before.phase:
        if values:
            machines.change(connection, machine_id, **values)
        return _get(connection, machine_id)
    if before.trouble and before.trouble.kind in CLEARED_BY_MOVING:
        clear_trouble(connection, machine_id, at=at, why=f"the machine went on to {after}")
    machines.change(connection, machine_id, phase=after, phase_since=at, **values)
    text = f"{before.phase} → {after}" + (f": {why}" if why else "")
    data = {"from": before.phase.value, "to": after.value, "event": event.value}
    events.add(connection, at=at, machine=machine_id, kind=Happening.PHASE, text=text, data=data)
    log.info("machine=%s step=%s why=%s → %s %s", machine_id, event, before.phase, after, why)
    return _get(connection, machine_id)


def set_trouble(
    connection: Connection, machine_id: str, kind: TroubleKind, text: str, *, at: float, step: str = ""
) -> bool:
    """Say what is wrong. The same trouble again keeps its beginning and writes no second event (then False).

    An identity conflict is never hidden by another trouble: only a person's decision ends it.
    """
    current = _get(connection, machine_id).trouble
    if current and current.kind is TroubleKind.IDENTITY_CONFLICT and kind is not current.kind:
        return False
    if current and (current.kind, current.text, current.step) == (kind, text, step):
        return False
    since = current.since if current and current.kind is kind else at
    trouble = Trouble(kind=kind, text=text, since=since, step=step)
    machines.change(connection, machine_id, trouble=rows.dump(trouble))
    events.add(
        connection, at=at, machine=machine_id, kind=Happening.TROUBLE, text=f"{kind}: {text}", data={"step": step}
    )
    log.warning("machine=%s step=trouble why=%s: %s", machine_id, kind, text)
    return True


def clear_trouble(
    connection: Connection, machine_id: str, *kinds: TroubleKind, at: float, why: str, step: str | None = None
) -> bool:
    """End a trouble of one of ``kinds`` (any kind when none is given) and of ``step``; False when there was none."""
    current = _get(connection, machine_id).trouble
    if current is None or (kinds and current.kind not in kinds) or (step is not None and current.step != step):
        return False
    machines.change(connection, machine_id, trouble=None)
    events.add(
        connection, at=at, machine=machine_id, kind=Happening.CLEARED, text=f"{current.kind} is over: {why}", data={}
    )
    log.info("machine=%s step=trouble-cleared why=%s: %s", machine_id, current.kind, why)
    return True


def _get(connection: Connection, machine_id: str) -> Machine:
    row = machines.get(connection, machine_id)
    if row is None:
        raise UnknownMachine(f"there is no machine {machine_id}")
    return row.machine
