"""Observations of the boot servers, joined to machines and written to their timelines."""

from __future__ import annotations

from ipaddress import IPv4Address

from sqlalchemy import Connection

from appliance.model.machine import Phase, TroubleKind
from appliance.operations import identity
from appliance.store import events, leases, lifecycle, machines
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


def record(connection: Connection, seen: tuple[BootEvent, ...], *, at: float, silent: bool = False) -> int:
    """Write events; returns how many machines were seen for the first time.

    ``silent``: join to a machine only, write no event. Events that belong to no machine are kept without one, so that a
    boot that reaches us without its address known is still visible.
    """
    before = machines.count(connection, Phase.SEEN)
    touched: set[str] = set()
    for event in seen:
        machine = _machine(connection, event, at)
        if machine and machine not in touched:
            machines.touch(connection, machine, at=at)
            touched.add(machine)
        if event.mac and event.address:
            _remember_address(connection, event.mac, event.address, at)
        if not silent and not _quiet(event):
            _write(connection, machine, event, (WORDS[event.kind], event.detail), at)
    return machines.count(connection, Phase.SEEN) - before


def script(connection: Connection, event: BootEvent, decision: Decision, *, at: float) -> None:
    """A boot script was answered: what it says, in the words of the decision."""
    words = (f"got its boot script ({decision.action})", decision.reason)
    _write(connection, decision.machine, event, words, at, action=decision.action.value)
    if decision.action is Action.SCRIPT and decision.machine:
        why = "it asked for its boot script again"
        lifecycle.clear_trouble(connection, decision.machine, TroubleKind.BOOT, at=at, why=why)


def _write(
    connection: Connection, machine: str, event: BootEvent, words: tuple[str, str], at: float, **more: str
) -> None:
    said, detail = words
    data = {"mac": event.mac, "address": str(event.address or ""), "detail": detail, **more}
    text = f"{said}: {detail}" if detail else said
    events.add(connection, at=at, machine=machine, kind=event.kind, text=text, data=data)


def _machine(connection: Connection, event: BootEvent, at: float) -> str:
    if event.mac:
        if _boots(event):
            return identity.observe_packet(connection, event.mac, event.uuids, at=at)
        return identity.locate(connection, event.mac, event.uuids)
    if event.address:
        lease = leases.of_address(connection, event.address)
        if lease and lease.mac:
            return identity.locate(connection, lease.mac)
    return ""


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
