"""Hosts that leave Ceph, with or without another one in their place. The policy is recorded; a plan does the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from appliance.kinds import ceph as kind
from appliance.model.ceph import CephLayout
from appliance.model.cephstate import BucketState, CephState, OsdState
from appliance.model.machine import Policy
from appliance.model.plan import Plan
from appliance.operations import audit
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import Conflict
from appliance.operations.machines import change_policy, find
from appliance.operations.plans import observe_all, site_in
from appliance.operations.replacements import standing
from appliance.plan import make
from appliance.store import plans
from appliance.store.machines import MachineRow


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavingView:
    """``machine`` (an id) leaves. ``osds`` are the numbers of its OSDs, ``down`` of those that don't run; ``seconds`` how
    long the drain will take by what is known now. ``instead`` is the name of the machine that takes its place, or empty."""

    machine: str
    name: str
    instead: str
    osds: tuple[int, ...]
    down: tuple[int, ...]
    seconds: float


def remove_host(app: Appliance, actor: Actor, key: str, instead: str = "") -> LeavingView:
    """Want a machine out of its Ceph; with ``instead`` another one takes its place and is used from now on. Asked twice
    it is the same as once.

    Raises `NotFound`, and `Conflict`: quarantine, ``instead`` stands elsewhere, or what is stored would not fit or not be
    safe without it, with the numbers; then nothing is recorded. A machine of which nothing runs may always go: the plan
    waits until everything is used without it.
    """
    actor.require(Role.OPERATOR, "take hosts out")
    with app.store.write() as connection:
        row = find(connection, key)
        layout, state = standing(connection)
        if instead:
            other = find(connection, instead)
            _check_place(connection, row, other)
            change_policy(connection, app, actor, other, Policy.USE)
        change_policy(connection, app, actor, row, Policy.DRAIN)
        osds = [osd for osd in layout.osds if osd.machine == row.id] if layout else []
        serving = kind.serving(layout.fsid, osds, state) if layout else set()
        if layout is not None and state is not None and serving:
            why = kind.may_leave(layout, _grown(state, layout, _trial(app, connection), row.id), serving)
            if why:
                raise Conflict(_refusal(_name(row), why, instead))
        audit.record(connection, app, actor, "host.remove", row.id, instead=instead, osds=[osd.number for osd in osds])
        moving = [osd for osd in state.osds if osd.number in serving] if state else []
        rate = kind.drain_rate(layout, None, osds) if layout else None
        return LeavingView(
            machine=row.id,
            name=_name(row),
            instead=_name(find(connection, instead)) if instead else "",
            osds=tuple(osd.number for osd in osds),
            down=tuple(osd.number for osd in osds if osd.number not in serving),
            seconds=kind.drain_seconds(state, moving, rate.expected if rate else 0.0) if state and moving else 0.0,
        )


def _name(row: MachineRow) -> str:
    return row.machine.name or row.expected or row.id


def _refusal(name: str, why: str, instead: str) -> str:
    if instead:
        return f"{name} can't leave, and {instead} is no member yet that could take over: {why}; rackseed add host {instead}"
    return f"{name} can't leave: {why}"


def _check_place(connection: Connection, old: MachineRow, new: MachineRow) -> None:
    """The new machine stands where the old one stood, by the site file: copies are spread over racks."""
    if old.id == new.id:
        raise Conflict(f"{_name(old)} can't take its own place: name another machine")
    entries = {entry.name: entry for entry in site_in(connection).machines}
    here, there = entries.get(old.expected), entries.get(new.expected)
    if there is None:
        raise Conflict(
            f"{_name(new)} is not in the site file: write it there, in the rack of {_name(old)}, and load it"
        )
    if here is not None and here.rack != there.rack:
        raise Conflict(
            f"{there.name} is in {there.rack or 'no rack'} and {here.name} in {here.rack or 'no rack'}: write the right "
            f"rack of {there.name} into the site file, or use rackseed add host and remove host when it is meant so"
        )


def _trial(app: Appliance, connection: Connection) -> Plan:
    """The plan that would be made now."""
    parent = plans.get(connection, plans.last_accepted(connection))
    return make.plan(site_in(connection), app.profiles, observe_all(connection), parent.plan if parent else None)


def _grown(state: CephState, layout: CephLayout, trial: Plan, leaving: str) -> CephState:
    """Ceph as it will be when the plan made its new OSDs, which it does before anything leaves."""
    planned = trial.desired.ceph
    if planned is None:
        return state
    there = {bucket.name for bucket in state.buckets}
    parents = {item: bucket.name for bucket in planned.buckets for item in bucket.items}
    new = [BucketState(name=b.name, level=b.level, parent=parents.get(b.name, "")) for b in planned.buckets]
    osds = tuple(_new(state, layout, trial, parents, leaving))
    return replace(
        state, buckets=(*state.buckets, *(one for one in new if one.name not in there)), osds=(*state.osds, *osds)
    )


def _new(
    state: CephState, layout: CephLayout, trial: Plan, parents: dict[str, str], leaving: str
) -> Iterator[OsdState]:
    known = {osd.number for osd in state.osds}
    for step in trial.steps:
        osd = step.ceph.osd if step.ceph else None
        if osd is None or not step.key.startswith("ceph-osd/") or osd.number in known or osd.machine == leaving:
            continue
        yield OsdState(
            number=osd.number,
            uuid=kind.osd_uuid(layout.fsid, osd),
            host=parents.get(f"osd.{osd.number}", ""),
            device_class=osd.device_class,
            up=True,
            in_=True,
            weight=osd.weight,
            size=osd.data_size,
            pgs=0,
        )
