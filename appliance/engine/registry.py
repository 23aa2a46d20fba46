"""What joins a kind of step to the code that does it, and what that code gets to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from sqlalchemy import Connection

from agent.wire import FileSpec, PartitionSpec
from appliance.effects.authority import Authority
from appliance.effects.cephdoor import CephDoor
from appliance.effects.clock import Clock
from appliance.model.machine import TroubleKind
from appliance.model.plan import HostConfig, StepKind
from appliance.model.settings import Settings
from appliance.store import steps
from appliance.store.artefacts import ArtefactRow
from appliance.store.database import Store
from appliance.store.steps import StepRow


class StepError(Exception):
    """A step did not get on.

    StepError
    ├── StepAbandoned   trying again cannot help: the step fails now
    └── LeaseLost       another worker has this step: this one leaves its hands off it
    """


class StepAbandoned(StepError):
    """Trying again cannot help. ``kind`` becomes the machine's trouble, the message says what to do."""

    def __init__(self, kind: TroubleKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class LeaseLost(StepError):
    """The claim is not valid any more."""


Render = Callable[[ArtefactRow, HostConfig, tuple[PartitionSpec, ...]], tuple[FileSpec, ...]]
"""Files of the installed system, for one root image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The effects that steps work through, and the pure renderer of files."""

    store: Store
    clock: Clock
    authority: Authority
    settings: Settings
    render: Render
    ceph: CephDoor


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One look at one step, under a claim."""

    row: StepRow
    tools: Tools

    def guard(self, connection: Connection) -> None:
        """First line of every transaction that changes something: `LeaseLost` when this claim is not the valid one."""
        if not steps.hold(connection, self.row):
            raise LeaseLost(f"{self.row.key} is held by another worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a step is given up: ``kind`` for the machine's trouble, ``text`` for people."""

    kind: TroubleKind
    text: str


class Handler(Protocol):
    """The code of one kind of step. ``done`` and ``apply`` are called again and again, also after a crash anywhere, so
    ``apply`` is idempotent; both return within seconds. Any exception but `StepError` is tried again, with backoff."""

    poll_seconds: ClassVar[float]
    """How long to wait before ``done`` is asked again."""

    def done(self, run: Run) -> bool:
        """Whether the effect is there. Changes nothing."""
        ...

    def apply(self, run: Run) -> None:
        """Bring it about, or start what brings it about."""
        ...

    def finished(self, connection: Connection, run: Run) -> None:
        """Part of the transaction that marks the step done."""
        ...

    def failed(self, connection: Connection, run: Run, failure: Failure) -> None:
        """Part of the transaction that marks the step failed."""
        ...


Registry = Mapping[StepKind, Handler]


def registry() -> Registry:
    """All kinds of steps that exist."""
    from appliance.engine.steps.ceph import Ceph  # noqa: PLC0415 - the steps import this module
    from appliance.engine.steps.first_boot import FirstBoot  # noqa: PLC0415
    from appliance.engine.steps.install import Install  # noqa: PLC0415

    return {StepKind.INSTALL: Install(), StepKind.FIRST_BOOT: FirstBoot(), StepKind.CEPH: Ceph()}
