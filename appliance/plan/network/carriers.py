"""What carries which network on one machine: a port, a bond of ports, or the routed links of the backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.model.network import ROUTED, Carrier, Network, Plane
from appliance.plan.network.nicroles import carrying_roles
from hwprofiles.profile import NicRoleName

PROVISIONING = NicRoleName.PROVISIONING.value
BOOT_NETWORK = "provisioning"
"""The site file's name of the network in which machines boot."""
LOOPBACK = "lo"
STANDARD_MTU = 1500

BONDS = {
    NicRoleName.BACKBONE.value: "bond0",
    NicRoleName.STORAGE.value: "bond1",
    NicRoleName.CLUSTER.value: "bond2",
    PROVISIONING: "bond3",
}
"""By role, so that a bond that is added later renames none (Proxmox accepts only ``bond`` and a number)."""

_UNROUTED = frozenset({Plane.TENANT, Plane.COROSYNC, Plane.MANAGEMENT})
"""Planes that go over routed links only when the site file says so: guests need layer 2, and corosync must not depend on
a fabric that it helps to configure (`network.md` §1)."""


@dataclass(slots=True, kw_only=True)
class Base:
    """A port or a bond that carries networks. ``user`` is the first network on it, ``untagged`` the one without VLAN,
    ``tagged`` VLAN → MTU, ``largest`` the network that wants ``mtu`` (and likewise for the bridge).

    ``guests``: a tenant network is on it; then, and on Proxmox members, ``bridge`` is a bridge's name. Only what is
    untagged and what guests use goes over the bridge: the host's own VLANs are on the port itself, where no guest can
    tag itself into them."""

    name: str
    ports: tuple[str, ...]
    user: str = ""
    untagged: str = ""
    untagged_mtu: int = STANDARD_MTU
    tagged: dict[int, int] = field(default_factory=dict)
    mtu: int = STANDARD_MTU
    largest: str = ""
    guests: bool = False
    bridge: str = ""
    bridge_mtu: int = STANDARD_MTU
    bridge_largest: str = ""

    def carry(self, network: Network) -> str:
        """Take one more network; a text says why that is not possible."""
        if network.vlan is None:
            if self.untagged:
                return (
                    f"networks '{self.untagged}' and '{network.name}' are both untagged on {self.name}: give "
                    f"'{network.name}' a vlan, or another NIC role"
                )
            self.untagged, self.untagged_mtu = network.name, network.mtu
        elif network.plane is not Plane.TENANT:
            self.tagged[network.vlan] = max(network.mtu, self.tagged.get(network.vlan, 0))
        if network.plane is Plane.TENANT:
            self.guests = True
        if (network.vlan is None or network.plane is Plane.TENANT) and network.mtu > self.bridge_mtu:
            self.bridge_mtu, self.bridge_largest = network.mtu, network.name
        self.user = self.user or network.name
        if network.mtu > self.mtu:
            self.mtu, self.largest = network.mtu, network.name
        return ""


@dataclass(slots=True, kw_only=True)
class Carriers:
    """``by_role`` are names of ports by NIC role, without those that the backbone routes on (``routed``); ``routed_roles``
    are roles of which it has all ports. `place` fills the rest: ``placed`` is what carries a network, by its name (None:
    it is routed, and its address is on the loopback), ``missing`` what could not be planned as the site file wants it."""

    by_role: dict[str, list[str]]
    routed: Sequence[str] = ()
    routed_roles: frozenset[str] = frozenset()
    bases: dict[str, Base] = field(default_factory=dict)
    placed: dict[str, Base | None] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    routed_mtu: int = STANDARD_MTU

    @property
    def boot(self) -> str:
        """The port that the machine boots from."""
        return self.by_role[PROVISIONING][0]

    def place(self, networks: Sequence[Network], proxmox: bool) -> None:
        """Give every network its port, bond, or loopback."""
        boot = self._base(self.boot)
        boot.user = boot.untagged = BOOT_NETWORK
        groups: dict[str, list[Network]] = {}
        for network in networks:
            role = self._role(network)
            if role == LOOPBACK:
                self._route(network)
            elif role:
                groups.setdefault(role, []).append(network)
        back = groups.pop(PROVISIONING, [])
        for role, members in groups.items():
            back += self._spread(role, members)
        self._spread(PROVISIONING, back)
        self._bridge(proxmox)
        self._compare_mtu()

    def _base(self, name: str, ports: tuple[str, ...] = ()) -> Base:
        if name not in self.bases:
            self.bases[name] = Base(name=name, ports=ports or (name,))
        return self.bases[name]

    def _role(self, network: Network) -> str:
        """The role whose ports carry a network; ``lo`` when it is routed, empty when it can't be planned."""
        if network.carrier in ROUTED:
            if self.routed:
                return LOOPBACK
            text = f"network '{network.name}' is carried by a {network.carrier}, in which this machine has no part yet"
            self.missing.append(text)
            return ""
        choices = carrying_roles(network)
        for role in choices:
            if role in self.by_role:
                return role
            asked = bool(network.role) and network.plane is not Plane.TENANT
            if role in self.routed_roles and (asked or network.plane not in _UNROUTED):
                return LOOPBACK
        if choices and (network.plane is not Plane.TENANT or network.role or self.routed):
            taken = [role for role in choices if role in self.routed_roles]
            why = f"the ports of role {taken[0]} are routed" if taken else f"no port has role {' or '.join(choices)}"
            self._falls_back(network, why)
        return PROVISIONING

    def _falls_back(self, network: Network, why: str) -> None:
        self.missing.append(f"network '{network.name}' goes over the provisioning port {self.boot}: {why}")

    def _route(self, network: Network) -> None:
        self.placed[network.name] = None
        self.routed_mtu = max(self.routed_mtu, network.mtu)
        if network.carrier is Carrier.BOND:
            self.missing.append(f"network '{network.name}' is routed over the backbone, not carried by a bond")

    def _spread(self, role: str, networks: list[Network]) -> list[Network]:
        """Put networks on the ports of a role: on a bond of all when one wants a bond, else the untagged ones each on a
        port of its own, then the tagged ones in turn. Gives back corosync links that would share a port with another:
        two links on one cable fail together."""
        ports = self.by_role[role]
        if len(ports) > 1 and any(network.carrier is Carrier.BOND for network in networks):
            for network in networks:
                self._put(network, self._base(BONDS[role], tuple(ports)))
            return []
        back, links = [], 0
        for index, network in enumerate(sorted(networks, key=lambda network: network.vlan is not None)):
            links += network.plane is Plane.COROSYNC
            if network.plane is Plane.COROSYNC and role != PROVISIONING and links > len(ports):
                why = f"port of role {role} has a corosync link"
                if len(ports) > 1:
                    why = f"{len(ports)} ports of role {role} have a corosync link each"
                self._falls_back(network, f"the {why} already, and two on one cable fail together")
                back.append(network)
                continue
            if network.carrier is Carrier.BOND and role in carrying_roles(network):
                text = f"network '{network.name}' wants a bond, but role {role} has one port: it goes over {ports[0]} alone"
                self.missing.append(text)
            self._put(network, self._base(ports[index % len(ports)]))
        return back

    def _put(self, network: Network, base: Base) -> None:
        problem = base.carry(network)
        if problem:
            self.missing.append(problem)
        else:
            self.placed[network.name] = base

    def _bridge(self, proxmox: bool) -> None:
        """Guests are on ``vmbr0``. A Proxmox member without tenant networks has it on the port that it boots from, as
        Proxmox's own installer does."""
        bases = [base for base in self.bases.values() if base.guests]
        if proxmox and not bases:
            bases = [self.bases[self.boot]]
        for index, base in enumerate(bases):
            base.bridge = f"vmbr{index}"

    def _compare_mtu(self) -> None:
        """An untagged network can't have a smaller MTU than the port: its packets would be larger than its switch ports
        let through, which only a ping of exact size shows (`network.md` §8)."""
        for base in self.bases.values():
            name, mtu, largest = base.name, base.mtu, base.largest
            if base.bridge:
                name, mtu, largest = base.bridge, base.bridge_mtu, base.bridge_largest
            if base.untagged and base.untagged_mtu < mtu:
                self.missing.append(
                    f"network '{base.untagged}' (MTU {base.untagged_mtu}) is untagged on {name}, which needs MTU {mtu} "
                    f"for '{largest}': give '{base.untagged}' a vlan, or '{largest}' another NIC role"
                )
