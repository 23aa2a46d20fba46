"""Networks of a site as they should be, and what every machine gets of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network


class Plane(StrEnum):
    """What a network is for. A site has at most one of each, but several ``corosync`` and ``tenant`` networks."""

    PROVISIONING = "provisioning"
    MANAGEMENT = "management"
    COROSYNC = "corosync"
    STORAGE_PUBLIC = "storage-public"
    STORAGE_CLUSTER = "storage-cluster"
    MIGRATION = "migration"
    TENANT = "tenant"


STORAGE_PLANES = frozenset({Plane.STORAGE_PUBLIC, Plane.STORAGE_CLUSTER})


class Carrier(StrEnum):
    """What carries a network: one port, a bond (LACP) of the role's ports, or links from machine to machine without a
    switch (every pair in a ``mesh``, neighbours in a ``ring``), or a routed leaf-spine ``fabric``."""

    PORT = "port"
    BOND = "bond"
    MESH = "mesh"
    RING = "ring"
    FABRIC = "fabric"


ROUTED = frozenset({Carrier.MESH, Carrier.RING, Carrier.FABRIC})


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network other than the provisioning one. ``role`` is the NIC role of hardware profiles whose ports carry it
    (empty: by plane). ``link`` is the corosync link number (only plane corosync), ``mtu`` in bytes. At least one of
    ``cidr`` and ``cidr6`` is given. ``gateway`` is handed to machines as their default route (management only)."""

    name: str
    plane: Plane
    cidr: IPv4Network | None = None
    cidr6: IPv6Network | None = None
    vlan: int | None = None
    mtu: int = 1500
    carrier: Carrier = Carrier.PORT
    role: str = ""
    link: int | None = None
    gateway: str = ""


class Shape(StrEnum):
    """How the backbone is cabled."""

    AUTO = "auto"
    NONE = "none"
    SWITCH = "switch"
    MESH = "mesh"
    RING = "ring"
    FABRIC = "fabric"


class Routing(StrEnum):
    """What routes on a switchless backbone or a fabric. `network.md` §4: OpenFabric for meshes of 3 to 5, BGP unnumbered
    for rings and leaf-spine."""

    AUTO = "auto"
    NONE = "none"
    OPENFABRIC = "openfabric"
    BGP = "bgp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """One declared cable, ``a`` to ``b``: machine (or switch) names with the port's name or MAC, empty when any will do."""

    a: str
    b: str
    a_port: str = ""
    b_port: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """The backbone that the site file wants. Empty ``ula`` and ``loopbacks`` mean the defaults of the address ladder
    (`network.md` §3). ``asn`` is the base of the private AS numbers."""

    shape: Shape = Shape.AUTO
    routing: Routing = Routing.AUTO
    ula: IPv6Network | None = None
    loopbacks: IPv4Network | None = None
    asn: int = 4_200_000_000
    cables: tuple[Cable, ...] = ()


# ---------------------------------------------------------------- what is planned


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLayout:
    """A physical port by permanent MAC, its pinned name, its role (NIC role or empty), and what uses it (a bond's or
    bridge's name, a network, ``backbone`` for a routed link without an address, or empty: unused)."""

    mac: str
    name: str
    role: str = ""
    user: str = ""
    mtu: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class BondLayout:
    """``mode`` is ifupdown2's word (``802.3ad`` always with ``lacp_rate`` fast, or ``active-backup``)."""

    name: str
    ports: tuple[str, ...]
    mode: str
    lacp_rate: str = ""
    mtu: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class VlanLayout:
    """A tagged interface ``name`` (``bond0.20``) on ``raw``."""

    name: str
    raw: str
    vlan: int
    mtu: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLayout:
    """A bridge for guests on ``port`` (a port, bond or VLAN interface)."""

    name: str
    port: str
    vlan_aware: bool = True
    mtu: int = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressLayout:
    """One address in CIDR notation on ``interface`` (``lo`` for a routed network); ``network`` is the site file's name of
    it. Only the provisioning network's address may be empty: then it comes by DHCP."""

    network: str
    plane: Plane
    interface: str
    address: str
    gateway: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNetwork:
    """Everything about the network of one machine. ``loopback4``/``loopback6`` are CIDR (``/32``, ``/128``) or empty,
    ``net`` the IS-IS NET derived from the loopback, ``asn`` 0 without BGP. ``missing`` names what could not be planned
    (a role without enough ports), one sentence each."""

    ports: tuple[PortLayout, ...] = ()
    bonds: tuple[BondLayout, ...] = ()
    vlans: tuple[VlanLayout, ...] = ()
    bridges: tuple[BridgeLayout, ...] = ()
    addresses: tuple[AddressLayout, ...] = ()
    loopback4: str = ""
    loopback6: str = ""
    router_id: str = ""
    net: str = ""
    asn: int = 0
    missing: tuple[str, ...] = ()


class CableState(StrEnum):
    """Declared against heard (LLDP): as declared, heard on another port, heard from one side, not heard, not declared."""

    OK = "ok"
    SWAPPED = "swapped"
    ONE_WAY = "one-way"
    MISSING = "missing"
    UNEXPECTED = "unexpected"


@dataclass(frozen=True, slots=True, kw_only=True)
class CableLayout:
    """One link of the backbone between two machines (ids), by their ports' MACs; a MAC is empty while it is not known."""

    a: str
    b: str
    a_mac: str = ""
    b_mac: str = ""
    state: CableState = CableState.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneLayout:
    """``members`` are machine ids. ``why`` says how the shape was decided."""

    shape: Shape
    routing: Routing
    bfd: bool
    members: tuple[str, ...]
    cables: tuple[CableLayout, ...] = ()
    ula: str = ""
    loopbacks: str = ""
    why: str = ""
