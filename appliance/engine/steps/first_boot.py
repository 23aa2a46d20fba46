"""``first-boot/<machine>``: done when the installed system has reported over mutual TLS, with its own certificate and the
permit that it was installed with. The agent reboots the machine by itself after the install; there is nothing to start."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import Connection

from agent.wire import Environment
from appliance.engine.orders import install_reported
from appliance.engine.registry import Failure, Run, StepAbandoned
from appliance.model.machine import MachineEvent, Phase, TroubleKind
from appliance.store import certificates, lifecycle, machines, permits, steps
from appliance.store.certificates import CertificateState
from appliance.store.permits import PermitState


class FirstBoot:
    poll_seconds: ClassVar[float] = 2.0

    def done(self, run: Run) -> bool:
        row = run.row
        with run.tools.store.read() as connection:
            permit = permits.of_step(connection, row.plan, row.step.after[0]) if row.step.after else None
            if permit is None or permit.state is not PermitState.SPENT:
                text = f"{row.key} follows no install that was done; plan again"
                raise StepAbandoned(TroubleKind.STEP_FAILED, text)
            return install_reported(connection, permit) and any(
                certificate.environment is Environment.INSTALLED and certificate.state is CertificateState.CURRENT
                for certificate in certificates.of_machine(connection, row.machine)
            )

    def apply(self, run: Run) -> None:
        waiting = {"stage": "waiting", "message": "waits for the first report of the installed system"}
        if run.row.progress != waiting:
            with run.tools.store.write() as connection:
                run.guard(connection)
                steps.set_progress(connection, run.row.plan, run.row.key, waiting)

    def finished(self, connection: Connection, run: Run) -> None:
        row, now = run.row, run.tools.clock.now()
        found = machines.get(connection, row.machine)
        if found and found.machine.phase is Phase.DEPLOYING:
            why = "the installed system has reported"
            lifecycle.advance(connection, row.machine, MachineEvent.FIRST_BOOT, at=now, why=why, installed_by=row.plan)
        elif found:
            machines.change(connection, row.machine, installed_by=row.plan)
        lifecycle.clear_trouble(connection, row.machine, at=now, why="it is deployed", step=row.key)

    def failed(self, connection: Connection, run: Run, failure: Failure) -> None:
        """The machine stays in ``deploying``: its disk is installed. Applying the plan again waits once more."""
        if machines.get(connection, run.row.machine) is None:
            return
        kind = TroubleKind.BOOT if failure.kind is TroubleKind.DEADLINE else failure.kind
        text = (
            f"the installed system has not reported ({failure.text}); look at its console and power-cycle it, "
            f"then wait again with: rackseed apply {run.row.plan[:12]}"
        )
        lifecycle.set_trouble(connection, run.row.machine, kind, text, at=run.tools.clock.now(), step=run.row.key)
