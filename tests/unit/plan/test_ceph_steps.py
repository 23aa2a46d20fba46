"""From installed machines to the plan that forms Ceph: what it does and writes, what it waits for, when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.wire import Content, Environment, Signature
from appliance.kinds import ceph
from appliance.model.ceph import CephVerb
from appliance.model.cephstate import CephState
from appliance.model.machine import Phase, Policy
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import DiskFate, Plan, StepKind, WaitReason
from appliance.model.site import Site
from appliance.plan.ceph.steps import hosts, written_keys
from appliance.plan.diff.text import render
from appliance.plan.lint import lint
from appliance.plan.make import plan as make_plan
from appliance.plan.stale import changed_facts
from appliance.rehearsal import fleet
from hwprofiles.loader import load_profiles
from hwprofiles.normal import serial_key
from tests.unit.engine.cephsim import CephSim

PROFILES = load_profiles()
DISKS = (DiskFate.ERASE, DiskFate.ASSIGN)


def make(site: Site, seen: Observed, parent: Plan | None = None) -> Plan:
    return make_plan(site, PROFILES, seen, parent)


class Storage:
    """A dedicated Ceph on four machines: the plan that installs them, what is seen then, and the plan that forms it."""

    def __init__(self, **facts: object) -> None:
        kinds = {"hardware": (fleet.EPYC,), **facts}
        made = fleet.fleet(racks=2, per_rack=2, clusters=False, **kinds)  # type: ignore[arg-type]
        self.site, self.before = made.site, made.observed
        self.first = make(self.site, self.before)
        self.seen = fleet.accepted(self.first, self.before)
        self.second = make(self.site, self.seen, self.first)

    def formed(self) -> Observed:
        """What is seen when the second plan was carried out: Ceph says so, machines are members, disks carry its labels."""
        layout = self.second.desired.ceph
        assert layout is not None
        given = {allocation.machine: allocation for allocation in self.second.allocations}
        sim = CephSim(layout, hosts(self.second.desired, given))
        state = carried_out(self.second, sim)
        written = {key for step in self.second.steps for key in written_keys(step)}
        return replace(
            self.seen, machines=tuple(_member(one, written, layout.fsid) for one in self.seen.machines), ceph=state
        )


def carried_out(plan: Plan, sim: CephSim, stop: Callable[[str], bool] = lambda _key: False) -> CephState:
    """Every step as the engine does it, up to the first that ``stop`` names."""
    for step in plan.steps:
        if stop(step.key):
            break
        for _ in range(10):
            state = sim.state(1.0)
            if state is not None and ceph.done(step, state):
                break
            what = ceph.act(step, state)
            if isinstance(what, ceph.Wait):
                break
            sim.carry(what.machine, what.order)
            if ceph.by_order(step):
                break
    found = sim.state(1.0)
    assert found is not None
    return found


def _member(one: ObservedMachine, written: set[tuple[str, str, str]], fsid: str) -> ObservedMachine:
    assert one.inventory is not None
    label = Content(signatures=(Signature(kind="ceph_bluestore", owner=fsid),), edges="e" * 64)
    disks = tuple(
        replace(disk, content=label) if (one.machine.id, serial_key(disk.serial), disk.wwn.lower()) in written else disk
        for disk in one.inventory.disks
    )
    machine = replace(one.machine, phase=Phase.MEMBER)
    return replace(one, machine=machine, inventory=replace(one.inventory, disks=disks))


@pytest.fixture(scope="module")
def storage() -> Storage:
    return Storage()


def errors(storage: Storage, plan: Plan, seen: Observed) -> list[str]:
    return [f"{one.rule}: {one.about}" for one in lint(storage.site, plan, seen, PROFILES) if one.severity == "error"]


def test_the_plan_that_installs_has_only_installs_and_says_what_comes_next(storage: Storage) -> None:
    assert {step.kind for step in storage.first.steps} == {StepKind.INSTALL, StepKind.FIRST_BOOT}
    (wait,) = [wait for wait in storage.first.waits if wait.about == "ceph"]
    assert wait.reason is WaitReason.MEMBERS_MISSING
    assert "by the next plan after they are installed" in wait.text
    erased = [choice for choice in storage.first.disks if choice.fate is DiskFate.ERASE]
    assert {choice.role for choice in erased} == {"system"}


def test_the_next_plan_forms_it_and_names_every_disk_that_it_writes(storage: Storage) -> None:
    plan, layout = storage.second, storage.second.desired.ceph
    assert layout is not None
    assert plan.steps
    assert {step.kind for step in plan.steps} == {StepKind.CEPH}
    verbs = [step.ceph.verb for step in plan.steps if step.ceph]
    assert verbs.count(CephVerb.OSD) == len(layout.osds)
    assert not [wait for wait in plan.waits if wait.about == "ceph"]
    written = {key for step in plan.steps for key in written_keys(step)}
    erased = {(c.machine, serial_key(c.serial), c.wwn.lower()) for c in plan.disks if c.fate is DiskFate.ERASE}
    assert erased == written
    named = {fact.name for fact in plan.facts}
    assert {f"{who}/disk/{serial}/{wwn}" for who, serial, wwn in written} <= named
    assert changed_facts(plan, storage.seen) == ()
    assert errors(storage, plan, storage.seen) == []
    text = render(plan, storage.seen, storage.first.desired)
    assert all(serial in text for _, serial, _ in written)
    assert "NOT reversible" in text
    assert text.count("ERASE disk") == len(written)


def test_after_it_was_carried_out_there_are_no_changes(storage: Storage) -> None:
    seen = storage.formed()
    third = make(storage.site, seen, storage.second)
    assert third.steps == ()
    assert not third.changes
    assert not [wait for wait in third.waits if wait.about == "ceph"]
    assert errors(storage, third, seen) == []


def test_half_of_it_leaves_the_other_half(storage: Storage) -> None:
    layout = storage.second.desired.ceph
    assert layout is not None
    given = {allocation.machine: allocation for allocation in storage.second.allocations}
    sim = CephSim(layout, hosts(storage.second.desired, given))
    osds = [step for step in storage.second.steps if step.ceph and step.ceph.verb is CephVerb.OSD]
    half = osds[len(osds) // 2].key
    state = carried_out(storage.second, sim, lambda key: key == half)
    seen = replace(storage.seen, ceph=state)
    third = make(storage.site, seen, storage.second)
    left = [step.key for step in third.steps if step.ceph and step.ceph.verb is CephVerb.OSD]
    assert left == [step.key for step in osds[len(osds) // 2 :]]
    assert errors(storage, third, seen) == []


def test_a_disk_that_was_swapped_makes_the_plan_stale(storage: Storage) -> None:
    plan = storage.second
    who, serial, _ = next(key for step in plan.steps for key in written_keys(step))
    foreign = Content(signatures=(Signature(kind="ext4", label="data"),), edges="d" * 64)

    def other(one: ObservedMachine) -> ObservedMachine:
        assert one.inventory is not None
        disks = tuple(
            replace(disk, content=foreign) if disk.serial.upper().endswith(serial) else disk
            for disk in one.inventory.disks
        )
        return replace(one, inventory=replace(one.inventory, disks=disks)) if one.machine.id == who else one

    seen = replace(storage.seen, machines=tuple(map(other, storage.seen.machines)))
    assert [fact.name.partition("/")[0] for fact in changed_facts(plan, seen)] == [who]
    again = make(storage.site, seen, storage.first)
    assert serial not in {key[1] for step in again.steps for key in written_keys(step)}
    assert not [c for c in again.disks if c.fate in DISKS and c.serial.upper().endswith(serial)]


@pytest.mark.parametrize("why", ["held", "booted the agent image", "not there"])
def test_it_is_not_formed_before_every_part_can_be_told_something(storage: Storage, why: str) -> None:
    one = storage.seen.machines[0]
    assert one.inventory is not None
    if why == "held":
        one = replace(one, machine=replace(one.machine, policy=Policy.HOLD))
    elif why == "booted the agent image":
        one = replace(one, inventory=replace(one.inventory, environment=Environment.IMAGE))
    else:
        one = replace(one, machine=replace(one.machine, phase=Phase.DEPLOYING))
    seen = replace(storage.seen, machines=(one, *storage.seen.machines[1:]))
    plan = make(storage.site, seen, storage.first)
    assert not [step for step in plan.steps if step.kind is StepKind.CEPH]
    (wait,) = [wait for wait in plan.waits if wait.about == "ceph"]
    assert wait.reason is WaitReason.MEMBERS_MISSING
    assert not [choice for choice in plan.disks if choice.fate is DiskFate.ERASE and choice.role != "system"]


def test_what_is_formed_goes_on_without_a_machine_that_is_held(storage: Storage) -> None:
    seen = storage.formed()
    held = replace(seen.machines[0], machine=replace(seen.machines[0].machine, policy=Policy.HOLD))
    seen = replace(seen, machines=(held, *seen.machines[1:]))
    plan = make(storage.site, seen, storage.second)
    assert plan.steps == ()
    assert [wait.reason for wait in plan.waits if wait.about == "ceph"] == [WaitReason.MEMBERS_MISSING]


def test_beside_guests_it_still_waits(storage: Storage) -> None:
    made = fleet.fleet(racks=2, per_rack=2)
    first = make(made.site, made.observed)
    seen = fleet.accepted(first, made.observed)
    plan = make(made.site, seen, first)
    assert plan.steps == ()
    assert WaitReason.NOT_EXECUTABLE in [wait.reason for wait in plan.waits if wait.about == "ceph"]


def test_another_clusters_state_is_not_this_ones(storage: Storage) -> None:
    seen = storage.formed()
    assert seen.ceph is not None
    other = replace(seen, ceph=replace(seen.ceph, fsid="00000000-0000-4000-8000-000000000000"))
    plan = make(storage.site, replace(storage.seen, ceph=other.ceph), storage.first)
    assert [step.key for step in plan.steps] == [step.key for step in storage.second.steps]


def test_lint_finds_a_written_disk_that_nobody_can_read_of(storage: Storage) -> None:
    hidden = tuple(
        replace(choice, fate=DiskFate.KEEP) if choice.fate is DiskFate.ERASE else choice
        for choice in storage.second.disks
    )
    found = errors(storage, replace(storage.second, disks=hidden), storage.seen)
    assert any(text.startswith("unnamed-erasure") for text in found)


def test_hosts_have_addresses_of_the_public_network_and_their_place(storage: Storage) -> None:
    given = {allocation.machine: allocation for allocation in storage.second.allocations}
    found = hosts(storage.second.desired, given)
    layout = storage.second.desired.ceph
    assert layout is not None
    assert len(found) == 4
    assert len({host.address for host in found.values()}) == 4
    assert all("/" not in host.address for host in found.values())
    assert {level for host in found.values() for level, _ in host.location} >= {"rack"}
