"""What is built on what in the network of one machine."""

from __future__ import annotations

from functools import cached_property

from appliance.model.network import BondLayout, HostNetwork

LOCAL = frozenset({"lo"})
"""Interfaces that every machine has."""


class Links:
    """Bridges stand on ports, bonds or VLANs, VLANs on ports, bonds or bridges, bonds on ports."""

    def __init__(self, network: HostNetwork) -> None:
        self.network = network

    @cached_property
    def below(self) -> dict[str, tuple[str, ...]]:
        """What each interface stands on directly; nothing for ports."""
        table: dict[str, tuple[str, ...]] = {port.name: () for port in self.network.ports}
        table |= {bond.name: bond.ports for bond in self.network.bonds}
        table |= {vlan.name: (vlan.raw,) for vlan in self.network.vlans}
        table |= {bridge.name: (bridge.port,) if bridge.port else () for bridge in self.network.bridges}
        return table

    @cached_property
    def mtus(self) -> dict[str, int]:
        """MTU by interface."""
        table = {port.name: port.mtu for port in self.network.ports}
        table |= {bond.name: bond.mtu for bond in self.network.bonds}
        table |= {vlan.name: vlan.mtu for vlan in self.network.vlans}
        return {**table, **{bridge.name: bridge.mtu for bridge in self.network.bridges}}

    @cached_property
    def bonds(self) -> dict[str, BondLayout]:
        """Bonds by name."""
        return {bond.name: bond for bond in self.network.bonds}

    @cached_property
    def macs(self) -> dict[str, str]:
        """MAC by the port's name."""
        return {port.name: port.mac for port in self.network.ports}

    def stack(self, interface: str) -> frozenset[str]:
        """The interface and everything below it."""
        seen: set[str] = set()
        waiting = [interface]
        while waiting:
            name = waiting.pop()
            if name not in seen and name in self.below:
                seen.add(name)
                waiting += self.below[name]
        return frozenset(seen)

    def ports(self, interface: str) -> frozenset[str]:
        """The physical ports below an interface."""
        return frozenset(name for name in self.stack(interface) if name in self.macs)

    def untagged(self, interface: str) -> frozenset[str]:
        """The physical ports below an interface that it reaches without a VLAN."""
        tagged = {vlan.name for vlan in self.network.vlans}
        seen: set[str] = set()
        waiting = [interface]
        while waiting:
            name = waiting.pop()
            if name not in seen and name in self.below and name not in tagged:
                seen.add(name)
                waiting += self.below[name]
        return frozenset(name for name in seen if name in self.macs)

    def __contains__(self, interface: str) -> bool:
        return interface in self.below or interface in LOCAL or interface.startswith("dummy")
