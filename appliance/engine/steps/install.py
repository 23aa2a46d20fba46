"""``install/<machine>``: a permit and a signed order for the agent's current boot; done when the permit is spent.

The work is the agent's and goes on without us. What is left to do here is to start it, to start it again with a higher fence
when it failed (the install resumes), and to give up when the agent's disk guard refused.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Connection

from appliance.engine.orders import install_reported, issue_install, obstacle
from appliance.engine.registry import Failure, Run, StepAbandoned
from appliance.model.machine import Machine, MachineEvent, Phase, TroubleKind
from appliance.store import events, lifecycle, machines, orders, permits, steps
from appliance.store.events import Happening
from appliance.store.orders import ACTIVE, OrderRow, OrderState
from appliance.store.permits import PermitState

ORDERS = 3
PAUSE_SECONDS = 20.0
GONE = frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING, Phase.WIPING, Phase.RESCUE, Phase.RETIRED})


class Install:
    poll_seconds: ClassVar[float] = 2.0

    def done(self, run: Run) -> bool:
        with run.tools.store.read() as connection:
            return _spent(connection, run)

    def apply(self, run: Run) -> None:
        with run.tools.store.write() as connection:
            run.guard(connection)
            machine = _machine(connection, run)
            # The agent's last word may have come since `done` was asked: an order now would install the machine once more.
            if _spent(connection, run) or self._came_up(connection, run):
                return
            earlier = [
                order
                for order in orders.of_step(connection, run.row.plan, run.row.key)
                if order.created >= (run.row.started or 0.0)
            ]
            if earlier and earlier[0].state in ACTIVE:
                return
            if _pause(earlier, run.tools.clock.now()):
                return
            why = obstacle(connection, machine.id, now=run.tools.clock.now())
            if not machine.boot_nonce and not why:
                why = "has not booted the agent image"
            if why:
                _wait(connection, run, f"{machine.name or machine.id} {why}")
                return
            self._start(connection, run, machine)

    def _start(self, connection: Connection, run: Run, machine: Machine) -> None:
        now = run.tools.clock.now()
        lifecycle.clear_trouble(connection, machine.id, at=now, why="the install begins")
        if machine.phase is Phase.READY:
            lifecycle.advance(connection, machine.id, MachineEvent.INSTALL, at=now, why=run.row.key)
        order = issue_install(connection, run.tools, run.row, nonce=machine.boot_nonce)
        steps.set_progress(
            connection, run.row.plan, run.row.key, {"stage": "ordered", "message": f"order {order.fence}"}
        )

    def _came_up(self, connection: Connection, run: Run) -> bool:
        """The agent's last word was lost, but the installed system itself has reported: that is proof enough."""
        permit = permits.of_step(connection, run.row.plan, run.row.key)
        if permit is None or permit.state is not PermitState.CLAIMED or not install_reported(connection, permit):
            return False
        now = run.tools.clock.now()
        orders.void_of_machine(connection, run.row.machine, at=now)
        text = "the installed system has reported, although the end of the install was never heard of"
        data = {"permit": permit.id, "step": run.row.key}
        events.add(connection, at=now, machine=run.row.machine, kind=Happening.PERMIT, text=text, data=data)
        return permits.spend(connection, permit.id, run.row.machine, at=now)

    def finished(self, connection: Connection, run: Run) -> None:
        lifecycle.clear_trouble(
            connection, run.row.machine, at=run.tools.clock.now(), why="the install is done", step=run.row.key
        )

    def failed(self, connection: Connection, run: Run, failure: Failure) -> None:
        row, now = run.row, run.tools.clock.now()
        orders.void_of_machine(connection, row.machine, at=now)
        permits.void_unclaimed(connection, row.plan, row.key)
        found = machines.get(connection, row.machine)
        if found is None:
            return
        if found.machine.phase is Phase.DEPLOYING:
            lifecycle.advance(connection, row.machine, MachineEvent.INSTALL_FAILED, at=now, why=failure.text)
        lifecycle.set_trouble(connection, row.machine, failure.kind, failure.text, at=now, step=row.key)


def _spent(connection: Connection, run: Run) -> bool:
    """A permit that was spent before this step began belongs to an earlier run of the same plan."""
    permit = permits.of_step(connection, run.row.plan, run.row.key)
    return permit is not None and permit.spent is not None and permit.spent >= (run.row.started or 0.0)


def _machine(connection: Connection, run: Run) -> Machine:
    found = machines.get(connection, run.row.machine)
    if found is None:
        raise StepAbandoned(TroubleKind.STEP_FAILED, f"there is no machine {run.row.machine} any more; plan again")
    if found.machine.phase in GONE:
        text = f"{run.row.machine} is in phase {found.machine.phase}; only a ready machine is installed; plan again"
        raise StepAbandoned(TroubleKind.STEP_FAILED, text)
    return found.machine


def _wait(connection: Connection, run: Run, why: str) -> None:
    told = {"stage": "waiting", "message": why}
    if run.row.progress != told:
        steps.set_progress(connection, run.row.plan, run.row.key, told)


def _pause(earlier: list[OrderRow], now: float) -> bool:
    """Whether to wait a little before the next order; `StepAbandoned` when no further order makes sense."""
    last = next((order for order in earlier if order.state in (OrderState.FAILED, OrderState.REFUSED)), None)
    if last is None:
        return False
    if last.state is OrderState.REFUSED:
        raise StepAbandoned(TroubleKind.INSTALL_REFUSED, f"the agent refused to install: {last.message}")
    failures = sum(order.state is OrderState.FAILED for order in earlier)
    if failures >= ORDERS:
        raise StepAbandoned(TroubleKind.STEP_FAILED, f"the install failed {failures} times, at last: {last.message}")
    return now < last.updated + PAUSE_SECONDS * failures
