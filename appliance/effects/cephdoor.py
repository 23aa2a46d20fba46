"""The door to Ceph: look at it, tell one machine one thing, ask how that went. Nothing else in the appliance touches Ceph.

The product's door sends orders to agents; the lab's runs the agent's code in a namespace
(`appliance.rehearsal.cephlab`); the fake here does what a test says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agent.cephorder import CephOrder, MonAnswer
from appliance.model.cephstate import CephState


class DoorError(Exception):
    """An order could not even be given (no such machine, the store or the lab is gone). The message says what to do."""


class DoorState(StrEnum):
    """``none``: nothing was ever told for this step, or it is forgotten. ``refused``: the machine will not do it, and asking
    again changes nothing until facts change (a disk is another one). ``failed``: it tried and could not; it may be told
    again."""

    NONE = "none"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorResult:
    """How a step's order went. ``message`` is for people: progress while it runs, the reason when it failed. ``answers`` are
    those of the commands of an ``ask``, in their order. ``silence`` is not empty while the machine, which was told, is not
    heard of: why probably, and what to do."""

    state: DoorState
    message: str = ""
    silence: str = ""
    answers: tuple[MonAnswer, ...] = ()


class CephDoor(Protocol):
    """All three return within seconds."""

    def observe(self) -> CephState | None:
        """What Ceph says of itself, by commands that change nothing; None while no monitor answers."""
        ...

    def start(self, machine: str, plan: str, step: str, order: CephOrder) -> None:
        """Tell ``machine`` (an id) to carry out ``order`` for the step ``step`` of the plan with the hash ``plan``. While
        an order of that step runs this does nothing; after it ended the machine is told anew. Raises `DoorError`."""
        ...

    def result(self, plan: str, step: str) -> DoorResult:
        """How the last order of this step stands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """One call of `CephDoor.start` that had an effect."""

    machine: str
    plan: str
    step: str
    order: CephOrder


class FakeCephDoor:
    """A Ceph that is what ``state`` says. ``carry`` is called for every order that is started: it may change ``state`` and
    returns the result (by default it is done at once); set `results` to change it later."""

    def __init__(
        self, state: CephState | None = None, carry: Callable[[FakeCephDoor, Started], DoorResult] | None = None
    ) -> None:
        self.state = state
        self.started: list[Started] = []
        self.results: dict[tuple[str, str], DoorResult] = {}
        self._carry = carry or (lambda _door, _started: DoorResult(state=DoorState.DONE))

    def observe(self) -> CephState | None:
        return self.state

    def start(self, machine: str, plan: str, step: str, order: CephOrder) -> None:
        if self.result(plan, step).state is DoorState.RUNNING:
            return
        started = Started(machine=machine, plan=plan, step=step, order=order)
        self.started.append(started)
        self.results[plan, step] = self._carry(self, started)

    def result(self, plan: str, step: str) -> DoorResult:
        return self.results.get((plan, step), DoorResult(state=DoorState.NONE))
