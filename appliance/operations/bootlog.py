"""Observations of the boot servers, joined to machines and written to their timelines."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from sqlalchemy import Connection

from appliance.model.machine import TroubleKind
from appliance.operations import identity
from appliance.store import events, leases, lifecycle, machines
from appliance.store.events import EventRow
from pxe.ports import Action, BootEvent, Decision, EventKind, Lease

SEEN = "seen:"
"""Begins the key of a note, among the leases, whose an address is that another DHCP server gave."""

WORDS = {
    EventKind.DHCP_DISCOVER: "asks for an address",
    EventKind.DHCP_OFFER: "was offered an address",
    EventKind.DHCP_REQUEST: "requests an address",
    EventKind.DHCP_ACK: "got an address",
    EventKind.DHCP_NAK: "was refused an address",
    EventKind.DHCP_DECLINE: "declined an address",
    EventKind.PROXY_OFFER: "was told what to boot (another server gives the address)",
    EventKind.TFTP_START: "fetches by TFTP",
    EventKind.TFTP_DONE: "fetched by TFTP",
    EventKind.TFTP_ABORT: "gave up a TFTP transfer",
    EventKind.SCRIPT: "asked for its boot script",
    EventKind.HTTP_FILE: "fetches by HTTP",
}


@dataclass(slots=True)
class Joined:
    """What one batch has found out already: the packets of one exchange are joined once."""

    machines: dict[tuple[str, tuple[str, ...], bool], str] = field(default_factory=dict)
    new: int = 0


def record(connection: Connection, seen: tuple[BootEvent, ...], *, at: float) -> int:
    """Write events; returns how many machines were seen for the first time.

    Events that belong to no machine are kept without one, so that a boot that reaches us without its address known is
    still visible.
    """
    joined = Joined()
    written = []
    addresses = set()
    for event in seen:
        machine = _machine(connection, event, joined, at)
        if event.mac and event.address and (event.mac, event.address) not in addresses:
            _remember_address(connection, event.mac, event.address, at)
            addresses.add((event.mac, event.address))
        if not _quiet(event):
            written.append(_row(machine, event, (WORDS[event.kind], event.detail)))
    events.add_all(connection, written)
    for machine in sorted(set(joined.machines.values()) - {""}):
        machines.touch(connection, machine, at=at)
    return joined.new


def arrive(connection: Connection, event: BootEvent) -> str:
    """A client asked for its boot script: the machine it is (a record is made for a new one); writes no event yet."""
    at = event.at
    if event.mac and event.address:
        _remember_address(connection, event.mac, event.address, at)
    machine, _ = identity.observe_packet(connection, event.mac, event.uuids, at=at)
    if machine:
        machines.touch(connection, machine, at=at)
    return machine


def script(connection: Connection, event: BootEvent, decision: Decision) -> None:
    """A boot script was answered: what it says, in the words of the decision."""
    words = (f"got its boot script ({decision.action})", decision.reason)
    row = _row(decision.machine, event, words, action=decision.action.value)
    events.add_all(connection, (row,))
    if decision.action is Action.SCRIPT and decision.machine:
        why = "it asked for its boot script again"
        lifecycle.clear_trouble(connection, decision.machine, TroubleKind.BOOT, at=event.at, why=why)


def _row(machine: str, event: BootEvent, words: tuple[str, str], **more: str) -> EventRow:
    said, detail = words
    data = {"mac": event.mac, "address": str(event.address or ""), "detail": detail, **more}
    text = f"{said}: {detail}" if detail else said
    return EventRow(seq=0, at=event.at, machine=machine, kind=event.kind, text=text, data=data)


def _machine(connection: Connection, event: BootEvent, joined: Joined, at: float) -> str:
    mac, uuids, boots = event.mac, event.uuids, bool(event.mac) and _boots(event)
    if not mac and event.address:
        lease = leases.of_address(connection, event.address)
        mac, uuids = (lease.mac, ()) if lease else ("", ())
    if not mac:
        return ""
    key = (mac, uuids, boots)
    if key not in joined.machines:
        if boots:
            joined.machines[key], new = identity.observe_packet(connection, mac, uuids, at=at)
            joined.new += new
        else:
            joined.machines[key] = identity.locate(connection, mac, uuids)
    return joined.machines[key]


def _boots(event: BootEvent) -> bool:
    """Whether this is a machine that boots, not an operating system (a laptop) that only wants an address."""
    if event.kind is EventKind.DHCP_DISCOVER:
        return bool(event.uuids) or not event.detail.endswith(" os")
    return bool(event.uuids or event.detail) or event.kind in (EventKind.SCRIPT, EventKind.PROXY_OFFER)


def _quiet(event: BootEvent) -> bool:
    """Lease renewals of operating systems would fill the timelines with nothing; refusals are worth a line."""
    refused = event.kind in (EventKind.DHCP_NAK, EventKind.DHCP_DECLINE)
    return event.kind.value.startswith("dhcp-") and not refused and not _boots(event)


def _remember_address(connection: Connection, mac: str, address: IPv4Address, at: float) -> None:
    """Somebody else's DHCP gave this address: remember whose it is, so that its downloads find their timeline."""
    known = leases.of_address(connection, address)
    if known is None or (known.mac != mac and known.expires < at):
        leases.put(connection, (Lease(address=address, key=f"{SEEN}{mac}", mac=mac, expires=at),))
