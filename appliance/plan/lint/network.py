"""The site's networks among each other."""

from __future__ import annotations

from collections import Counter

from appliance.model.network import Plane
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene, ranges, read_address

SEVERAL = frozenset({Plane.COROSYNC, Plane.TENANT})
"""Planes of which a site may have more than one network."""


@rule(ERROR, "give every network a range of its own")
def networks_overlap(scene: Scene) -> Findings:
    """No two networks share addresses: a machine in both could not tell where to send."""
    spans = sorted(
        ((span, name) for name, network in scene.networks.items() for span in ranges(network)),
        key=lambda item: (item[0].version, int(item[0].network_address), item[0].prefixlen, item[1]),
    )
    widest = spans[:1]
    for span, name in spans[1:]:
        last, other = widest[-1]
        if span.version == last.version and int(span.network_address) <= int(last.broadcast_address):
            yield name, f"{span} overlaps {last} of {other}"
        if span.version != last.version or int(span.broadcast_address) > int(last.broadcast_address):
            widest.append((span, name))


@rule(ERROR, "keep one network of the plane")
def plane_twice(scene: Scene) -> Findings:
    """A site has one network of a plane, except of corosync and tenant (`network.md` §2)."""
    planes: dict[Plane, list[str]] = {}
    for network in scene.networks.values():
        planes.setdefault(network.plane, []).append(network.name)
    for plane, names in planes.items():
        if len(names) > 1 and plane not in SEVERAL:
            yield plane.value, f"{len(names)} networks are of this plane: {listed(names)}"


@rule(ERROR, "give every network a VLAN of its own")
def vlan_of_two_networks(scene: Scene) -> Findings:
    """No two networks have one VLAN: they would be one broadcast domain."""
    tags: dict[int, list[str]] = {}
    for network in scene.networks.values():
        if network.vlan is not None:
            tags.setdefault(network.vlan, []).append(network.name)
    for tag, names in tags.items():
        if len(names) > 1:
            yield f"VLAN {tag}", f"is that of {len(names)} networks: {listed(names)}"


@rule(ERROR, "choose an address of the network that no machine has")
def gateway_outside(scene: Scene) -> Findings:
    """A gateway lies in its network: else nobody can reach it."""
    for network in scene.site.networks:
        address, _ = read_address(network.gateway)
        spans = ranges(network)
        if network.gateway and not any(
            address in span for span in spans if address and span.version == address.version
        ):
            shown = " or ".join(map(str, spans))
            yield network.name, f"the gateway {network.gateway} does not lie in {shown}"


@rule(WARNING, "give every tenant network a VLAN, or a port of its own")
def guests_on_provisioning(scene: Scene) -> Findings:
    """Guests are never in the provisioning network: it boots whoever is in it (`network.md` §2: never routed to
    tenants)."""
    open_to = [
        node.name
        for node in scene.plan.desired.nodes
        for bridge in node.network.bridges
        if scene.links[node.machine].untagged(bridge.name) & scene.carriers(node.machine, Plane.PROVISIONING.value)
    ]
    if open_to:
        text = (
            f"a bridge for guests stands untagged on the provisioning port of {counted(len(set(open_to)), 'machine')}"
        )
        yield Plane.PROVISIONING.value, f"{text}: {listed(open_to)}"


@rule(ERROR, "give every corosync network a link number of its own, 0 to 7")
def link_number_twice(scene: Scene) -> Findings:
    """Corosync networks have link numbers of their own, from 0 (corosync.conf(5): 0 to 7)."""
    numbers = Counter(network.link for network in scene.site.networks if network.link is not None)
    for number, count in numbers.items():
        if count > 1 or not 0 <= number <= 7:
            shown = f"given to {counted(count, 'corosync network')}"
            yield f"link{number}", f"this link number is {shown}; it is 0 to 7, each once"
