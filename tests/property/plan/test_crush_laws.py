"""Laws of pools and CRUSH rules on random trees; Ceph's own tools judge some of them."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.model.ceph import Erasure, PoolSpec, Service, Spread
from appliance.model.place import Level, Place
from appliance.plan.ceph.capacity import storable
from appliance.plan.ceph.pools import PoolPlan
from appliance.plan.crush.crushmap import text
from appliance.plan.crush.domains import usable
from tests.oracle.crush import Oracle
from tests.oracle.yard import HostSpec, Yard, yard

LAWS = settings(derandomize=True, deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
JUDGED = settings(
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
CODES = (Erasure(k=0, m=0), Erasure(k=2, m=2), Erasure(k=4, m=2), Erasure(k=3, m=3), Erasure(k=2, m=1))


@st.composite
def hosts(draw: st.DrawFn, name: str = "n", most: int = 14) -> tuple[HostSpec, ...]:
    """Hosts in up to five racks of up to three zones, some without a place, with disks of up to two classes and sizes."""
    racks = draw(st.sampled_from((0, 2, 3, 4, 5, 6)))
    zones = draw(st.sampled_from((0, 0, 1, 2, 3)))
    known = (("hdd", 4.0), ("hdd", 8.0), ("ssd", 2.0), ("nvme", 4.0))
    kinds = draw(st.lists(st.sampled_from(known), min_size=1, max_size=2))
    even = draw(st.sampled_from((True, True, False)))
    found = []
    for at in range(draw(st.sampled_from((1, 2, *range(3, 15)))) % (most + 1)):
        rack = -1 if not racks else at % racks if even else draw(st.integers(-1, racks - 1))
        place = Place(rack=f"r{rack}", zone=f"z{rack % zones}" if zones else "") if rack >= 0 else Place()
        disks = tuple(disk for disk in kinds for _ in range(3 if even else draw(st.integers(1, 5))))
        found.append(HostSpec(name=f"{name}{at}", disks=disks, place=place))
    return tuple(found)


@st.composite
def specs(draw: st.DrawFn) -> tuple[PoolSpec, ...]:
    def one(at: int) -> PoolSpec:
        erasure = draw(st.sampled_from((None, None, *CODES)))
        return PoolSpec(
            name=f"p{at}",
            service=draw(st.sampled_from(Service)),
            device_class=draw(st.sampled_from(("", "", "", "hdd"))),
            size=0 if erasure else draw(st.sampled_from((0, 0, 0, 2, 4))),
            erasure=erasure,
            spread=draw(st.sampled_from((None, *Spread))),
            domain=draw(st.sampled_from((None, None, None, Level.HOST, Level.RACK, Level.ZONE))),
            share=draw(st.sampled_from((1.0, 3.0))),
        )

    return tuple(one(at) for at in range(draw(st.integers(1, 3))))


def moving(plan: PoolPlan) -> dict[str, tuple[object, ...]]:
    return {p.name: (p.rule, p.root, p.device_class, p.size, p.erasure, p.domain, p.per_domain) for p in plan.pools}


@given(hosts(), specs(), st.booleans())
@LAWS
def test_order_of_inputs_never_matters(found: tuple[HostSpec, ...], pools: tuple[PoolSpec, ...], stretch: bool) -> None:
    built = yard(*found)
    plan, other = built.plan(*pools, stretch=stretch), built.shuffled().plan(*pools, stretch=stretch)
    assert plan == other
    one, two = built.layout(plan), built.shuffled().layout(other)
    assert (one.buckets, one.capacity, one.throughput) == (two.buckets, two.capacity, two.throughput)
    assert text(one) == text(two)


@given(hosts(), specs(), st.booleans())
@LAWS
def test_a_plan_converges(found: tuple[HostSpec, ...], pools: tuple[PoolSpec, ...], stretch: bool) -> None:
    built = yard(*found)
    plan = built.plan(*pools, stretch=stretch)
    assert built.plan(*pools, stretch=stretch, standing=plan.pools, rules=plan.rules) == plan


@given(hosts(), hosts(name="m", most=4), specs())
@LAWS
def test_new_machines_move_nothing(
    found: tuple[HostSpec, ...], more: tuple[HostSpec, ...], pools: tuple[PoolSpec, ...]
) -> None:
    first = yard(*found).plan(*pools)
    second = yard(*found, *more).plan(*pools, standing=first.pools, rules=first.rules)
    assert moving(second).items() >= moving(first).items()
    numbers = {rule.name: (rule.number, rule.steps) for rule in second.rules}
    assert numbers.items() >= {rule.name: (rule.number, rule.steps) for rule in first.rules}.items()
    pgs = {pool.name: pool.pg_num for pool in second.pools}
    assert all(pgs[pool.name] >= pool.pg_num for pool in first.pools)


@given(hosts(), specs(), st.booleans())
@LAWS
def test_promises_are_kept(found: tuple[HostSpec, ...], pools: tuple[PoolSpec, ...], stretch: bool) -> None:
    """Of every pool, the loss of any one failure domain leaves min_size copies, and min_size is at least two."""
    plan = yard(*found).plan(*pools, stretch=stretch)
    for pool in plan.pools:
        assert pool.size - pool.per_domain >= pool.min_size >= 2
        assert pool.domains * pool.per_domain >= pool.size
        assert not pool.heals or (pool.per_domain == 1 and pool.domains > pool.size)
        assert pool.erasure is None or pool.min_size > pool.erasure.k - 1
        assert pool.pg_num & (pool.pg_num - 1) == 0 < pool.pg_num
        assert 0 <= pool.share <= 1
        assert pool.why
    assert {pool.rule for pool in plan.pools} == {rule.name for rule in plan.rules}
    assert len({rule.number for rule in plan.rules}) == len(plan.rules)
    assert len({pool.name for pool in plan.pools}) == len(plan.pools)
    assert plan.pools or plan.waits
    assert all(wait.text and wait.about for wait in plan.waits)


@given(hosts(), specs())
@LAWS
def test_capacity_is_never_more_than_there_is(found: tuple[HostSpec, ...], pools: tuple[PoolSpec, ...]) -> None:
    built = yard(*found)
    plan = built.plan(*pools)
    layouts = {pool.name: pool for pool in plan.pools}
    for entry in built.layout(plan).capacity:
        pool = layouts[entry.pool]
        net = pool.erasure.k if pool.erasure else 1
        assert 0 < entry.usable * pool.size <= entry.raw * net
        assert entry.nearfull < entry.usable
        assert entry.healable is None or entry.healable <= entry.nearfull


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 6))
@LAWS
def test_usable_is_the_largest_that_fits(weights: list[int], copies: int) -> None:
    found = usable(weights, copies)
    if len(weights) < copies:
        assert found == 0
        return
    assert sum(min(weight, found) for weight in weights) >= copies * found
    assert sum(min(weight, found + 1) for weight in weights) < copies * (found + 1)
    assert storable([(weight,) for weight in weights], copies) == found


@given(hosts(), specs(), st.booleans())
@JUDGED
def test_ceph_agrees(oracle: Oracle, found: tuple[HostSpec, ...], pools: tuple[PoolSpec, ...], stretch: bool) -> None:
    """Nothing is promised that crushtool or osdmaptool refute."""
    built: Yard = yard(*found)
    assert oracle.check(built.layout(built.plan(*pools, stretch=stretch))) == []


@given(hosts(), hosts(name="m", most=4), specs())
@JUDGED
def test_ceph_agrees_with_what_grew(
    oracle: Oracle, found: tuple[HostSpec, ...], more: tuple[HostSpec, ...], pools: tuple[PoolSpec, ...]
) -> None:
    first = yard(*found).plan(*pools)
    built = yard(*found, *more)
    plan = built.plan(*pools, standing=first.pools, rules=first.rules)
    if not plan.waits:
        assert oracle.check(built.layout(plan)) == []
