"""What a site survives, tier by tier. The golden files are the reports as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from appliance.model.availability import TIERS, Availability, Tier
from appliance.model.ceph import CephLayout, CephSpec, PoolLayout, PoolSpec, Service
from appliance.model.cluster import ClusterSpec
from appliance.model.network import (
    AddressLayout,
    BackboneLayout,
    BridgeLayout,
    CableLayout,
    HostNetwork,
    Network,
    Plane,
    PortLayout,
    Routing,
    Shape,
    VlanLayout,
)
from appliance.model.place import Level, Place, Rack
from appliance.model.plan import Desired
from appliance.model.site import Site
from appliance.plan.availability.paths import Paths, Wiring
from appliance.plan.availability.survival import Ground
from appliance.plan.candidate import Candidate
from tests.conftest import Golden
from tests.unit.plan.floor import PI, machine, machines, racks, site
from tests.unit.plan.layouts import bonded, cabled, ceph, coded, desired, osds, pool, report, single, text

PVE = ClusterSpec(name="pve")
PLANES = (
    Network(name="ring0", plane=Plane.COROSYNC, link=0),
    Network(name="ring1", plane=Plane.COROSYNC, link=1),
    Network(name="mgmt", plane=Plane.MANAGEMENT),
    Network(name="storage", plane=Plane.STORAGE_PUBLIC),
)
TWO_SWITCHES = {"nic0": "sw-a", "nic1": "sw-b", "nic2": "sw-a", "nic3": "sw-b"}


class Hall:
    """A site with machines; each test spoils or mends one thing."""

    def __init__(
        self, where: Site, found: Sequence[Candidate], pools: Sequence[PoolLayout] = (), **fields: Any
    ) -> None:
        self.site, self.found, self.pools, self.fields = where, list(found), list(pools), fields

    def wire(self, switches: dict[str, str] | None = None) -> Hall:
        self.found = [cabled(one, switches or TWO_SWITCHES) for one in self.found]
        return self

    def layout(self) -> CephLayout | None:
        return ceph(self.site, self.found, self.pools, **self.fields)[0] if self.pools else None

    def desired(self, *, bonds: bool = True, backbone: BackboneLayout | None = None) -> Desired:
        known = {network.name for network in self.site.networks}
        networks = {one.id: bonded(one, known) if bonds else single(one) for one in self.found}
        return desired(self.site, self.found, networks, self.layout(), backbone)

    def report(self, *, bonds: bool = True) -> Availability:
        return report(self.site, self.desired(bonds=bonds), self.found)


def good(number: int = 8, hosts: int = 8, pools: Sequence[PoolLayout] | None = None, **fields: Any) -> Hall:
    """Eight hosts in four racks with two feeds, two corosync links, bonds to two switches."""
    hall = racks(4)
    where = site(racks=hall, networks=PLANES, clusters=(PVE,), ceph=CephSpec(), **fields)
    return Hall(where, machines(number, hall), [pool("rbd", Level.HOST, hosts)] if pools is None else pools).wire()


def survives(found: Availability, service: str) -> str:
    return next(row.survives for row in found.services if row.service == service)


def gaps(found: Availability, tier: Tier) -> list[str]:
    return [gap.text for gap in found.gaps if gap.tier is tier]


# ---------------------------------------------------------------- golden reports


def three_hosts_one_port() -> Hall:
    where = site(racks=racks(1, power="a"), clusters=(PVE,), ceph=CephSpec(), availability=Tier.III)
    return Hall(where, machines(3, where.racks), [pool("rbd", Level.HOST, 3)])


def two_nodes_and_the_appliance() -> Hall:
    return Hall(site(clusters=(PVE,)), machines(2))


def two_nodes_without_arbiter() -> Hall:
    return Hall(site(clusters=(ClusterSpec(name="pve", arbiter="none"),)), machines(2))


def one_node() -> Hall:
    where = site(clusters=(PVE,), ceph=CephSpec())
    return Hall(where, machines(1), [pool("rbd", Level.HOST, 1, per_domain=3)])


def no_cluster() -> Hall:
    return Hall(site(), machines(2))


def a_pi_in_a_third_rack() -> Hall:
    hall = racks(3)
    where = site(racks=hall, networks=PLANES, clusters=(ClusterSpec(name="pve", arbiter=PI),), ceph=CephSpec())
    return Hall(where, [*machines(4, hall[:2]), machine("pi1", hall[2], PI)], [pool("rbd", Level.HOST, 4)]).wire()


def three_zones() -> Hall:
    hall = racks(6, zones=3)
    where = site(racks=hall, networks=PLANES, clusters=(PVE,), ceph=CephSpec(), availability=Tier.IV)
    pools = [
        pool("rbd-z1", Level.HOST, 4, root="z1"),
        pool("cephfs", Level.ZONE, 3, service=Service.FILE),
        coded("s3", 4, 2, Level.ZONE, 3, per_domain=2, service=Service.OBJECT),
    ]
    return Hall(where, machines(12, hall), pools).wire()


def four_zones_everything_doubled() -> Hall:
    hall = racks(8, zones=4)
    where = site(racks=hall, networks=PLANES, clusters=(PVE,), ceph=CephSpec(), availability=Tier.IV)
    pools = [pool("rbd", Level.ZONE, 4), pool("cephfs", Level.ZONE, 4, service=Service.FILE)]
    return Hall(where, machines(17, hall), pools).wire()


def stretch() -> Hall:
    hall = racks(4, datacenters=2)
    where = site(racks=hall, networks=PLANES, clusters=(PVE,), ceph=CephSpec(stretch=True), availability=Tier.IV)
    return Hall(where, machines(9, hall), [pool("rbd", Level.DATACENTER, 2, size=4, per_domain=2)]).wire()


def forty_nodes() -> Hall:
    hall = racks(8)
    where = site(racks=hall, networks=PLANES[1:], clusters=(PVE,), ceph=CephSpec())
    return Hall(where, machines(40, hall), [pool("rbd", Level.RACK, 8)]).wire({**TWO_SWITCHES, "nic3": "sw-a"})


def no_lldp() -> Hall:
    hall = racks(4)
    where = site(racks=hall, networks=PLANES, clusters=(PVE,), ceph=CephSpec())
    return Hall(where, machines(5, hall), [pool("rbd", Level.HOST, 5)]).wire(dict.fromkeys(TWO_SWITCHES, ""))


@pytest.mark.parametrize(
    ("scene", "bonds"),
    [
        (three_hosts_one_port, False),
        (two_nodes_and_the_appliance, False),
        (two_nodes_without_arbiter, False),
        (one_node, False),
        (no_cluster, False),
        (a_pi_in_a_third_rack, True),
        (three_zones, True),
        (four_zones_everything_doubled, True),
        (stretch, True),
        (forty_nodes, True),
        (no_lldp, True),
        (good, True),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_reports(scene: Any, bonds: bool, golden: Golden) -> None:
    hall: Hall = scene()
    found = hall.report(bonds=bonds)
    golden.check(f"placement/availability-{scene.__name__.replace('_', '-')}.txt", text(found))
    backwards = report(hall.site, hall.desired(bonds=bonds), hall.found[::-1])
    assert backwards == found, "the order of machines does not matter"


# ---------------------------------------------------------------- tiers


def test_reached_is_the_tier_below_the_first_gap() -> None:
    assert Hall(site(), machines(1)).report().reached is Tier.I
    assert three_hosts_one_port().report(bonds=False).reached is Tier.II
    assert good().report().reached is Tier.III
    assert four_zones_everything_doubled().report().reached is Tier.IV


def test_gaps_up_to_what_is_wanted() -> None:
    unsaid = one_node()
    wanted = Hall(replace(unsaid.site, availability=Tier.IV), unsaid.found, unsaid.pools)
    assert {gap.tier for gap in unsaid.report(bonds=False).gaps} == {Tier.II}
    assert {gap.tier for gap in wanted.report(bonds=False).gaps} == set(TIERS[1:])
    assert four_zones_everything_doubled().report().gaps == ()


@pytest.mark.parametrize("feeds", ["a", ""])
def test_one_feed_is_one_path(feeds: str) -> None:
    hall = good()
    spoiled = (*hall.site.racks[:3], replace(hall.site.racks[3], power=tuple(feeds)))
    found = Hall(replace(hall.site, racks=spoiled), hall.found, hall.pools).report()
    assert found.reached is Tier.II
    words = {"a": "one power feed", "": "no power feed in the site file"}
    assert gaps(found, Tier.III) == [f"rack r4 has {words[feeds]}; two paths need two feeds in every rack with members"]


def test_a_rack_without_members_needs_no_second_feed() -> None:
    hall = good()
    more = (*hall.site.racks, Rack(name="spare"))
    assert Hall(replace(hall.site, racks=more), hall.found, hall.pools).report().reached is Tier.III


def test_who_stands_nowhere_has_unknown_feeds() -> None:
    hall = good()
    hall.found[2] = replace(hall.found[2], place=Place())
    assert gaps(hall.report(), Tier.III)[0].startswith("the power feeds of n3 are not known")


def test_a_bond_to_one_switch() -> None:
    found = good().wire({**TWO_SWITCHES, "nic3": "sw-a"}).report()
    assert survives(found, "network storage") == "port"
    assert found.reached is Tier.II
    assert any(
        "network storage goes over ports that lead to one switch on 8 machines" in line
        for line in gaps(found, Tier.III)
    )


def test_both_corosync_links_on_one_switch() -> None:
    hall = good().wire({**TWO_SWITCHES, "nic1": "sw-a"})
    assert gaps(hall.report(), Tier.III) == [
        "corosync of pve goes over ports that lead to one switch with all its links (ring0, ring1) together; "
        "plug one port of each bond into another switch"
    ]


def test_one_corosync_link() -> None:
    hall = good()
    found = Hall(replace(hall.site, networks=PLANES[1:]), hall.found, hall.pools).report()
    assert gaps(found, Tier.III) == [
        "corosync of pve has one link (ring1); a second corosync network would be another path"
    ]


def test_a_network_that_a_machine_does_not_reach() -> None:
    hall = good()
    made = hall.desired()
    nodes = list(made.nodes)
    kept = tuple(a for a in nodes[0].network.addresses if a.network != "storage")
    nodes[0] = replace(nodes[0], network=replace(nodes[0].network, addresses=kept))
    found = report(hall.site, replace(made, nodes=tuple(nodes)), hall.found)
    assert "network storage goes over no port that is planned on 1 machine (n1)" in gaps(found, Tier.III)[0]


def test_a_network_that_is_not_planned() -> None:
    hall = good()
    made = hall.desired()
    nodes = tuple(replace(node, network=HostNetwork()) for node in made.nodes)
    found = report(hall.site, replace(made, nodes=nodes), hall.found)
    assert "the network of n1, n2, n3, n4, n5 and 3 more is not planned yet" in gaps(found, Tier.III)


def test_a_mesh_has_two_paths_without_a_switch() -> None:
    hall = racks(3)
    where = site(racks=hall, networks=PLANES, clusters=(PVE,), ceph=CephSpec())
    scene = Hall(where, machines(3, hall), [pool("rbd", Level.HOST, 3)]).wire({"nic0": "sw-a", "nic1": "sw-b"})
    pairs = [("m-n1", "m-n2"), ("m-n2", "m-n3"), ("m-n1", "m-n3")]
    used: dict[str, int] = {}
    cables = []
    for a, b in pairs:
        ends = []
        for who in (a, b):
            used[who] = used.get(who, 1) + 1
            ends.append(f"{who.removeprefix('m-')}/nic{used[who]}")
        cables.append(CableLayout(a=a, b=b, a_mac=ends[0], b_mac=ends[1]))
    backbone = BackboneLayout(
        shape=Shape.MESH,
        routing=Routing.OPENFABRIC,
        bfd=True,
        members=("m-n1", "m-n2", "m-n3"),
        cables=tuple(cables),
    )
    made = scene.desired(backbone=backbone)
    nodes = []
    for node in made.nodes:
        ports = tuple(replace(p, user="backbone") if p.name in ("nic2", "nic3") else p for p in node.network.ports)
        addresses = tuple(
            replace(a, interface="lo") if a.network in ("storage", "mgmt") else a for a in node.network.addresses
        )
        nodes.append(
            replace(node, network=replace(node.network, ports=ports, bonds=(), bridges=(), addresses=addresses))
        )
    found = report(where, replace(made, nodes=tuple(nodes)), scene.found)
    assert survives(found, "network storage") == "switch" and found.reached is Tier.III
    cut = replace(backbone, cables=backbone.cables[:1])
    found = report(where, replace(made, nodes=tuple(nodes), backbone=cut), scene.found)
    assert survives(found, "network storage") == "port", "cables that are not known lead nowhere for sure"


def test_the_provisioning_network_counts_when_there_is_no_other_for_management() -> None:
    hall = racks(1)
    where = site(racks=hall, clusters=(PVE,), ceph=CephSpec())
    scene = Hall(where, machines(3, hall), [pool("rbd", Level.HOST, 3)])
    found = scene.report(bonds=False)
    assert survives(found, "network provisioning") == ""
    managed = Hall(replace(where, networks=PLANES[2:3]), scene.found, scene.pools).report(bonds=False)
    assert "network provisioning" not in {row.service for row in managed.services}


# ---------------------------------------------------------------- clusters and daemons


def test_without_ceph_guests_stay_down() -> None:
    found = Hall(site(clusters=(PVE,)), machines(5)).report()
    assert survives(found, "cluster pve") == ""
    assert gaps(found, Tier.II) == [
        "no Ceph holds the disks of guests in pve: those of a lost node stay down; plan 'ceph'"
    ]


def test_what_the_site_file_wants_and_the_plan_lacks() -> None:
    where = site(
        clusters=(PVE, ClusterSpec(name="arm", profiles=("arm-storage",))),
        ceph=CephSpec(pools=(PoolSpec(name="p", service=Service.BLOCK),)),
    )
    found = Hall(where, machines(3)).report()
    assert "cluster arm is not planned yet: see why it waits" in gaps(found, Tier.II)
    assert "Ceph is not planned yet: see why it waits" in gaps(found, Tier.II)


def test_an_appliance_may_stand_in_the_worst_rack_and_a_pi_in_its_own() -> None:
    hall = racks(2)
    even = Hall(
        site(racks=hall, clusters=(PVE,), ceph=CephSpec()),
        machines(4, hall),
        [pool("rbd", Level.RACK, 2, size=2, min_size=1)],
    )
    assert survives(even.report(), "cluster pve") == "host"
    assert survives(a_pi_in_a_third_rack().report(), "cluster pve") == "rack"


def test_monitors_in_two_racks_do_not_survive_one() -> None:
    hall = racks(2)
    scene = Hall(site(racks=hall, clusters=(PVE,), ceph=CephSpec()), machines(6, hall), [pool("rbd", Level.HOST, 6)])
    assert survives(scene.report(), "monitors") == "host"


def test_unknown_places_count_with_the_worst() -> None:
    hall = racks(3)
    found = [*machines(2, hall), machine("n3")]
    scene = Hall(site(racks=hall, clusters=(PVE,), ceph=CephSpec()), found, [pool("rbd", Level.HOST, 3)])
    assert survives(scene.report(), "monitors") == "host"
    assert survives(Hall(scene.site, machines(3, hall), scene.pools).report(), "monitors") == "rack"


def test_the_appliance_is_one_machine() -> None:
    row = next(row for row in two_nodes_and_the_appliance().report().services if row.service == "appliance")
    assert row.survives == "" and "arbiter of pve: meanwhile 0 nodes may fail, not 1" in row.text


# ---------------------------------------------------------------- pools


def lives(members: Sequence[Candidate], one: PoolLayout) -> str:
    places = {member.id: member.place for member in members}
    return Ground(osds(members), places, "default").survives(one)


FLAT, SIX = racks(3), racks(6, zones=3)


@pytest.mark.parametrize(
    ("members", "one", "wanted"),
    [
        (machines(3), pool("p", Level.HOST, 3), "host"),
        (machines(3), pool("p", Level.HOST, 3, min_size=3), ""),
        (machines(1), pool("p", Level.HOST, 1, per_domain=3), "disk"),
        (machines(3, FLAT), pool("p", Level.HOST, 3), "rack"),
        (machines(6, FLAT), pool("p", Level.HOST, 6), "host"),
        (machines(6, FLAT[:2]), pool("p", Level.HOST, 6), "host"),
        (machines(6, FLAT), pool("p", Level.RACK, 3), "rack"),
        (machines(9, FLAT), pool("p", Level.HOST, 9), "host"),
        (machines(12, SIX), pool("p", Level.ZONE, 3), "zone"),
        (machines(12, SIX), pool("p", Level.RACK, 6), "rack"),
        (machines(12, SIX), pool("p", Level.HOST, 4, root="z1"), "host"),
        (machines(12, SIX), coded("p", 4, 2, Level.ZONE, 3, per_domain=2), "host"),
        (machines(12, SIX), coded("p", 2, 2, Level.ZONE, 3, per_domain=2), "host"),
        (machines(12, SIX), coded("p", 4, 2, Level.RACK, 6), "rack"),
        (machines(3), pool("p", Level.HOST, 3, device_class="hdd"), ""),
    ],
)
def test_what_a_pool_survives(members: Sequence[Candidate], one: PoolLayout, wanted: str) -> None:
    assert lives(members, one) == wanted


def test_osds_that_share_a_disk_are_lost_together() -> None:
    members = machines(1)
    shared = osds(members)[0].data
    both = tuple(replace(osd, data=shared, part=osd.number) for osd in osds(members))
    one = pool("p", Level.HOST, 1, per_domain=3)
    assert Ground(both, {"m-n1": Place()}, "default").survives(one) == ""
    behind = tuple(replace(osd, db=shared) for osd in osds(members, 3))
    assert Ground(behind, {"m-n1": Place()}, "default").survives(one) == ""


def test_healing_says_how_many_domains_are_missing() -> None:
    hall = good(
        3, 3, [pool("rbd", Level.HOST, 3), coded("ec", 4, 2, Level.HOST, 5), pool("full", Level.HOST, 5, heals=False)]
    )
    texts = gaps(hall.report(), Tier.IV)
    assert "pool rbd: 3 hosts: the loss of one can't heal; a fourth would" in texts
    assert "pool ec: 5 hosts: the loss of one can't heal; 2 more would" in texts
    assert "pool full: 5 hosts: what the largest holds has no room on the others; add disks to these" in texts


def test_ports_are_followed_through_vlans_and_bridges() -> None:
    network = HostNetwork(
        ports=(PortLayout(mac="a", name="nic0"), PortLayout(mac="b", name="nic1")),
        vlans=(VlanLayout(name="nic0.20", raw="nic0", vlan=20),),
        bridges=(BridgeLayout(name="vmbr1", port="nic0.20"), BridgeLayout(name="vmbr2", port="vmbr2")),
        addresses=(AddressLayout(network="mgmt", plane=Plane.MANAGEMENT, interface="vmbr1", address=""),),
    )
    wiring = Wiring(network, {"a": frozenset({"sw-a"}), "b": frozenset({"sw-a", "sw-b"})})
    assert wiring.by_network() == {"mgmt": frozenset("a"), "vmbr2": frozenset()}
    assert wiring.paths("a") is Paths.PORT and wiring.paths("") is Paths.NONE
    assert wiring.paths("ab") is Paths.SWITCH, "a port that hears both switches hangs on a hub with them"
    assert wiring.paths("ac") is Paths.UNKNOWN
