"""Whole clouds in a few lines: how many, and what they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.model.ceph import Erasure, Service
from appliance.model.network import Carrier, Plane, Shape
from appliance.model.site import ExpectedCount
from appliance.site.example import EXAMPLES, example
from appliance.site.load import SiteError, load_site, load_text

SYSTEMS = ("debian-13",)
FOLDER = Path(__file__).parent / "sites"


@pytest.mark.parametrize("which", EXAMPLES)
def test_examples_load(which: str) -> None:
    assert load_text(example("berlin-1", which), systems=SYSTEMS).name == "berlin-1"


@pytest.mark.parametrize(("which", "most"), [("three", 20), ("cloud", 15), ("edge", 15)])
def test_examples_are_small(which: str, most: int) -> None:
    assert len(EXAMPLES[which].splitlines()) <= most


def test_three_machines() -> None:
    site = load_text(example("edge-1", "three"), systems=SYSTEMS)
    assert [cluster.name for cluster in site.clusters] == ["pve1"]
    assert not site.clusters[0].machines, "every machine that can run it"
    assert site.ceph is not None
    assert [(pool.name, pool.service) for pool in site.ceph.pools] == [("vms", Service.BLOCK)]
    assert not site.ceph.groups, "the profiles' disks"


def test_eight_servers() -> None:
    site = load_text(example("edge-1", "cloud"), systems=SYSTEMS)
    assert site.counts == (ExpectedCount(profile="epyc-compute", count=8),)
    assert [(network.name, network.plane, network.link) for network in site.networks] == [
        ("corosync-0", Plane.COROSYNC, 0),
        ("storage-public", Plane.STORAGE_PUBLIC, None),
    ]
    assert (site.networks[1].mtu, site.networks[1].carrier) == (9000, Carrier.BOND)
    assert [rack.switches for rack in site.racks] == [("sw1",), ("sw2",)]
    assert site.clusters[0].frozen == "2026-11-01"
    assert site.ceph is not None
    assert site.ceph.pools[0].erasure == Erasure(k=0, m=0), "chosen by the number of failure domains"


def test_a_switchless_edge() -> None:
    site = load_text(example("edge-1", "edge"), systems=SYSTEMS)
    assert site.clusters[0].machines == ("n1", "n2", "n3")
    assert site.clusters[0].arbiter == "pi1"
    assert site.networks[0].carrier is Carrier.MESH
    assert site.backbone is not None
    assert site.backbone.shape is Shape.MESH


def test_everything_that_can_be_said() -> None:
    """One file with every key; it is also the input of the schema's test."""
    site = load_site(FOLDER / "everything.yaml", systems=SYSTEMS)
    assert site.secrets == ("bmc-password",)
    assert site.bmc is not None
    assert site.bmc.password == "bmc-password"
    assert [(entry.profile, entry.phase, entry.seconds) for entry in site.deadlines] == [
        ("epyc-compute", "approved", 1200.0),
        ("epyc-compute", "deploying", 7200.0),
    ]
    assert site.firmware[0].bios == "2.10", "a version is text, not a number"
    assert [(entry.name, entry.mirror, entry.frozen) for entry in site.repositories] == [
        ("ceph", "", "2026-11-01"),
        ("debian", "http://mirror.example/debian", ""),
    ]
    assert site.rack("r2") is not None
    assert site.ceph is not None
    assert site.ceph.stretch
    assert [(group.name, group.encrypted, group.db_size) for group in site.ceph.groups] == [
        ("fast", False, 0),
        ("slow", True, 120_000_000_000),
    ]
    assert site.ceph.groups[1].data.size == "4TB:"
    assert site.backbone is not None
    assert [(cable.a, cable.a_port, cable.b, cable.b_port) for cable in site.backbone.cables] == [
        ("n1", "nic2", "n2", "3c:ec:ef:00:00:02"),
        ("n3", "", "sw3", "7"),
    ]
    assert [(network.name, network.link, network.gateway) for network in site.networks if network.link is not None] == [
        ("corosync", 0, ""),
        ("corosync-1", 1, ""),
    ]
    assert site.machines[-1].name == "pi1"
    assert site.machines[0].rack == "r1"


def test_short_forms_mean_the_long_ones() -> None:
    short = """\
site: s
networks: {provisioning: {cidr: 10.0.0.0/24}}
expect: {epyc-compute: 3}
clusters: {pve1: }
ceph: {pools: {a: block, b: {service: object, erasure: 4+2}}}
backbone: ring
repositories: {debian: http://mirror.example/debian/}
"""
    long = """\
site: s
networks:
  - name: provisioning
    cidr: 10.0.0.0/24
expect: [{profile: epyc-compute, count: 3}]
clusters: [{name: pve1, kind: proxmox}]
ceph:
  pools:
    - {name: b, service: object, erasure: {k: 4, m: 2}}
    - {name: a, service: block}
backbone: {shape: ring}
repositories: [{name: debian, mirror: 'http://mirror.example/debian'}]
"""
    assert load_text(short, systems=SYSTEMS) == load_text(long, systems=SYSTEMS)


def test_networks_without_a_plane_are_what_their_names_say() -> None:
    """A file of the first version had networks without planes; they are the guests', but for the one called storage."""
    text = """\
site: s
networks:
  provisioning: {cidr: 10.0.0.0/24}
  storage: {cidr: 10.1.0.0/24, vlan: 30}
  lan: {cidr: 10.2.0.0/24}
  management: {cidr: 10.3.0.0/24}
  ring1: {cidr: 10.4.0.0/24, plane: corosync, link: 1}
"""
    planes = {network.name: network.plane for network in load_text(text, systems=SYSTEMS).networks}
    assert planes == {
        "storage": Plane.STORAGE_PUBLIC,
        "lan": Plane.TENANT,
        "management": Plane.MANAGEMENT,
        "ring1": Plane.COROSYNC,
    }


def test_a_tiebreaker_of_its_own_site_is_no_third_one() -> None:
    text = """\
site: s
networks: {provisioning: {cidr: 10.0.0.0/24}}
racks: {r1: {datacenter: d1}, r2: {datacenter: d2}, r3: {datacenter: d3}}
machines: {pi: {serial: A1, rack: r3}}
ceph: {stretch: true, tiebreaker: pi}
"""
    assert load_text(text, systems=SYSTEMS).ceph is not None


def test_no_machine_is_called_like_the_appliance() -> None:
    text = """\
site: s
networks: {provisioning: {cidr: 10.0.0.0/24}}
machines: {appliance: {serial: A1}}
"""
    with pytest.raises(SiteError, match=r":3:12: machines.appliance: this name means the machine that rackseed itself"):
        load_text(text, systems=SYSTEMS)
