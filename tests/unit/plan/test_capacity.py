"""What can be stored: the table of `ceph.md` §3, losses inside larger domains, and how long healing takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model.ceph import Capacity, Erasure, PoolSpec
from appliance.model.place import Level, Place
from appliance.plan.ceph.capacity import recovery_seconds, storable
from appliance.plan.ceph.portspeed import MEGABIT
from tests.oracle.yard import BLOCK, OBJECTS, TB, HostSpec, rows, yard

BIG = (("hdd", 10.0),) * 4
"""40 TB."""


def found(hosts: tuple[HostSpec, ...], spec: PoolSpec, *, stretch: bool = False) -> list[Capacity]:
    built = yard(*hosts)
    plan = built.plan(spec, stretch=stretch)
    assert plan.pools, plan.waits
    bulk = next(pool.name for pool in plan.pools if pool.share)
    return [entry for entry in built.layout(plan).capacity if entry.pool == bulk]


def tb(amount: int | None) -> float | None:
    return None if amount is None else round(amount / TB, 1)


@pytest.mark.parametrize(
    ("hosts", "spec", "numbers"),
    [
        (3, BLOCK, (40.0, 30.9, None)),
        (4, BLOCK, (53.3, 41.2, 30.9)),
        (8, BLOCK, (106.7, 82.4, 72.1)),
        (6, replace(OBJECTS, erasure=Erasure(k=4, m=2)), (160.0, 123.6, None)),
        (8, replace(OBJECTS, erasure=Erasure(k=4, m=2)), (213.3, 164.8, 144.2)),
    ],
)
def test_the_table_of_the_facts(hosts: int, spec: PoolSpec, numbers: tuple[float, float, float | None]) -> None:
    (entry,) = found(rows(hosts, disks=BIG), spec)
    assert (tb(entry.usable), tb(entry.nearfull), tb(entry.healable)) == numbers
    assert entry.raw == hosts * 40 * TB
    assert entry.level is Level.HOST


def test_unequal_racks_hold_what_the_smallest_does() -> None:
    hosts = tuple(
        HostSpec(name=f"n{at}", disks=(("hdd", size),), place=Place(rack=f"r{at}"))
        for at, size in enumerate((10.0, 10.0, 2.0))
    )
    entries = found(hosts, replace(BLOCK, domain=Level.RACK))
    assert [(tb(entry.raw), tb(entry.usable)) for entry in entries] == [(22.0, 2.0), (22.0, 2.0)]


def test_a_host_and_a_rack_can_be_lost() -> None:
    host, rack = found(rows(8, racks=4, disks=BIG), BLOCK)
    assert (host.level, rack.level) == (Level.HOST, Level.RACK)
    assert tb(host.usable) == tb(rack.usable) == 106.7
    assert tb(rack.healable) == tb(int(80 * TB * 0.85 / 1.1))
    assert tb(host.healable) == tb(int(280 / 3 * TB * 0.85 / 1.1))


def test_three_racks_heal_the_loss_of_a_host_only() -> None:
    host, rack = found(rows(6, racks=3, disks=BIG), replace(BLOCK, domain=Level.RACK))
    assert rack.healable is None
    assert rack.recovery_hours is None
    assert tb(host.healable) == tb(int(40 * TB * 0.85 / 1.1)), "its rack has one host left"
    assert host.recovery_hours == pytest.approx(40 * TB * 0.85 / (10_000 * MEGABIT) / 3600, abs=0.01)


def test_a_rack_with_one_host_cannot_heal_it() -> None:
    host, _ = found(rows(3, racks=3, disks=BIG), replace(BLOCK, domain=Level.RACK))
    assert host.healable is None


def test_two_sites() -> None:
    host, site = found(rows(8, racks=4, datacenters=2, disks=BIG), BLOCK, stretch=True)
    assert tb(host.usable) == tb(site.usable) == 80.0
    assert site.healable is None
    assert tb(host.healable) == tb(int(60 * TB * 0.85 / 1.1))
    (small, _) = found(rows(4, racks=4, datacenters=2, disks=BIG), BLOCK, stretch=True)
    assert small.healable is None, "two copies need two hosts in each site"


def test_several_chunks_in_a_domain() -> None:
    assert storable([(10, 10), (10, 10), (10, 10)], 6, 2) == 10
    assert storable([(10, 2), (10, 10), (10, 10)], 6, 2) == 2, "both hosts of a zone are needed"
    assert storable([(10, 2, 10), (10, 10), (10, 10)], 6, 2) == 10
    assert storable([(10,), (10, 10), (10, 10)], 6, 2) == 0


def test_healing_takes_as_long_as_the_wire_needs() -> None:
    assert recovery_seconds(10 * TB, [10_000 * MEGABIT]) / 3600 == pytest.approx(2.2, abs=0.05)
    (entry,) = found(rows(4, disks=BIG), BLOCK)
    assert entry.recovery_hours == pytest.approx(34 * TB / (3 * 10_000 * MEGABIT) / 3600, abs=0.01)


def test_healing_takes_nobody_knows_how_long_without_links() -> None:
    hosts = rows(4, disks=BIG)
    (entry,) = found((*hosts[:3], replace(hosts[3], speed=None)), BLOCK)
    assert entry.healable is not None
    assert entry.recovery_hours is None


def test_each_pool_has_its_own_class() -> None:
    built = yard(*rows(4, disks=(("nvme", 2.0), *BIG)))
    plan = built.plan(BLOCK, replace(OBJECTS, device_class="hdd"))
    raw = {entry.pool: tb(entry.raw) for entry in built.layout(plan).capacity}
    assert raw["vms"] == 8.0
    assert raw["s3.rgw.buckets.data"] == 160.0
