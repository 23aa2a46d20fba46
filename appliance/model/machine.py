"""A machine: what the operator wants of it, what it is now, and what is wrong with it (three separate fields)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

APPLIANCE = "appliance"
"""The id, instead of ``m-…``, of the machine that this appliance runs on: never installed, in no list of machines."""


class Policy(StrEnum):
    """What the operator wants. ``hold``: leave it alone; ``use``: deploy it as planned; ``drain``: take it out of its
    cluster, keep it; ``expunge``: remove every trace of it."""

    HOLD = "hold"
    USE = "use"
    DRAIN = "drain"
    EXPUNGE = "expunge"


class Phase(StrEnum):
    """What is. The arrows between the phases are `LIFECYCLE`."""

    SEEN = "seen"
    ENROLLED = "enrolled"
    APPROVED = "approved"
    INSPECTED = "inspected"
    READY = "ready"
    DEPLOYING = "deploying"
    DEPLOYED = "deployed"
    MEMBER = "member"
    LEAVING = "leaving"
    WIPING = "wiping"
    RESCUE = "rescue"
    RETIRED = "retired"


class MachineEvent(StrEnum):
    """What moves a machine from one phase to another."""

    ENROL = "enrol"
    APPROVE = "approve"
    REPORT = "report"
    MATCH = "match"
    UNMATCH = "unmatch"
    INSTALL = "install"
    INSTALL_FAILED = "install-failed"
    FIRST_BOOT = "first-boot"
    JOIN = "join"
    LEAVE = "leave"
    LEFT = "left"
    WIPE = "wipe"
    WIPED = "wiped"
    RESCUE = "rescue"
    RETURN = "return"
    RETIRE = "retire"


class TroubleKind(StrEnum):
    """Closed set of what can be wrong. The phase stays what it is; a trouble is cleared when its cause is gone."""

    IDENTITY_CONFLICT = "identity-conflict"
    NO_PROFILE = "no-profile"
    AMBIGUOUS_PROFILE = "ambiguous-profile"
    DISKS = "disks"
    DEADLINE = "deadline"
    STEP_FAILED = "step-failed"
    INSTALL_REFUSED = "install-refused"
    BOOT = "boot"
    CLOCK = "clock"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """``since`` is seconds since the epoch, ``step`` the step key it belongs to (or empty), ``text`` says what to do."""

    kind: TroubleKind
    text: str
    since: float
    step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One computer. ``id`` is ours (``m-`` and 10 base32 letters), ``name`` the hostname once the site file or a plan
    gave one. ``generation`` grows with every change (If-Match)."""

    id: str
    policy: Policy
    phase: Phase
    phase_since: float
    trouble: Trouble | None = None
    name: str = ""
    profile: str = ""
    last_contact: float = 0.0
    boot_nonce: str = ""
    generation: int = 0


P, E = Phase, MachineEvent

LIFECYCLE: dict[tuple[Phase, MachineEvent], Phase] = {
    (P.SEEN, E.ENROL): P.ENROLLED,
    (P.ENROLLED, E.ENROL): P.ENROLLED,
    (P.ENROLLED, E.APPROVE): P.APPROVED,
    (P.APPROVED, E.REPORT): P.INSPECTED,
    (P.INSPECTED, E.REPORT): P.INSPECTED,
    (P.INSPECTED, E.MATCH): P.READY,
    (P.READY, E.UNMATCH): P.INSPECTED,
    (P.READY, E.REPORT): P.READY,
    (P.READY, E.INSTALL): P.DEPLOYING,
    (P.DEPLOYING, E.REPORT): P.DEPLOYING,
    (P.DEPLOYING, E.INSTALL_FAILED): P.READY,
    (P.DEPLOYING, E.FIRST_BOOT): P.DEPLOYED,
    (P.DEPLOYED, E.REPORT): P.DEPLOYED,
    (P.DEPLOYED, E.JOIN): P.MEMBER,
    (P.DEPLOYED, E.WIPE): P.WIPING,
    (P.DEPLOYED, E.RESCUE): P.RESCUE,
    (P.MEMBER, E.REPORT): P.MEMBER,
    (P.MEMBER, E.LEAVE): P.LEAVING,
    (P.LEAVING, E.LEFT): P.DEPLOYED,
    (P.WIPING, E.WIPED): P.INSPECTED,
    (P.RESCUE, E.RETURN): P.DEPLOYED,
    (P.SEEN, E.RETIRE): P.RETIRED,
    (P.ENROLLED, E.RETIRE): P.RETIRED,
    (P.APPROVED, E.RETIRE): P.RETIRED,
    (P.INSPECTED, E.RETIRE): P.RETIRED,
    (P.READY, E.RETIRE): P.RETIRED,
    (P.DEPLOYING, E.RETIRE): P.RETIRED,
    (P.DEPLOYED, E.RETIRE): P.RETIRED,
    (P.RETIRED, E.ENROL): P.ENROLLED,
}

DEADLINE_SECONDS: dict[Phase, float] = {
    P.APPROVED: 600.0,
    P.INSPECTED: 300.0,
    P.DEPLOYING: 5400.0,
    P.LEAVING: 3600.0,
    P.WIPING: 14400.0,
}
"""Phases that are not resting places, with the time that generic hardware may take; a profile may override them."""

RETIRED_HINT = "to enrol it anew: rackseed machine policy MACHINE use, then boot it from the network"

NEXT_ACTION: dict[Phase, str] = {
    P.SEEN: "wait for the agent to enrol, or see the timeline for the missing boot step",
    P.ENROLLED: "approve it with the code that its console shows: rackseed machine approve MACHINE --code CODE",
    P.APPROVED: "wait for the first report over mutual TLS; if it does not come, power-cycle the machine",
    P.INSPECTED: "see why no profile matches: rackseed machine show MACHINE",
    P.READY: "plan and apply: rackseed plan, then rackseed apply HASH",
    P.DEPLOYING: "wait; after the deadline power-cycle the machine: the install goes on by itself",
    P.DEPLOYED: "nothing; it is installed and has reported in",
    P.MEMBER: "nothing; it is a member of its cluster",
    P.LEAVING: "wait for the cluster to let it go",
    P.WIPING: "wait; after the deadline power-cycle the machine: the wipe goes on by itself",
    P.RESCUE: "log in to the rescue system; leave it with: rackseed machine return MACHINE",
    P.RETIRED: f"nothing; {RETIRED_HINT}",
}


class LifecycleError(Exception):
    """A machine cannot make this move from the phase it is in."""


def move(phase: Phase, event: MachineEvent) -> Phase:
    """The phase after ``event``; `LifecycleError` when there is no such arrow."""
    try:
        return LIFECYCLE[phase, event]
    except KeyError:
        allowed = ", ".join(str(other) for at, other in LIFECYCLE if at is phase) or "nothing"
        raise LifecycleError(f"a machine in phase {phase} cannot {event}; possible here: {allowed}") from None
