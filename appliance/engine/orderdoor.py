"""The product's door to Ceph: orders in the store, that agents of installed systems fetch, carry out and answer.

A machine works on one order at a time: what is asked of a monitor never takes the place of a step's order, a step's order
takes that of a question. At most one question is on its way; its answers are kept in the store (`cephstates`), for every
worker and for the planner.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from agent.cephorder import CephAction, CephOrder, MonAnswer
from agent.wire import OrderKind
from appliance.effects.authority import Authority
from appliance.effects.cephdoor import DoorError, DoorResult, DoorState
from appliance.effects.clock import Clock
from appliance.engine.orders import ASK, MEASURE, MEASURE_SECONDS, OrderError, issue_ceph, obstacle, withdrawn
from appliance.engine.silence import silence
from appliance.kinds import ceph as kind
from appliance.model.ceph import CephVerb
from appliance.model.cephstate import CephState
from appliance.model.machine import APPLIANCE
from appliance.store import cephstates, machines, orders, plans, steps
from appliance.store.database import Store
from appliance.store.orders import ACTIVE, OrderRow, OrderState
from appliance.store.steps import StepState

log = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
"""Answers that are younger are not asked for again."""
ANSWER_SECONDS = 45.0
"""How long a machine may take to answer, before another one is asked."""
CONTACT_SECONDS = 90.0
"""A machine that was not heard of for so long is not asked. Contacts are written down every 20 s or so."""

_STATES = {
    OrderState.OPEN: DoorState.RUNNING,
    OrderState.RUNNING: DoorState.RUNNING,
    OrderState.DONE: DoorState.DONE,
    OrderState.FAILED: DoorState.FAILED,
    OrderState.REFUSED: DoorState.REFUSED,
    OrderState.VOID: DoorState.NONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What of the accepted plan says whom to ask. ``monitors`` are machines; ``forming`` the steps of the plan that make a
    monitor, by machine: before they have, there is nobody to ask there."""

    plan: str
    fsid: str
    monitors: tuple[str, ...]
    forming: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class OrderDoor:
    """`appliance.effects.cephdoor.CephDoor` by orders to agents. May be shared by threads."""

    store: Store
    clock: Clock
    authority: Authority
    _cluster: Cluster | None = field(default=None, init=False)
    _state: CephState | None = field(default=None, init=False)

    def observe(self, fresh: float = FRESH_SECONDS) -> CephState | None:
        """What was answered last, which may be old (``at`` says); asks again when it is older than ``fresh`` seconds."""
        with self.store.read() as connection:
            cluster = self._look(connection)
            if cluster is None:
                return None
            at = cephstates.when(connection, cluster.fsid)
            state = self._state
            if at is None or state is None or (state.fsid, state.at) != (cluster.fsid, at):
                state = self._state = cephstates.get(connection, cluster.fsid)
            waiting = state is None or self.clock.now() - state.at > fresh
            waiting = waiting and self._silent(connection) and bool(self._askable(connection, cluster))
        if waiting:
            self._ask(cluster)
        return state

    def start(self, machine: str, plan: str, step: str, order: CephOrder) -> None:
        """See `CephDoor.start`. `DoorError` also when the machine is busy with another step, or may not be told now."""
        with self.store.write() as connection:
            why = withdrawn(connection, plan, step, OrderKind.CEPH)
            if why:
                raise DoorError(f"{step} is not to be done any more: {why}")
            before = _newest(connection, plan, step)
            if before is not None and before.state in ACTIVE:
                return
            row = machines.get(connection, machine)
            name = (row.machine.name if row else "") or machine
            active = orders.active_of_machine(connection, machine)
            now = self.clock.now()
            if active is not None and not _yields(active, now):
                raise DoorError(f"{name} is busy with {active.step}")
            why = obstacle(connection, machine, now=now, kind=OrderKind.CEPH)
            if why:
                raise DoorError(f"{name} {why}")
            try:
                issue_ceph(connection, self.authority, machine, plan=plan, step=step, body=order, at=now)
            except OrderError as error:
                raise DoorError(f"{name}: {error}") from error

    def result(self, plan: str, step: str) -> DoorResult:
        """See `CephDoor.result`; orders of an earlier run of the same plan do not count."""
        with self.store.read() as connection:
            row = _newest(connection, plan, step)
            if row is None:
                return DoorResult(state=DoorState.NONE)
            message = row.message
            silence = self._silence(connection, row) if row.state in ACTIVE else ""
            if row.state is OrderState.OPEN or (row.state is OrderState.RUNNING and not message):
                message = self._told(connection, row)
        return DoorResult(state=_STATES[row.state], message=message, silence=silence, answers=row.answers)

    def _told(self, connection: Connection, row: OrderRow) -> str:
        found = machines.get(connection, row.machine)
        return f"{found.machine.name or row.machine} was told" if found else ""

    def _silence(self, connection: Connection, row: OrderRow) -> str:
        """Of a machine that was told something and says nothing any more, in words; by the minute, so that it is not another
        text at every look."""
        found = machines.get(connection, row.machine)
        if found is None:
            return ""
        now = self.clock.now()
        silent = silence(connection, found.machine, now=now)
        if silent is None:
            return ""
        minutes = max(1, int((now - silent.since) // 60))
        return (
            f"{found.machine.name or row.machine} says nothing for {minutes} min, since {silent.after}: {silent.cause}; "
            f"{silent.action}"
        )

    # ------------------------------------------------------------ questions

    def _look(self, connection: Connection) -> Cluster | None:
        """The cluster of the plan that was accepted last; read once per plan, its document may be large."""
        plan_hash = plans.last_accepted(connection)
        known = self._cluster
        if known is not None and known.plan == plan_hash:
            return known
        row = plans.get(connection, plan_hash) if plan_hash else None
        layout = row.plan.desired.ceph if row else None
        if row is None or layout is None:
            return None
        forming = {
            step.machine: step.key
            for step in row.plan.steps
            if step.ceph is not None and step.ceph.verb is CephVerb.MON
        }
        monitors = tuple(service.machine for service in layout.services if service.kind == "mon")
        self._cluster = Cluster(plan=plan_hash, fsid=layout.fsid, monitors=monitors, forming=forming)
        return self._cluster

    def _silent(self, connection: Connection) -> bool:
        """Whether no question is on its way that may still be answered in time."""
        since = self.clock.now() - ANSWER_SECONDS
        return not any(row.created >= since for row in orders.active_for(connection, ASK))

    def _askable(self, connection: Connection, cluster: Cluster) -> list[str]:
        """Machines with a monitor that do nothing else, the one that answered last first, one that failed lately last."""
        now, found = self.clock.now(), []
        for machine in cluster.monitors:
            if machine == APPLIANCE:  # it has a monitor and asks nobody: a quorum has others
                continue
            row, active = machines.get(connection, machine), orders.active_of_machine(connection, machine)
            if row is None or now - row.machine.last_contact > CONTACT_SECONDS:
                continue
            if active is not None and active.step != ASK:
                continue
            if not _has_monitor(connection, cluster, machine) or obstacle(
                connection, machine, now=now, kind=OrderKind.CEPH
            ):
                continue
            last = orders.last_for(connection, machine, ASK)
            failed = last is not None and last.state is not OrderState.DONE
            found.append((failed, last.created if last and failed else 0.0, machine))
        return [machine for _, _, machine in sorted(found)]

    def _ask(self, cluster: Cluster) -> None:
        with self.store.write() as connection:
            if not self._silent(connection):
                return
            now, last = self.clock.now(), orders.newest(connection, cluster.plan, ASK)
            orders.void_for(connection, ASK, at=now)
            # A manager that has died keeps whoever asks it waiting: after a question that failed, leave it out once.
            well = last is not None and last.state is OrderState.DONE
            commands = kind.questions(self._state if well else None)
            body = CephOrder(action=CephAction.ASK, fsid=cluster.fsid, commands=commands)
            for machine in self._askable(connection, cluster):
                try:
                    row = issue_ceph(
                        connection, self.authority, machine, plan=cluster.plan, step=ASK, body=body, at=now
                    )
                except OrderError as error:
                    log.info("machine=%s step=%s why=%s", machine, ASK, error)
                    continue
                orders.forget(connection, machine, ASK, below=row.fence)
                return


def _yields(active: OrderRow, now: float) -> bool:
    """Whether a step's order may take the place of this one: of a question, or of a measurement that nobody is at."""
    return active.step == ASK or (active.step == MEASURE and now - active.updated > MEASURE_SECONDS)


def _has_monitor(connection: Connection, cluster: Cluster, machine: str) -> bool:
    """Whether a monitor was made there: by an earlier plan (then Ceph has answered before), or by this one's step."""
    key = cluster.forming.get(machine)
    if key is None:
        return cephstates.when(connection, cluster.fsid) is not None
    step, made = steps.get(connection, cluster.plan, key), orders.newest(connection, cluster.plan, key)
    done = step is not None and step.state is StepState.DONE
    return done or (made is not None and made.state is OrderState.DONE)


def _newest(connection: Connection, plan: str, key: str) -> OrderRow | None:
    """The last order of this run of the step."""
    step, row = steps.get(connection, plan, key), orders.newest(connection, plan, key)
    if step is None or row is None or row.created < (step.started or 0.0):
        return None
    return row


def learn(connection: Connection, fsid: str, answers: tuple[MonAnswer, ...], *, at: float) -> bool:
    """Keep what the answers to the questions say of the cluster ``fsid``. ``at`` is when they were asked: what was done
    since may be missing."""
    try:
        state = kind.parse(answers, at)
    except kind.AnswerError as error:
        log.error("machine=- step=%s why=%s", ASK, error)
        return False
    if state.fsid != fsid:
        log.error("machine=- step=%s why=asked of the cluster %s, answered by %s", ASK, fsid, state.fsid)
        return False
    return cephstates.put(connection, state)
