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
    args = row.step.ceph
    if args is None or args.verb is not CephVerb.OSD or args.old is None:
        return False
    old = args.old
    others = [
        step for step in steps.of_plan(connection, row.plan) if step.key != row.key and _same(step.step, row.step)
    ]
    if any(step.state is not StepState.DONE for step in others):
        return False
    why = f"osd.{args.daemon} is on another disk, by plan {row.plan[:12]}"
    if not replacements.fulfil(connection, old.machine, old.data.serial, old.data.wwn, at=at, why=why):
        return False
    text = f"disk {old.data.serial or old.data.wwn} is replaced: {why}; take it out of the machine"
    events.add(connection, at=at, machine=old.machine, kind=Happening.STEP, text=text, data={"plan": row.plan})
    return True


def _same(one: Step, other: Step) -> bool:
    """Whether both make an OSD that was on the same disk."""
    if one.ceph is None or other.ceph is None or one.ceph.verb is not CephVerb.OSD:
        return False
    a, b = one.ceph.old, other.ceph.old
    return (
        a is not None
        and b is not None
        and (a.machine, a.data.serial, a.data.wwn)
        == (
            b.machine,
            b.data.serial,
            b.data.wwn,
        )
    )
