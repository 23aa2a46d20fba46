"""Which entry of the site file is this machine, how many of a profile are still to come, and does a rule of the site
approve a machine? Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from agent.wire import Inventory
from appliance.model.identity import Evidence, EvidenceKind, of_packet, values
from appliance.model.site import ApprovalRule, ExpectedMachine, Site
from hwprofiles.normal import serial_key

_SERIALS = (EvidenceKind.BOARD_SERIAL, EvidenceKind.SYSTEM_SERIAL, EvidenceKind.PI_SERIAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What is known of one machine, in the spelling of `_wanted`: serials, MACs, UUIDs, and the switch ports that it
    hears. ``hears`` is false while no port of it has heard any neighbour: then a switch port neither fits nor misfits."""

    serials: frozenset[str] = frozenset()
    macs: frozenset[str] = frozenset()
    uuids: frozenset[str] = frozenset()
    switch_ports: frozenset[str] = frozenset()

    @property
    def hears(self) -> bool:
        return bool(self.switch_ports)


def marks(evidence: frozenset[Evidence], inventory: Inventory | None = None) -> Marks:
    """``inventory`` is the last trusted report: switch ports are taken from nothing else (they are volatile, so they are
    no evidence that is kept)."""
    return Marks(
        serials=frozenset(serial_key(value) for kind in _SERIALS for value in values(evidence, kind)) - {""},
        macs=frozenset(values(evidence, EvidenceKind.PORT)),
        uuids=frozenset(values(evidence, EvidenceKind.UUID)),
        switch_ports=switch_ports(inventory),
    )


def switch_ports(inventory: Inventory | None) -> frozenset[str]:
    """``switch/port`` in all spellings that a site file may use: the switch by system name (with or without its domain) or
    chassis id, the port by port id or description (IEEE 802.1AB TLVs 1, 2, 4, 5); case-folded."""
    found = set()
    for nic in inventory.nics if inventory else ():
        for neighbour in nic.neighbours:
            system = neighbour.system.casefold()
            switches = {system, system.split(".", 1)[0], neighbour.chassis.casefold()} - {""}
            ports = {neighbour.port.casefold(), neighbour.port_description.casefold()} - {""}
            found |= {f"{switch}/{port}" for switch in switches for port in ports}
    return frozenset(found)


class Expectations:
    """The site's entries by what identifies them: made once, asked for many machines."""

    def __init__(self, site: Site) -> None:
        self._entries: dict[tuple[str, str], list[ExpectedMachine]] = {}
        for entry in site.machines:
            for mark in _wanted(entry):
                self._entries.setdefault(mark, []).append(entry)

    def entry(self, evidence: frozenset[Evidence], inventory: Inventory | None = None) -> ExpectedMachine | None:
        """The one entry whose given fields all fit; None when none or several do."""
        known = marks(evidence, inventory)
        pieces = [("serial", value) for value in known.serials]
        pieces += [("mac", value) for value in known.macs]
        pieces += [("uuid", value) for value in known.uuids]
        pieces += [("switch_port", value) for value in known.switch_ports]
        found = {entry.name: entry for piece in pieces for entry in self._entries.get(piece, ()) if _fits(entry, known)}
        return next(iter(found.values())) if len(found) == 1 else None


def expected_entry(
    site: Site, evidence: frozenset[Evidence], inventory: Inventory | None = None
) -> ExpectedMachine | None:
    """The one entry whose given fields all fit; None when none or several do. For many machines see `Expectations`."""
    known = marks(evidence, inventory)
    found = [entry for entry in site.machines if _fits(entry, known)]
    return found[0] if len(found) == 1 else None


def _wanted(entry: ExpectedMachine) -> tuple[tuple[str, str], ...]:
    """The given fields of an entry as (field, normalised value)."""
    found = []
    if entry.serial:
        found.append(("serial", serial_key(entry.serial)))
    if entry.mac:
        found.append(("mac", entry.mac.lower()))
    if entry.uuid:
        found += [("uuid", value) for value in values(of_packet("", (entry.uuid,)), EvidenceKind.UUID)] or [
            ("uuid", "")
        ]
    if entry.switch_port:
        found.append(("switch_port", entry.switch_port.strip().casefold()))
    return tuple(found)


def _fits(entry: ExpectedMachine, known: Marks) -> bool:
    """Whether every given field fits. A switch port that can't be checked yet does not count, and alone proves nothing."""
    have = {"serial": known.serials, "mac": known.macs, "uuid": known.uuids, "switch_port": known.switch_ports}
    given = [value in have[field] for field, value in _wanted(entry) if field != "switch_port" or known.hears]
    return bool(given) and all(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Fewer machines of a profile than the site file counts on."""

    profile: str
    have: int
    wanted: int


def shortages(site: Site, profiles: Iterable[str]) -> dict[str, Shortage]:
    """Which counts are not reached, by profile. ``profiles`` has the profile of each machine that is there; machines that
    the site file also names count. More than the count are welcome."""
    if not site.counts:
        return {}
    have = Counter(profiles)
    wanted: Counter[str] = Counter()
    for count in site.counts:
        wanted[count.profile] += count.count
    return {
        profile: Shortage(profile=profile, have=have[profile], wanted=number)
        for profile, number in sorted(wanted.items())
        if have[profile] < number
    }


def approving_rule(rules: Iterable[ApprovalRule], inventory: Inventory, expected: str) -> str:
    """The first rule that approves a machine, in words for the audit trail; empty when none does.

    ``inventory`` is what the machine claims: a serial or a MAC proves little, and the words say so.
    """
    board = inventory.board
    serials = {serial_key(text) for text in (board.serial, board.system_serial, board.pi_serial)} - {""}
    macs = {nic.mac for nic in inventory.nics}
    for rule in rules:
        given = {}
        if rule.serial:
            given[f"serial {rule.serial} (weak)"] = serial_key(rule.serial) in serials
        if rule.mac:
            given[f"MAC {rule.mac} (weak)"] = rule.mac.lower() in macs
        if rule.expected:
            given[f"expected as {expected} (weak)"] = bool(expected)
        if not given and rule.any:
            return "rule: any machine"
        if given and all(given.values()):
            return f"rule: {', '.join(given)}"
    return ""
