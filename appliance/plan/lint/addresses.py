"""Addresses: each belongs to one machine, and to the network that it is said to be in."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv4Interface

from appliance.model.network import ROUTED, Network, Plane
from appliance.plan.lint.links import LOCAL
from appliance.plan.lint.rule import ERROR, Findings, listed, rule
from appliance.plan.lint.scene import IpAddress, PlannedAddress, Scene, ranges, read_address
from appliance.site.checks import AUTHORITATIVE


@rule(ERROR, "retire one of the machines, or give one another address in the site file")
def duplicate_address(scene: Scene) -> Findings:
    """No two machines have one address in the provisioning network."""
    for address, count in Counter(a.address for a in scene.plan.allocations if a.address).items():
        if count > 1:
            yield address, f"{count} machines have this address"


@rule(ERROR, "correct the address in the site file")
def address_outside_network(scene: Scene) -> Findings:
    """An installed machine's address lies in the provisioning network, and is not ours or the gateway's."""
    network = scene.site.provisioning
    for step in scene.installs:
        for nic in step.install.host.nics if step.install else ():
            if nic.address:
                address = IPv4Interface(nic.address)
                if address.network != network.cidr or address.ip in (network.appliance, network.gateway):
                    yield step.name, f"{nic.address} does not belong to a machine of {network.cidr}"


@rule(ERROR, "make the pool smaller, or choose an address outside it")
def address_in_pool(scene: Scene) -> Findings:
    """An installed machine's address is never leased to somebody else."""
    network = scene.site.provisioning
    if network.mode != AUTHORITATIVE:
        return
    for allocation in scene.plan.allocations:
        if allocation.address and network.first <= IPv4Address(allocation.address) <= network.last:
            yield allocation.name, f"{allocation.address} lies in the pool {network.first}-{network.last}"
    for planned in _of_plane(scene, Plane.PROVISIONING):
        if isinstance(planned.value, IPv4Address) and network.first <= planned.value <= network.last:
            yield planned.node.name, f"{planned.value} lies in the pool {network.first}-{network.last}"


def _of_plane(scene: Scene, plane: Plane) -> list[PlannedAddress]:
    return [planned for planned in scene.addresses if planned.layout.plane is plane]


@rule(ERROR, "report it as a fault of the planner; plan again")
def planned_address_twice(scene: Scene) -> Findings:
    """No address is given to two interfaces of a network: the second to come up answers for both, now and then."""
    owners: dict[tuple[str, IpAddress], list[str]] = {}
    for planned in scene.addresses:
        if planned.value is not None:
            owner = f"{planned.node.name} ({planned.layout.interface})"
            owners.setdefault((planned.layout.network, planned.value), []).append(owner)
    for (network, value), where in owners.items():
        if len(where) > 1:
            yield str(value), f"given {len(where)} times in {network}: {listed(where)}"


@rule(ERROR, "correct the network's range in the site file, or report it as a fault of the planner")
def planned_address_outside(scene: Scene) -> Findings:
    """An address lies in its network's range, has its prefix length (/32 or /128 where it is routed) and is neither the
    network's own nor the broadcast address (RFC 1122 §3.2.1.3). Only in the provisioning network it may be left to
    DHCP."""
    spans = {name: ranges(network) for name, network in scene.networks.items()}
    for planned in scene.addresses:
        network, value = scene.networks.get(planned.layout.network), planned.value
        if network is None or (network.plane is Plane.PROVISIONING and not planned.layout.address):
            continue
        home = next((r for r in spans[network.name] if value is not None and r.version == value.version), None)
        if value is None or home is None or value not in home:
            shown = " or ".join(map(str, spans[network.name]))
            yield planned.node.name, f"'{planned.layout.address}' is no address of {network.name} ({shown})"
            continue
        whole = planned.length == home.max_prefixlen
        if planned.length != home.prefixlen and not (whole and _routed(planned, network)):
            yield planned.node.name, f"{planned.layout.address} in {network.name} has another length than {home}"
        elif home.num_addresses > 2 and not whole and value in (home.network_address, home.broadcast_address):
            kind = "network's own" if value == home.network_address else "broadcast"
            if home.version == 4 or value == home.network_address:
                yield planned.node.name, f"{value} is the {kind} address of {home} ({network.name})"


def _routed(planned: PlannedAddress, network: Network) -> bool:
    """Whether the address is reached by routes, not by a common segment."""
    return network.carrier in ROUTED or planned.layout.interface in LOCAL


@rule(ERROR, "choose another address in the site file")
def planned_address_reserved(scene: Scene) -> Findings:
    """No machine gets the address of the appliance, of a gateway or of a name server."""
    site = scene.site
    reserved = {str(site.provisioning.appliance): "the appliance", str(site.provisioning.gateway): "the gateway"}
    reserved |= {str(server): "a name server" for server in site.provisioning.dns}
    reserved |= {network.gateway: f"the gateway of {network.name}" for network in site.networks if network.gateway}
    for planned in scene.addresses:
        whose = reserved.get(str(planned.value))
        if whose and planned.value is not None:
            yield planned.node.name, f"{planned.value} on {planned.layout.interface} is the address of {whose}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def address_network_unknown(scene: Scene) -> Findings:
    """An address is in a network that the site file has, and on its plane."""
    for planned in scene.addresses:
        layout = planned.layout
        network = scene.networks.get(layout.network)
        if network is None:
            yield planned.node.name, f"{layout.address} is in the network '{layout.network}', which the site has not"
        elif network.plane is not layout.plane:
            yield planned.node.name, f"{layout.address} is said to be {layout.plane}; {network.name} is {network.plane}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def address_without_interface(scene: Scene) -> Findings:
    """An address stands on an interface that the machine has."""
    for planned in scene.addresses:
        if planned.layout.interface not in scene.links[planned.node.machine]:
            text = f"{planned.layout.address} stands on '{planned.layout.interface}', which the layout does not make"
            yield planned.node.name, text


@rule(ERROR, "give a gateway to one network only")
def default_routes(scene: Scene) -> Findings:
    """A machine has at most one default route for each version of IP: of two, the kernel takes either."""
    gateways: dict[tuple[str, bool], set[str]] = {}
    for planned in scene.addresses:
        if planned.layout.gateway:
            key = planned.node.machine, ":" in planned.layout.gateway
            gateways.setdefault(key, set()).add(planned.layout.gateway)
    for (who, _), found in gateways.items():
        if len(found) > 1:
            yield scene.name(who), f"{len(found)} default routes: {listed(found)}; one network may give a gateway"


@rule(ERROR, "report it as a fault of the planner; plan again")
def loopback_twice(scene: Scene) -> Findings:
    """No two machines have one loopback address, router id or IS-IS NET: routing would take them for one machine
    (`network.md` §3; RFC 2328 §C.1 on router ids)."""
    owners: dict[tuple[str, str], list[str]] = {}
    for node in scene.plan.desired.nodes:
        found = node.network
        for what, value in (
            ("loopback", str(read_address(found.loopback4)[0] or found.loopback4)),
            ("loopback", str(read_address(found.loopback6)[0] or found.loopback6)),
            ("router id", found.router_id),
            ("NET", found.net),
        ):
            if value:
                owners.setdefault((what, value), []).append(node.name)
    for (what, value), names in owners.items():
        if len(names) > 1:
            yield value, f"the {what} of {len(names)} machines: {listed(names)}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def asn_twice(scene: Scene) -> Findings:
    """No two machines have one AS number, and it is a private one (RFC 6996): eBGP drops routes that carry its own."""
    owners: dict[int, list[str]] = {}
    for node in scene.plan.desired.nodes:
        if node.network.asn:
            owners.setdefault(node.network.asn, []).append(node.name)
    for asn, names in owners.items():
        if len(names) > 1:
            yield str(asn), f"the AS number of {len(names)} machines: {listed(names)}"
        if not (64512 <= asn <= 65534 or 4_200_000_000 <= asn <= 4_294_967_294):
            yield str(asn), f"is no private AS number (RFC 6996), but given to {listed(names)}"
