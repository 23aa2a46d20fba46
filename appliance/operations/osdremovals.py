"""OSDs of the map that no plan made: a person decides that they go, the planner does the rest.

What is recorded is only the wish, for this very OSD: when another one has got the number meanwhile, the wish is over. The
next plan removes it when nothing needs it, or says why it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from appliance.engine.settlement import settle
from appliance.kinds import ceph as kind
from appliance.model.ceph import CephLayout
from appliance.model.cephstate import CephState
from appliance.operations import audit
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import Conflict, NotFound
from appliance.operations.replacements import standing
from appliance.store import events, orders, osdremovals, plans, steps
from appliance.store.events import Happening
from appliance.store.osdremovals import RemovalRow, RemovalState
from appliance.store.plans import PlanState


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalView:
    """A wish. ``host`` is where Ceph's tree has it, ``kept`` why it is not removed now; both may be empty."""

    row: RemovalRow
    host: str
    kept: str


def remove_osd(app: Appliance, actor: Actor, number: int) -> RemovalView:
    """Want what has this number in Ceph to be gone. Asked twice it is the same as once.

    Raises `NotFound`, and `Conflict`: a plan has it, it runs and holds data, or something could not be used without it;
    then nothing is recorded.
    """
    actor.require(Role.OPERATOR, "remove OSDs")
    with app.store.write() as connection:
        layout, state = _known(connection)
        held = _held(connection, layout, number)
        if kind.gone(state, number):
            raise NotFound(f"there is no osd.{number} in {layout.name}")
        why = kind.kept(layout, layout, state, number)
        if why:
            raise Conflict(f"osd.{number} is not removed: {why}")
        uuid = kind.uuid_of(state, number)
        if held is not None and held.uuid == uuid:
            return _view(held, layout, state)
        now = app.clock.now()
        row = RemovalRow(
            seq=0,
            fsid=layout.fsid,
            number=number,
            uuid=uuid,
            state=RemovalState.WANTED,
            asked=now,
            asked_by=actor.name,
        )
        row = replace(row, seq=osdremovals.add(connection, row))
        text = f"osd.{number} of {layout.name}, which no plan made, shall be removed, says {actor.name}"
        events.add(connection, at=now, machine="", kind=Happening.POLICY, text=text)
        audit.record(connection, app, actor, "osd.remove", f"osd.{number}", fsid=layout.fsid, uuid=uuid)
        return _view(row, layout, state)


def keep_osd(app: Appliance, actor: Actor, number: int) -> RemovalView:
    """Take such a wish back; a step that was not begun is not done any more. Raises `Conflict`: nobody wanted it, or a plan
    removes it at this moment."""
    actor.require(Role.OPERATOR, "remove OSDs")
    with app.store.write() as connection:
        layout, state = _known(connection)
        row = _held(connection, layout, number)
        if row is None:
            raise Conflict(f"nobody wants osd.{number} removed: there is nothing to take back")
        now = app.clock.now()
        _stop(connection, number, at=now)
        osdremovals.end(connection, row.seq, RemovalState.CANCELLED, at=now, why=f"taken back by {actor.name}")
        text = f"osd.{number} of {layout.name} shall not be removed any more, says {actor.name}"
        events.add(connection, at=now, machine="", kind=Happening.POLICY, text=text)
        audit.record(connection, app, actor, "osd.keep", f"osd.{number}", fsid=layout.fsid, uuid=row.uuid)
        return _view(row, layout, state)


def list_removals(app: Appliance, actor: Actor) -> tuple[RemovalView, ...]:
    """Wishes that hold, the oldest first."""
    actor.require(Role.VIEWER, "look at OSDs")
    with app.store.read() as connection:
        found = osdremovals.wanted(connection)
        layout, state = standing(connection) if found else (None, None)
        if layout is None or state is None:
            return ()
        return tuple(_view(row, layout, state) for row in found if row.fsid == layout.fsid)


def removing(connection: Connection) -> tuple[int, ...]:
    """Numbers, as the planner sees them: where the very OSD still is that somebody meant."""
    return tuple(row.number for row, state in _of_this_ceph(connection) if not _over(row, state))


def end_removals(connection: Connection, *, at: float) -> None:
    """End what is fulfilled: Ceph has that OSD no more."""
    for row, state in _of_this_ceph(connection):
        why = _over(row, state)
        if why:
            osdremovals.end(connection, row.seq, RemovalState.DONE, at=at, why=why)


def _of_this_ceph(connection: Connection) -> list[tuple[RemovalRow, CephState]]:
    """What is wanted of the Ceph of the accepted plan, with what that said last. The plan (it may be megabytes) is read only
    when somebody wants something: every plan asks twice."""
    found = osdremovals.wanted(connection)
    layout, state = standing(connection) if found else (None, None)
    return [(row, state) for row in found if layout and state and row.fsid == layout.fsid]


def _held(connection: Connection, layout: CephLayout, number: int) -> RemovalRow | None:
    wanted = (row for row in osdremovals.wanted(connection) if row.fsid == layout.fsid)
    return next((row for row in wanted if row.number == number), None)


def _over(row: RemovalRow, state: CephState) -> str:
    """Why there is nothing left to do, or empty."""
    if kind.gone(state, row.number):
        return f"there is no osd.{row.number} any more"
    return "" if kind.uuid_of(state, row.number) == row.uuid else f"osd.{row.number} is another OSD now"


def _known(connection: Connection) -> tuple[CephLayout, CephState]:
    """Raises `Conflict`."""
    layout, state = standing(connection)
    if layout is None:
        raise Conflict("no plan with Ceph was accepted yet: there is no OSD to remove")
    if state is None:
        raise Conflict(f"{layout.name} has not said anything yet: see that its monitors run")
    return layout, state


def _stop(connection: Connection, number: int, *, at: float) -> None:
    """A plan at work does not remove it any more. Raises `Conflict` when it is told already."""
    key = f"ceph-purge/osd.{number}"
    for plan in plans.in_state(connection, PlanState.ACCEPTED):
        step = steps.get(connection, plan, key)
        if step is None or step.state not in steps.OPEN or step.step.ceph is None or step.step.ceph.old is not None:
            continue
        if orders.newest(connection, plan, key) is not None:
            raise Conflict(f"plan {plan[:12]} is removing osd.{number} now: it is too late")
        steps.cancel(connection, plan, [key], why="the OSD shall not be removed any more")
        settle(connection, plan, at=at)


def _view(row: RemovalRow, layout: CephLayout, state: CephState) -> RemovalView:
    kept = "" if _over(row, state) else kind.kept(layout, layout, state, row.number)
    return RemovalView(row=row, host=kind.host_of(state, row.number), kept=kept)
