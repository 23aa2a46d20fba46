"""What types can't say: names that must exist, things that must differ, addresses that must fit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from appliance.model.site import ProvisioningNetwork
from appliance.site.file import PROVISIONING, PROVISIONING_ONLY, NetworkEntry, SiteFile
from hwprofiles.convert import closest
from hwprofiles.document import Document, Problem
from hwprofiles.node import Position, Step, show_path
from hwprofiles.normal import uuid_pair

SCHEMA = 1
MAX_VLAN = 4094
AUTHORITATIVE = "authoritative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A file whose types are right, or were replaced by defaults where they are not: ``before`` are those problems.
    ``network`` is None when the provisioning network is missing or wrong."""

    document: Document
    file: SiteFile
    network: ProvisioningNetwork | None
    before: tuple[Problem, ...]

    def problem(self, path: tuple[Step, ...], message: str, *, key: bool = False) -> Problem:
        """A problem of the value (or key) at ``path``."""
        return self.document.problem(path, message, key=key)

    def sound(self, at: Position) -> bool:
        """Whether nothing is wrong at or below this place so far: else a problem would only follow from another."""
        where = show_path(at.path)
        return not any(p.where == where or p.where.startswith((f"{where}.", f"{where}[")) for p in self.before)


def check(checked: Checked, profiles: Sequence[str], systems: Sequence[str]) -> list[Problem]:
    """All problems that types can't find. ``profiles`` and ``systems`` are the names that exist."""
    problems = [
        *_names(checked, profiles, systems),
        *_machines(checked),
        *_networks(checked),
        *_rules(checked),
        *_disks(checked),
    ]
    if checked.network is not None and checked.file.provisioning is not None:
        problems += _provisioning(checked, checked.file.provisioning, checked.network)
        problems += _addresses(checked, checked.network)
        if checked.sound(checked.file.provisioning.at):
            problems += _room(checked, checked.network)
    return problems


def host_addresses(network: ProvisioningNetwork) -> Iterator[IPv4Address]:
    """Addresses that installed machines may get, in order: the declared range, or what the pool leaves of the network.
    Appliance, gateway and name servers are left out."""
    taken = {network.appliance, network.gateway, *network.dns}
    first = network.hosts_first or network.cidr.network_address + 1
    last = network.hosts_last or network.cidr.broadcast_address - 1
    declared = network.hosts_first is not None
    at = first
    while at <= last:
        if not declared and network.first <= at <= network.last:
            at = network.last + 1
            continue
        if at not in taken:
            yield at
        at += 1


def _names(checked: Checked, profiles: Sequence[str], systems: Sequence[str]) -> Iterator[Problem]:
    file = checked.file
    if file.site is None and not any(p.where == "site" for p in checked.before):
        yield checked.problem((), "'site' is missing: the name of the site")
    if file.provisioning is None and not any(p.where.startswith("networks") for p in checked.before):
        example = "networks: {provisioning: {cidr: 192.168.90.0/24}}"
        yield checked.problem(("networks",), f"the network 'provisioning' is missing; for example {example}")
    if file.schema != SCHEMA:
        message = f"this version reads schema {SCHEMA}, not {file.schema}"
        yield checked.problem(("schema",), message)
    if systems and file.operating_system not in systems:
        message = f"unknown operating system '{file.operating_system}'{closest(file.operating_system, systems)}"
        yield checked.problem(("operating_system",), message)
    for machine in file.machines:
        if machine.profile is not None and machine.profile not in profiles:
            message = f"unknown profile '{machine.profile}'{closest(machine.profile, profiles)}"
            yield checked.problem((*machine.at.path, "profile"), message)


def _machines(checked: Checked) -> Iterator[Problem]:
    file = checked.file
    for machine in file.machines:
        if checked.sound(machine.at) and not (machine.serial or machine.mac or machine.uuid):
            message = "nothing identifies this machine: give at least one of serial, mac, uuid"
            yield checked.problem(machine.at.path, message, key=True)
    for key, what in (("name", "name"), ("serial", "serial"), ("mac", "MAC"), ("uuid", "UUID"), ("address", "address")):
        values = [(machine.at, key, _comparable(key, getattr(machine, key))) for machine in file.machines]
        yield from _twice(checked, values, f"two machines have the {what}")


def _comparable(key: str, value: object) -> object:
    """UUIDs are the same in either byte order."""
    return min(uuid_pair(str(value))) if key == "uuid" and value is not None else value


def _twice(checked: Checked, found: Sequence[tuple[Position, str, object]], what: str) -> Iterator[Problem]:
    """Equal values; what YAML already refuses as the same key twice is not said again."""
    first: dict[object, Position] = {}
    for at, key, value in found:
        if value is None:
            continue
        if value not in first:
            first[value] = at
            continue
        path = (*at.path, key)
        line, column = checked.document.position((*first[value].path, key))
        if checked.document.position(path) == (line, column):
            continue
        yield checked.problem(path, f"{what} '{value}'; the other is at {line}:{column}")


def _provisioning(checked: Checked, entry: NetworkEntry, network: ProvisioningNetwork) -> Iterator[Problem]:
    at = entry.at.path
    for key, value in (("appliance", network.appliance), ("gateway", network.gateway)):
        if value is not None and not _usable(value, network.cidr):
            yield checked.problem((*at, key), f"{value} is no host address of {network.cidr}")
    for key, span in (("pool", entry.pool), ("hosts", entry.hosts)):
        if span is None:
            continue
        ends = [end for end in (span.first, span.last) if not _usable(end, network.cidr)]
        if ends:
            message = f"{' and '.join(map(str, ends))} outside the host addresses of {network.cidr}"
            yield checked.problem((*at, key), message)
    if network.first <= network.appliance <= network.last:
        message = f"the pool contains the appliance's own address {network.appliance}; move one of them"
        yield checked.problem((*at, "pool"), message)
    if network.gateway is not None and network.first <= network.gateway <= network.last:
        yield checked.problem((*at, "pool"), f"the pool contains the gateway {network.gateway}; move one of them")
    if entry.hosts and entry.hosts.first <= network.last and network.first <= entry.hosts.last:
        message = f"overlaps the pool {network.first}-{network.last}: a lease and an installed machine could collide"
        yield checked.problem((*at, "hosts"), message)
    if network.gateway == network.appliance:
        yield checked.problem((*at, "gateway"), "is the appliance itself, which does not route; leave it out")


def _usable(address: IPv4Address, network: IPv4Network) -> bool:
    return address in network and address not in (network.network_address, network.broadcast_address)


def _networks(checked: Checked) -> Iterator[Problem]:
    file = checked.file
    seen: list[tuple[str, IPv4Network]] = []
    vlans: dict[int, str] = {}
    names: set[str] = set()
    for entry in file.networks:
        for name, other in seen:
            if entry.cidr.overlaps(other):
                message = f"{entry.cidr} overlaps {other} of '{name}'; every network needs a range of its own"
                yield checked.problem((*entry.at.path, "cidr"), message)
        seen.append((entry.name, entry.cidr))
        if entry.name in names:
            yield checked.problem(entry.at.path, f"a network '{entry.name}' is there already", key=True)
        names.add(entry.name)
        for key in PROVISIONING_ONLY if entry.name != PROVISIONING else ():
            if checked.document.has((*entry.at.path, key)):
                yield checked.problem((*entry.at.path, key), "only the network 'provisioning' has this", key=True)
        if entry.vlan is None:
            continue
        if not 1 <= entry.vlan <= MAX_VLAN:
            yield checked.problem((*entry.at.path, "vlan"), f"a VLAN is 1 to {MAX_VLAN}, not {entry.vlan}")
        elif entry.vlan in vlans:
            message = f"VLAN {entry.vlan} is also that of '{vlans[entry.vlan]}'"
            yield checked.problem((*entry.at.path, "vlan"), message)
        vlans.setdefault(entry.vlan, entry.name)


def _addresses(checked: Checked, network: ProvisioningNetwork) -> Iterator[Problem]:
    special = {network.appliance: "the appliance", network.gateway: "the gateway"}
    for machine in checked.file.machines:
        if machine.address is None:
            continue
        path = (*machine.at.path, "address")
        if not _usable(machine.address, network.cidr):
            yield checked.problem(path, f"{machine.address} is no host address of {network.cidr}")
        elif machine.address in special:
            yield checked.problem(path, f"{machine.address} is {special[machine.address]}")
        elif network.first <= machine.address <= network.last and network.mode == AUTHORITATIVE:
            message = (
                f"{machine.address} is inside the pool {network.first}-{network.last}, which is for leases; "
                "choose one outside, or make the pool smaller"
            )
            yield checked.problem(path, message)


def _room(checked: Checked, network: ProvisioningNetwork) -> Iterator[Problem]:
    """Every machine needs a lease while it is installed and an own address afterwards."""
    file, machines = checked.file, len(checked.file.machines)
    where = file.provisioning.at.path if file.provisioning else ()
    leases = int(network.last) - int(network.first) + 1
    if network.mode == AUTHORITATIVE and leases < machines:
        message = f"{leases} addresses to lease are too few for {machines} machines that boot at the same time"
        yield checked.problem((*where, "pool"), message)
    if network.mode != AUTHORITATIVE and network.hosts_first is None:
        return
    wanted = sum(1 for machine in file.machines if machine.address is None)
    fixed = {machine.address for machine in file.machines}
    free = 0
    for address in host_addresses(network):
        free += address not in fixed
        if free >= wanted:
            return
    message = f"{free} free addresses are too few for {wanted} machines without one of their own; make the range larger"
    yield checked.problem((*where, "hosts"), message)


def _rules(checked: Checked) -> Iterator[Problem]:
    file = checked.file
    for rule in file.approve:
        path = rule.at.path
        if not (rule.serial or rule.mac or rule.expected or rule.any):
            if checked.sound(rule.at):
                message = "an empty rule would approve nothing; give serial, mac, 'expected: true' or 'any: true'"
                yield checked.problem(path, message)
        elif rule.any and (rule.serial or rule.mac or rule.expected):
            yield checked.problem((*path, "any"), "'any: true' stands alone: it approves every machine")
        elif rule.expected and not file.machines:
            yield checked.problem((*path, "expected"), "approves expected machines, but 'machines' names none")


def _disks(checked: Checked) -> Iterator[Problem]:
    file = checked.file
    yield from _twice(checked, [(g.at, "serial", g.serial) for g in file.erase], "two grants are for the serial")
    protected = {serial: index for index, serial in enumerate(file.protect)}
    for grant in file.erase:
        if grant.serial in protected:
            line, column = checked.document.position(("protect", protected[grant.serial]))
            message = f"disk '{grant.serial}' is also protected at {line}:{column}; a disk is one or the other"
            yield checked.problem((*grant.at.path, "serial"), message)
    if len(protected) < len(file.protect):
        yield checked.problem(("protect",), "names a serial twice")
