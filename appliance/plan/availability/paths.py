"""Over which ports and switches the planes of a machine go: one path, two ports, or two switches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import combinations

from agent.wire import Inventory
from appliance.model.network import BackboneLayout, HostNetwork, PortLayout

BACKBONE = "backbone"
"""`PortLayout.user` of a routed link."""
LOOPBACK = "lo"


class Paths(IntEnum):
    """How many ways there are, from worst to best. ``UNKNOWN``: two ports, but nothing is heard of their switches."""

    NONE = 0
    PORT = 1
    SWITCH = 2
    UNKNOWN = 3
    TWO = 4


@dataclass(slots=True)
class Wiring:
    """One machine. ``ends`` is port MAC → what it is plugged into: a switch, or a machine of the backbone."""

    network: HostNetwork
    ends: Mapping[str, frozenset[str]]
    _below: dict[str, tuple[str, ...]] = field(init=False)
    _ports: dict[str, PortLayout] = field(init=False)

    def __post_init__(self) -> None:
        self._ports = {port.name: port for port in self.network.ports}
        self._below = {bond.name: bond.ports for bond in self.network.bonds}
        self._below |= {vlan.name: (vlan.raw,) for vlan in self.network.vlans}
        self._below |= {bridge.name: (bridge.port,) for bridge in self.network.bridges if bridge.port}
        self._below[LOOPBACK] = tuple(port.name for port in self.network.ports if port.user == BACKBONE)

    def ports(self, interface: str) -> frozenset[str]:
        """MACs of the physical ports that an interface goes over."""
        found, todo, seen = set(), [interface], set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self._ports:
                found.add(self._ports[name].mac)
            todo += self._below.get(name, ())
        return frozenset(found)

    def by_network(self) -> dict[str, frozenset[str]]:
        """Network → ports. Bridges without an address are there under their own names: guests use them."""
        table: dict[str, frozenset[str]] = {}
        for address in self.network.addresses:
            table[address.network] = table.get(address.network, frozenset()) | self.ports(address.interface)
        addressed = {address.interface for address in self.network.addresses}
        for bridge in self.network.bridges:
            if bridge.name not in addressed:
                table[bridge.name] = self.ports(bridge.name)
        return table

    def paths(self, ports: Iterable[str]) -> Paths:
        """How independent these ports are. A stack of switches that tells one name is one switch."""
        found = sorted(set(ports))
        if len(found) < 2:
            return Paths.PORT if found else Paths.NONE
        ends = [self.ends.get(mac, frozenset()) for mac in found]
        known = [heard for heard in ends if heard]
        if any(one.isdisjoint(other) for one, other in combinations(known, 2)):
            return Paths.TWO
        return Paths.SWITCH if len(known) == len(ends) else Paths.UNKNOWN


def plugged(inventory: Inventory | None, cables: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """What the ports of one machine are plugged into: planned ``cables`` to other machines, else the switches they hear."""
    ends: dict[str, set[str]] = {}
    for nic in inventory.nics if inventory else ():
        for neighbour in nic.neighbours:
            name = neighbour.system.casefold() or neighbour.chassis.casefold()
            if name:
                ends.setdefault(nic.mac, set()).add(name)
    return {mac: frozenset(found) for mac, found in ends.items()} | {
        mac: frozenset((to,)) for mac, to in cables.items()
    }


def cables_of(backbone: BackboneLayout | None) -> dict[str, dict[str, str]]:
    """Machine → MAC of its port → the machine at the other end of the planned cable."""
    table: dict[str, dict[str, str]] = {}
    for cable in backbone.cables if backbone else ():
        for mine, mac, other in ((cable.a, cable.a_mac, cable.b), (cable.b, cable.b_mac, cable.a)):
            if mac:
                table.setdefault(mine, {})[mac] = other
    return table
