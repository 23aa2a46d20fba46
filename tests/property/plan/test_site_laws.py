"""Laws of whole plans: clusters, Ceph and networks over random fleets of which some machines are broken."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.model.machine import Phase
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import DiskFate, Plan, StepKind
from appliance.model.site import EraseGrant, Site
from appliance.plan.disks.content import is_ours
from appliance.plan.facts import same_layout
from appliance.plan.lint import ERROR, lint
from appliance.plan.make import plan
from appliance.plan.stale import changed_facts
from appliance.rehearsal import fleet
from appliance.rehearsal.fleet import ARM_STORAGE, EPYC, EPYC_HDD, GENERIC, Fleet
from hwprofiles.loader import load_profiles
from hwprofiles.normal import serial_key

PROFILES = load_profiles()
LAWS = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
KINDS = (EPYC.with_data(3), EPYC_HDD.with_data(4), ARM_STORAGE.with_data(4), GENERIC)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Up to 24 machines in up to 6 racks, of one or two kinds; a fifth of them broken in half of the cases. Some foreign
    disks may be erased, some disks are protected."""
    zones = draw(st.sampled_from([1, 1, 2, 3]))
    racks = draw(st.integers(1, 3)) if zones == 1 else zones * draw(st.integers(1, 2))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=2))
    made = fleet.fleet(
        racks=racks,
        per_rack=draw(st.integers(2, 4)),
        hardware=kinds,
        zones=zones,
        broken=draw(st.sampled_from([0.0, 0.0, 0.15])),
        seed=draw(st.integers(0, 999)),
    )
    random = Random(draw(st.integers(0, 999)))
    serials = sorted({d.serial for m in made.observed.machines if m.inventory for d in m.inventory.disks if d.serial})
    chosen = random.sample(serials, min(len(serials), 6))
    site = replace(
        made.site,
        erase=tuple(EraseGrant(serial=serial) for serial in chosen[:4]),
        protect=tuple(chosen[4:]),
        clusters=made.site.clusters if random.random() < 0.8 else (),
    )
    return replace(made, site=site)


def make(site: Site, seen: Observed, parent: Plan | None = None) -> Plan:
    return plan(site, PROFILES, seen, parent)


def placed(made: Plan) -> dict[str, object]:
    """Everything that stands, by who has it."""
    desired = made.desired
    found: dict[str, object] = {}
    for allocation in made.allocations:
        found[f"allocation {allocation.machine}"] = replace(allocation, cluster="")
    for node in desired.nodes:
        found[f"network {node.machine}"] = (node.network.addresses, node.network.loopback4, node.network.asn)
        found[f"place {node.machine}"] = node.place
    for cluster in desired.clusters:
        found |= {f"member {member}": cluster.name for member in cluster.members}
    if desired.ceph:
        found |= {f"osd {osd.number}": osd for osd in desired.ceph.osds}
        found |= {f"{service.kind} {service.machine}": True for service in desired.ceph.services}
        found |= {f"pool {pool.name}": (pool.size, pool.min_size, pool.rule) for pool in desired.ceph.pools}
    return found


@LAWS
@given(fleets(), st.integers(0, 99))
def test_the_order_of_inputs_does_not_matter(made: Fleet, seed: int) -> None:
    random = Random(seed)
    machines, site = list(made.observed.machines), made.site
    random.shuffle(machines)
    turned = replace(
        site,
        networks=tuple(random.sample(site.networks, len(site.networks))),
        racks=tuple(random.sample(site.racks, len(site.racks))),
        machines=tuple(random.sample(site.machines, len(site.machines))),
    )
    once = make(site, made.observed)
    assert make(turned, replace(made.observed, machines=tuple(machines))) == once
    assert make(site, made.observed) == once


@LAWS
@given(fleets())
def test_a_plan_that_was_carried_out_is_followed_by_an_empty_one(made: Fleet) -> None:
    first = make(made.site, made.observed)
    assert changed_facts(first, made.observed) == ()
    after = fleet.accepted(first, made.observed)
    again = make(made.site, after, first)
    assert not [step for step in again.steps if step.kind is not StepKind.CEPH], "what is installed may form Ceph now"
    assert same_layout(again.desired, first.desired)
    assert again.changes == bool(again.steps)


@LAWS
@given(fleets())
def test_a_new_machine_moves_nothing_that_stands(made: Fleet) -> None:
    first = make(made.site, made.observed)
    after = fleet.accepted(first, made.observed)
    newcomer = fleet.machine(5000, KINDS[0])
    second = make(made.site, replace(after, machines=(*after.machines, newcomer)), first)
    now = placed(second)
    assert {what: now.get(what) for what in placed(first)} == placed(first)


def retired(machine: ObservedMachine) -> ObservedMachine:
    return replace(machine, machine=replace(machine.machine, phase=Phase.RETIRED))


@LAWS
@given(fleets(), st.integers(0, 23))
def test_a_machine_that_leaves_moves_nothing_of_the_others(made: Fleet, index: int) -> None:
    first = make(made.site, made.observed)
    after = fleet.accepted(first, made.observed)
    gone = after.machines[index % len(after.machines)].machine.id
    machines = tuple(retired(m) if m.machine.id == gone else m for m in after.machines)
    second = make(made.site, replace(after, machines=machines), first)
    now = placed(second)
    osds = (
        {f"osd {osd.number}" for osd in first.desired.ceph.osds if osd.machine == gone} if first.desired.ceph else set()
    )
    for what, value in placed(first).items():
        if gone in what or what in osds or what.startswith("pool "):
            continue
        if now.get(what) != value:
            # Monitors may be fewer or elsewhere once the promise (an odd number, distinct domains) needs it.
            assert what.split()[0] in {"mon", "mgr", "mds", "rgw"}, (what, value, now.get(what))


@LAWS
@given(fleets())
def test_no_disk_without_a_grant_and_none_twice(made: Fleet) -> None:
    plan_ = make(made.site, made.observed)
    machines = {machine.machine.id: machine for machine in made.observed.machines}
    everywhere = [d for m in made.observed.machines if m.inventory for d in m.inventory.disks]
    granted = {serial_key(grant.serial) for grant in made.site.erase}
    protected = {serial_key(serial) for serial in made.site.protect}
    written = [choice for choice in plan_.disks if choice.fate is not DiskFate.KEEP]
    keys = [(c.machine, c.serial, c.wwn, c.size) for c in written]
    assert len(keys) == len(set(keys))
    for choice in written:
        machine = machines[choice.machine]
        fits = [
            d for d in machine.inventory.disks if (d.serial, d.wwn, d.size) == (choice.serial, choice.wwn, choice.size)
        ]
        assert len(fits) == 1, choice
        disk, key = fits[0], serial_key(fits[0].serial)
        assert key not in protected
        alone = sum(serial_key(d.serial) == key for d in everywhere) == 1
        assert disk.content.blank or is_ours(machine, disk) or (key in granted and alone), choice
    osds = plan_.desired.ceph.osds if plan_.desired.ceph else ()
    data = {(osd.machine, osd.data.serial, osd.data.wwn) for osd in osds}
    shared = {(osd.machine, disk.serial, disk.wwn) for osd in osds for disk in (osd.db, osd.wal) if disk is not None}
    assert not data & shared
    assert len({(osd.machine, osd.data.serial, osd.data.wwn, osd.part) for osd in osds}) == len(osds)


@LAWS
@given(fleets())
def test_lint_agrees_and_promises_hold_after_the_loss_of_a_domain(made: Fleet) -> None:
    plan_ = make(made.site, made.observed)
    assert [finding for finding in lint(made.site, plan_, made.observed, PROFILES) if finding.severity == ERROR] == []
    for pool in plan_.desired.ceph.pools if plan_.desired.ceph else ():
        assert pool.size - pool.per_domain >= pool.min_size
        assert pool.domains * pool.per_domain >= pool.size
        if pool.heals:
            assert (pool.domains - 1) * pool.per_domain >= pool.size
