"""Addresses, interfaces, networks and the backbone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from appliance.model.network import (
    AddressLayout,
    BackboneLayout,
    BondLayout,
    BridgeLayout,
    CableLayout,
    CableState,
    Carrier,
    Network,
    Plane,
    PortLayout,
    Routing,
    Shape,
    VlanLayout,
)
from tests.unit.plan.lintcases.case import case
from tests.unit.plan.lintcases.sane import Sane, mac, who


def address(network: str, text: str, number: int = 1) -> Any:
    """Another address of a machine."""
    return lambda s: s.part(number, "addresses", network, address=text)


def more(s: Sane, number: int, kind: str, *parts: Any) -> None:
    """Additional parts of a machine's network."""
    before = getattr(s.plan.desired.nodes[number - 1].network, kind)
    s.host(number, **{kind: (*before, *parts)})


def allocated(s: Sane, index: int, **facts: Any) -> None:
    changed = (replace(a, **facts) if n == index else a for n, a in enumerate(s.plan.allocations))
    s.plan = replace(s.plan, allocations=tuple(changed))


def net(name: str, plane: Plane, cidr: str, **facts: Any) -> Network:
    return Network(name=name, plane=plane, cidr=IPv4Network(cidr), **facts)


def networks(s: Sane, *others: Network) -> None:
    s.of_site(networks=(*s.site.networks, *others))


# ---------------------------------------------------------------- addresses

case("address-in-pool", address("provisioning", "10.20.0.100/24"), lambda s: allocated(s, 0, address="10.20.0.199"))
case("planned-address-twice", address("public", "10.1.30.2/24"))
case(
    "planned-address-outside",
    *(address("public", text) for text in ("10.9.30.1/24", "10.1.30.1/25", "10.1.30.1/32", "10.1.30.0/24", "nonsense")),
    *(address("public", text) for text in ("10.1.30.255/24", "fd00::1/64", "10.1.30.1")),
)
case(
    "planned-address-reserved",
    address("provisioning", "10.20.0.1/24"),
    address("management", "10.1.10.254/24"),
)
case(
    "address-network-unknown",
    lambda s: s.part(1, "addresses", "ring0", plane=Plane.MANAGEMENT),
    lambda s: more(
        s, 1, "addresses", AddressLayout(network="x", plane=Plane.TENANT, interface="nic1", address="10.7.0.1/24")
    ),
)
case("address-without-interface", lambda s: s.part(1, "addresses", "public", interface="bond7"))
case("default-routes", lambda s: s.part(1, "addresses", "ring0", gateway="10.1.20.254"))
case(
    "loopback-twice",
    lambda s: s.host(1, loopback4="10.1.255.2/32"),
    lambda s: [s.host(number, loopback6="fd00::1/128") for number in (1, 2)],
    lambda s: s.host(1, router_id="10.1.255.2"),
    lambda s: s.host(1, net="49.0001.0100.0125.5002.00"),
)
case("asn-twice", lambda s: s.host(1, asn=4_200_001_002), lambda s: s.host(1, asn=64511))

# ---------------------------------------------------------------- interfaces


def rename_port(s: Sane) -> None:
    """A port that nothing uses gets a name that is too long."""
    more(s, 1, "bonds", BondLayout(name="bond1", ports=("bond-with-a-long-name",), mode="active-backup"))


case(
    "interface-name",
    lambda s: more(s, 1, "vlans", VlanLayout(name="a-name-of-16-let", raw="bond0", vlan=99)),
    lambda s: more(s, 1, "vlans", VlanLayout(name="eth 0", raw="bond0", vlan=99)),
    lambda s: more(s, 1, "bridges", BridgeLayout(name="vmbr0", port="")),
)
case("port-unknown", lambda s: more(s, 1, "ports", PortLayout(mac="3c:ec:ef:99:99:99", name="nic9")))
case("port-unknown", lambda s: more(s, 1, "ports", PortLayout(mac=mac(1, 1), name="nic1b")), also="pinned-name-changes")
case("pinned-name-changes", lambda s: allocated(s, 0, nics=((mac(1, 0), "nic4"),)))
case(
    "port-used-twice",
    lambda s: more(s, 1, "bonds", BondLayout(name="bond1", ports=("nic1", "nic3"), mode="active-backup")),
    lambda s: more(s, 1, "bridges", BridgeLayout(name="vmbr1", port="bond0")),
    lambda s: more(s, 1, "vlans", VlanLayout(name="nic2.77", raw="nic2", vlan=77)),
    lambda s: more(s, 1, "bridges", BridgeLayout(name="vmbr1", port="nic1")),
)
case("interface-on-nothing", lambda s: more(s, 1, "vlans", VlanLayout(name="x.5", raw="x", vlan=5)))
case("interface-on-nothing", lambda s: more(s, 1, "bonds", BondLayout(name="bond1", ports=(), mode="802.3ad")))
case("interface-on-nothing", lambda s: more(s, 1, "bridges", BridgeLayout(name="vmbr1", port="bond3")))
case(
    "vlan-wrong",
    lambda s: more(s, 1, "vlans", VlanLayout(name="bond0.x", raw="bond0", vlan=4095)),
    lambda s: more(s, 1, "vlans", VlanLayout(name="again", raw="bond0", vlan=30)),
)
case("mtu-of-parent", lambda s: s.part(1, "bonds", "bond0", mtu=1500))
case(
    "mtu-below-network",
    lambda s: s.everywhere(lambda n: replace(n, vlans=tuple(replace(v, mtu=1500) for v in n.vlans))),
)
case(
    "network-on-two-interfaces",
    lambda s: more(
        s,
        1,
        "addresses",
        AddressLayout(network="ring0", plane=Plane.COROSYNC, interface="vmbr0", address="10.1.20.101/24"),
    ),
    also="corosync-shares-port",
)
case("bond-of-one", lambda s: s.part(1, "bonds", "bond0", ports=("nic2",)))
case("network-incomplete", lambda s: s.host(1, missing=("role storage wants 2 ports, 1 is there",)))

# ---------------------------------------------------------------- networks

case("networks-overlap", lambda s: networks(s, net("guests", Plane.TENANT, "10.1.0.0/19")))
case("networks-overlap", lambda s: networks(s, net("guests", Plane.TENANT, "10.1.30.128/25")))
case("plane-twice", lambda s: networks(s, net("management2", Plane.MANAGEMENT, "10.1.50.0/24")))
case("vlan-of-two-networks", lambda s: networks(s, net("guests", Plane.TENANT, "10.1.50.0/24", vlan=30)))
case(
    "gateway-outside",
    lambda s: networks(s, net("guests", Plane.TENANT, "10.1.50.0/24", gateway="10.1.51.1")),
    lambda s: networks(
        s, Network(name="guests", plane=Plane.TENANT, cidr6=IPv6Network("fd00:5::/64"), gateway="10.1.51.1")
    ),
)
case("guests-on-provisioning", lambda s: s.part(1, "bridges", "vmbr0", port="nic0"), also="port-used-twice")
case("link-number-twice", lambda s: networks(s, net("ring1", Plane.COROSYNC, "10.1.21.0/24", link=0)))
case("link-number-twice", lambda s: networks(s, net("ring1", Plane.COROSYNC, "10.1.21.0/24", link=8)))

# ---------------------------------------------------------------- backbone


def cable(a: int, b: int, **facts: Any) -> CableLayout:
    return CableLayout(a=who(a), b=who(b), **facts)


def backbone(shape: Shape, count: int, *cables: CableLayout, **facts: Any) -> Any:
    """A backbone of the first machines."""
    members = tuple(who(number) for number in range(1, count + 1))
    known: dict[str, Any] = {"shape": shape, "routing": Routing.NONE, "bfd": True, "members": members, "cables": cables}
    layout = BackboneLayout(**{**known, **facts})
    return lambda s: s.change(backbone=layout)


TRIANGLE = (cable(1, 2), cable(2, 3), cable(3, 1))
RING = (*TRIANGLE[:2], cable(3, 4), cable(4, 1))

case(
    "backbone-member-unknown",
    backbone(Shape.SWITCH, 9),
    backbone(Shape.SWITCH, 3, members=("m-1", "m-1")),
    backbone(Shape.SWITCH, 3, cable(1, 44)),
)
case(
    "cable-port-twice",
    backbone(Shape.SWITCH, 3, cable(1, 1)),
    backbone(Shape.SWITCH, 3, cable(1, 2, a_mac="x"), cable(2, 3, b_mac="x")),
)
MESH_BY_FABRIC = backbone(Shape.MESH, 3, *TRIANGLE, routing=Routing.OPENFABRIC)
RING_BY_BGP = backbone(Shape.RING, 4, *RING, routing=Routing.BGP)
case(
    "routing-without-identity",
    lambda s: (MESH_BY_FABRIC(s), s.host(1, net="")),
    lambda s: (MESH_BY_FABRIC(s), s.host(1, router_id="")),
    lambda s: (MESH_BY_FABRIC(s), s.host(1, loopback4="")),
    lambda s: (RING_BY_BGP(s), s.host(1, asn=0)),
)
case(
    "backbone-incomplete",
    backbone(Shape.MESH, 3, *TRIANGLE[:2]),
    backbone(Shape.RING, 4, *RING[:3]),
    backbone(Shape.RING, 4, *RING, cable(1, 3)),
)
case("cable-not-as-declared", backbone(Shape.MESH, 3, *TRIANGLE, cable(1, 2, state=CableState.SWAPPED)))
case(
    "routing-unlike-shape",
    backbone(Shape.RING, 4, *RING, routing=Routing.OPENFABRIC),
    backbone(Shape.RING, 4, *RING, routing=Routing.BGP, bfd=False),
    backbone(Shape.MESH, 6, *(cable(a, b) for a in range(1, 7) for b in range(1, a)), routing=Routing.BGP),
)
case("backbone-split", backbone(Shape.MESH, 4, cable(1, 2), cable(3, 4)), also="backbone-incomplete")

# ---------------------------------------------------------------- Ceph's networks

case("ceph-network-unknown", lambda s: s.of_ceph(cluster="nowhere"))
case(
    "ceph-not-connected",
    *(
        lambda s, name=name: s.host(
            1,
            addresses=tuple(a for a in s.plan.desired.nodes[0].network.addresses if a.network != name),
        )
        for name in ("public", "copies")
    ),
)
case("ceph-off-storage", lambda s: s.of_ceph(public="management"), also="storage-slow")
case("no-cluster-network", lambda s: s.of_ceph(cluster=""), lambda s: s.of_ceph(cluster="public"))


def speeds(s: Sane, *mbits: int | None) -> None:
    inventory = s.machines[1].inventory
    assert inventory is not None
    s.observe(1, nics=tuple(replace(nic, speed=speed) for nic, speed in zip(inventory.nics, mbits, strict=True)))


case("storage-slow", lambda s: speeds(s, 1000, 1000, 10_000, 10_000), lambda s: speeds(s, None, None, 1000, 10))
case("storage-mtu-mixed", lambda s: s.part(1, "vlans", "bond0.31", mtu=1500), also="mtu-below-network")
case("storage-mtu-small", lambda s: s.network("copies", mtu=1500))


def ring_on_a_fabric(s: Sane) -> None:
    s.network("ring0", carrier=Carrier.MESH)


case("corosync-on-fabric", ring_on_a_fabric)
