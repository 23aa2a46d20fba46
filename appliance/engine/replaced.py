"""When a disk was replaced: the last OSD that was on it is made on another one."""

from __future__ import annotations

from sqlalchemy import Connection

from appliance.model.ceph import CephVerb
from appliance.model.plan import Step
from appliance.store import events, replacements, steps
from appliance.store.events import Happening
from appliance.store.steps import StepRow, StepState


def fulfil(connection: Connection, row: StepRow, *, at: float) -> bool:
    """``row`` is done (or about to be). Says whether somebody's wish is fulfilled by it."""
    args, disk = row.step.ceph, old_disk(row.step, CephVerb.OSD)
    if args is None or disk is None:
        return False
    others = [one for one in steps.of_plan(connection, row.plan) if one.key != row.key]
    if any(one.state is not StepState.DONE and old_disk(one.step, CephVerb.OSD) == disk for one in others):
        return False
    machine, serial, wwn = disk
    why = f"osd.{args.daemon} is on another disk, by plan {row.plan[:12]}"
    if not replacements.fulfil(connection, machine, serial, wwn, at=at, why=why):
        return False
    text = f"disk {serial or wwn} is replaced: {why}; take it out of the machine"
    events.add(connection, at=at, machine=machine, kind=Happening.STEP, text=text, data={"plan": row.plan})
    return True


def old_disk(step: Step, *verbs: CephVerb) -> tuple[str, str, str] | None:
    """Machine, serial and WWN of the disk that the OSD of a step was on; None for a step of another verb, or without."""
    args = step.ceph
    if args is None or args.old is None or args.verb not in verbs:
        return None
    return args.old.machine, args.old.data.serial, args.old.data.wwn
