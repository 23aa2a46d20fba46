"""What machines are busy with: the step that runs now, with what its agent said last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.operations.context import Actor, Appliance, Role
from appliance.store import steps
from appliance.store.steps import StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressView:
    """``fraction`` is 0..1 of the whole step; ``stage`` and ``message`` are the agent's words, or empty."""

    step: str
    stage: str
    fraction: float
    message: str


def progress_of(app: Appliance, actor: Actor, machines: Iterable[str]) -> dict[str, ProgressView]:
    """The running step of each of these machines that has one."""
    actor.require(Role.VIEWER, "look at machines")
    found = {}
    with app.store.read() as connection:
        for machine in machines:
            running = [row for row in steps.unfinished(connection, machine) if row.state is StepState.RUNNING]
            if running:
                said = running[0].progress
                found[machine] = ProgressView(
                    step=running[0].key,
                    stage=str(said.get("stage", "")),
                    fraction=float(said.get("fraction", 0.0)),
                    message=str(said.get("message", "")),
                )
    return found
