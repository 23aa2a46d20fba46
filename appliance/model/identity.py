"""Which machine is this? Weighted evidence, never one key. Pure: the same answer for the same sets, in any order.

A piece that agrees counts for "the same machine", a kind of which both sides know something and nothing agrees counts
against it. The weights follow what was seen on real hardware: SMBIOS UUIDs come in two byte orders and as constants
(firmware defaults are thrown away before they come here), the system serial is the chassis's in multi-node servers,
NICs and TPM modules move between machines.

==============  ======  ==============================================================================
kind            weight  remarks
==============  ======  ==============================================================================
pi-serial           60  from the SoC's fuses
board-serial        50  changes with the board
uuid                40  the smaller of both byte orders; changes with the board; sometimes cloned
mac                 40  permanent addresses of real ports; once, however many agree; movable
tpm-ek              30  movable; against: 10, because a firmware TPM may be cleared
system-serial        5  of the chassis; against: 10
port                 2  an address that was seen on the wire but proves nothing (USB, locally administered)
==============  ======  ==============================================================================

Same machine: the sum for is at least `MARGIN` above the sum against. So a UUID alone never beats other network ports
(40:40), board serial and UUID together do (90:40, the NIC was swapped), and a board whose serial changed is recognised
by UUID and network ports (80:50). Something fixed agrees but is not enough: a conflict, which a person decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from agent.wire import Inventory
from hwprofiles import normal


class EvidenceKind(StrEnum):
    """Kinds of evidence. ``distinct`` is not seen but decided: its value is another machine, which this one is not."""

    UUID = "uuid"
    BOARD_SERIAL = "board-serial"
    SYSTEM_SERIAL = "system-serial"
    MAC = "mac"
    PI_SERIAL = "pi-serial"
    TPM_EK = "tpm-ek"
    PORT = "port"
    DISTINCT = "distinct"


class Evidence(NamedTuple):
    """One piece, normalised."""

    kind: EvidenceKind
    value: str


_K = EvidenceKind
FOR = {_K.PI_SERIAL: 60, _K.BOARD_SERIAL: 50, _K.UUID: 40, _K.MAC: 40, _K.TPM_EK: 30, _K.SYSTEM_SERIAL: 5, _K.PORT: 2}
AGAINST = {_K.PI_SERIAL: 60, _K.BOARD_SERIAL: 50, _K.UUID: 40, _K.MAC: 40, _K.TPM_EK: 10, _K.SYSTEM_SERIAL: 10}
MARGIN = 10
FIXED = frozenset({_K.PI_SERIAL, _K.BOARD_SERIAL, _K.UUID})
MOVABLE = frozenset({_K.MAC, _K.TPM_EK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Kinds that agree and kinds that contradict, between a claim and one known machine."""

    agree: frozenset[EvidenceKind]
    contradict: frozenset[EvidenceKind]

    @property
    def score(self) -> int:
        """Sum for minus sum against."""
        return sum(FOR[kind] for kind in self.agree) - sum(AGAINST[kind] for kind in self.contradict)

    @property
    def same(self) -> bool:
        """Enough to say: this is that machine."""
        if not self.contradict:
            return bool(self.agree - {_K.SYSTEM_SERIAL})
        return self.score >= MARGIN

    @property
    def part_moved(self) -> bool:
        """Only a NIC or a TPM agrees while the board is clearly another: the part was moved, the machines are two."""
        return bool(self.agree & MOVABLE) and not self.agree & FIXED and len(self.contradict & FIXED) >= 2

    @property
    def conflict(self) -> bool:
        """Something that should be unique agrees, but not enough to say it is the same machine."""
        return not self.same and bool(self.agree & (FIXED | MOVABLE)) and not self.part_moved


class Outcome(StrEnum):
    MATCH = "match"
    NEW = "new"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``machine`` is set for a match. ``absorbed`` are records of the same machine that only network boot made;
    ``conflicts`` machines that share something with this one; ``notes`` what a person should read on the timeline."""

    outcome: Outcome
    machine: str = ""
    absorbed: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def compare(claim: frozenset[Evidence], known: frozenset[Evidence]) -> Comparison:
    """Kind by kind. Network ports contradict when both sides are known and have nothing in common, whether their
    addresses are identifying or not."""
    agree, contradict = set(), set()
    for kind in FOR:
        ours, theirs = values(claim, kind), values(known, kind)
        if ours & theirs:
            agree.add(kind)
        elif ours and theirs and kind in AGAINST:
            contradict.add(kind)
    ours, theirs = values(claim, _K.PORT), values(known, _K.PORT)
    if ours and theirs and not ours & theirs:
        contradict.add(_K.MAC)
    elif _K.PORT in agree:
        contradict.discard(_K.MAC)
    return Comparison(agree=frozenset(agree), contradict=frozenset(contradict))


def decide(
    claim: frozenset[Evidence],
    known: Mapping[str, frozenset[Evidence]],
    *,
    shadows: frozenset[str] = frozenset(),
    live: frozenset[str] = frozenset(),
) -> Verdict:
    """Which of the ``known`` machines sent the complete inventory ``claim``.

    ``shadows`` are records that only network boot made (no inventory yet): those whose ports are all in the claim are
    absorbed, the others are left alone. ``live`` machines were heard a moment ago, so a claim that has none of their
    ports is a second machine, however much else agrees.
    """
    ours: list[str] = []
    scores: dict[str, int] = {}
    conflicts: list[str] = []
    notes: list[str] = []
    for machine in sorted(known):
        found = compare(claim, known[machine])
        if machine in shadows:
            if _is_shadow_of(claim, known[machine]):
                ours.append(machine)
        elif found.same and not (machine in live and _K.MAC in found.contradict):
            scores[machine] = found.score
            notes += _changes(found)
        elif found.same or found.conflict:
            conflicts.append(machine)
        else:
            notes += _relations(machine, found)
    best = [machine for machine, score in scores.items() if score == max(scores.values())]
    if len(best) > 1:
        return Verdict(outcome=Outcome.CONFLICT, conflicts=tuple(sorted({*scores, *conflicts})), notes=tuple(notes))
    if best:
        decided = values(known[best[0]], _K.DISTINCT)
        conflicts = sorted({*scores, *conflicts} - {best[0]} - decided)
    machine = (best or ours or [""])[0]
    outcome = Outcome.CONFLICT if conflicts else Outcome.MATCH if machine else Outcome.NEW
    return Verdict(
        outcome=outcome,
        machine=machine,
        absorbed=tuple(other for other in ours if other != machine),
        conflicts=tuple(conflicts),
        notes=tuple(notes),
    )


def locate(claim: frozenset[Evidence], known: Mapping[str, frozenset[Evidence]]) -> tuple[str, ...]:
    """Which machines may have sent one packet (an address and perhaps a UUID), the likeliest first.

    The address decides; a UUID only rules out. A UUID alone never joins: the second port of a server and a second server
    with a cloned UUID look the same until the inventory comes.
    """
    found = []
    for machine in sorted(known):
        comparison = compare(claim, known[machine])
        if comparison.agree & {_K.MAC, _K.PORT} and _K.UUID not in comparison.contradict:
            found.append((-comparison.score, machine))
    return tuple(machine for _, machine in sorted(found))


def of_inventory(inventory: Inventory) -> frozenset[Evidence]:
    """Everything in an inventory that says who the machine is; placeholders and known-bad values are left out."""
    board = inventory.board
    found = [
        (_K.UUID, _uuid(board.system_uuid)),
        (_K.BOARD_SERIAL, normal.clean(board.serial)),
        (_K.SYSTEM_SERIAL, normal.clean(board.system_serial)),
        (_K.PI_SERIAL, normal.clean(board.pi_serial)),
        (_K.TPM_EK, normal.clean(inventory.tpm.ek) if inventory.tpm else ""),
        (_K.PORT, inventory.boot_mac),
    ]
    found += [(_K.PORT, nic.mac) for nic in inventory.nics]
    found += [(_K.MAC, nic.mac) for nic in inventory.nics if nic.identifying and normal.identifying_mac(nic.mac)]
    return frozenset(Evidence(kind, value.strip().lower()) for kind, value in found if value and value.strip())


def of_packet(mac: str, uuids: Iterable[str] = ()) -> frozenset[Evidence]:
    """What one boot packet says: its address and, where given, the SMBIOS UUID (one or both byte orders)."""
    found = [(_K.PORT, mac.lower()), *((_K.UUID, _uuid(uuid)) for uuid in uuids)]
    if mac and normal.identifying_mac(mac):
        found.append((_K.MAC, mac.lower()))
    return frozenset(Evidence(kind, value) for kind, value in found if value)


def values(evidence: frozenset[Evidence], kind: EvidenceKind) -> set[str]:
    """All values of one kind."""
    return {item.value for item in evidence if item.kind is kind}


def _uuid(text: str) -> str:
    """The smaller of both byte orders, or empty when the value proves nothing."""
    pair = normal.uuid_pair(text)
    if not pair or any(normal.known_bad_uuid(uuid) for uuid in pair):
        return ""
    return min(pair)


def _is_shadow_of(claim: frozenset[Evidence], shadow: frozenset[Evidence]) -> bool:
    ports = values(shadow, _K.PORT)
    return bool(ports) and ports <= values(claim, _K.PORT) and _K.UUID not in compare(claim, shadow).contradict


def _changes(found: Comparison) -> list[str]:
    """What was swapped in a machine that was recognised all the same."""
    text = {
        _K.MAC: "its network ports were swapped",
        _K.BOARD_SERIAL: "its board serial changed (board swapped or re-flashed)",
        _K.UUID: "its SMBIOS UUID changed",
        _K.SYSTEM_SERIAL: "its chassis serial changed",
        _K.TPM_EK: "its TPM was swapped or cleared",
    }
    return [text[kind] for kind in sorted(found.contradict) if kind in text]


def _relations(machine: str, found: Comparison) -> list[str]:
    if found.part_moved:
        return [f"a network port or TPM of {machine} is now in this machine"]
    if _K.SYSTEM_SERIAL in found.agree:
        return [f"has the chassis serial of {machine}: another node of that chassis, or its board was swapped"]
    return []
