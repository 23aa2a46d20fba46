"""Machines to clusters: who, how many, who breaks ties, and what stays where it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.wire import Board, Content, Disk, Signature
from appliance.model.ceph import CephSpec, DeviceFilter, DriveGroup
from appliance.model.cluster import ClusterLayout, ClusterSpec
from appliance.model.machine import Phase, Policy
from appliance.model.network import Network, Plane
from appliance.model.place import Rack
from appliance.model.plan import WaitReason
from appliance.model.site import ExpectedCount, Site
from appliance.plan.candidate import Candidate
from appliance.plan.placement.clusters import ClusterPlan, ceph_members, plan_clusters, shortened
from tests.unit.plan.floor import ARM, EPYC, GIB, PI, changed, entries, machine, machines, racks, site

PVE = ClusterSpec(name="pve")


def formed(made: ClusterPlan) -> dict[str, tuple[str, ...]]:
    """Cluster → names of members."""
    return {layout.name: tuple(m.removeprefix("m-") for m in layout.members) for layout in made.clusters}


def sizes(made: ClusterPlan) -> dict[str, int]:
    return {layout.name: len(layout.members) for layout in made.clusters}


def reasons(made: ClusterPlan) -> list[tuple[str, WaitReason]]:
    return [(wait.about, wait.reason) for wait in made.waits]


def grown(where: Site, before: list[Candidate], after: list[Candidate]) -> ClusterPlan:
    """The plan after the one with ``before`` was accepted."""
    return plan_clusters(where, after, plan_clusters(where, before, ()).clusters)


# ---------------------------------------------------------------- quorum and arbiter


@pytest.mark.parametrize(
    ("nodes", "arbiter", "wanted"),
    [
        (1, "auto", (1, 1, 0, "")),
        (2, "auto", (3, 2, 1, "appliance")),
        (2, "none", (2, 2, 0, "")),
        (3, "auto", (3, 2, 1, "")),
        (3, "appliance", (3, 2, 1, "")),
        (4, "auto", (5, 3, 2, "appliance")),
        (4, "none", (4, 3, 1, "")),
        (8, "appliance", (9, 5, 4, "appliance")),
        (31, "auto", (31, 16, 15, "")),
        (32, "auto", (33, 17, 16, "appliance")),
    ],
)
def test_votes_quorum_and_what_it_tolerates(nodes: int, arbiter: str, wanted: tuple[int, int, int, str]) -> None:
    made = plan_clusters(site(clusters=(ClusterSpec(name="pve", arbiter=arbiter),)), machines(nodes), ())
    (layout,) = made.clusters
    assert (layout.votes, layout.quorum, layout.tolerates, layout.arbiter) == wanted
    assert made.waits == ()


@pytest.mark.parametrize("word", ["pi1", PI])
def test_a_pi_as_arbiter_is_no_member(word: str) -> None:
    pis = [machine("pi2", profile=PI), machine("pi1", profile=PI)]
    made = plan_clusters(site(clusters=(ClusterSpec(name="pve", arbiter=word),)), [*machines(2), *pis], ())
    assert formed(made) == {"pve": ("n1", "n2")}
    assert made.clusters[0].arbiter == "m-pi1"


def test_an_arbiter_stays_when_a_machine_with_a_lower_name_comes() -> None:
    where = site(clusters=(ClusterSpec(name="pve", arbiter=PI),))
    made = grown(
        where,
        [*machines(2), machine("pi5", profile=PI)],
        [*machines(2), *(machine(f"pi{i}", profile=PI) for i in (1, 5))],
    )
    assert made.clusters[0].arbiter == "m-pi5"


def test_two_nodes_wait_for_their_arbiter() -> None:
    made = plan_clusters(site(clusters=(ClusterSpec(name="pve", arbiter=PI),)), machines(2), ())
    assert made.clusters == () and reasons(made) == [("pve", WaitReason.NO_QUORUM)]
    assert "arbiter: none" in made.waits[0].text


def test_four_nodes_form_without_theirs_and_say_what_it_would_give() -> None:
    made = plan_clusters(site(clusters=(ClusterSpec(name="pve", arbiter=PI),)), machines(4), ())
    assert made.clusters[0].tolerates == 1 and reasons(made) == [("pve", WaitReason.NO_QUORUM)]
    assert "tolerate the loss of 1 without it, 2 with it" in made.waits[0].text


def test_an_arbiter_that_can_not_be_looked_at_now_stays() -> None:
    where = site(clusters=(ClusterSpec(name="pve", arbiter=PI),))
    before = plan_clusters(where, [*machines(2), machine("pi1", profile=PI)], ()).clusters
    made = plan_clusters(where, machines(2), before, ("m-pi1",))
    assert made.clusters == before and made.waits == ()


# ---------------------------------------------------------------- who is a member


def test_no_pi_no_small_and_no_strange_machine_unless_it_is_named() -> None:
    odd = [
        machine("pi1", profile=PI),
        machine("pi2", profile=ARM, board=Board(system_product="Raspberry Pi 4 Model B")),
        machine("small", memory=GIB),
        machine("riscv", architecture="riscv64"),
    ]
    made = plan_clusters(site(clusters=(PVE,)), [*machines(3), machine("arm", profile=ARM), *odd], ())
    assert formed(made) == {"pve": ("arm", "n1", "n2", "n3")}
    named = site(clusters=(ClusterSpec(name="pve", machines=("n1", "pi1", "small")),))
    assert formed(plan_clusters(named, [*machines(3), *odd], ())) == {"pve": ("n1", "pi1", "small")}


def test_named_beats_profile_beats_everybody() -> None:
    where = site(
        clusters=(
            ClusterSpec(name="all"),
            ClusterSpec(name="arm", profiles=(ARM,)),
            ClusterSpec(name="few", machines=("a1", "n1")),
        )
    )
    arms = [machine(f"a{i}", profile=ARM) for i in (1, 2)]
    assert formed(plan_clusters(where, [*machines(3), *arms], ())) == {
        "all": ("n2", "n3"),
        "arm": ("a2",),
        "few": ("a1", "n1"),
    }


def test_racks_and_zones_narrow() -> None:
    hall = racks(4, zones=2)
    where = site(
        racks=hall,
        clusters=(ClusterSpec(name="a"), ClusterSpec(name="b", racks=("r3",)), ClusterSpec(name="c", zones=("z2",))),
    )
    assert formed(plan_clusters(where, machines(8, hall), ())) == {
        "a": ("n1", "n5"),
        "b": ("n3", "n7"),
        "c": ("n2", "n4", "n6", "n8"),
    }


def test_everybody_in_one_cluster_only() -> None:
    where = site(clusters=(ClusterSpec(name="b"), ClusterSpec(name="a")))
    assert formed(plan_clusters(where, machines(3), ())) == {"a": ("n1", "n2", "n3")}


def test_who_is_held_does_not_join_and_who_is_drained_leaves() -> None:
    held = machine("n4", policy=Policy.HOLD)
    where, three = site(clusters=(PVE,)), machines(3)
    assert formed(plan_clusters(where, [*three, held], ())) == {"pve": ("n1", "n2", "n3")}
    drained = [
        three[0],
        changed(three[1], policy=Policy.DRAIN, phase=Phase.MEMBER),
        changed(three[2], policy=Policy.HOLD),
    ]
    assert formed(grown(where, three, drained)) == {"pve": ("n1", "n3")}


def test_members_of_the_layout_are_told_by_machine() -> None:
    made = plan_clusters(site(clusters=(PVE,)), machines(2), ())
    assert made.member_of == {"m-n1": "pve", "m-n2": "pve"}


# ---------------------------------------------------------------- waiting for members


def test_it_waits_for_declared_machines() -> None:
    where = site(machines=entries("n1", "n2", "n3"), clusters=(PVE,))
    here = [machine(name, expected=True) for name in ("n1", "n2")]
    made = plan_clusters(where, here, (), ("n3",))
    assert made.clusters == () and reasons(made) == [("pve", WaitReason.MEMBERS_MISSING)]
    assert "2 of 3 members are there; missing: n3" in made.waits[0].text
    assert formed(plan_clusters(where, [*here, machine("n3", expected=True)], ())) == {"pve": ("n1", "n2", "n3")}


def test_a_cluster_that_stands_does_not_wait() -> None:
    before = plan_clusters(site(clusters=(PVE,)), machines(3), ()).clusters
    where = site(machines=entries("n9"), clusters=(PVE,))
    made = plan_clusters(where, machines(3), before, ("n9",))
    assert made.clusters == before and made.waits == ()


def test_it_does_not_wait_for_pis_arbiters_and_members_of_others() -> None:
    hall = racks(2)
    declared = (
        *entries("n1", "n2", "n3"),
        *entries("pi1", profile=PI),
        *entries("judge"),
        *entries("far", rack="r2", profile=EPYC),
        *entries("arm1", profile=ARM),
    )
    where = site(
        racks=hall,
        machines=declared,
        clusters=(
            ClusterSpec(name="pve", arbiter="judge"),
            ClusterSpec(name="arm", profiles=(ARM,)),
            ClusterSpec(name="other", racks=("r2",)),
        ),
    )
    here = [machine(name, hall[0], expected=True) for name in ("n1", "n2", "n3")]
    assert formed(plan_clusters(where, here, ())) == {"pve": ("n1", "n2", "n3")}


def test_it_waits_for_counts() -> None:
    where = site(counts=(ExpectedCount(profile=EPYC, count=4), ExpectedCount(profile=PI, count=1)), clusters=(PVE,))
    made = plan_clusters(where, machines(3), ())
    assert reasons(made) == [("pve", WaitReason.MEMBERS_MISSING)]
    assert made.waits[0].text == "3 of 4 machines of profile epyc-compute are there"
    assert sizes(plan_clusters(where, machines(5), ())) == {"pve": 5}


def test_a_named_machine_that_can_not_be_a_member_is_told() -> None:
    hall = racks(2)
    where = site(racks=hall, clusters=(ClusterSpec(name="pve", machines=("n1", "n2"), racks=("r1",)),))
    made = plan_clusters(where, machines(2, hall), ())
    assert made.clusters == () and "n2 can't be a member" in made.waits[0].text


def test_nobody_for_it() -> None:
    made = plan_clusters(site(clusters=(ClusterSpec(name="arm", profiles=(ARM,), zones=("z1",)),)), machines(2), ())
    assert reasons(made) == [("arm", WaitReason.TOO_FEW_MEMBERS)]
    assert made.waits[0].text == "no machine is there for it; it takes machines of profile arm-storage in zones z1"


# ---------------------------------------------------------------- splitting


def test_forty_nodes_are_two_clusters_along_racks() -> None:
    hall = racks(8)
    made = plan_clusters(site(racks=hall, clusters=(PVE,)), machines(40, hall), ())
    assert sizes(made) == {"pve-1": 20, "pve-2": 20}
    assert [layout.domain for layout in made.clusters] == ["r1+r3+r5+r7", "r2+r4+r6+r8"]


def test_zones_are_never_mixed() -> None:
    hall = racks(9, zones=3)
    made = plan_clusters(site(racks=hall, clusters=(PVE,)), machines(40, hall), ())
    assert [(layout.domain, len(layout.members)) for layout in made.clusters] == [("z1", 14), ("z2", 13), ("z3", 13)]


def test_a_zone_that_is_too_large_is_split_in_itself() -> None:
    hall = racks(8, zones=2, rows=2)
    made = plan_clusters(site(racks=hall, clusters=(PVE,)), machines(80, hall), ())
    assert sizes(made) == {"pve-1": 20, "pve-2": 20, "pve-3": 20, "pve-4": 20}
    assert [layout.domain for layout in made.clusters] == ["r1+r5", "r2+r6", "r3+r7", "r4+r8"]


def test_a_zone_with_two_machines_is_no_cluster() -> None:
    hall = (*(Rack(name=f"r{number}", zone="z1") for number in range(1, 5)), Rack(name="far", zone="z2"))
    found = [*machines(38, hall[:4]), machine("x1", hall[4]), machine("x2", hall[4])]
    made = plan_clusters(site(racks=hall, clusters=(PVE,)), found, ())
    assert [(layout.domain, len(layout.members)) for layout in made.clusters] == [("far+r1+r3", 21), ("r2+r4", 19)]


def test_without_places_they_are_cut_by_name() -> None:
    made = plan_clusters(site(clusters=(PVE,)), machines(70), ())
    assert sorted(sizes(made).values()) == [23, 23, 24]
    assert formed(made)["pve-1"] == tuple(f"n{i}" for i in range(1, 24))


def test_unequal_racks_are_cut_through() -> None:
    hall = racks(2)
    made = plan_clusters(site(racks=hall, clusters=(PVE,)), [*machines(38, hall[:1]), machine("x", hall[1])], ())
    assert sorted(sizes(made).values()) == [19, 20]


def test_unknown_places_fill_up() -> None:
    hall = racks(2)
    made = plan_clusters(site(racks=hall, clusters=(PVE,)), [*machines(34, hall), machine("x"), machine("y")], ())
    assert sizes(made) == {"pve-1": 18, "pve-2": 18}


def test_a_smaller_maximum() -> None:
    made = plan_clusters(site(clusters=(ClusterSpec(name="pve", maximum=3),)), machines(7), ())
    assert sorted(sizes(made).values()) == [2, 2, 3]


def test_never_more_than_32_whatever_the_site_file_says() -> None:
    made = plan_clusters(site(clusters=(ClusterSpec(name="pve", maximum=64),)), machines(40), ())
    assert max(sizes(made).values()) <= 32


# ---------------------------------------------------------------- growing


def test_standing_members_keep_their_order_and_new_ones_follow() -> None:
    where = site(clusters=(PVE,))
    made = grown(where, [machine("n5"), machine("n7")], [machine(n) for n in ("n1", "n5", "n7", "n3")])
    assert formed(made) == {"pve": ("n5", "n7", "n1", "n3")}


def test_a_new_machine_joins_the_cluster_of_its_rack() -> None:
    hall = racks(8)
    where, before = site(racks=hall, clusters=(PVE,)), machines(40, hall)
    made = grown(where, before, [*before, machine("a", hall[1]), machine("b", hall[0])])
    assert made.member_of["m-a"] == "pve-2" and made.member_of["m-b"] == "pve-1"


def test_a_full_domain_gets_a_new_cluster() -> None:
    hall = racks(2)
    where, before = site(racks=hall, clusters=(PVE,)), [*machines(32, hall[:1]), *machines(20, hall[1:], first=50)]
    made = grown(where, before, [*before, machine("a", hall[0])])
    assert sizes(made) == {"pve-1": 32, "pve-2": 20, "pve-3": 1}
    assert made.member_of["m-a"] == "pve-3" and made.clusters[2].domain == "r1"


def test_a_rack_that_is_new_joins_the_smallest() -> None:
    hall = racks(3)
    where, before = site(racks=hall, clusters=(PVE,)), [*machines(20, hall[:1]), *machines(18, hall[1:2], first=50)]
    assert grown(where, before, [*before, machine("a", hall[2])]).member_of["m-a"] == "pve-2"


def test_a_zone_that_is_new_gets_its_own() -> None:
    hall = racks(3, zones=3)
    where, before = site(racks=hall, clusters=(PVE,)), machines(40, hall[:2])
    made = grown(where, before, [*before, machine("a", hall[2]), machine("b", hall[2])])
    assert sizes(made) == {"pve-1": 20, "pve-2": 20, "pve-3": 2} and made.clusters[2].domain == "z3"


def test_machine_33_founds_a_second_cluster() -> None:
    where = site(clusters=(PVE,))
    made = grown(where, machines(32), machines(34))
    assert sizes(made) == {"pve": 32, "pve-2": 2}
    assert formed(made)["pve-2"] == ("n33", "n34")


def test_the_name_of_another_cluster_is_not_taken() -> None:
    where = site(clusters=(PVE, ClusterSpec(name="pve-1", profiles=(ARM,))))
    arm = machine("arm", profile=ARM)
    assert set(sizes(plan_clusters(where, [*machines(40), arm], ()))) == {"pve-1", "pve-2", "pve-3"}


def test_a_member_that_is_gone_leaves_and_one_that_can_not_be_looked_at_stays() -> None:
    where = site(clusters=(PVE,))
    before = plan_clusters(where, machines(3), ()).clusters
    assert formed(plan_clusters(where, machines(2), before)) == {"pve": ("n1", "n2")}
    assert plan_clusters(where, machines(2), before, ("m-n3",)).clusters == before


def test_a_smaller_maximum_moves_nobody() -> None:
    before = plan_clusters(site(clusters=(PVE,)), machines(5), ()).clusters
    made = plan_clusters(site(clusters=(ClusterSpec(name="pve", maximum=3),)), machines(6), before)
    assert sizes(made) == {"pve": 5, "pve-2": 1}


def test_leaving_a_formed_cluster_out_of_the_file_dissolves_nothing() -> None:
    before = plan_clusters(site(clusters=(PVE,)), machines(3), ()).clusters
    joined = [changed(one, phase=Phase.MEMBER) for one in machines(3)]
    made = plan_clusters(site(clusters=(ClusterSpec(name="new"),)), [*joined, machine("n4")], before)
    assert formed(made) == {"new": ("n4",), "pve": ("n1", "n2", "n3")}
    assert reasons(made) == [("pve", WaitReason.HELD)]


def test_a_cluster_that_was_never_formed_can_be_renamed() -> None:
    before = plan_clusters(site(clusters=(PVE,)), machines(3), ()).clusters
    made = plan_clusters(site(clusters=(ClusterSpec(name="new"),)), machines(3), before)
    assert sizes(made) == {"new": 3} and made.waits == ()


def test_a_formed_member_stays_though_another_cluster_names_it() -> None:
    before = plan_clusters(site(clusters=(PVE,)), machines(3), ()).clusters
    where = site(clusters=(PVE, ClusterSpec(name="other", machines=("n3",))))
    joined = [changed(one, phase=Phase.MEMBER) for one in machines(3)]
    made = plan_clusters(where, joined, before)
    assert formed(made) == {"pve": ("n1", "n2", "n3")} and reasons(made) == [("other", WaitReason.MEMBERS_MISSING)]
    assert formed(plan_clusters(where, machines(3), before)) == {"other": ("n3",), "pve": ("n1", "n2")}


# ---------------------------------------------------------------- names and links


def test_names_have_at_most_15_letters() -> None:
    assert shortened("pve", "-1") == "pve-1"
    assert shortened("production-east") == "production-east"
    cut = shortened("production-east", "-12")
    assert len(cut) == 15 and cut.startswith("producti-") and cut.endswith("-12")
    assert (
        shortened("production-north-east").startswith("production-") and len(shortened("production-north-east")) <= 15
    )


def test_two_long_names_stay_two() -> None:
    assert shortened("production-north", "-1") != shortened("production-nortx", "-1")


def network(name: str, plane: Plane, link: int | None = None) -> Network:
    return Network(name=name, plane=plane, link=link)


@pytest.mark.parametrize(
    ("networks", "links", "wanted"),
    [
        ((), (), ("provisioning",)),
        ((network("mgmt", Plane.MANAGEMENT), network("ceph", Plane.STORAGE_PUBLIC)), (), ("mgmt",)),
        ((network("ceph", Plane.STORAGE_PUBLIC),), (), ("provisioning",)),
        (
            (network("b", Plane.COROSYNC, 0), network("a", Plane.COROSYNC, 1), network("m", Plane.MANAGEMENT)),
            (),
            ("b", "a"),
        ),
        (
            (network("c10", Plane.COROSYNC), network("c9", Plane.COROSYNC), network("z", Plane.COROSYNC, 3)),
            (),
            ("z", "c9", "c10"),
        ),
        ((network("ceph", Plane.STORAGE_PUBLIC),), ("ceph", "provisioning"), ("ceph", "provisioning")),
    ],
)
def test_links(networks: tuple[Network, ...], links: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    where = site(networks=networks, clusters=(ClusterSpec(name="pve", links=links),))
    assert plan_clusters(where, machines(3), ()).clusters[0].links == wanted


# ---------------------------------------------------------------- Ceph's members


def ceph(where: Site, found: list[Candidate], **fields: Any) -> list[str]:
    clusters: tuple[ClusterLayout, ...] = plan_clusters(where, found, ()).clusters
    return [one.name for one in ceph_members(where, CephSpec(**fields), found, clusters)]


def test_ceph_runs_on_the_members_of_clusters() -> None:
    found = [*machines(3), machine("pi1", profile=PI)]
    assert ceph(site(clusters=(PVE,)), found) == ["n1", "n2", "n3"]
    waiting = site(clusters=(PVE,), counts=(ExpectedCount(profile=EPYC, count=9),))
    assert ceph(waiting, found) == []


def test_ceph_on_named_machines_and_profiles() -> None:
    found = [*machines(3), machine("arm1", profile=ARM), machine("arm2", profile=ARM, policy=Policy.EXPUNGE)]
    assert ceph(site(clusters=(PVE,)), found, machines=("n2",), profiles=(ARM,)) == ["arm1", "n2"]


def test_ceph_without_clusters_wants_a_disk() -> None:
    big = Disk(path="/dev/nvme1n1", size=4 * 10**12, serial="A", transport="nvme")
    stick = Disk(path="/dev/sdz", size=64 * 10**9, serial="B", transport="usb", removable=True)
    found = [
        machine("n1", disks=(big,)),
        machine("n2", disks=(stick,)),
        machine("n3"),
        machine("pi1", profile=PI, disks=(big,)),
    ]
    assert ceph(site(), found) == ["n1"]
    group = DriveGroup(name="all", data=DeviceFilter(all=True))
    assert ceph(site(), found, groups=(group,)) == ["n1", "pi1"]


def test_a_member_of_ceph_stays_one_while_its_osds_run() -> None:
    """Of a machine in service everything in use is taken for its system at first, the disks of its OSDs too."""
    osd = Content(signatures=(Signature(kind="ceph_bluestore", label="osd.0"),), edges="b1", in_use=True)
    other = Content(signatures=(Signature(kind="ext4"),), edges="b2", in_use=True)
    big = Disk(path="/dev/nvme1n1", size=4 * 10**12, serial="A", transport="nvme", content=osd)
    for content, members in ((osd, ["n1"]), (other, [])):
        disk = replace(big, content=content)
        one = replace(machine("n1", disks=(disk,)), system=(disk,), standing=True)
        assert ceph(site(), [one]) == members


def test_a_tiebreaker_is_no_member_of_ceph() -> None:
    assert ceph(site(), machines(3), profiles=(EPYC,), stretch=True, tiebreaker="n2") == ["n1", "n3"]
