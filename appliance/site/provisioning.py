"""The network that machines boot in: which addresses are for what."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Network

from appliance.model.site import ProvisioningNetwork
from appliance.site.addresses import AddressRange
from appliance.site.checked import Checked
from appliance.site.networkentries import NetworkEntry
from hwprofiles.document import Problem

AUTHORITATIVE = "authoritative"


def provisioning_network(entry: NetworkEntry | None, machines: int = 0) -> ProvisioningNetwork | None:
    """With its defaults, for so many machines; None when it is missing or its range is."""
    if entry is None or entry.cidr is None:
        return None
    gateway = IPv4Address(entry.gateway) if entry.gateway and ":" not in entry.gateway else None
    appliance = entry.appliance or entry.cidr.network_address + 1
    special = {appliance, *entry.dns, *([gateway] if gateway else [])}
    pool = entry.pool or default_pool(entry.cidr, special, machines)
    return ProvisioningNetwork(
        cidr=entry.cidr,
        appliance=appliance,
        first=pool.first,
        last=pool.last,
        mode=entry.mode.value,
        gateway=gateway,
        dns=tuple(entry.dns),
        interfaces=tuple(entry.interfaces),
        hosts_first=entry.hosts.first if entry.hosts else None,
        hosts_last=entry.hosts.last if entry.hosts else None,
    )


def default_pool(network: IPv4Network, avoid: Collection[IPv4Address], machines: int = 0) -> AddressRange:
    """The upper half of the network (at most 1 024 addresses, or as many as there are ``machines``), cut so that none of
    ``avoid`` (appliance, gateway, name servers) is inside: the larger side stays."""
    last = network.broadcast_address - 1
    first = max(network.network_address + network.num_addresses // 2, last - max(machines, 1024) + 1)
    for address in sorted(avoid):
        if not first <= address <= last or first == last:
            continue
        if int(address) - int(first) < int(last) - int(address):
            first = address + 1
        else:
            last = address - 1
    return AddressRange(first=first, last=last)


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


def check_provisioning(checked: Checked) -> Iterator[Problem]:
    """The ranges of the provisioning network, the machines' addresses in it, and whether there are enough."""
    entry, network = checked.file.provisioning, checked.network
    if entry is None or network is None:
        return
    yield from _ranges(checked, entry, network)
    yield from _addresses(checked, network)
    if checked.sound(entry.at):
        yield from _room(checked, network)


def usable(address: IPv4Address, network: IPv4Network) -> bool:
    """Whether a host may have it."""
    return address in network and address not in (network.network_address, network.broadcast_address)


def _ranges(checked: Checked, entry: NetworkEntry, network: ProvisioningNetwork) -> Iterator[Problem]:
    at = entry.at.path
    for key, value in (("appliance", network.appliance), ("gateway", network.gateway)):
        if value is not None and not usable(value, network.cidr):
            yield checked.problem((*at, key), f"{value} is no host address of {network.cidr}")
    for key, span in (("pool", entry.pool), ("hosts", entry.hosts)):
        if span is None:
            continue
        ends = [end for end in (span.first, span.last) if not usable(end, network.cidr)]
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


def _addresses(checked: Checked, network: ProvisioningNetwork) -> Iterator[Problem]:
    special = {network.appliance: "the appliance", network.gateway: "the gateway"}
    first, last = int(network.cidr.network_address), int(network.cidr.broadcast_address)
    leases = range(int(network.first), int(network.last) + 1) if network.mode == AUTHORITATIVE else range(0)
    for machine in checked.machines:
        if machine.address is None:
            continue
        path, number = (*machine.at.path, "address"), int(machine.address)
        if not first < number < last:
            yield checked.problem(path, f"{machine.address} is no host address of {network.cidr}")
        elif machine.address in special:
            yield checked.problem(path, f"{machine.address} is {special[machine.address]}")
        elif number in leases:
            message = (
                f"{machine.address} is inside the pool {network.first}-{network.last}, which is for leases; "
                "choose one outside, or make the pool smaller"
            )
            yield checked.problem(path, message)


def _room(checked: Checked, network: ProvisioningNetwork) -> Iterator[Problem]:
    """Every machine needs a lease while it is installed and an own address afterwards."""
    machines = checked.expected
    where = checked.file.provisioning.at.path if checked.file.provisioning else ()
    leases = int(network.last) - int(network.first) + 1
    if network.mode == AUTHORITATIVE and leases < machines:
        message = f"{leases} addresses to lease are too few for {machines} machines that boot at the same time"
        yield checked.problem((*where, "pool"), message)
    if network.mode != AUTHORITATIVE and network.hosts_first is None:
        return
    fixed = {machine.address for machine in checked.machines if machine.address is not None}
    wanted = machines - sum(1 for machine in checked.machines if machine.address is not None)
    free = 0
    for address in host_addresses(network):
        free += address not in fixed
        if free >= wanted:
            return
    message = f"{free} free addresses are too few for {wanted} machines without one of their own; make the range larger"
    yield checked.problem((*where, "hosts"), message)
