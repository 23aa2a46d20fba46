"""Bounds and expectations, against the architecture draft's measured table and `ceph.md` §5."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from agent.wire import Nic
from appliance.kinds.ceph.rates import DISKS, EXPECTED, MB
from appliance.model.ceph import CephSpec, Erasure, Throughput
from appliance.model.network import Carrier, Network, Plane
from appliance.plan.ceph.capacity import capacity
from appliance.plan.ceph.portspeed import MEGABIT, storage_networks, storage_rate
from appliance.plan.ceph.throughput import at_block, throughput
from appliance.plan.crush.crushmap import tree
from hwprofiles.profile import NicRole, NicRoleName, Profile
from tests.oracle.yard import BLOCK, OBJECTS, TB, HostSpec, Yard, candidate, rows, yard

GIGABIT_10 = 10_000 * MEGABIT
FLASH = (("nvme", 4.0),) * 4
DRAFT = {
    4096: (12_300 * 4096, 12_300 * 4096),
    65536: (221 * MB, 222 * MB),
    524288: (597 * MB, 629 * MB),
    1 << 20: (663 * MB, 707 * MB),
}
"""Block size → read and written bytes per second: three nodes at 10 Gb/s, fio with half reads, KVM and VirtIO."""


def bulk(built: Yard, **facts: object) -> Throughput:
    plan = built.plan(replace(BLOCK, **facts))
    return built.layout(plan).throughput[0]


def test_the_drafts_table() -> None:
    """Our bound lies above every row; what we expect of large blocks is within 15 % of the 1 MiB row, above it."""
    entry = bulk(yard(*rows(3, disks=FLASH)))
    assert entry.write_bound == entry.read_bound == GIGABIT_10
    for read, written in DRAFT.values():
        assert entry.read_bound > read
        assert entry.write_bound > written
    read, written = DRAFT[1 << 20]
    assert entry.read_expected / read == pytest.approx(1.13, abs=0.01)
    assert entry.write_expected / written == pytest.approx(1.06, abs=0.01)
    assert entry.recorded.startswith("3 nodes at 10 Gb/s (architecture draft")


def test_small_blocks_wait_for_the_round() -> None:
    """The 4 KiB row gives latency / depth = 76 µs; with it 512 KiB and 1 MiB come out within 10 %, 64 KiB 1.8 times high."""
    rate = int(GIGABIT_10 * EXPECTED)
    latency = 4096 / DRAFT[4096][0] - 4096 / rate
    assert latency == pytest.approx(76e-6, rel=0.01)
    found = {block: at_block(rate, block, latency) / DRAFT[block][1] for block in DRAFT}
    assert found == {
        4096: pytest.approx(1.0),
        65536: pytest.approx(1.81, abs=0.01),
        524288: pytest.approx(1.08, abs=0.01),
        1 << 20: pytest.approx(1.01, abs=0.01),
    }
    assert at_block(rate, 4096, 32 * latency, depth=32) == pytest.approx(at_block(rate, 4096, latency))


def test_disks_limit_small_clusters_of_spinning_ones() -> None:
    entry = bulk(yard(*rows(3, disks=(("hdd", 8.0),) * 2)))
    assert entry.write_bound == int(6 * DISKS["hdd"].write / 3.3)
    assert entry.limit == "writing: disks; reading: one client's port"
    assert entry.write_expected == int(entry.write_bound * EXPECTED)


def test_a_code_writes_less_than_copies() -> None:
    copies = bulk(yard(*rows(7, disks=(("hdd", 8.0),))))
    built = yard(*rows(7, disks=(("hdd", 8.0),)))
    plan = built.plan(replace(OBJECTS, erasure=Erasure(k=4, m=2)))
    coded = next(entry for entry in built.layout(plan).throughput if entry.pool == "s3.rgw.buckets.data")
    assert coded.write_bound == pytest.approx(2 * copies.write_bound, abs=2)
    assert not coded.recorded


def test_a_slow_network_between_hosts() -> None:
    """Four hosts with 10 Gb/s outside and 1 Gb/s inside write at most 4 · 1 / 2 Gb/s, and take long to heal."""
    built = yard(*rows(4, disks=FLASH))
    storage = NicRole(role=NicRoleName.STORAGE, min_speed=10_000)
    inside = NicRole(role=NicRoleName.CLUSTER, driver=("igb",))
    profile = Profile(name="two", description="", nics=(storage, inside))
    slow = Nic(name="eth1", mac="02:00:00:00:00:02", speed=1_000, driver="igb")
    members = tuple(
        replace(m, profile=profile, inventory=replace(m.inventory, nics=(*m.inventory.nics, slow)))
        for m in built.members
    )
    front = Network(name="front", plane=Plane.STORAGE_PUBLIC)
    back = Network(name="back", plane=Plane.STORAGE_CLUSTER, role="cluster")
    site = replace(built.site, networks=(front, back))
    pools = built.plan(BLOCK).pools
    (entry,) = throughput(site, CephSpec(), members, built.osds, pools)
    assert entry.write_bound == 4 * 1_000 * MEGABIT // 2
    assert entry.limit == "writing: the network between hosts; reading: one client's port"
    buckets = tree(site, members, built.osds)
    (healing,) = capacity(CephSpec(), members, built.osds, pools, buckets, site=site)
    assert healing.recovery_hours == pytest.approx(16 * TB * 0.85 / (3 * 1_000 * MEGABIT) / 3600, abs=0.01)


def test_unknown_speed_is_said() -> None:
    hosts = rows(3, disks=FLASH)
    entry = bulk(yard(*hosts[:2], replace(hosts[2], speed=None)))
    assert entry.read_bound == 12 * DISKS["nvme"].read
    assert entry.limit == (
        "writing and reading: disks; "
        "the network is not counted: 1 of 3 hosts have storage ports of unknown speed (no link)"
    )
    assert not entry.recorded


def test_more_hosts_never_give_less() -> None:
    found = [bulk(yard(*rows(hosts, disks=FLASH))) for hosts in range(3, 12)]
    for one, other in pairwise(found):
        assert other.write_bound >= one.write_bound
        assert other.read_bound >= one.read_bound


@pytest.mark.parametrize(
    ("carrier", "count", "gigabits"), [(Carrier.PORT, 2, 25), (Carrier.BOND, 2, 50), (Carrier.BOND, 1, 25)]
)
def test_a_bond_counts_all_its_ports(carrier: Carrier, count: int, gigabits: int) -> None:
    profile = Profile(
        name="p", description="", nics=(NicRole(role=NicRoleName.BACKBONE, min_speed=25_000, count=count),)
    )
    host = candidate(HostSpec(name="n1", speed=25_000))
    ports = tuple(replace(host.inventory.nics[0], name=f"e{at}", mac=f"02:00:00:00:00:0{at}") for at in range(4))
    member = replace(host, profile=profile, inventory=replace(host.inventory, nics=ports))
    network = Network(name="back", plane=Plane.STORAGE_CLUSTER, carrier=carrier)
    assert storage_rate(member, network) == gigabits * 1000 * MEGABIT


def test_without_a_role_the_fastest_port_counts() -> None:
    member = replace(candidate(HostSpec(name="n1", speed=2_500)), profile=Profile(name="p", description=""))
    assert storage_rate(member) == 2_500 * MEGABIT


def test_networks_by_name_or_plane() -> None:
    front, back = Network(name="a", plane=Plane.STORAGE_PUBLIC), Network(name="b", plane=Plane.STORAGE_CLUSTER)
    site = replace(yard(HostSpec(name="n1")).site, networks=(back, front))
    assert storage_networks(site, "", "") == (front, back)
    assert storage_networks(site, "b", "a") == (back, front)
    assert storage_networks(replace(site, networks=(front,)), "", "") == (front, front)
    assert storage_networks(replace(site, networks=()), "", "") == (None, None)
