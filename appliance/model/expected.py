"""Which entry of the site file is this machine, and does a rule of the site approve it? Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agent.wire import Inventory
from appliance.model.identity import Evidence, EvidenceKind, of_packet, values
from appliance.model.site import ApprovalRule, ExpectedMachine, Site
from hwprofiles.normal import serial_key


def expected_entry(site: Site, evidence: frozenset[Evidence]) -> ExpectedMachine | None:
    """The one entry whose given fields all fit; None when none or several do."""
    found = [entry for entry in site.machines if _fits(entry, evidence)]
    return found[0] if len(found) == 1 else None


def _fits(entry: ExpectedMachine, evidence: frozenset[Evidence]) -> bool:
    serials = {serial_key(value) for kind in _SERIALS for value in values(evidence, kind)}
    macs = values(evidence, EvidenceKind.PORT)
    given = []
    if entry.serial:
        given.append(serial_key(entry.serial) in serials)
    if entry.mac:
        given.append(entry.mac.lower() in macs)
    if entry.uuid:
        wanted = values(of_packet("", (entry.uuid,)), EvidenceKind.UUID)
        given.append(bool(wanted & values(evidence, EvidenceKind.UUID)))
    return bool(given) and all(given)


_SERIALS = (EvidenceKind.BOARD_SERIAL, EvidenceKind.SYSTEM_SERIAL, EvidenceKind.PI_SERIAL)


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
