"""How fast Ceph's pools are: measured when an operator says so, shown beside what the plan promised.

It is no step of a plan: it loads the cluster, and what comes of it must never be a reason why a plan has changes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from agent.wire import OrderKind, Progress
from appliance.engine.orders import ASK, MEASURE, OrderError, issue_ceph, obstacle
from appliance.kinds import ceph as kind
from appliance.kinds.ceph import measuring
from appliance.model.ceph import CephLayout, Throughput
from appliance.model.cephstate import CephState
from appliance.model.machine import APPLIANCE
from appliance.model.measured import Measured
from appliance.operations import audit
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import Conflict, NotFound, Unavailable
from appliance.store import cephstates, events, machines, measurements, orders, plans
from appliance.store.events import Happening
from appliance.store.orders import ACTIVE, OrderRow, OrderState
from appliance.store.plans import PlanRow, PlanState

log = logging.getLogger(__name__)

STALE_SECONDS = 300.0
"""What Ceph said of itself may be so old when a measurement begins."""
SECONDS = 10.0
"""Of writing, and of reading, each pool."""
HISTORY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpeed:
    """One pool for large data: what the plan that holds says of it, and what was measured last (None: never)."""

    pool: str
    promise: Throughput
    measured: Measured | None = None
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """The last order to measure. ``state`` is the order's, ``fraction`` 0..1, ``message`` what the machine said last."""

    state: OrderState
    machine: str
    name: str
    fraction: float
    message: str
    started: float

    @property
    def running(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedView:
    """The cluster that the plan accepted last has. ``names`` are machines' by id. ``history`` has the newest first."""

    name: str
    fsid: str
    plan: str
    pools: tuple[PoolSpeed, ...]
    last: Measuring | None
    history: tuple[Measured, ...]
    names: dict[str, str]


def show_speed(app: Appliance, actor: Actor) -> SpeedView:
    """Raises `NotFound` when no accepted plan has a Ceph."""
    actor.require(Role.VIEWER, "look at Ceph")
    with app.store.read() as connection:
        return _view(connection)


def measure(app: Appliance, actor: Actor, names: tuple[str, ...] = ()) -> SpeedView:
    """Tell a member to measure these pools, or all that are for large data; `show_speed` says how far it is.

    Raises `NotFound` (no Ceph, no such pool), `Conflict` (a plan is being carried out, Ceph is not well or too full, one
    measurement runs), `Unavailable` (Ceph was not heard of lately, no machine is free).
    """
    actor.require(Role.OPERATOR, "measure Ceph")
    now = app.clock.now()
    with app.store.write() as connection:
        row, layout = _cluster(connection)
        wanted = names or measuring.measurable(layout)
        state = _check(connection, row, layout, wanted, now)
        orders.void_for(connection, MEASURE, at=now)
        for machine, host in _clients(connection, layout, state, now):
            body = measuring.measure_order(layout, host, wanted, SECONDS)
            try:
                order = issue_ceph(connection, app.authority, machine, plan=row.hash, step=MEASURE, body=body, at=now)
            except OrderError as error:
                log.info("machine=%s step=%s why=%s", machine, MEASURE, error)
                continue
            orders.forget(connection, machine, MEASURE, below=order.fence)
            audit.record(connection, app, actor, "ceph.measure", layout.name, pools=list(wanted), machine=machine)
            return _view(connection)
    raise Unavailable("no machine with a monitor is free to measure: look at their steps, and try again")


def learn(app: Appliance, connection: Connection, order: OrderRow, progress: Progress) -> None:
    """Keep what a machine measured; also of the pools before one that failed."""
    row = plans.get(connection, order.plan)
    layout = row.plan.desired.ceph if row else None
    if layout is None or not progress.answers:
        return
    now = app.clock.now()
    try:
        found = measuring.measured(layout, order.plan, order.machine, progress.answers, now)
    except kind.AnswerError as error:
        log.error("machine=%s step=%s why=%s", order.machine, MEASURE, error)
        return
    for one in found:
        measurements.add(connection, one)
        text = f"pool {one.pool}: writes {one.write.rate / 1e6:.1f} MB/s, reads {one.read.rate / 1e6:.1f} MB/s"
        events.add(
            connection, at=now, machine=order.machine, kind=Happening.PROGRESS, text=text, data={"pool": one.pool}
        )


def _cluster(connection: Connection) -> tuple[PlanRow, CephLayout]:
    """The plan that was accepted last, with its Ceph."""
    row = plans.get(connection, plans.last_accepted(connection))
    layout = row.plan.desired.ceph if row else None
    if row is None or layout is None:
        raise NotFound("no accepted plan has a Ceph: plan and apply one first (ceph: … in the site file)")
    return row, layout


def _check(connection: Connection, row: PlanRow, layout: CephLayout, names: tuple[str, ...], now: float) -> CephState:
    known = measuring.measurable(layout)
    strange = [name for name in names if name not in known]
    if strange or not known:
        raise NotFound(
            f"{strange[0] if strange else layout.name}: pools for large data are {', '.join(known) or 'none'}"
        )
    if row.state is PlanState.ACCEPTED:
        raise Conflict(f"plan {row.hash[:12]} is being carried out: measure when it is done")
    if any(now - order.updated < STALE_SECONDS for order in orders.active_for(connection, MEASURE)):
        raise Conflict("a measurement runs already: wait for its end")
    state = cephstates.get(connection, layout.fsid)
    if state is None or now - state.at > STALE_SECONDS:
        raise Unavailable(f"Ceph {layout.name} was not heard of for {STALE_SECONDS:.0f} s: are its monitors up?")
    why = measuring.refusal(layout, state, names)
    if why:
        raise Conflict(why)
    return state


def _clients(connection: Connection, layout: CephLayout, state: CephState, now: float) -> Iterator[tuple[str, str]]:
    """Machines with a monitor that do nothing now, with their names in the tree; not the appliance."""
    for service in layout.services:
        row = machines.get(connection, service.machine) if service.kind == "mon" else None
        if row is None or row.id == APPLIANCE or row.machine.name not in state.quorum:
            continue
        active = orders.active_of_machine(connection, service.machine)
        free = active is None or active.step in (ASK, MEASURE)
        if free and not obstacle(connection, service.machine, now=now, kind=OrderKind.CEPH):
            yield service.machine, row.machine.name


def _view(connection: Connection) -> SpeedView:
    row, layout = _cluster(connection)
    promises = {one.pool: one for one in layout.throughput}
    newest = {one.pool: one for one in measurements.newest(connection, layout.fsid)}
    order = orders.latest_for(connection, MEASURE)
    names = {found.machine.id: found.machine.name for found in machines.everything(connection)}
    last = None
    if order is not None:
        last = Measuring(
            state=order.state,
            machine=order.machine,
            name=names.get(order.machine, "") or order.machine,
            fraction=order.fraction,
            message=order.message,
            started=order.created,
        )
    return SpeedView(
        name=layout.name,
        fsid=layout.fsid,
        plan=row.hash,
        pools=tuple(
            PoolSpeed(
                pool=pool,
                promise=promises[pool],
                measured=newest.get(pool),
                hints=measuring.hints(newest[pool]) if pool in newest else (),
            )
            for pool in measuring.measurable(layout)
            if pool in promises
        ),
        last=last,
        history=measurements.history(connection, layout.fsid, HISTORY),
        names=names,
    )
