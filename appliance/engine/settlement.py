"""What follows when steps are over: later steps are cancelled, plans end, and a machine's work can be withdrawn."""

from __future__ import annotations

from sqlalchemy import Connection

from appliance.store import events, orders, permits, plans, steps
from appliance.store.events import Happening
from appliance.store.plans import PlanState
from appliance.store.steps import OPEN, OVER, StepRow, StepState


def settle(connection: Connection, plan: str, *, at: float) -> PlanState | None:
    """Cancel what can never run any more; when nothing is left to run, end the plan and return its state."""
    found = steps.of_plan(connection, plan)
    lost = _unreachable(found)
    if lost:
        steps.cancel(connection, plan, lost, why="a step before it failed")
    now = plans.get_state(connection, plan)
    left = [step for step in found if step.state in OPEN and step.key not in lost]
    if now is not PlanState.ACCEPTED or left:
        return None
    state = PlanState.DONE if all(step.state is StepState.DONE for step in found) else PlanState.FAILED
    plans.set_state(connection, plan, state)
    text = f"plan {plan[:12]} is {state}"
    events.add(connection, at=at, machine="", kind=Happening.PLAN, text=text, data={"plan": plan, "state": state})
    return state


def withdraw(connection: Connection, machine: str, *, at: float, why: str) -> int:
    """Nothing more is done to this machine: its steps are cancelled, its orders and permits become void.

    Returns how many steps that were. For a machine that is retired, split off or quarantined.
    """
    found = steps.unfinished(connection, machine)
    for step in found:
        steps.cancel(connection, step.plan, [step.key], why=why)
        text = f"{step.key} is cancelled: {why}"
        events.add(connection, at=at, machine=machine, kind=Happening.STEP, text=text, data={"plan": step.plan})
    orders.void_of_machine(connection, machine, at=at)
    permits.void_of_machine(connection, machine)
    for plan in {step.plan for step in found}:
        settle(connection, plan, at=at)
    return len(found)


def _unreachable(found: tuple[StepRow, ...]) -> set[str]:
    """Keys of open steps that wait for a step that failed, was cancelled, or is not in the plan."""
    state = {step.key: step.state for step in found}
    bad = {key for key, value in state.items() if value in OVER}
    lost: set[str] = set()
    for step in found:  # in their order: ``after`` names earlier steps only
        if step.state in OPEN and any(key in bad or key not in state for key in step.step.after):
            lost.add(step.key)
            bad.add(step.key)
    return lost
