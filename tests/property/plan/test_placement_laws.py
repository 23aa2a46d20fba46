"""Laws of placement, on floors that nobody would build."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.model.ceph import CephSpec, Service
from appliance.model.cluster import ClusterSpec
from appliance.model.machine import Phase, Policy
from appliance.model.place import LEVELS, Level, Place, Rack
from appliance.model.site import Site
from appliance.plan.availability.report import availability
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.services import Services, domain_level, monitors_wanted, place_services
from appliance.plan.placement.clusters import ClusterPlan, ceph_members, plan_clusters
from tests.unit.plan.floor import ARM, EPYC, GENERIC, PI, entries, machine, site
from tests.unit.plan.layouts import desired

LAWS = settings(derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
Floor = tuple[Site, tuple[Candidate, ...]]


def hall(random: Random) -> tuple[Rack, ...]:
    """Some racks; rows, datacenters and zones are whole, or missing here and there."""
    zones, datacenters, rows = (random.choice([0, 0, 1, 2, 3]) for _ in range(3))

    def name(word: str, among: int) -> str:
        return f"{word}{random.randrange(among)}" if among and random.random() < 0.95 else ""

    return tuple(
        Rack(name=f"r{i}", zone=name("z", zones), datacenter=name("d", datacenters), row=name("w", rows))
        for i in range(random.choice([0, 1, 2, 3, 5, 9]))
    )


def somebody(random: Random, number: int, racks: tuple[Rack, ...]) -> Candidate:
    """Mostly a server in a rack."""
    place = Place()
    if racks and random.random() < 0.9:
        rack = random.choice(racks)
        place = Place(zone=rack.zone, datacenter=rack.datacenter, row=rack.row, rack=rack.name)
    profile = random.choice([EPYC] * 8 + [ARM, GENERIC, PI])
    memory = {"memory": random.choice([1, 16, 64, 256]) << 30} if profile != PI else {}
    one = machine(
        f"n{number}", place, profile, phase=random.choice([Phase.READY, Phase.DEPLOYED, Phase.MEMBER]), **memory
    )
    policy = random.choice([Policy.USE] * 20 + [Policy.HOLD, Policy.DRAIN])
    return replace(one, machine=replace(one.machine, machine=replace(one.machine.machine, policy=policy)))


def spec(random: Random, name: str, racks: tuple[Rack, ...], names: list[str]) -> ClusterSpec:
    narrowed = random.random() < 0.2 and racks
    return ClusterSpec(
        name=name,
        machines=tuple(random.sample(names, min(3, len(names)))) if random.random() < 0.2 else (),
        profiles=(random.choice([EPYC, ARM, GENERIC]),) if random.random() < 0.2 else (),
        racks=(random.choice(racks).name,) if narrowed else (),
        maximum=random.choice([1, 3, 5, 32]),
        arbiter=random.choice(["auto", "none", "appliance", PI, "n1"]),
    )


def floor(seed: int) -> Floor:
    random = Random(seed)
    racks = hall(random)
    found = tuple(somebody(random, number, racks) for number in range(1, random.choice([2, 4, 9, 40, 70])))
    names = [one.name for one in found]
    clusters = tuple(
        spec(random, name, racks, names)
        for name in random.sample(["pve", "edge", "a-very-long-na"], random.choice([1, 1, 2]))
    )
    ceph = CephSpec(
        stretch=random.random() < 0.2, tiebreaker=random.choice(["", PI]), monitors=random.choice([0, 0, 1, 3, 5])
    )
    declared = entries(*(name for name in names if random.random() < 0.05), "n999") if random.random() < 0.1 else ()
    return site(racks=racks, clusters=clusters, ceph=ceph, machines=declared), found


floors = st.integers(0, 2**32).map(floor)


def services(where: Site, found: tuple[Candidate, ...], made: ClusterPlan, standing: Services = ()) -> Services:
    assert where.ceph is not None
    members = ceph_members(where, where.ceph, found, made.clusters)
    hosts = frozenset(member.id for member in members)
    return place_services(where, where.ceph, members, hosts, frozenset(Service), standing, found)[0]


def test_the_floors_are_worth_it() -> None:
    """Counted over seeds that are always the same: what Hypothesis draws is another thing after every edit."""
    count: Counter[str] = Counter()
    for where, found in map(floor, range(200)):
        made = plan_clusters(where, found, ())
        count["all"] += 1
        count["formed"] += bool(made.clusters)
        count["split"] += any(layout.domain for layout in made.clusters)
        count["waits"] += bool(made.waits)
        count["arbiter"] += any(layout.arbiter for layout in made.clusters)
        count["services"] += bool(services(where, found, made))
    assert count["formed"] * 2 >= count["all"] and count["services"] * 3 >= count["all"], count
    assert min(count["split"], count["waits"], count["arbiter"]) >= 10, count


@LAWS
@given(floors, st.integers())
def test_the_order_of_machines_and_clusters_does_not_matter(scene: Floor, seed: int) -> None:
    where, found = scene
    random = Random(seed)
    mixed = tuple(random.sample(found, len(found)))
    other = replace(where, clusters=where.clusters[::-1], racks=where.racks[::-1])
    made = plan_clusters(where, found, ())
    assert plan_clusters(other, mixed, ()) == made
    assert plan_clusters(other, mixed, made.clusters[::-1]) == plan_clusters(where, found, made.clusters)
    assert services(other, mixed, made) == services(where, found, made)


@LAWS
@given(floors)
def test_what_was_planned_is_planned_again(scene: Floor) -> None:
    where, found = scene
    made = plan_clusters(where, found, ())
    again = plan_clusters(where, found, made.clusters)
    assert again.clusters == made.clusters
    placed = services(where, found, made)
    assert services(where, found, again, placed) == placed


@LAWS
@given(floors)
def test_everybody_is_in_one_cluster_and_none_is_too_large(scene: Floor) -> None:
    where, found = scene
    made = plan_clusters(where, found, ())
    members = [member for layout in made.clusters for member in layout.members]
    assert len(members) == len(set(members)) and made.member_of.keys() == set(members)
    assert {member: layout.name for layout in made.clusters for member in layout.members} == made.member_of
    specs = {entry.name: entry for entry in where.clusters}
    assert len({layout.name for layout in made.clusters}) == len(made.clusters)
    for layout in made.clusters:
        assert 1 <= len(layout.members) <= min(specs[layout.spec].maximum, 32)
        assert len(layout.name) <= 15 and layout.arbiter not in layout.members
    leaving = {one.id for one in found if one.machine.machine.policy is Policy.DRAIN}
    assert not leaving & set(members)


@LAWS
@given(floors)
def test_votes_are_odd_or_it_is_said_why(scene: Floor) -> None:
    where, found = scene
    made = plan_clusters(where, found, ())
    specs = {entry.name: entry for entry in where.clusters}
    waiting = {wait.about for wait in made.waits}
    for layout in made.clusters:
        assert layout.votes == len(layout.members) + bool(layout.arbiter)
        assert layout.quorum == layout.votes // 2 + 1 and layout.tolerates == layout.votes - layout.quorum
        odd = layout.votes % 2 == 1
        assert odd or specs[layout.spec].arbiter == "none" or layout.name in waiting
        assert not (layout.arbiter and len(layout.members) % 2), "no arbiter for an odd number"


@LAWS
@given(floors, st.integers())
def test_a_machine_more_moves_nothing_that_stands(scene: Floor, seed: int) -> None:
    where, found = scene
    made = plan_clusters(where, found, ())
    new = somebody(Random(seed), Random(seed).choice([0, 1000]), where.racks)
    more = plan_clusters(where, (*found, new), made.clusters)
    before = {layout.name: layout for layout in made.clusters}
    for layout in more.clusters:
        if layout.name in before:
            stood = before[layout.name].members
            assert layout.members[: len(stood)] == stood
            assert set(layout.members) - set(stood) <= {new.id}
    assert before.keys() <= {layout.name for layout in more.clusters}
    placed = services(where, found, made)
    after = services(where, (*found, new), more, placed)
    assert {(s.kind, s.machine) for s in placed} <= {(s.kind, s.machine) for s in after}


@LAWS
@given(floors, st.integers())
def test_a_machine_less_moves_nobody_else(scene: Floor, seed: int) -> None:
    where, found = scene
    made = plan_clusters(where, found, ())
    gone = Random(seed).choice(found)
    left = plan_clusters(where, tuple(one for one in found if one is not gone), made.clusters)
    for layout in left.clusters:
        stood = next((other for other in made.clusters if other.name == layout.name), None)
        if stood is not None:
            kept = tuple(member for member in stood.members if member != gone.id)
            assert layout.members[: len(kept)] == kept


@LAWS
@given(floors)
def test_monitors_are_odd_and_in_distinct_domains(scene: Floor) -> None:
    where, found = scene
    assert where.ceph is not None
    made = plan_clusters(where, found, ())
    placed = services(where, found, made)
    monitors = [service for service in placed if service.kind == "mon"]
    assert len(monitors) % 2 or not monitors
    machines = [(service.kind, service.machine) for service in placed]
    assert len(machines) == len(set(machines)), "one of a kind on a machine"
    if where.ceph.stretch or not monitors:
        return
    members = ceph_members(where, where.ceph, found, made.clusters)
    places = {member.id: member.place for member in members}
    level = domain_level(members, len(monitors))
    assert len(monitors) == monitors_wanted(where.ceph, members)
    if level is not Level.HOST:
        buckets = [places[service.machine].bucket(level) for service in monitors]
        assert len(set(buckets)) == len(buckets) and "" not in buckets


@LAWS
@given(floors)
def test_no_bucket_holds_two_more_monitors_than_another_that_had_room(scene: Floor) -> None:
    """Spread from the top, where hosts are the only limit."""
    where, found = scene
    assert where.ceph is not None
    made = plan_clusters(where, found, ())
    members = ceph_members(where, where.ceph, found, made.clusters)
    monitors = {service.machine for service in services(where, found, made) if service.kind == "mon"}
    if where.ceph.stretch or not members or domain_level(members, len(monitors)) is not Level.HOST:
        return
    top = next((level for level in reversed(LEVELS[1:]) if len({m.place.bucket(level) for m in members}) > 1), None)
    if top is None:
        return
    have = Counter(member.place.bucket(top) for member in members)
    used = Counter(member.place.bucket(top) for member in members if member.id in monitors)
    for bucket, room in have.items():
        assert used[bucket] == room or used[bucket] >= max(used.values()) - 1


@LAWS
@given(floors, st.integers())
def test_the_report_does_not_depend_on_order_and_is_never_better_without_racks(scene: Floor, seed: int) -> None:
    where, found = scene
    made = desired(where, found, {})
    random = Random(seed)
    mixed = replace(
        made,
        nodes=tuple(random.sample(made.nodes, len(made.nodes))),
        clusters=tuple(random.sample(made.clusters, len(made.clusters))),
    )
    full = availability(where, made, found)
    assert availability(where, mixed, random.sample(found, len(found))) == full
    lost = replace(made, nodes=tuple(replace(node, place=Place()) for node in made.nodes))
    blind = availability(where, lost, found)
    assert list(type(full.reached)).index(blind.reached) <= list(type(full.reached)).index(full.reached)
