"""Laws of a Ceph that is formed: whatever gets lost of what is reported, nothing of it leaves, and nothing is written.

Every loss is made on random machines and disks by a seed that is the test's own name, so a test sees the same today and
after any edit. What a person does on purpose is the counterpart: it does let go.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from agent import cephmarks
from agent.wire import Content, Disk, Inventory, Memory, ProbeFailure, Signature, Smart
from appliance.kinds.ceph.orders import osd_order
from appliance.model.ceph import CephLayout, CephSpec, CephVerb, DeviceFilter, DriveGroup, OsdLayout
from appliance.model.machine import Phase, Policy, Trouble, TroubleKind
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import DiskFate, Plan, StepKind
from appliance.model.site import Site
from appliance.plan.diff.text import render
from appliance.plan.explain.answer import explain
from tests.unit.plan.test_ceph_steps import Storage, errors, make

DESTRUCTIVE = frozenset({CephVerb.OUT, CephVerb.DESTROY, CephVerb.PURGE, CephVerb.ZAP, CephVerb.LEAVE})
SEEDS = range(4)

Loss = Callable[[ObservedMachine, random.Random], ObservedMachine | None]


@cache
def storage() -> Storage:
    return Storage()


@cache
def formed() -> Observed:
    return storage().formed()


# ---------------------------------------------------------------- what gets lost


def _seen(one: ObservedMachine, **facts: object) -> ObservedMachine:
    assert one.inventory is not None
    return replace(one, inventory=replace(one.inventory, **facts))  # type: ignore[arg-type]


def _each(one: ObservedMachine, change: Callable[[Disk], Disk], dice: random.Random, *, whole: bool) -> ObservedMachine:
    """``change`` on some disks of the machine, or on all."""
    found = _inventory(one).disks
    return _seen(one, disks=tuple(change(disk) if whole or dice.random() < 0.4 else disk for disk in found))


def _inventory(one: ObservedMachine) -> Inventory:
    assert one.inventory is not None
    return one.inventory


def some_disks_vanish(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _seen(one, disks=tuple(disk for disk in _inventory(one).disks if dice.random() < 0.6))


def all_disks_vanish(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _seen(one, disks=())


def the_probe_of_disks_fails(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    failed = ProbeFailure(probe="disks", message="lsblk: timed out after 30 s")
    kept = tuple(disk for disk in _inventory(one).disks if dice.random() < 0.5)
    return _seen(one, disks=kept, failures=(failed,))


def the_probe_of_ports_fails(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _seen(one, nics=(), failures=(ProbeFailure(probe="nics", message="netlink: no buffer space"),))


def disks_can_not_be_read(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _each(one, lambda disk: replace(disk, content=Content()), dice, whole=dice.random() < 0.5)


def disks_look_blank(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    blank = Content(blank=True, edges="5647f05ec18958947d32874eeb788fa396a05d0bab7c1b71f112ceb7e9b31eee")
    osds = (disk for disk in _inventory(one).disks if not disk.content.table)
    lost = {disk.serial for disk in osds if dice.random() < 0.5}
    return _each(one, lambda disk: replace(disk, content=blank) if disk.serial in lost else disk, dice, whole=True)


def disks_fail(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _each(one, lambda disk: replace(disk, smart=Smart(healthy=False)), dice, whole=False)


def serials_vanish(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _each(one, lambda disk: replace(disk, serial="", wwn=""), dice, whole=False)


def sizes_shrink(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _each(one, lambda disk: replace(disk, size=1 << 29), dice, whole=False)


def nobody_is_heard(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _seen(
        one, nics=tuple(replace(nic, neighbours=(), carrier=False, speed=None) for nic in _inventory(one).nics)
    )


def memory_shrinks(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return _seen(one, memory=Memory(total=1 << 30, installed=1 << 30))


def its_report_is_gone(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return replace(one, inventory=None)


def it_comes_back_with_another_key(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    phase = dice.choice((Phase.SEEN, Phase.ENROLLED, Phase.APPROVED))
    return replace(one, machine=replace(one.machine, phase=phase), inventory=None)


def it_is_in_trouble(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    trouble = Trouble(kind=TroubleKind.IDENTITY_CONFLICT, text="two machines say that they are this one", since=0.0)
    return replace(one, machine=replace(one.machine, trouble=trouble, policy=Policy.HOLD))


def it_is_rescued(one: ObservedMachine, dice: random.Random) -> ObservedMachine:
    return replace(one, machine=replace(one.machine, phase=Phase.RESCUE))


def its_record_is_gone(one: ObservedMachine, dice: random.Random) -> ObservedMachine | None:
    return None


LOSSES: tuple[Loss, ...] = (
    some_disks_vanish,
    all_disks_vanish,
    the_probe_of_disks_fails,
    the_probe_of_ports_fails,
    disks_can_not_be_read,
    disks_look_blank,
    disks_fail,
    serials_vanish,
    sizes_shrink,
    nobody_is_heard,
    memory_shrinks,
    its_report_is_gone,
    it_comes_back_with_another_key,
    it_is_in_trouble,
    it_is_rescued,
    its_record_is_gone,
)
FOLLOWED: frozenset[Loss] = frozenset({memory_shrinks})
"""What the layout follows: nothing leaves, but it is another one."""


def lose(loss: Loss, seed: int) -> Observed:
    """The loss on some machines, at least one."""
    dice = random.Random(f"{loss.__name__}/{seed}")
    seen = formed()
    hit = dice.sample(range(len(seen.machines)), dice.randint(1, len(seen.machines)))
    after = [loss(one, dice) if index in hit else one for index, one in enumerate(seen.machines)]
    return replace(seen, machines=tuple(one for one in after if one is not None))


# ---------------------------------------------------------------- what holds


def ceph_of(plan: Plan) -> CephLayout:
    assert plan.desired.ceph is not None
    return plan.desired.ceph


def assert_it_stands(plan: Plan, before: CephLayout) -> None:
    """Nothing is taken away, and all that was accepted is there. How much memory OSDs may use follows what is reported."""
    assert not [step.key for step in plan.steps if step.ceph and step.ceph.verb in DESTRUCTIVE]
    assert not [step.key for step in plan.steps if step.kind in (StepKind.INSTALL, StepKind.FIRST_BOOT)]
    assert not [choice for choice in plan.disks if choice.fate is DiskFate.ERASE]
    now = ceph_of(plan)
    assert {osd.number: osd for osd in before.osds}.items() <= {osd.number: osd for osd in now.osds}.items()
    assert set(before.members) <= set(now.members)
    assert set(before.services) == set(now.services)
    assert {bucket.name for bucket in before.buckets} <= {bucket.name for bucket in now.buckets}
    assert before.pools == now.pools
    assert before.fsid == now.fsid


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_a_loss_of_what_is_reported_lets_go_of_nothing(loss: Loss, seed: int) -> None:
    before, site = ceph_of(storage().second), storage().site
    lossy = lose(loss, seed)
    assert lossy != formed()
    plan = make(site, lossy, storage().second)
    assert_it_stands(plan, before)
    assert (plan.steps, plan.changes) == ((), False) or loss in FOLLOWED
    assert errors(storage(), plan, lossy) == []
    again = make(site, lossy, plan)
    assert_it_stands(again, before)
    assert not again.changes
    back = make(site, formed(), again)
    assert (back.steps, back.changes) == ((), False) or loss in FOLLOWED
    assert_it_stands(back, before)
    assert not [wait.text for wait in back.waits if wait.about == "ceph"]
    assert errors(storage(), back, formed()) == []


@pytest.mark.parametrize(
    "loss", [all_disks_vanish, its_report_is_gone, its_record_is_gone], ids=lambda loss: loss.__name__
)
def test_what_is_not_reported_is_explained_all_the_same(loss: Loss) -> None:
    seen = lose(loss, 0)
    plan = make(storage().site, seen, storage().second)
    for osd in ceph_of(plan).osds:
        text = "\n".join(line.text for line in explain(plan, seen, storage().site, f"osd.{osd.number}"))
        assert f"osd.{osd.number}" in text


@pytest.mark.parametrize("seed", range(40))
def test_several_losses_one_after_the_other_let_go_of_nothing(seed: int) -> None:
    before, site = ceph_of(storage().second), storage().site
    dice = random.Random(f"several/{seed}")
    plan = storage().second
    for _ in range(3):
        plan = make(site, lose(dice.choice(LOSSES), dice.randrange(1000)), plan)
        assert_it_stands(plan, before)


def _nobody(spec: CephSpec) -> CephSpec:
    return replace(spec, machines=("n99",))


def _no_disk(spec: CephSpec) -> CephSpec:
    return replace(spec, groups=(DriveGroup(name="typo", data=DeviceFilter(model="KIOXA")),))


def _no_profile(spec: CephSpec) -> CephSpec:
    return replace(spec, profiles=("epic-compute",))


@pytest.mark.parametrize("slip", [_nobody, _no_disk, _no_profile])
def test_a_slip_in_the_site_file_that_chooses_nothing_lets_go_of_nothing(slip: Callable[[CephSpec], CephSpec]) -> None:
    site = storage().site
    assert site.ceph is not None
    plan = make(replace(site, ceph=slip(site.ceph)), formed(), storage().second)
    assert_it_stands(plan, ceph_of(storage().second))
    assert plan.steps == ()


# ---------------------------------------------------------------- in the middle of forming


def _marked(stage: str, marked: uuid.UUID) -> Content:
    """What a probe finds on a disk on which an OSD is being made, before anything is tagged."""
    edges = "b" * 64
    if stage == "erasing":
        return Content(table="gpt", table_id=str(marked), edges=edges)
    group = cephmarks.group_name(marked) if stage == "group" else ""
    volume = Signature(kind=cephmarks.PHYSICAL_VOLUME, uuid=cephmarks.volume_uuid(marked), owner=group)
    return Content(signatures=(volume,), edges=edges, in_use=stage == "group")


def _half_made(stage: str, *, own: bool) -> tuple[Observed, OsdLayout]:
    """Nothing of Ceph but its first OSD is there, half made; ``own``: by the order of the accepted plan."""
    layout = ceph_of(storage().second)
    osd = layout.osds[0]
    fsid = layout.fsid if own else "00000000-0000-4000-8000-000000000000"
    order = osd_order(fsid, osd)
    content = _marked(stage, cephmarks.mark(order.data, fsid, order.uuid, "data"))

    def change(disk: Disk) -> Disk:
        return replace(disk, content=content) if disk.serial == osd.data.serial else disk

    seen = storage().seen
    machines = tuple(
        _seen(one, disks=tuple(map(change, _inventory(one).disks))) if one.machine.id == osd.machine else one
        for one in seen.machines
    )
    return replace(seen, machines=machines), osd


@pytest.mark.parametrize("stage", ["erasing", "volume", "group"])
def test_a_plan_in_the_middle_of_forming_does_not_change_its_mind(stage: str) -> None:
    seen, osd = _half_made(stage, own=True)
    accepted = storage().second
    plan = make(storage().site, seen, accepted)
    assert plan.desired == accepted.desired
    assert [step.key for step in plan.steps] == [step.key for step in accepted.steps]
    assert [wait.text for wait in plan.waits] == [wait.text for wait in accepted.waits]
    (choice,) = [choice for choice in plan.disks if choice.serial == osd.data.serial]
    assert (choice.role, choice.fate) == ("osd", DiskFate.ASSIGN)
    assert errors(storage(), plan, seen) == []


@pytest.mark.parametrize("stage", ["erasing", "volume", "group"])
def test_marks_of_another_cluster_are_somebodys_data(stage: str) -> None:
    seen, osd = _half_made(stage, own=False)
    plan = make(storage().site, seen, storage().second)
    assert osd.number not in {one.number for one in ceph_of(plan).osds if one.data.serial == osd.data.serial}
    assert not [c for c in plan.disks if c.serial == osd.data.serial and c.fate is not DiskFate.KEEP]


# ---------------------------------------------------------------- what a person does on purpose


def _first(**changes: object) -> Observed:
    one = formed().machines[0]
    other = replace(one, machine=replace(one.machine, **changes))  # type: ignore[arg-type]
    return replace(formed(), machines=(other, *formed().machines[1:]))


@pytest.mark.parametrize("seen", [_first(policy=Policy.DRAIN), _first(phase=Phase.RETIRED)], ids=["drained", "retired"])
def test_a_machine_that_a_person_lets_go_leaves(seen: Observed) -> None:
    plan = make(storage().site, seen, storage().second)
    gone = seen.machines[0].machine.id
    assert gone not in ceph_of(plan).members
    assert [step for step in plan.steps if step.ceph and step.ceph.verb is CephVerb.OUT]


def test_without_ceph_in_the_site_file_it_is_given_up_in_words() -> None:
    site: Site = replace(storage().site, ceph=None)
    plan = make(site, formed(), storage().second)
    assert plan.desired.ceph is None
    assert plan.steps == ()
    text = render(plan, formed(), storage().second.desired)
    assert "- ceph is no longer in the site file: its 44 OSDs run on, and no plan knows them any more" in text


def _swapped(*, up: bool) -> Observed:
    """The first OSD's disk was swapped for a new one; ``up``: Ceph says that the OSD runs all the same."""
    osd, seen = ceph_of(storage().second).osds[0], formed()
    new = Content(blank=True, edges="5647f05ec18958947d32874eeb788fa396a05d0bab7c1b71f112ceb7e9b31eee")

    def other(disk: Disk) -> Disk:
        mine = disk.serial == osd.data.serial
        return replace(disk, serial="NEW1", wwn="eui.00000000000000aa", content=new) if mine else disk

    machines = tuple(
        _seen(one, disks=tuple(map(other, _inventory(one).disks))) if one.machine.id == osd.machine else one
        for one in seen.machines
    )
    assert seen.ceph is not None
    osds = tuple(replace(one, up=up) if one.number == osd.number else one for one in seen.ceph.osds)
    return replace(seen, machines=machines, ceph=replace(seen.ceph, osds=osds))


def test_a_new_disk_takes_the_number_of_one_that_is_dead() -> None:
    plan, first = make(storage().site, _swapped(up=False), storage().second), ceph_of(storage().second).osds[0]
    (osd,) = [osd for osd in ceph_of(plan).osds if osd.number == first.number]
    assert osd.data.serial == "NEW1"
    assert [step.key for step in plan.steps if step.ceph and step.ceph.verb is CephVerb.DESTROY]


def test_a_new_disk_takes_nothing_from_one_that_runs() -> None:
    """It was reported as gone, and Ceph says that it runs: the report is wrong."""
    plan, before = make(storage().site, _swapped(up=True), storage().second), ceph_of(storage().second)
    (new,) = [osd for osd in ceph_of(plan).osds if osd.data.serial == "NEW1"]
    assert new.number == max(osd.number for osd in before.osds) + 1
    assert not [step.key for step in plan.steps if step.ceph and step.ceph.verb in DESTRUCTIVE]
    assert before.osds[0] in ceph_of(plan).osds
