"""Joins what machines show to records of machines: network boot, enrolment and reports; merge and split by a person."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from agent.wire import Inventory
from appliance.model import identity
from appliance.model.identity import Evidence, EvidenceKind
from appliance.model.machine import Phase, Policy, TroubleKind
from appliance.store import enrolments, events, evidence, inventories, lifecycle, machines, removal
from appliance.store.events import Happening

log = logging.getLogger(__name__)

LIVE_SECONDS = 120.0
"""A machine that was heard within this time is running: another one with its serials is a second machine."""

UNIQUE = identity.FIXED | identity.MOVABLE
"""Kinds of which two machines should never have the same."""

SEEN_LIMIT = 5000
"""Records that network boot alone may make; beyond, unknown addresses are served but not remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The machine that sent an inventory. ``quarantined``: a person must decide first, and ``reason`` says what."""

    machine: str
    quarantined: bool
    reason: str = ""


def locate(connection: Connection, mac: str, uuids: Iterable[str] = ()) -> str:
    """The machine that sent a boot packet, or the empty string. Consumes nothing and changes nothing."""
    claim = identity.of_packet(mac, uuids)
    found = identity.locate(claim, evidence.sharing(connection, _ports(claim)))
    return _newest(connection, found, mac) if len(found) > 1 else (found or ("",))[0]


def observe_packet(connection: Connection, mac: str, uuids: Iterable[str], *, at: float) -> tuple[str, bool]:
    """As `locate`, and a machine that was never seen becomes a record in phase ``seen``; then the second value is True."""
    uuids = tuple(uuids)
    claim = identity.of_packet(mac, uuids)
    machine = locate(connection, mac, uuids)
    if machine:
        _learn(connection, machine, claim, at)
        return machine, False
    if machines.count(connection, Phase.SEEN) >= SEEN_LIMIT:
        log.warning("machine=- step=seen why=too many unknown machines, %s is not remembered", mac)
        return "", False
    machine = machines.add(connection, at=at)
    evidence.add(connection, machine, claim, at=at)
    events.add(connection, at=at, machine=machine, kind=Happening.SEEN, text=f"first seen, MAC {mac}")
    log.info("machine=%s step=seen why=mac %s was never seen before", machine, mac)
    return machine, True


def _learn(connection: Connection, machine: str, claim: frozenset[Evidence], at: float) -> None:
    """What a packet adds to a known machine. Only a record that network boot made learns a UUID from a packet: that of an
    enrolled machine comes from its inventory."""
    row = machines.get(connection, machine)
    wanted = claim if row and row.machine.phase is Phase.SEEN else _ports(claim)
    evidence.add(connection, machine, wanted - evidence.of_machine(connection, machine), at=at)
    for item in claim:
        if item.kind is EvidenceKind.PORT:
            evidence.touch(connection, machine, item, at=at)


def join_inventory(connection: Connection, inventory: Inventory, *, at: float) -> Joined:
    """Which machine enrols with this (untrusted) inventory; makes a record for a new one, and quarantines one that
    claims what belongs to another machine. Never evicts: the machine that had it first stays as it is."""
    claim = identity.of_inventory(inventory)
    known = evidence.sharing(connection, claim)
    rows = {key: row for key in known if (row := machines.get(connection, key))}
    shadows = frozenset(key for key in rows if _is_shadow(connection, rows[key]))
    live = frozenset(
        key for key, row in rows.items() if key not in shadows and row.machine.last_contact > at - LIVE_SECONDS
    )
    verdict = identity.decide(claim, known, shadows=shadows, live=live)
    machine = verdict.machine or machines.add(connection, at=at)
    for other in verdict.absorbed:
        absorb(connection, machine, other, at=at)
    conflicts = [key for key in verdict.conflicts if rows[key].machine.phase is not Phase.RETIRED]
    row = rows.get(machine)
    solid = row is not None and machine not in shadows and not _in_conflict(row)
    for note in verdict.notes if row is None or not claim <= known[machine] else ():
        events.add(connection, at=at, machine=machine, kind=Happening.IDENTITY, text=note)
    if row is None or row.machine.phase in (Phase.SEEN, Phase.ENROLLED, Phase.RETIRED):
        evidence.replace(connection, machine, claim, at=at)
    if conflicts and not solid:
        return _quarantine(connection, machine, conflicts, known, claim, at=at)
    if row is not None and _in_conflict(row) and not conflicts:
        release(connection, machine, at=at, why="nothing is shared with another machine any more")
    return Joined(machine=machine, quarantined=False)


def fits(connection: Connection, machine: str, inventory: Inventory) -> bool:
    """Whether a trusted report can come from this machine; False when its disk or key is in other hardware now."""
    known = evidence.of_machine(connection, machine)
    found = identity.compare(identity.of_inventory(inventory), known)
    return found.same or not (found.contradict & identity.FIXED)


def absorb(connection: Connection, keep: str, gone: str, *, at: float) -> None:
    """The record ``gone`` (made by network boot alone) is the same machine as ``keep``."""
    evidence.add(connection, keep, evidence.of_machine(connection, gone), at=at)
    events.move(connection, gone, keep)
    removal.remove_machine(connection, gone)
    events.add(
        connection, at=at, machine=keep, kind=Happening.IDENTITY, text=f"the record {gone} is this machine: joined"
    )
    log.info("machine=%s step=identity why=absorbed %s", keep, gone)


def release(connection: Connection, machine: str, *, at: float, why: str) -> None:
    """End a quarantine: the machine may be used again."""
    if lifecycle.clear_trouble(connection, machine, TroubleKind.IDENTITY_CONFLICT, at=at, why=why):
        machines.change(connection, machine, policy=Policy.USE)


def recheck(connection: Connection, machine: str, *, at: float, why: str) -> bool:
    """End a quarantine when nothing is shared with another machine any more; True when it ended."""
    row = machines.get(connection, machine)
    if row is None or not _in_conflict(row) or conflicts_of(connection, machine):
        return False
    release(connection, machine, at=at, why=why)
    return True


def conflicts_of(connection: Connection, machine: str) -> tuple[str, ...]:
    """Other machines that share something unique with this one, and that no person declared to be others."""
    ours = evidence.of_machine(connection, machine)
    decided = identity.values(ours, EvidenceKind.DISTINCT)
    found = []
    for other, theirs in evidence.sharing(connection, ours).items():
        row = machines.get(connection, other)
        if other == machine or other in decided or row is None or row.machine.phase is Phase.RETIRED:
            continue
        agree = identity.compare(ours, theirs).agree
        if agree & identity.FIXED:
            found.append(other)
    return tuple(found)


def ports_of(connection: Connection, machine: str) -> tuple[Evidence, ...]:
    """The network ports of a machine, by address."""
    return tuple(sorted(e for e in evidence.of_machine(connection, machine) if e.kind is EvidenceKind.PORT))


def _quarantine(
    connection: Connection,
    machine: str,
    conflicts: list[str],
    known: dict[str, frozenset[Evidence]],
    claim: frozenset[Evidence],
    *,
    at: float,
) -> Joined:
    shared = sorted(
        {f"{item.kind} {item.value}" for key in conflicts for item in known[key] & claim if item.kind in UNIQUE}
    )
    text = (
        f"claims {', '.join(shared)} of {', '.join(conflicts)}, but is another machine by the rest: if both are one, "
        f"rackseed machine merge {conflicts[0]} {machine}; if they are two, rackseed machine split {machine}"
    )
    row = machines.get(connection, machine)
    if row and row.machine.policy is not Policy.HOLD:
        machines.change(connection, machine, policy=Policy.HOLD)
    if lifecycle.set_trouble(connection, machine, TroubleKind.IDENTITY_CONFLICT, text, at=at):
        for other in conflicts:
            note = f"{machine} claims to be this machine and was quarantined"
            events.add(connection, at=at, machine=other, kind=Happening.IDENTITY, text=note, data={"other": machine})
    return Joined(machine=machine, quarantined=True, reason=text)


def _is_shadow(connection: Connection, row: machines.MachineRow) -> bool:
    if row.machine.phase is not Phase.SEEN or _in_conflict(row):
        return False
    return not enrolments.of_machine(connection, row.id) and inventories.latest(connection, row.id) is None


def _in_conflict(row: machines.MachineRow) -> bool:
    trouble = row.machine.trouble
    return trouble is not None and trouble.kind is TroubleKind.IDENTITY_CONFLICT


def _ports(claim: frozenset[Evidence]) -> frozenset[Evidence]:
    return frozenset(item for item in claim if item.kind in (EvidenceKind.PORT, EvidenceKind.MAC))


def _newest(connection: Connection, found: tuple[str, ...], mac: str) -> str:
    """Of several records with one address, the one that was seen with it last."""
    seen = evidence.last_seen(connection, EvidenceKind.PORT, mac.lower())
    return max(found, key=lambda machine: (seen.get(machine, 0.0), machine))
