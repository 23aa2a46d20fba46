"""The whole network of one machine: pinned ports, bonds, VLANs, bridges, addresses, and what routes on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from appliance.model.cluster import ClusterKind
from appliance.model.network import (
    AddressLayout,
    BackboneLayout,
    BackboneSpec,
    BondLayout,
    BridgeLayout,
    CableState,
    HostNetwork,
    Network,
    Plane,
    PortLayout,
    Routing,
    Shape,
    VlanLayout,
)
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.network.addresses import IPV6, has_addresses
from appliance.plan.network.carriers import BOOT_NETWORK, LOOPBACK, PROVISIONING, STANDARD_MTU, Base, Carriers
from appliance.plan.network.nicroles import backbone_choices, backbone_ports, nic_roles
from appliance.plan.order import natural

MAX_INTERFACE = 15
"""Letters of an interface's name (IFNAMSIZ less the final zero)."""
LACP = "802.3ad"
BACKBONE = "backbone"
_PLANES = {plane: index for index, plane in enumerate(Plane)}


def host_network(site: Site, candidate: Candidate, backbone: BackboneLayout | None) -> HostNetwork:
    """One machine. For many machines make one `Wiring` and ask that."""
    return Wiring(site, backbone).network(candidate)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """Addresses of one network and family: the key in `Allocation.addresses`, ``/24``, the default router if it is one."""

    key: str
    prefix: str
    single: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Routes:
    """The fields of `HostNetwork` with these names."""

    loopback4: str = ""
    loopback6: str = ""
    router_id: str = ""
    net: str = ""
    asn: int = 0


UNROUTED = _Routes()

_Port = tuple[str, str, bool]
"""Its pinned name, its role, and whether the backbone routes on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an address of a network goes. ``key`` is its name among the machine's addresses."""

    network: str
    plane: Plane
    interface: str
    key: str
    suffix: str
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """What machines have in common whose ports are alike. ``users`` are ``user`` and MTU of each port, in order, ``boot``
    is the interface with the address that they booted from."""

    users: tuple[tuple[str, int], ...]
    bonds: tuple[BondLayout, ...]
    vlans: tuple[VlanLayout, ...]
    bridges: tuple[BridgeLayout, ...]
    boot: str
    places: tuple[_Place, ...]
    missing: tuple[str, ...]


class Wiring:
    """What is the same for all machines of a site, prepared once."""

    def __init__(self, site: Site, backbone: BackboneLayout | None) -> None:
        self.site = site
        self.asn = (site.backbone or BackboneSpec()).asn
        self.networks = sorted(
            (network for network in site.networks if network.plane is not Plane.PROVISIONING),
            key=lambda network: (_PLANES[network.plane], network.link or 0, natural(network.name)),
        )
        self.families = {network.name: tuple(_families(network)) for network in self.networks}
        routers = [entry.gateway for entries in self.families.values() for entry in entries if entry.single == "/32"]
        self.gateway = "" if any(routers) else str(site.provisioning.gateway or "")
        self.prefix = f"/{site.provisioning.cidr.prefixlen}"
        self.choices = backbone_choices(site)
        self.routing = backbone.routing if backbone is not None else Routing.NONE
        self.patterns: dict[tuple[tuple[_Port, ...], frozenset[Plane], bool], _Pattern] = {}
        self.members: frozenset[str] = frozenset()
        self.cabled: dict[str, set[str]] = {}
        self.loopbacks: IPv4Network | None = None
        self.ula: IPv6Network | None = None
        self.ula48 = ""
        if backbone is not None and backbone.shape not in (Shape.SWITCH, Shape.NONE):
            self._join(backbone)

    def _join(self, backbone: BackboneLayout) -> None:
        self.members = frozenset(backbone.members)
        self.loopbacks = IPv4Network(backbone.loopbacks) if backbone.loopbacks else None
        self.ula = IPv6Network(backbone.ula) if backbone.ula else None
        if self.ula is not None and self.ula.prefixlen == 48:
            groups = self.ula.network_address.exploded.split(":")[:3]
            self.ula48 = "".join(f"{int(group, 16):x}:" for group in groups)
        for cable in backbone.cables:
            if cable.state is not CableState.UNEXPECTED:
                for who, mac in ((cable.a, cable.a_mac), (cable.b, cable.b_mac)):
                    if mac:
                        self.cabled.setdefault(who, set()).add(mac)

    def network(self, candidate: Candidate) -> HostNetwork:
        """Everything about one machine's network. What can't be planned is in ``missing``."""
        names = dict(candidate.given.nics)
        roles = nic_roles(candidate)
        if PROVISIONING not in roles.values():
            bare = tuple(PortLayout(mac=mac, name=names[mac], role=role) for mac, role in roles.items())
            return HostNetwork(ports=bare, missing=("its agent reported no port that it can boot from",))
        pattern = self._pattern(candidate, self._ports(candidate.id, roles, names))
        missing = list(pattern.missing)
        addresses = self._addresses(candidate, pattern, missing)
        routes = self._routes(candidate, missing)
        return HostNetwork(
            ports=tuple(
                PortLayout(mac=mac, name=names[mac], role=role, user=user, mtu=mtu)
                for (mac, role), (user, mtu) in zip(roles.items(), pattern.users, strict=True)
            ),
            bonds=pattern.bonds,
            vlans=pattern.vlans,
            bridges=pattern.bridges,
            addresses=addresses,
            loopback4=routes.loopback4,
            loopback6=routes.loopback6,
            router_id=routes.router_id,
            net=routes.net,
            asn=routes.asn,
            missing=tuple(missing),
        )

    def _ports(self, who: str, roles: Mapping[str, str], names: Mapping[str, str]) -> tuple[_Port, ...]:
        routed: set[str] = set()
        if who in self.members:
            routed = {*backbone_ports(self.choices, roles), *self.cabled.get(who, ())}
        return tuple((names[mac], role, mac in routed and role != PROVISIONING) for mac, role in roles.items())

    def _pattern(self, candidate: Candidate, ports: tuple[_Port, ...]) -> _Pattern:
        """Machines whose ports have the same names and roles, and which are in the same planes, get the same answer, made
        once."""
        proxmox = self._proxmox(candidate.given.cluster)
        key = ports, candidate.planes, proxmox
        found = self.patterns.get(key)
        if found is None:
            networks = [network for network in self.networks if network.plane in candidate.planes]
            carriers = _carriers(ports)
            carriers.place(networks, proxmox)
            found = self.patterns[key] = self._lay_out(ports, carriers)
        return found

    def _lay_out(self, ports: tuple[_Port, ...], carriers: Carriers) -> _Pattern:
        bases = carriers.bases.values()
        boot = carriers.bases[carriers.boot]
        return _Pattern(
            users=_users(ports, carriers),
            bonds=tuple(
                BondLayout(name=base.name, ports=base.ports, mode=LACP, lacp_rate="fast", mtu=base.mtu)
                for base in bases
                if base.ports != (base.name,)
            ),
            vlans=tuple(
                VlanLayout(name=_vlan(base, vlan), raw=base.name, vlan=vlan, mtu=mtu)
                for base in bases
                for vlan, mtu in base.tagged.items()
            ),
            bridges=tuple(
                BridgeLayout(name=base.bridge, port=base.name, mtu=base.bridge_mtu) for base in bases if base.bridge
            ),
            boot=boot.bridge or boot.name,
            places=tuple(
                _Place(
                    network=network.name,
                    plane=network.plane,
                    interface=_interface(network, base),
                    key=family.key,
                    suffix=family.prefix if base is not None else family.single,
                    gateway=family.gateway if base is not None else "",
                )
                for network in self.networks
                if network.name in carriers.placed
                for base in (carriers.placed[network.name],)
                for family in self.families[network.name]
            ),
            missing=tuple(carriers.missing),
        )

    def _proxmox(self, cluster: str) -> bool:
        """Whether a planned cluster (``pve1``, or ``pve1-2`` where it was split) is one of Proxmox."""
        return bool(cluster) and any(
            spec.kind is ClusterKind.PROXMOX and (cluster == spec.name or cluster.startswith(f"{spec.name}-"))
            for spec in self.site.clusters
        )

    def _addresses(self, candidate: Candidate, pattern: _Pattern, missing: list[str]) -> tuple[AddressLayout, ...]:
        """The provisioning network's first, then in the order of planes."""
        found = [
            AddressLayout(
                network=BOOT_NETWORK,
                plane=Plane.PROVISIONING,
                interface=pattern.boot,
                address=candidate.given.address + self.prefix if candidate.given.address else "",
                gateway=self.gateway if candidate.given.address else "",
            )
        ]
        given = dict(candidate.given.addresses)
        for place in pattern.places:
            address = given.get(place.key, "")
            if not address:
                missing.append(f"it has no address in network '{place.network}' yet")
                continue
            found.append(
                AddressLayout(
                    network=place.network,
                    plane=place.plane,
                    interface=place.interface,
                    address=address + place.suffix,
                    gateway=place.gateway,
                )
            )
        return tuple(found)

    def _routes(self, candidate: Candidate, missing: list[str]) -> _Routes:
        """What a machine of a routed backbone has; nothing for the others."""
        if self.routing is Routing.NONE or candidate.id not in self.members or self.loopbacks is None:
            return UNROUTED
        number = candidate.given.number
        if not 0 < number < self.loopbacks.num_addresses - 1:
            missing.append(f"number {number} has no loopback in {self.loopbacks}: give a larger backbone.loopbacks")
            return UNROUTED
        loopback = IPv4Address(int(self.loopbacks.network_address) + number)
        return _Routes(
            loopback4=f"{loopback}/32",
            loopback6=self._loopback6(number, missing),
            router_id=str(loopback),
            net=iso_net(loopback) if self.routing is Routing.OPENFABRIC else "",
            asn=self.asn + number if self.routing is Routing.BGP else 0,
        )

    def _loopback6(self, number: int, missing: list[str]) -> str:
        """The first address of the machine's /64: site /48, then 16 bits of which the upper 8 make a /56 for every 256
        machines."""
        ula = self.ula
        if ula is None:
            return ""
        if self.ula48 and number < 1 << 16:
            return f"{self.ula48}{number:x}::1/128"
        if number >= 1 << max(0, 64 - ula.prefixlen):
            missing.append(f"number {number} has no /64 in {ula}: give a larger backbone.ula")
            return ""
        return f"{IPv6Address(int(ula.network_address) + (number << 64) + 1)}/128"


def iso_net(loopback: IPv4Address) -> str:
    """The IS-IS network entity title that people derive from an address: area 49.0001, the digits of the four numbers
    with leading zeros as system id, selector 00. 192.168.2.8 is 49.0001.1921.6800.2008.00, as in Proxmox's fabrics."""
    digits = "".join(f"{int(part):03d}" for part in str(loopback).split("."))
    return f"49.0001.{digits[:4]}.{digits[4:8]}.{digits[8:]}.00"


def _families(network: Network) -> Iterator[_Family]:
    """None for networks in which machines have no addresses. Only the management plane's gateway is a default route."""
    if not has_addresses(network):
        return
    gateway = network.gateway if network.plane is Plane.MANAGEMENT else ""
    if network.cidr is not None:
        router = gateway if ":" not in gateway else ""
        yield _Family(key=network.name, prefix=f"/{network.cidr.prefixlen}", single="/32", gateway=router)
    if network.cidr6 is not None:
        router = gateway if ":" in gateway else ""
        yield _Family(key=network.name + IPV6, prefix=f"/{network.cidr6.prefixlen}", single="/128", gateway=router)


def _carriers(ports: Iterable[_Port]) -> Carriers:
    by_role: dict[str, list[str]] = {}
    links = []
    for name, role, routed in ports:
        if routed:
            links.append((name, role))
        elif role:
            by_role.setdefault(role, []).append(name)
    used = frozenset(role for _, role in links) - by_role.keys()
    return Carriers(by_role=by_role, routed=tuple(name for name, _ in links), routed_roles=used)


def _users(ports: Iterable[_Port], carriers: Carriers) -> tuple[tuple[str, int], ...]:
    users: dict[str, tuple[str, int]] = dict.fromkeys(carriers.routed, (BACKBONE, carriers.routed_mtu))
    for base in carriers.bases.values():
        bonded = base.ports != (base.name,)
        user = base.name if bonded else base.bridge or base.user
        users.update(dict.fromkeys(base.ports, (user, base.mtu)))
    return tuple(users.get(name, ("", STANDARD_MTU)) for name, _, _ in ports)


def _interface(network: Network, base: Base | None) -> str:
    if base is None:
        return LOOPBACK
    return base.bridge or base.name if network.vlan is None else _vlan(base, network.vlan)


def _vlan(base: Base, vlan: int) -> str:
    """``nic2.20``; ``vlan20`` where that is too long for an interface."""
    name = f"{base.name}.{vlan}"
    return name if len(name) <= MAX_INTERFACE else f"vlan{vlan}"
