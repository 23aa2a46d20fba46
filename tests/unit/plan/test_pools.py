"""Pools and rules: where copies lie, what is refused and in which words, and what stands. Ceph's tools check every plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model.ceph import Erasure, PoolSpec, Spread
from appliance.model.place import Level, Place, Rack
from appliance.model.plan import WaitReason
from appliance.plan.ceph.pgcount import nearest_power
from appliance.plan.ceph.pools import PoolPlan
from appliance.plan.crush.domains import even, findable, healable, usable
from appliance.plan.crush.spread import by_number
from tests.conftest import Golden
from tests.oracle.crush import Oracle
from tests.oracle.yard import BLOCK, FILES, OBJECTS, HostSpec, Yard, rows, show, yard

AUTO = Erasure(k=0, m=0)
MIXED = (("nvme", 2.0), *((("hdd", 8.0),) * 4))
CODED = replace(OBJECTS, erasure=AUTO)


def racks(*sizes: int) -> tuple[HostSpec, ...]:
    """Equal hosts in racks of so many."""
    names = [f"r{at + 1}" for at, size in enumerate(sizes) for _ in range(size)]
    return tuple(HostSpec(name=f"n{at + 1}", place=Place(rack=name)) for at, name in enumerate(names))


GOOD: dict[str, tuple[tuple[HostSpec, ...], tuple[PoolSpec, ...]]] = {
    "three-hosts": (rows(3), (BLOCK,)),
    "eight-hosts-in-four-racks": (rows(8, racks=4), (BLOCK, FILES)),
    "flash-and-disks": (rows(6, disks=MIXED), (BLOCK, FILES, OBJECTS)),
    "three-zones": (rows(12, racks=6, zones=3), (BLOCK, FILES, CODED)),
    "two-zones-four-copies": (rows(8, racks=4, zones=2), (replace(FILES, size=4),)),
    "two-zones-three-copies": (rows(8, racks=8, zones=2), (FILES,)),
    "three-racks-asked-for": (rows(6, racks=3), (replace(BLOCK, domain=Level.RACK),)),
    "coded-on-three-hosts": (rows(3), (CODED,)),
    "coded-on-four-hosts": (rows(4), (CODED,)),
    "coded-on-six-hosts": (rows(6), (CODED,)),
    "coded-on-eight-hosts": (rows(8), (CODED, replace(BLOCK, erasure=AUTO), replace(FILES, erasure=AUTO))),
    "coded-on-twelve-hosts": (rows(12, disks=MIXED), (CODED,)),
    "coded-8-3-on-six-hosts": (rows(6), (replace(OBJECTS, erasure=Erasure(k=8, m=3)),)),
    "coded-4-2-in-three-zones": (rows(12, racks=6, zones=3), (replace(OBJECTS, erasure=Erasure(k=4, m=2)),)),
    "coded-4-2-in-three-zones-min-4": (
        rows(12, racks=6, zones=3),
        (replace(OBJECTS, erasure=Erasure(k=4, m=2), min_size=4),),
    ),
    "racks-5-5-1": (racks(5, 5, 1), (BLOCK,)),
    "racks-5-5-5-1": (racks(5, 5, 5, 1), (BLOCK,)),
    "racks-3-3-3-2": (racks(3, 3, 3, 2), (BLOCK,)),
    "a-host-without-a-rack": ((*rows(8, racks=4), HostSpec(name="n9")), (BLOCK,)),
    "hosts-of-unequal-size": (
        tuple(replace(host, disks=(("hdd", 4.0),) * (2 + at)) for at, host in enumerate(rows(5))),
        (BLOCK,),
    ),
    "zones-and-a-host-without": ((*rows(8, racks=8, zones=2), HostSpec(name="n9")), (BLOCK,)),
}

BAD: dict[str, tuple[tuple[HostSpec, ...], tuple[PoolSpec, ...]]] = {
    "one-host": (rows(1), (BLOCK,)),
    "two-hosts": (rows(2), (BLOCK,)),
    "two-copies": (rows(4), (replace(BLOCK, size=2),)),
    "min-size-1": (rows(4), (replace(BLOCK, min_size=1),)),
    "min-size-of-all": (rows(4), (replace(BLOCK, min_size=3),)),
    "no-such-class": (rows(4), (replace(BLOCK, device_class="nvme"),)),
    "no-osds": (tuple(replace(host, disks=()) for host in rows(3)), (BLOCK,)),
    "two-racks-asked-for": (rows(6, racks=2), (replace(BLOCK, domain=Level.RACK),)),
    "racks-asked-for-one-host-without": (
        (*rows(8, racks=4), HostSpec(name="n9")),
        (replace(BLOCK, domain=Level.RACK),),
    ),
    "no-racks-at-all": (rows(6), (replace(BLOCK, domain=Level.RACK),)),
    "zones-in-a-zone": (rows(9, racks=3, zones=3), (replace(BLOCK, domain=Level.ZONE, spread=Spread.ZONE),)),
    "coded-without-spare": (rows(6), (replace(OBJECTS, erasure=Erasure(k=4, m=1)),)),
    "coded-too-wide": (rows(5), (replace(OBJECTS, erasure=Erasure(k=8, m=3)),)),
    "coded-with-size": (rows(6), (replace(OBJECTS, erasure=AUTO, size=3),)),
    "coded-min-size": (rows(8), (replace(OBJECTS, erasure=Erasure(k=4, m=2), min_size=3),)),
    "coded-min-size-without-numbers": (rows(8), (replace(OBJECTS, erasure=AUTO, min_size=5),)),
    "coded-zones-below-min-size": (
        rows(12, racks=6, zones=3),
        (replace(OBJECTS, erasure=Erasure(k=4, m=2), domain=Level.ZONE),),
    ),
    "hosts-10-10-1": (
        tuple(replace(h, disks=(("hdd", 4.0),) * n) for h, n in zip(rows(3), (10, 10, 1), strict=True)),
        (BLOCK,),
    ),
    "same-names": (rows(4), (BLOCK, BLOCK)),
    "a-zone-without-osds": (
        (*rows(6, racks=2, zones=2), HostSpec(name="n7", disks=(), place=Place(rack="r9", zone="z3"))),
        (BLOCK,),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_pools(name: str, golden: Golden, oracle: Oracle) -> None:
    hosts, specs = GOOD[name]
    built = yard(*hosts)
    plan = built.plan(*specs)
    golden.check(f"crush/pools-{name}.txt", show(plan))
    assert not plan.waits
    assert oracle.check(built.layout(plan)) == []
    assert built.shuffled().plan(*specs) == plan
    assert built.plan(*specs, standing=plan.pools, rules=plan.rules) == plan


def test_refusals(golden: Golden, oracle: Oracle) -> None:
    text = ""
    for name, (hosts, specs) in BAD.items():
        plan = yard(*hosts).plan(*specs)
        assert plan.waits, name
        text += "".join(f"{name}: {w.about}: {w.reason}: {w.text}\n" for w in plan.waits)
        if plan.pools:
            assert oracle.check(yard(*hosts).layout(plan)) == []
    golden.check("crush/refusals.txt", text)


def test_stretch(golden: Golden, oracle: Oracle) -> None:
    """Its rule takes no device class: with one, no placement group becomes active after the loss of a site."""
    built = yard(*rows(8, racks=4, datacenters=2, disks=(("nvme", 3.84),) * 4))
    plan = built.plan(BLOCK, FILES, stretch=True)
    assert all("class" not in step for rule in plan.rules for step in rule.steps)
    golden.check("crush/pools-stretch.txt", show(plan))
    assert oracle.check(built.layout(plan)) == []
    assert built.plan(BLOCK, FILES, stretch=True, standing=plan.pools, rules=plan.rules) == plan


@pytest.mark.parametrize(
    ("hosts", "spec", "text"),
    [
        (rows(6, racks=3, datacenters=3), BLOCK, "exactly two zones or datacenters"),
        (rows(5, racks=5, datacenters=2), BLOCK, "equal weight, dc1 has 43.66 TiB, dc2 has 29.10 TiB"),
        (rows(8, racks=4, datacenters=2), replace(OBJECTS, erasure=AUTO), "knows no erasure coding"),
        (rows(8, racks=4, datacenters=2), replace(BLOCK, size=3), "stretch mode has 4 copies"),
        (
            rows(8, racks=4, datacenters=2, disks=MIXED),
            BLOCK,
            "knows no device classes, and there are OSDs of hdd, nvme",
        ),
        (rows(2, racks=2, datacenters=2), BLOCK, "2 of 4 copies need 2 hosts in each datacenter: not so in dc1, dc2"),
    ],
)
def test_stretch_refuses(hosts: tuple[HostSpec, ...], spec: PoolSpec, text: str) -> None:
    plan = yard(*hosts).plan(spec, stretch=True)
    assert any(text in wait.text for wait in plan.waits), plan.waits


def test_too_heavy_for_a_bucket() -> None:
    built = yard(*rows(4, disks=(("hdd", 20_000.0),)))
    plan = built.plan(BLOCK)
    assert not plan.pools
    assert plan.waits[0].text.startswith("the OSDs weigh 72760 TiB together, a CRUSH bucket holds 65535")


# ---------------------------------------------------------------- what stands


def pools(plan: PoolPlan) -> dict[str, tuple[object, ...]]:
    """What moves data when it changes."""
    return {p.name: (p.rule, p.root, p.device_class, p.size, p.erasure, p.domain, p.pg_num) for p in plan.pools}


def grown(before: tuple[HostSpec, ...], after: tuple[HostSpec, ...], *specs: PoolSpec) -> tuple[PoolPlan, PoolPlan]:
    first = yard(*before).plan(*specs)
    return first, yard(*after).plan(*specs, standing=first.pools, rules=first.rules)


def test_a_new_machine_moves_nothing() -> None:
    first, second = grown(rows(3), rows(4), BLOCK, FILES, CODED)
    assert pools(second).items() >= pools(first).items()
    assert second.rules == first.rules
    assert [pool.heals for pool in second.pools if pool.name == "vms"] == [True]


def test_a_new_class_moves_nothing() -> None:
    first, second = grown(
        rows(4), (*rows(4), *(HostSpec(name=f"f{n}", disks=(("nvme", 4.0),)) for n in range(4))), BLOCK
    )
    assert pools(second) == pools(first)


def test_a_second_zone_gets_its_own_pool() -> None:
    first, second = grown(rows(4, racks=4, zones=1), rows(8, racks=8, zones=2), BLOCK)
    assert pools(first).keys() == {"vms"}
    assert pools(second)["vms"] == pools(first)["vms"]
    assert pools(second).keys() == {"vms", "vms-z2"}


def test_zones_that_come_later_leave_the_pool_as_it_is() -> None:
    first, second = grown(rows(4), rows(8, racks=8, zones=2), BLOCK)
    assert pools(second) == pools(first)


def test_racks_that_come_later_leave_the_domain_as_it_is() -> None:
    first, second = grown(rows(8), rows(8, racks=4), BLOCK)
    assert pools(second) == pools(first)
    asked = yard(*rows(8, racks=4)).plan(replace(BLOCK, domain=Level.RACK), standing=first.pools, rules=first.rules)
    assert asked.pools[0].rule == "hdd-rack"
    assert asked.pools[0].pg_num == first.pools[0].pg_num


def test_a_named_value_changes_what_can_be_changed() -> None:
    built = yard(*rows(6))
    first = built.plan(BLOCK)
    second = built.plan(replace(BLOCK, size=4), standing=first.pools, rules=first.rules)
    assert [(pool.size, pool.min_size, pool.rule) for pool in second.pools] == [(4, 3, "hdd-host")]


def test_a_code_cannot_be_changed() -> None:
    built = yard(*rows(12))
    first = built.plan(replace(OBJECTS, erasure=Erasure(k=4, m=2)))
    for other in (Erasure(k=8, m=3), None):
        second = built.plan(replace(OBJECTS, erasure=other), standing=first.pools, rules=first.rules)
        data = next(pool for pool in second.pools if pool.name.endswith(".data"))
        assert data.erasure == Erasure(k=4, m=2)
        wait = next(wait for wait in second.waits if wait.about == data.name)
        assert wait.text == "it stands with 4+2, which no pool can change: make one of another name and move the data"


def test_a_pool_that_nobody_asks_for_stays() -> None:
    built = yard(*rows(4))
    first = built.plan(BLOCK, FILES)
    second = built.plan(FILES, standing=first.pools, rules=first.rules)
    assert pools(second) == pools(first)
    assert [(wait.about, wait.reason) for wait in second.waits] == [("vms", WaitReason.LAYOUT)]


def test_a_lost_host_is_told_and_the_pool_stays() -> None:
    first, second = grown(rows(3), rows(2), BLOCK)
    assert pools(second) == pools(first)
    assert second.pools[0].domains == 2
    assert second.waits[0].text.startswith("it stands, but 3 copies need 3 hosts")


def test_rules_that_stand_keep_their_numbers() -> None:
    built = yard(*rows(6, disks=MIXED))
    first = built.plan(replace(BLOCK, device_class="hdd", name="a"))
    second = built.plan(replace(BLOCK, device_class="hdd", name="a"), CODED, standing=first.pools, rules=first.rules)
    assert {rule.name: rule.number for rule in second.rules} == {"hdd-host": 1, "ec-hdd-host": 2, "nvme-host": 3}


def test_pgs_of_a_standing_pool_grow_late_and_never_shrink() -> None:
    first, second = grown(rows(3), rows(6), BLOCK)
    assert pools(second) == pools(first)
    _, much = grown(rows(3), rows(12), BLOCK)
    assert (first.pools[0].pg_num, much.pools[0].pg_num) == (512, 2048)
    _, less = grown(rows(12), rows(3), BLOCK)
    assert less.pools[0].pg_num == 2048


# ---------------------------------------------------------------- pieces


def test_placement_groups() -> None:
    assert [nearest_power(amount) for amount in (0, 3, 8, 11.9, 12, 47, 48, 400, 10**7)] == [
        8,
        8,
        8,
        8,
        16,
        32,
        64,
        512,
        65_536,
    ]


def test_shares_divide_what_a_class_has() -> None:
    built = yard(*rows(6, disks=MIXED))
    plan = built.plan(
        replace(BLOCK, name="slow", device_class="hdd", share=3.0), replace(FILES, device_class="hdd"), BLOCK
    )
    found = {pool.name: (pool.share, pool.pg_num) for pool in plan.pools}
    assert found == {"fs_data": (0.25, 256), "fs_metadata": (0.0, 16), "slow": (0.75, 512), "vms": (1.0, 256)}


def test_many_pools_on_few_osds_are_told() -> None:
    built = yard(*rows(3, disks=(("hdd", 1.0),)))
    plan = built.plan(*(replace(OBJECTS, name=f"s{n}") for n in range(9)))
    assert [wait.reason for wait in plan.waits] == [WaitReason.LAYOUT]
    assert "PGs on an OSD of class hdd, Ceph warns above 250" in plan.waits[0].text


def test_one_realm_for_two_object_services() -> None:
    plan = yard(*rows(4)).plan(OBJECTS, replace(OBJECTS, name="backup"))
    assert [pool.name for pool in plan.pools].count(".rgw.root") == 1


def test_declared_zones_name_pools_before_their_machines_come() -> None:
    later = Rack(name="r9", zone="z2")
    plan = yard(*rows(4, racks=4, zones=1), racks=(later,)).plan(BLOCK)
    assert [pool.name for pool in plan.pools] == ["vms-z1"]


def test_metadata_is_on_flash_where_that_is_as_safe() -> None:
    few = (*rows(6, racks=6), HostSpec(name="f1", disks=(("nvme", 2.0),) * 3, place=Place(rack="r1")))
    plan = yard(*few).plan(FILES)
    assert {pool.name: pool.device_class for pool in plan.pools} == {"fs_data": "hdd", "fs_metadata": "hdd"}
    everywhere = yard(*rows(6, racks=6, disks=MIXED)).plan(FILES)
    assert {p.name: p.device_class for p in everywhere.pools} == {"fs_data": "hdd", "fs_metadata": "nvme"}


def test_usable_part_of_unequal_domains() -> None:
    assert usable([10, 10, 2], 3) == 2
    assert usable([40, 40, 40, 80], 3) == 60
    assert usable([5, 5, 5], 4) == 0
    assert not even([10, 10, 2], 3)
    assert even([40, 40, 40, 80], 3)


def test_what_crush_finds() -> None:
    assert findable([5, 5, 1], 3)
    assert not findable([10, 10, 1], 3)
    assert healable([1] * 12, 11)
    assert not healable([5, 5, 5, 1], 3)


@pytest.mark.parametrize(
    ("domains", "code"), [(3, "3+3"), (4, "2+2"), (5, "2+2"), (6, "4+2"), (11, "4+2"), (12, "8+3"), (500, "8+3")]
)
def test_codes_by_number_of_domains(domains: int, code: str) -> None:
    chosen = by_number(domains)
    assert chosen.erasure is not None
    assert f"{chosen.erasure.k}+{chosen.erasure.m}" == code
    assert chosen.min_size == chosen.erasure.k + 1
    each = -(-chosen.size // domains)
    assert chosen.size - each >= chosen.min_size, "the loss of any one leaves min_size"


def test_deep_trees(oracle: Oracle) -> None:
    """Zone, datacenter, row and rack at once: the widest level that heals is taken."""
    hosts = tuple(
        HostSpec(
            name=f"n{at}",
            disks=(("ssd", 2.0),) * 2,
            place=Place(zone="z1", datacenter=f"d{at % 2}", row=f"{at % 4}", rack=f"r{at % 8}"),
        )
        for at in range(16)
    )
    built: Yard = yard(*hosts)
    plan = built.plan(BLOCK)
    assert (plan.pools[0].domain, plan.pools[0].domains, plan.pools[0].root) == (Level.ROW, 4, "z1")
    assert oracle.check(built.layout(plan)) == []
