"""The network of one machine: what carries what, and what can't be planned."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

import pytest

from appliance.model.network import (
    BackboneLayout,
    BackboneSpec,
    CableLayout,
    CableState,
    Carrier,
    HostNetwork,
    Network,
    Plane,
    Routing,
    Shape,
)
from appliance.model.site import Site
from appliance.plan.network.addresses import Ladder
from appliance.plan.network.hostnet import host_network, iso_net
from tests.conftest import Golden
from tests.unit.plan.wires import PROVISIONING, candidate, host_text, mac, network, ports, site

MANAGEMENT = network("mgmt", Plane.MANAGEMENT, 2, vlan=2, gateway="10.1.2.1")
LINK0 = network("link0", Plane.COROSYNC, 3, link=0)
LINK1 = network("link1", Plane.COROSYNC, 13, link=1, vlan=13)
PUBLIC = network("public", Plane.STORAGE_PUBLIC, 4, vlan=4, mtu=9000)
CLUSTER = network("cluster", Plane.STORAGE_CLUSTER, 5, vlan=5, mtu=9000)
MIGRATION = network("migration", Plane.MIGRATION, 6, vlan=6)
GUESTS = network("guests", Plane.TENANT, 7, vlan=7)
BONDED = replace(PUBLIC, carrier=Carrier.BOND)
MESHED = replace(PUBLIC, carrier=Carrier.MESH, vlan=None)
MESH = BackboneLayout(
    shape=Shape.MESH,
    routing=Routing.OPENFABRIC,
    bfd=True,
    members=("m-1", "m-2", "m-3"),
    ula="fd12:3456:789a::/48",
    loopbacks="10.1.192.0/18",
)


def lay(described: Site, backbone: BackboneLayout | None = None, **more: Any) -> HostNetwork:
    """Machine m-1, with what the ladder gives it in this site."""
    return host_network(described, candidate(1, ladder=Ladder(described, {}), **more), backbone)


def interfaces(host: HostNetwork) -> dict[str, str]:
    """Network → interface."""
    return {entry.network: entry.interface for entry in host.addresses}


SITES: dict[str, tuple[Site, BackboneLayout | None]] = {
    "one-network": (site(), None),
    "bond-and-vlans": (
        site(MANAGEMENT, LINK0, LINK1, BONDED, CLUSTER, MIGRATION, GUESTS, clusters=("pve1",)),
        None,
    ),
    "ports-without-a-bond": (site(MANAGEMENT, LINK0, replace(PUBLIC, vlan=None), replace(CLUSTER, vlan=None)), None),
    "mesh-of-three": (site(MANAGEMENT, LINK0, MESHED, MIGRATION, GUESTS, clusters=("pve1",)), MESH),
    "fabric-with-bgp": (
        site(LINK0, replace(MESHED, carrier=Carrier.FABRIC, cidr6=IPv6Network("fd12:3456:789a:ff04::/64"))),
        replace(MESH, shape=Shape.FABRIC, routing=Routing.BGP),
    ),
    "dual-stack": (
        site(
            replace(MANAGEMENT, cidr6=IPv6Network("fd00:1::/64"), gateway="fd00:1::1"),
            Network(name="only6", plane=Plane.MIGRATION, cidr6=IPv6Network("fd00:6::/64"), vlan=6),
            provisioning=replace(PROVISIONING, gateway=IPv4Address("10.1.0.1")),
        ),
        None,
    ),
    "mesh-that-is-not-formed": (site(LINK0, MESHED), None),
}


@pytest.mark.parametrize("name", SITES)
def test_layouts(name: str, golden: Golden) -> None:
    described, backbone = SITES[name]
    given = {"cluster": "pve1"} if described.clusters else {}
    machine = candidate(1, ladder=Ladder(described, {}), given=given)
    golden.check(f"network/host-{name}.txt", host_text(host_network(described, machine, backbone)))


@pytest.mark.parametrize("fast", [0, 1])
def test_too_few_ports(fast: int, golden: Golden) -> None:
    """A machine with one or two ports takes what it has, and says what it lacks."""
    described = site(MANAGEMENT, LINK0, LINK1, BONDED, CLUSTER, replace(GUESTS, vlan=None), clusters=("pve1",))
    machine = candidate(1, nics=ports(1, fast, slow=1), ladder=Ladder(described, {}), given={"cluster": "pve1"})
    golden.check(f"network/host-with-{fast + 1}-ports.txt", host_text(host_network(described, machine, None)))


def test_a_machine_without_ports() -> None:
    found = host_network(site(LINK0), candidate(1, nics=()), None)
    assert found == HostNetwork(missing=("its agent reported no port that it can boot from",))


def test_a_bond_is_lacp_with_the_fast_rate_over_all_ports_of_the_role() -> None:
    described = site(replace(LINK0, carrier=Carrier.BOND), BONDED)
    machine = candidate(1, nics=ports(1, fast=4, slow=1), ladder=Ladder(described, {}))
    (bond,) = host_network(described, machine, None).bonds
    assert (bond.name, bond.ports, bond.mode, bond.lacp_rate) == (
        "bond0",
        ("nic1", "nic2", "nic3", "nic4"),
        "802.3ad",
        "fast",
    )


def test_a_bond_that_comes_later_renames_none() -> None:
    """Roles have their own numbers."""
    first = site(replace(PUBLIC, carrier=Carrier.BOND, role="backbone"))
    both = site(*first.networks, replace(LINK0, carrier=Carrier.BOND))
    nics = tuple(replace(nic, max_speed=25000 if index > 2 else 1000) for index, nic in enumerate(ports(1, 5, 0)))
    profile = replace(candidate(1).profile, nics=tuple(replace(rule, count=0) for rule in candidate(1).profile.nics))
    names = [
        [bond.name for bond in host_network(described, candidate(1, nics=nics, profile=profile), None).bonds]
        for described in (first, both)
    ]
    assert names == [["bond0"], ["bond2", "bond0"]]


def test_networks_that_share_a_bond_share_it_all() -> None:
    """Its ports can't carry anything by themselves."""
    assert interfaces(lay(site(BONDED, replace(MIGRATION, vlan=None)))) == {
        "provisioning": "nic0",
        "public": "bond0.4",
        "migration": "bond0",
    }


def test_two_untagged_networks_on_one_interface_are_refused() -> None:
    described = site(*(replace(network, vlan=None, carrier=Carrier.BOND) for network in (PUBLIC, CLUSTER)))
    found = lay(described)
    assert interfaces(found) == {"provisioning": "nic0", "public": "bond0"}
    assert found.missing == (
        "networks 'public' and 'cluster' are both untagged on bond0: give 'cluster' a vlan, or another NIC role",
    )


def test_untagged_networks_take_a_port_each() -> None:
    found = lay(site(PUBLIC, replace(CLUSTER, vlan=None), replace(MIGRATION, vlan=None)))
    assert interfaces(found) == {"provisioning": "nic0", "public": "nic2.4", "cluster": "nic2", "migration": "nic3"}
    assert found.missing == ()


def test_a_small_mtu_cannot_live_untagged_on_a_port_with_a_large_one() -> None:
    found = lay(site(replace(PUBLIC, role="provisioning")))
    assert found.missing == (
        "network 'provisioning' (MTU 1500) is untagged on nic0, which needs MTU 9000 for 'public': give 'provisioning' a "
        "vlan, or 'public' another NIC role",
    )
    bridged = lay(site(replace(PUBLIC, role="provisioning"), clusters=("pve1",)), given={"cluster": "pve1"})
    assert bridged.missing == () and [bridge.mtu for bridge in bridged.bridges] == [1500]


def test_corosync_links_have_a_port_each_or_go_another_way() -> None:
    two = ports(1, slow=3)
    described = site(LINK0, LINK1)
    profile = replace(candidate(1).profile, nics=tuple(replace(rule, count=0) for rule in candidate(1).profile.nics))
    both = host_network(described, candidate(1, nics=two, profile=profile, ladder=Ladder(described, {})), None)
    assert interfaces(both) == {"provisioning": "nic0", "link0": "nic1", "link1": "nic2.13"}
    one = lay(described)
    assert interfaces(one) == {"provisioning": "nic0", "link0": "nic1", "link1": "nic0.13"}
    assert one.missing == (
        "network 'link1' goes over the provisioning port nic0: the port of role cluster has a corosync link already, and "
        "two on one cable fail together",
    )


def test_proxmox_has_its_bridge_on_the_boot_port_or_with_the_guests() -> None:
    plain = lay(site(clusters=("pve1",)), given={"cluster": "pve1"})
    assert [(bridge.name, bridge.port) for bridge in plain.bridges] == [("vmbr0", "nic0")]
    assert interfaces(plain) == {"provisioning": "vmbr0"}
    split = lay(site(GUESTS, clusters=("pve1",)), given={"cluster": "pve1-2"})
    assert [(bridge.name, bridge.port) for bridge in split.bridges] == [("vmbr0", "nic2")]
    assert interfaces(split) == {"provisioning": "nic0"}
    assert lay(site(clusters=("pve1",)), given={"cluster": "pve12"}).bridges == ()


def test_vlans_of_the_host_are_not_on_the_bridge_of_the_guests() -> None:
    found = lay(site(BONDED, GUESTS))
    assert [(vlan.name, vlan.raw) for vlan in found.vlans] == [("bond0.4", "bond0")]
    assert [(bridge.port, bridge.mtu) for bridge in found.bridges] == [("bond0", 1500)]


def test_one_default_route() -> None:
    routed = replace(PROVISIONING, gateway=IPv4Address("10.1.0.1"))
    alone = lay(site(provisioning=routed))
    assert [entry.gateway for entry in alone.addresses] == ["10.1.0.1"]
    managed = lay(site(MANAGEMENT, replace(PUBLIC, gateway="10.1.4.1"), provisioning=routed))
    assert {entry.network: entry.gateway for entry in managed.addresses} == {
        "provisioning": "",
        "mgmt": "10.1.2.1",
        "public": "",
    }


def test_dhcp_where_somebody_else_gives_addresses() -> None:
    found = lay(site(provisioning=replace(PROVISIONING, gateway=IPv4Address("10.1.0.1"))), given={"address": ""})
    assert [(entry.address, entry.gateway) for entry in found.addresses] == [("", "")]


def test_an_address_that_is_not_allocated_is_missing() -> None:
    found = host_network(site(LINK0), candidate(1), None)
    assert found.missing == ("it has no address in network 'link0' yet",)


def test_the_names_of_interfaces_fit() -> None:
    long = tuple((nic.mac, f"storage-port{index:02d}") for index, nic in enumerate(ports(1)))
    described = site(replace(PUBLIC, vlan=4094))
    found = host_network(described, candidate(1, ladder=Ladder(described, {}), given={"nics": long}), None)
    assert [vlan.name for vlan in found.vlans] == ["vlan4094"]
    assert interfaces(found)["public"] == "vlan4094"


# ---------------------------------------------------------------- routed


def test_routed_networks_are_on_the_loopback() -> None:
    found = lay(site(LINK0, MESHED, CLUSTER, MIGRATION), MESH)
    assert interfaces(found) == {
        "provisioning": "nic0",
        "link0": "nic1",
        "public": "lo",
        "cluster": "lo",
        "migration": "lo",
    }
    assert [entry.address for entry in found.addresses if entry.interface == "lo"] == [
        "10.1.4.1/32",
        "10.1.5.1/32",
        "10.1.6.1/32",
    ]
    assert {port.name: (port.user, port.mtu) for port in found.ports}["nic3"] == ("backbone", 9000)


def test_guests_and_corosync_are_not_routed_unasked() -> None:
    found = lay(site(replace(LINK0, role="backbone"), GUESTS, MESHED), MESH)
    assert interfaces(found)["link0"] == "lo"
    assert [bridge.port for bridge in found.bridges] == ["nic0"]
    assert found.missing == (
        "network 'guests' goes over the provisioning port nic0: the ports of role backbone are routed",
    )
    declared = replace(MESH, cables=(CableLayout(a="m-1", b="m-2", a_mac=mac(1, 1)),))
    cabled = lay(site(LINK1, MESHED), declared)
    assert interfaces(cabled)["link1"] == "nic0.13", "its only port is one of the mesh"


def test_a_bond_over_routed_ports_is_told() -> None:
    found = lay(site(MESHED, replace(MIGRATION, carrier=Carrier.BOND)), MESH)
    assert found.missing == ("network 'migration' is routed over the backbone, not carried by a bond",)
    assert found.bonds == ()


def test_an_unexpected_cable_makes_no_port_routed() -> None:
    cable = CableLayout(a="m-1", b="m-2", a_mac=mac(1, 1), state=CableState.UNEXPECTED)
    assert interfaces(lay(site(LINK0, MESHED), replace(MESH, cables=(cable,))))["link0"] == "nic1"


def test_a_switch_routes_nothing() -> None:
    found = lay(site(PUBLIC), BackboneLayout(shape=Shape.SWITCH, routing=Routing.NONE, bfd=False, members=("m-1",)))
    assert (found.router_id, found.net, found.asn) == ("", "", 0)
    assert interfaces(found)["public"] == "nic2.4"


def test_who_is_no_member_has_no_loopback() -> None:
    found = lay(site(MESHED), replace(MESH, members=("m-2", "m-3")))
    assert found.router_id == ""
    assert found.missing == ("network 'public' is carried by a mesh, in which this machine has no part yet",)


def test_what_a_number_stands_for() -> None:
    described = site(MESHED, backbone=BackboneSpec(asn=4_210_000_000))
    bgp = replace(MESH, routing=Routing.BGP)
    found = host_network(described, candidate(1, given={"number": 300}), bgp)
    assert (found.loopback4, found.router_id) == ("10.1.193.44/32", "10.1.193.44")
    assert found.loopback6 == "fd12:3456:789a:12c::1/128", "number 300 is 0x12c: the second /56, its 45th machine"
    assert (found.asn, found.net) == (4_210_000_300, "")


@pytest.mark.parametrize(
    ("number", "pools", "text"),
    [
        (0, {}, "number 0 has no loopback in 10.1.192.0/18: give a larger backbone.loopbacks"),
        (
            255,
            {"loopbacks": "10.9.9.0/24"},
            "number 255 has no loopback in 10.9.9.0/24: give a larger backbone.loopbacks",
        ),
        (9, {"ula": "fd00::/61"}, "number 9 has no /64 in fd00::/61: give a larger backbone.ula"),
        (
            65536,
            {"loopbacks": "10.0.0.0/8"},
            "number 65536 has no /64 in fd12:3456:789a::/48: give a larger backbone.ula",
        ),
    ],
)
def test_numbers_that_do_not_fit(number: int, pools: dict[str, str], text: str) -> None:
    found = host_network(site(), candidate(1, given={"number": number}), replace(MESH, **pools))
    assert found.missing == (text,)


def test_ula_of_another_length() -> None:
    found = host_network(site(), candidate(1, given={"number": 7}), replace(MESH, ula="fd00:0:0:aa00::/56"))
    assert found.loopback6 == "fd00:0:0:aa07::1/128"


def test_net_as_proxmox_makes_it() -> None:
    """proxmox-ve-config's own test: 192.168.2.8."""
    assert iso_net(IPv4Address("192.168.2.8")) == "49.0001.1921.6800.2008.00"


def test_the_order_of_networks_in_the_site_file_does_not_matter() -> None:
    networks = (MANAGEMENT, LINK0, LINK1, BONDED, CLUSTER, MIGRATION, GUESTS)
    one, other = site(*networks, clusters=("pve1",)), site(*reversed(networks), clusters=("pve1",))
    machine = candidate(1, ladder=Ladder(one, {}), given={"cluster": "pve1"})
    assert host_network(one, machine, None) == host_network(other, machine, None)


def test_large_networks_keep_their_prefix() -> None:
    wide = network("public", Plane.STORAGE_PUBLIC, 0, cidr=IPv4Network("10.64.0.0/12"))
    assert lay(site(wide)).addresses[1].address == "10.64.0.1/12"
