"""Which step of a machine's way should have come by now, and why it probably did not. Pure.

One rule per last thing that happened: what comes next, within how many seconds, and what usually keeps it away. The times
are generous for real firmware (option ROMs, spanning tree), yet a boot that stops is named within minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.model.machine import APPLIANCE, DEADLINE_SECONDS, NEXT_ACTION, Machine, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One event as far as the rules look: ``kind`` and ``detail`` as in the event table, ``at`` seconds."""

    at: float
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """``step`` is what comes next; ``deadline`` when it is late (seconds since the epoch, None: whenever a person does it);
    ``cause`` the likely reason when it does not come, ``action`` what to do, ``after`` the last thing that happened."""

    step: str
    after: str
    since: float
    deadline: float | None
    cause: str
    action: str

    def overdue(self, now: float) -> bool:
        """Whether it should have happened by now."""
        return self.deadline is not None and now > self.deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """``after`` is an event kind, with ``word`` in its detail if given; ``seconds`` until ``step`` is late."""

    after: str
    step: str
    seconds: float
    cause: str
    word: str = ""


_LINK = "cable, VLAN or port filter between the machine and us"
RULES = (
    Rule(after="seen", step="an offer of an address", seconds=30, cause="no site file is loaded, or its pool is full"),
    Rule(
        after="dhcp-discover",
        step="an offer of an address",
        seconds=30,
        cause="no site file is loaded, its pool is full, or another DHCP server is to answer (proxy mode)",
    ),
    Rule(
        after="dhcp-offer",
        step="its request for the offered address",
        seconds=60,
        cause=f"it took the offer of another DHCP server, or ours did not reach it ({_LINK})",
    ),
    Rule(
        after="dhcp-request", step="the answer to its request", seconds=30, cause="the request was for another server"
    ),
    Rule(
        after="dhcp-nak", step="a new request for an address", seconds=60, cause="the machine gave up: power-cycle it"
    ),
    Rule(
        after="dhcp-decline", step="a new request for an address", seconds=60, cause="the address is used by a stranger"
    ),
    Rule(
        after="dhcp-ack",
        step="the fetch of a boot loader or script",
        seconds=60,
        cause="TFTP (UDP 69) is filtered, or the firmware boots from something else first",
    ),
    Rule(
        after="proxy-offer",
        step="the fetch of a boot loader or script",
        seconds=60,
        cause="the other DHCP server sends boot options of its own, or UDP 4011 or 69 is filtered",
    ),
    Rule(
        after="tftp-start",
        step="the end of the transfer",
        seconds=90,
        cause="UDP to high ports is filtered, or the path has a smaller MTU than its ends",
    ),
    Rule(after="tftp-abort", step="another transfer", seconds=60, cause="the firmware refused the file or gave up"),
    Rule(
        after="tftp-done",
        step="the request for its boot script",
        seconds=90,
        cause="Secure Boot refused the loader, iPXE has no driver for the port, or our HTTP port is filtered",
    ),
    Rule(
        after="script",
        word="script",
        step="the fetch of the kernel",
        seconds=60,
        cause="the script was served but no kernel fetched: iPXE stopped; its console shows the error",
    ),
    Rule(
        after="http-file",
        word="agent-kernel",
        step="the fetch of the agent's initrd",
        seconds=120,
        cause="the link is very slow, or iPXE ran out of memory",
    ),
    Rule(
        after="http-file",
        word="agent-initrd",
        step="its enrolment",
        seconds=300,
        cause="the kernel panicked, has no driver for the port, or our HTTPS port is filtered; see its console",
    ),
    Rule(
        after="http-file",
        word="loader",
        step="the request for its boot script",
        seconds=90,
        cause="Secure Boot refused the loader, or iPXE has no driver for the port",
    ),
)

BOOT_KINDS = frozenset(rule.after for rule in RULES)
_WAITING = {
    Phase.ENROLLED: "the approval of its enrolment",
    Phase.APPROVED: "its first report over mutual TLS",
    Phase.INSPECTED: "a hardware profile that matches",
    Phase.READY: "a plan that uses it, accepted",
    Phase.DEPLOYING: "the installed system's report",
    Phase.LEAVING: "its cluster letting it go",
    Phase.WIPING: "the end of the wipe",
}
_CAUSES = {
    Phase.APPROVED: "the agent stopped, or our mutual-TLS port is filtered",
    Phase.INSPECTED: "no profile fits what the machine reported",
    Phase.DEPLOYING: "the install or the first boot from the disk hangs; see its console",
    Phase.LEAVING: "the cluster is not healthy enough to lose it",
    Phase.WIPING: "the disks are slow, or the agent stopped",
}


INSTALLED = frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING})
"""Phases in which the machine's own system is to be heard of all the time."""
IDLE_SECONDS, WORKING_SECONDS, STARTING_SECONDS = 90.0, 60.0, 300.0
"""So long nothing may come of an installed system, which asks for orders four times a minute and whose contacts are written
down every 20 s; of a machine that works on an order, which says every 10 s that it does; of one that boots from its disk."""


def silent_step(machine: Machine, heard: float, doing: str, now: float, *, boots: bool = False) -> Missing | None:
    """The next word of a machine that says nothing any more, None while nothing is wrong. ``heard`` is when it was heard of
    last, ``doing`` the order that it then worked on (empty: none); or it boots."""
    limit = STARTING_SECONDS if boots else WORKING_SECONDS if doing else IDLE_SECONDS
    own = machine.id == APPLIANCE
    if now - heard <= limit or not (doing or (machine.phase in INSTALLED and not own)):
        return None
    return Missing(
        step="its next word",
        after="its boot" if boots else doing or "its last word",
        since=heard,
        deadline=heard + limit,
        cause="its own agent does not run" if own else "it has no power or no network, or it hangs",
        action=("start rackseed-arbiter there" if own else "look at its console, then power-cycle it")
        + ("; what it was told goes on when it is back" if doing else ""),
    )


def limit_of(phase: Phase, own: float | None = None) -> float | None:
    """Seconds that a machine may stay in a phase; ``own`` is its profile's value. None for resting places."""
    usual = DEADLINE_SECONDS.get(phase)
    return usual if usual is None or own is None else own


def missing_step(machine: Machine, happened: Sequence[Happened], limit: float | None = None) -> Missing | None:
    """What should come next; None when nothing is expected (deployed, retired, sent to its local disk).

    ``happened`` is in order, the oldest first. ``limit`` is the profile's time for the phase, if it has one.
    """
    if machine.phase in (Phase.RETIRED, Phase.RESCUE):
        return None
    last = _last(happened)
    if last is not None and last.kind in BOOT_KINDS:
        return _boot(machine, last)
    if machine.phase not in _WAITING:
        return None
    seconds = limit_of(machine.phase, limit)
    return Missing(
        step=_WAITING[machine.phase],
        after=last.kind if last else machine.phase.value,
        since=machine.phase_since,
        deadline=None if seconds is None else machine.phase_since + seconds,
        cause=_CAUSES.get(machine.phase, "a person has to do it"),
        action=NEXT_ACTION[machine.phase].replace("MACHINE", machine.id),
    )


_OFFERS = frozenset({"dhcp-offer", "dhcp-ack", "proxy-offer"})
_MATTERS = BOOT_KINDS | {"enrolment", "approval", "report", "progress", "order"}


def _last(happened: Sequence[Happened]) -> Happened | None:
    """The newest event that says how far a boot is."""
    return next((event for event in reversed(happened) if event.kind in _MATTERS), None)


def _boot(machine: Machine, last: Happened) -> Missing | None:
    if last.kind == "script" and last.detail != "script" and machine.phase is not Phase.DEPLOYING:
        return None  # sent to its local disk, or told that there is nothing for it
    if last.kind in _OFFERS and not last.detail:
        return None  # an address without a boot file: it goes on to its next boot device
    if last.kind.startswith("dhcp-") and machine.phase in (Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING):
        return None  # a UEFI machine gets an address and goes on to its disk by itself
    for rule in RULES:
        if rule.after == last.kind and rule.word in last.detail:
            return Missing(
                step=rule.step,
                after=last.kind,
                since=last.at,
                deadline=last.at + rule.seconds,
                cause=rule.cause,
                action="look at its console, then power-cycle it",
            )
    return None
