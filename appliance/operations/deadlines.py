"""Called by the worker every few seconds: machines that are late get a trouble that says what to do next."""

from __future__ import annotations

from sqlalchemy import Connection

from appliance.engine.silence import silence
from appliance.model.machine import NEXT_ACTION, Phase, TroubleKind
from appliance.model.missing import BOOT_KINDS, limit_of
from appliance.operations.context import Appliance
from appliance.operations.timeline import missing_of
from appliance.store import lifecycle, machines
from appliance.store.machines import MachineRow

FORGET_SECONDS = 3600.0
"""A boot that stopped longer ago than this was probably switched off: no new trouble for it."""

OURS = (TroubleKind.DEADLINE, TroubleKind.BOOT, TroubleKind.SILENT)


def check(app: Appliance) -> int:
    """Set and clear the troubles ``silent``, ``deadline`` and ``boot``; returns how many. One short transaction each."""
    with app.store.read() as connection:
        late = [row.id for row in machines.everything(connection) if _verdict(app, connection, row)]
    changed = 0
    for machine_id in late:
        with app.store.write() as connection:
            row = machines.get(connection, machine_id)
            verdict = _verdict(app, connection, row) if row else None
            if verdict is not None:
                changed += _apply(app, connection, machine_id, verdict)
    return changed


def _verdict(app: Appliance, connection: Connection, row: MachineRow) -> tuple[TroubleKind | None, str] | None:
    """The trouble that a machine should have, (None, why) to clear ours, or None when nothing has to be done."""
    machine, now = row.machine, app.clock.now()
    if machine.phase is Phase.RETIRED or (machine.trouble and machine.trouble.kind not in OURS):
        return None
    was = machine.trouble.kind if machine.trouble else None
    wanted: tuple[TroubleKind | None, str] = (None, "it went on")
    if was is TroubleKind.SILENT:
        wanted = (None, "it is heard of again")
    profile = next((p for p in app.profiles if p.name == machine.profile), None)
    limit = limit_of(machine.phase, profile.deadline(machine.phase) if profile else None)
    missing, silent = missing_of(app, connection, row), silence(connection, machine, now=now)
    if missing and missing.after in BOOT_KINDS and missing.overdue(now) and _boots(missing.since, row, now):
        text = f"after {missing.after}, {missing.step} did not come: {missing.cause}; {missing.action}"
        wanted = (TroubleKind.BOOT, text)
    elif silent is not None:
        text = f"nothing was heard of it since {silent.after}: {silent.cause}; {silent.action}"
        wanted = (TroubleKind.SILENT, text)
    elif limit is not None and now > machine.phase_since + limit:
        action = NEXT_ACTION[machine.phase].replace("MACHINE", machine.id)
        wanted = (TroubleKind.DEADLINE, f"{machine.phase} for longer than {limit / 60:.0f} minutes: {action}")
    return None if wanted[0] is was else wanted


def _boots(since: float, row: MachineRow, now: float) -> bool:
    """Whether a boot stopped recently enough to be news; a trouble that is there already stays."""
    has = row.machine.trouble is not None and row.machine.trouble.kind is TroubleKind.BOOT
    return has or now - since < FORGET_SECONDS


def _apply(app: Appliance, connection: Connection, machine_id: str, verdict: tuple[TroubleKind | None, str]) -> int:
    kind, text = verdict
    if kind is None:
        lifecycle.clear_trouble(connection, machine_id, *OURS, at=app.clock.now(), why=text)
        return 0
    return int(lifecycle.set_trouble(connection, machine_id, kind, text, at=app.clock.now()))
