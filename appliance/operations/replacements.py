"""Disks that shall be replaced: a person says which, the planner does the rest.

What is recorded is only the wish. The next plan drains the OSDs of the disk, destroys them, and waits for a new disk; the
plan after that makes them again with the same numbers and places. The old disk is not used while the wish holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from appliance.engine.replaced import old_disk
from appliance.engine.settlement import settle
from appliance.kinds import ceph as kind
from appliance.model.ceph import CephLayout, CephVerb, OsdLayout
from appliance.model.cephstate import CephState, OsdState
from appliance.model.machine import Policy
from appliance.model.observed import Replacement
from appliance.operations import audit
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import Conflict
from appliance.operations.knowndisks import KnownDisk, find_disk, known_disks, show
from appliance.store import cephstates, events, machines, orders, plans, replacements, steps
from appliance.store.events import Happening
from appliance.store.plans import PlanState
from appliance.store.replacements import ReplacementRow, ReplacementState
from hwprofiles.normal import serial_key


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementView:
    """A wish. ``name`` is the machine's, ``where`` the disk's bus path or empty, ``seconds`` how long its drain will take by
    what is known now (None: nothing has to be drained)."""

    row: ReplacementRow
    name: str
    where: str = ""
    seconds: float | None = None


def replace_disk(app: Appliance, actor: Actor, disk: str) -> ReplacementView:
    """Want a disk replaced: its serial, WWN, or ``MACHINE/SERIAL``. Asked twice it is the same as once.

    Raises `NotFound`, `Invalid` (several disks are meant), `Conflict`: it is no OSD's data disk, others depend on it, or its
    OSDs can't be drained, with the numbers; then nothing is recorded.
    """
    actor.require(Role.OPERATOR, "replace disks")
    with app.store.write() as connection:
        layout, state = standing(connection)
        found = find_disk(connection, disk, layout)
        held = next((row for row in replacements.holding(connection) if _is(row, found)), None)
        if held is not None and held.state is ReplacementState.WANTED:
            return _view(held, found, layout, state)
        osds = _osds(found, layout, state)
        _may_go(connection, found, osds, layout, state)
        now = app.clock.now()
        row = ReplacementRow(
            seq=0,
            machine=found.machine,
            serial=found.serial,
            wwn=found.wwn,
            model=found.model,
            size=found.size,
            osds=tuple(osd.number for osd in osds),
            state=ReplacementState.WANTED,
            asked=now,
            asked_by=actor.name,
        )
        row = replace(row, seq=replacements.add(connection, row))
        text = f"disk {show(found)} of {names(osds)} shall be replaced, says {actor.name}"
        events.add(connection, at=now, machine=found.machine, kind=Happening.POLICY, text=text)
        audit.record(
            connection,
            app,
            actor,
            "disk.replace",
            found.machine,
            serial=found.serial,
            wwn=found.wwn,
            osds=list(row.osds),
        )
        return _view(row, found, layout, state)


def cancel(app: Appliance, actor: Actor, disk: str) -> ReplacementView:
    """Take a wish back. While its OSDs live they are taken in again by the next plan; what drains them now is stopped. One
    that is done is taken back, too: the old disk may be used again.

    Raises `NotFound`, `Invalid`, `Conflict` (nobody wanted it, or its OSDs are destroyed already).
    """
    actor.require(Role.OPERATOR, "replace disks")
    with app.store.write() as connection:
        layout, state = standing(connection)
        rows = replacements.holding(connection)
        found = find_disk(connection, disk, layout, [_known(connection, row) for row in rows])
        row = next((row for row in rows if _is(row, found)), None)
        if row is None:
            raise Conflict(f"nobody wants disk {show(found)} replaced: there is nothing to take back")
        now = app.clock.now()
        if row.state is ReplacementState.WANTED:
            _stop(connection, row, layout, state, at=now)
        replacements.end(connection, row.seq, ReplacementState.CANCELLED, at=now, why=f"taken back by {actor.name}")
        text = f"disk {show(found)} shall not be replaced any more, says {actor.name}"
        events.add(connection, at=now, machine=row.machine, kind=Happening.POLICY, text=text)
        audit.record(connection, app, actor, "disk.keep", row.machine, serial=row.serial, wwn=row.wwn, was=row.state)
        return _view(row, found, layout, state)


def list_replacements(app: Appliance, actor: Actor, machine: str = "") -> tuple[ReplacementView, ...]:
    """Wishes that hold, the oldest first; of one machine (an id) or of all."""
    actor.require(Role.VIEWER, "look at disks that are replaced")
    with app.store.read() as connection:
        rows = [row for row in replacements.holding(connection) if machine in ("", row.machine)]
        if not rows:
            return ()
        layout, state = standing(connection)
        seen = {(one.machine, one.identity): one for one in known_disks(connection, layout)}
        found = []
        for row in rows:
            known = _known(connection, row)
            found.append(_view(row, seen.get((known.machine, known.identity), known), layout, state))
        return tuple(found)


def osds_of(app: Appliance, actor: Actor, machine: str) -> tuple[OsdLayout, ...]:
    """OSDs that the accepted layout has on a machine (an id)."""
    actor.require(Role.VIEWER, "look at OSDs")
    with app.store.read() as connection:
        layout, _ = standing(connection)
        return tuple(osd for osd in layout.osds if osd.machine == machine) if layout else ()


def replacing(connection: Connection) -> tuple[Replacement, ...]:
    """What holds, as the planner sees it."""
    return tuple(
        Replacement(
            machine=row.machine,
            serial=row.serial,
            wwn=row.wwn,
            size=row.size,
            done=row.state is ReplacementState.DONE,
        )
        for row in replacements.holding(connection)
    )


def reconcile(connection: Connection, layout: CephLayout | None, *, at: float) -> None:
    """End what is fulfilled although the engine did not see it happen: the accepted layout has the OSDs on other disks, and
    there they live."""
    state = cephstates.latest(connection)
    if layout is None or state is None or state.fsid != layout.fsid:
        return
    for row in replacements.holding(connection):
        if row.state is not ReplacementState.WANTED or _on(_known(connection, row), layout):
            continue
        made = [osd for osd in layout.osds if osd.number in row.osds and osd.machine == row.machine]
        if len(made) == len(row.osds) and all(kind.live(state, kind.osd_uuid(layout.fsid, osd)) for osd in made):
            why = f"{names(made)} live on another disk"
            replacements.end(connection, row.seq, ReplacementState.DONE, at=at, why=why)


def standing(connection: Connection) -> tuple[CephLayout | None, CephState | None]:
    """The accepted layout of Ceph, and what that very Ceph said last."""
    row = plans.get(connection, plans.last_accepted(connection))
    layout = row.plan.desired.ceph if row else None
    state = cephstates.get(connection, layout.fsid) if layout else None
    return layout, state


def names(osds: Iterable[OsdLayout]) -> str:
    return ", ".join(f"osd.{osd.number}" for osd in sorted(osds, key=lambda one: one.number))


# ------------------------------------------------------------ what stands against it


def _osds(found: KnownDisk, layout: CephLayout | None, state: CephState | None) -> list[OsdLayout]:
    """The OSDs whose data are on it. Raises `Conflict` with what to do for every other kind of disk."""
    if layout is None:
        raise Conflict("no plan with Ceph was accepted yet: there is no OSD whose disk could be replaced")
    osds = _on(found, layout)
    if osds:
        if state is None or all(_number(state, osd) is None for osd in osds):
            raise Conflict(f"{names(osds)} on disk {show(found)} was never made: swap the disk, then rackseed plan")
        return osds
    shared = [
        (what, osd)
        for osd in layout.osds
        for what, ref in (("DB", osd.db), ("WAL", osd.wal))
        if ref is not None and osd.machine == found.machine and found.fits(ref)
    ]
    if shared:
        word, lost = " and ".join(dict.fromkeys(what for what, _ in shared)), [osd for _, osd in shared]
        raise Conflict(
            f"disk {show(found)} holds the {word} of {len(lost)} OSDs, which all stop without it: {names(lost)}. Take the "
            f"host out (rackseed remove host {found.name}), change the disk, and add it again (rackseed add host "
            f"{found.name})"
        )
    raise Conflict(
        f"disk {show(found)} carries no OSD of the accepted plan, so nothing has to be moved before you take it out; why "
        f"it has no part: rackseed explain {found.name}/{found.serial or found.wwn}"
    )


def _may_go(
    connection: Connection, found: KnownDisk, osds: list[OsdLayout], layout: CephLayout | None, state: CephState | None
) -> None:
    """Raises `Conflict` when the machine leaves as a whole, or when what is stored would not fit."""
    machine = machines.get(connection, found.machine)
    if machine is None or machine.machine.policy is not Policy.USE:
        policy = machine.machine.policy if machine else "unknown"
        raise Conflict(
            f"{found.name} has policy {policy}: its disks are replaced while it is used (rackseed machine use)"
        )
    if layout is None or state is None:
        return
    others = [
        osd for row in replacements.holding(connection) if _wanted(row) for osd in _on(_known(connection, row), layout)
    ]
    mine = kind.serving(layout.fsid, osds, state)
    leave = mine | kind.serving(layout.fsid, others, state)
    why = kind.may_leave(layout, state, leave) if mine else ""
    if why:
        raise Conflict(f"{names(osds)} can't leave disk {show(found)}: {why}")


def _stop(
    connection: Connection, row: ReplacementRow, layout: CephLayout | None, state: CephState | None, *, at: float
) -> None:
    """Nothing of a plan at work goes on with this disk. Raises `Conflict` when it is too late."""
    osds = _on(_known(connection, row), layout) if layout else []
    if layout and state and any((one := _number(state, osd)) is None or one.destroyed for osd in osds):
        raise Conflict(
            f"{names(osds)} is destroyed already, its data are elsewhere: put a new disk in, its number waits for it"
        )
    disk = row.machine, row.serial, row.wwn
    for plan in plans.in_state(connection, PlanState.ACCEPTED):
        found = steps.of_plan(connection, plan)
        if any(step.started is not None and old_disk(step.step, CephVerb.DESTROY) == disk for step in found):
            raise Conflict(f"plan {plan[:12]} is destroying its OSDs now: it is too late; put a new disk in")
        ends = [step for step in found if old_disk(step.step, CephVerb.OUT, CephVerb.DESTROY) == disk]
        open_ = [step.key for step in ends if step.state in steps.OPEN]
        if open_:
            steps.cancel(connection, plan, open_, why="the disk shall not be replaced any more")
            for key in open_:
                orders.void_for(connection, key, at=at, plan=plan)
            settle(connection, plan, at=at)


def _wanted(row: ReplacementRow) -> bool:
    return row.state is ReplacementState.WANTED


def _on(found: KnownDisk, layout: CephLayout) -> list[OsdLayout]:
    return [osd for osd in layout.osds if osd.machine == found.machine and found.fits(osd.data)]


def _number(state: CephState, osd: OsdLayout) -> OsdState | None:
    return next((one for one in state.osds if one.number == osd.number), None)


def _is(row: ReplacementRow, found: KnownDisk) -> bool:
    return (row.machine, serial_key(row.serial), row.wwn.lower(), row.size) == (found.machine, *found.identity)


def _known(connection: Connection, row: ReplacementRow) -> KnownDisk:
    machine = machines.get(connection, row.machine)
    return KnownDisk(
        machine=row.machine,
        name=(machine.machine.name if machine else "") or row.machine,
        serial=row.serial,
        wwn=row.wwn,
        model=row.model,
        size=row.size,
    )


def _view(row: ReplacementRow, found: KnownDisk, layout: CephLayout | None, state: CephState | None) -> ReplacementView:
    seconds = None
    if layout is not None and state is not None and row.state is ReplacementState.WANTED:
        numbers = kind.serving(layout.fsid, _on(found, layout), state)
        moving = [osd for osd in state.osds if osd.number in numbers]
        rate = kind.drain_rate(layout, None, _on(found, layout))
        seconds = kind.drain_seconds(state, moving, rate.expected if rate else 0.0) if moving else None
    return ReplacementView(row=row, name=found.name, where=found.where, seconds=seconds)
