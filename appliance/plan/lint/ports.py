"""Interfaces of one machine: what is built of which ports."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from appliance.model.network import ROUTED
from appliance.model.plan import NodeLayout, WaitReason
from appliance.plan.lint.links import Links
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene

LONGEST = 15
"""Letters of an interface's name (the kernel's IFNAMSIZ is 16 with the final zero)."""
_NAME = re.compile(r"[^\s/:]+")


def _networks(scene: Scene) -> Iterator[tuple[NodeLayout, Links]]:
    return ((node, scene.links[node.machine]) for node in scene.plan.desired.nodes)


@rule(ERROR, "report it as a fault of the planner; plan again")
def interface_name(scene: Scene) -> Findings:
    """An interface has a name of at most 15 letters that no other interface of its machine has."""
    for node in scene.plan.desired.nodes:
        parts = node.network
        names = [part.name for kind in (parts.ports, parts.bonds, parts.vlans, parts.bridges) for part in kind]
        for name, count in Counter(names).items():
            if count > 1:
                yield node.name, f"{count} interfaces are called {name}"
            if len(name) > LONGEST or not _NAME.fullmatch(name):
                yield node.name, f"'{name}' is no interface name: 1 to {LONGEST} letters, without blanks, '/' and ':'"


@rule(ERROR, "report it as a fault of the planner; plan again")
def port_unknown(scene: Scene) -> Findings:
    """Every planned port is one that the machine reported, by permanent MAC, and is named once."""
    for node in scene.plan.desired.nodes:
        inventory = scene.inventory(node.machine)
        known = {nic.mac for nic in inventory.nics} if inventory else set()
        for mac, count in Counter(port.mac for port in node.network.ports).items():
            if inventory and mac not in known and not scene.waits(WaitReason.STANDS, node.name):
                yield node.name, f"a name is pinned to the port {mac}, which the machine has not reported"
            if count > 1:
                yield node.name, f"the port {mac} gets {count} names"


@rule(ERROR, "report it as a fault of the planner; plan again")
def pinned_name_changes(scene: Scene) -> Findings:
    """A port has the name in the layout that it was given once and for all (`peers-complaints.md` 20: names that change
    after a card was added take clusters apart)."""
    given = {allocation.machine: dict(allocation.nics) for allocation in scene.plan.allocations}
    for node in scene.plan.desired.nodes:
        names = given.get(node.machine, {})
        for port in node.network.ports:
            if names.get(port.mac, port.name) != port.name:
                yield node.name, f"the port {port.mac} is called {names[port.mac]} already, not {port.name}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def port_used_twice(scene: Scene) -> Findings:
    """A port (or bond) that is part of a bond or bridge is part of nothing else and has no address of its own."""
    for node, links in _networks(scene):
        parts = node.network
        users: dict[str, set[str]] = {}
        for bond in parts.bonds:
            for port in bond.ports:
                users.setdefault(port, set()).add(bond.name)
        for bridge in parts.bridges:
            if bridge.port:
                users.setdefault(bridge.port, set()).add(bridge.name)
        slaves = {port for bond in parts.bonds for port in bond.ports}
        for vlan in parts.vlans:
            if vlan.raw in slaves:
                users[vlan.raw].add(vlan.name)
        for layout in parts.addresses:
            if layout.interface in users:
                users[layout.interface].add(f"the address {layout.address}")
        for name, found in users.items():
            if len(found) > 1 and name in links:
                yield node.name, f"{name} is used {len(found)} times: {listed(found)}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def interface_on_nothing(scene: Scene) -> Findings:
    """Bonds have ports, and what bonds, VLANs and bridges stand on exists."""
    for node, links in _networks(scene):
        for bond in node.network.bonds:
            if not bond.ports:
                yield node.name, f"{bond.name} has no ports"
        for name, below in links.below.items():
            for part in below:
                if part not in links or part == name:
                    yield node.name, f"{name} stands on '{part}', which the layout does not make"


@rule(ERROR, "choose a VLAN of 1 to 4094 that the interface does not carry yet")
def vlan_wrong(scene: Scene) -> Findings:
    """A VLAN is 1 to 4094 (IEEE 802.1Q §9.6) and stands on its interface once."""
    for node in scene.plan.desired.nodes:
        for (raw, number), count in Counter((vlan.raw, vlan.vlan) for vlan in node.network.vlans).items():
            if not 1 <= number <= 4094:
                yield node.name, f"VLAN {number} on {raw}: a VLAN is 1 to 4094"
            if count > 1:
                yield node.name, f"VLAN {number} stands {count} times on {raw}"


@rule(ERROR, "give the networks that share ports one MTU, or the carrying one the largest")
def mtu_of_parent(scene: Scene) -> Findings:
    """An interface has no larger MTU than what it stands on: the kernel refuses it, or frames vanish."""
    for node, links in _networks(scene):
        for name, mtu in links.mtus.items():
            for part in links.below[name]:
                if links.mtus.get(part, mtu) < mtu:
                    yield node.name, f"{name} has an MTU of {mtu}, but {part} below it only {links.mtus[part]}"


@rule(WARNING, "plan again; if it stays, give the network's MTU to its carrier in the site file")
def mtu_below_network(scene: Scene) -> Findings:
    """The interface that carries a network has at least the network's MTU (`network.md` §8: small pings pass, and
    everything large vanishes)."""
    small: dict[tuple[str, int, int], list[str]] = {}
    for planned in scene.addresses:
        network = scene.networks.get(planned.layout.network)
        mtu = scene.links[planned.node.machine].mtus.get(planned.layout.interface)
        if network and mtu is not None and mtu < network.mtu:
            small.setdefault((network.name, network.mtu, mtu), []).append(planned.node.name)
    for (name, wanted, mtu), names in small.items():
        yield (
            name,
            f"MTU {wanted} wanted, but {mtu} on the interface of {counted(len(names), 'machine')}: {listed(names)}",
        )


@rule(ERROR, "report it as a fault of the planner; plan again")
def network_on_two_interfaces(scene: Scene) -> Findings:
    """A machine is in a network by one interface (mesh, ring and fabric apart): with two, answers leave by the wrong
    one."""
    for (who, name), layouts in scene.connected.items():
        network = scene.networks.get(name)
        found = {layout.interface for layout in layouts}
        if len(found) > 1 and network and network.carrier not in ROUTED:
            yield scene.name(who), f"is in {name} by {len(found)} interfaces: {listed(found)}"


@rule(WARNING, "cable a second port, or take the bond out")
def bond_of_one(scene: Scene) -> Findings:
    """A bond has two ports or more: with one it promises what it can't keep."""
    lonely = [node.name for node, _ in _networks(scene) for bond in node.network.bonds if len(set(bond.ports)) == 1]
    if lonely:
        yield "bonds", f"{counted(len(set(lonely)), 'machine')} with a bond of a single port: {listed(lonely)}"


@rule(WARNING, "cable the missing ports, or give the network another role in the site file")
def network_incomplete(scene: Scene) -> Findings:
    """Every machine is connected to all networks that it needs."""
    found: dict[str, list[str]] = {}
    for node in scene.plan.desired.nodes:
        for sentence in node.network.missing:
            found.setdefault(sentence, []).append(node.name)
    for sentence, names in found.items():
        yield listed(names), sentence
