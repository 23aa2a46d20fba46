"""A person wants a disk replaced while its OSD still runs: drained and destroyed, then a wait, then made again on a new disk
with the same number; the old disk is never touched again."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.wire import Content, Disk, Signature
from appliance.kinds import ceph as kind
from appliance.model.ceph import CephLayout, DeviceFilter, DriveGroup, OsdLayout
from appliance.model.observed import Observed, Replacement
from appliance.model.plan import DiskChoice, DiskFate, Plan, WaitReason
from appliance.model.site import EraseGrant
from appliance.plan.ceph.steps import hosts, written_keys
from appliance.plan.diff.text import render
from appliance.plan.lint import ERROR, lint
from appliance.plan.stale import changed_facts
from appliance.rehearsal import fleet
from hwprofiles.normal import serial_key
from tests.conftest import Golden
from tests.unit.kinds.fake import Fake
from tests.unit.plan.test_ceph_steps import PROFILES, Storage, make

BLANK = Content(blank=True, edges="0" * 64)


class Life:
    """A site whose Ceph stands. `go` carries out a plan and looks again; ``wanted`` are what people want replaced."""

    def __init__(self, storage: Storage) -> None:
        self.site, self.parent = storage.site, storage.second
        given = {allocation.machine: allocation for allocation in self.parent.allocations}
        self.fake = Fake(hosts=hosts(self.parent.desired, given))
        self.seen = storage.seen
        self.wanted: list[Replacement] = []
        self.serial = self.written = 0
        self.go(self.parent)

    @property
    def layout(self) -> CephLayout:
        assert self.parent.desired.ceph is not None
        return self.parent.desired.ceph

    def observed(self) -> Observed:
        return replace(self.seen, ceph=self.fake.state, replacing=tuple(self.wanted))

    def plan(self) -> Plan:
        """The next plan; lint finds no error, and no step writes a disk that no choice gives it."""
        made = make(self.site, self.observed(), self.parent)
        assert [one for one in lint(self.site, made, self.observed(), PROFILES) if one.severity == ERROR] == []
        given = {key(choice) for choice in made.disks if choice.fate is not DiskFate.KEEP}
        written = {one for step in made.steps for one in written_keys(step)}
        assert written <= given
        out = {(serial_key(one.serial), one.wwn.lower()) for one in self.wanted}
        erased = {key(choice) for choice in made.disks if choice.fate is DiskFate.ERASE}
        assert not out & {one[1:] for one in written | erased}, "a disk that is being replaced is erased or written"
        return made

    def go(self, made: Plan) -> None:
        self.fake.run(made.steps)
        written = {one for step in made.steps for one in written_keys(step)}
        self.written += 1  # every write is another content: LVM counts its changes
        found = (Signature(kind="ceph_bluestore", owner=self.layout.fsid),)
        label = Content(signatures=found, edges=f"{self.written:064x}")
        self.disks(lambda who, disk: replace(disk, content=label) if (who, *named(disk)) in written else disk)
        self.parent = made
        for step in made.steps:
            if step.ceph is not None and step.ceph.osd is not None and step.ceph.old is not None:
                old = step.ceph.old.data
                self.wanted = [replace(one, done=True) if one.serial == old.serial else one for one in self.wanted]

    def disks(self, change: Any) -> None:
        """``change`` gives the disk that is there instead of each, or None."""
        machines = []
        for one in self.seen.machines:
            assert one.inventory is not None
            found = [change(one.machine.id, disk) for disk in one.inventory.disks]
            inventory = replace(one.inventory, disks=tuple(disk for disk in found if disk is not None))
            machines.append(replace(one, inventory=inventory))
        self.seen = replace(self.seen, machines=tuple(machines))

    def want(self, osd: OsdLayout) -> None:
        self.wanted.append(
            Replacement(machine=osd.machine, serial=osd.data.serial, wwn=osd.data.wwn, size=osd.data.size)
        )

    def insert(self, osd: OsdLayout, *, pull: bool = True) -> str:
        """A new disk like that of ``osd`` in its machine; returns its serial."""
        self.serial += 1
        like = next(d for who, d in self.every() if who == osd.machine and d.serial == osd.data.serial)
        serial = f"NEW{self.serial}"
        new = replace(like, serial=serial, wwn=f"eui.00{self.serial:04d}", path="/dev/new", content=BLANK)
        for one in self.seen.machines:
            if one.machine.id == osd.machine and one.inventory is not None:
                stay = [disk for disk in one.inventory.disks if not (pull and disk.serial == osd.data.serial)]
                changed = replace(one, inventory=replace(one.inventory, disks=(*stay, new)))
                others = tuple(other for other in self.seen.machines if other is not one)
                self.seen = replace(self.seen, machines=(*others, changed))
        return serial

    def every(self) -> Iterable[tuple[str, Disk]]:
        return [(one.machine.id, disk) for one in self.seen.machines if one.inventory for disk in one.inventory.disks]

    def text(self, made: Plan) -> str:
        return render(made, self.observed(), self.parent.desired)


def named(disk: Disk) -> tuple[str, str]:
    return serial_key(disk.serial), disk.wwn.lower()


def key(choice: DiskChoice) -> tuple[str, str, str]:
    return choice.machine, serial_key(choice.serial), choice.wwn.lower()


def keys(made: Plan) -> list[str]:
    return [step.key for step in made.steps]


def reasons(made: Plan) -> list[WaitReason]:
    return [wait.reason for wait in made.waits]


@pytest.fixture(scope="module")
def storage() -> Storage:
    return Storage()


@pytest.fixture
def life(storage: Storage) -> Life:
    return Life(storage)


def test_nothing_is_wanted_and_nothing_changes(life: Life) -> None:
    assert life.plan().changes is False


def test_from_the_wish_to_the_new_disk(life: Life, golden: Golden) -> None:
    old = life.layout.osds[3]
    life.want(old)
    made = life.plan()
    n = old.number
    assert keys(made)[:4] == [
        f"ceph-out/osd.{n}",
        f"ceph-destroy/osd.{n}",
        f"ceph-clean/osd/{n}",
        f"ceph-locate/osd.{n}",
    ]
    assert "ceph-settle" in keys(made)
    assert reasons(made) == [WaitReason.NEW_DISK]
    golden.check("sites/disk-replacement-1-wanted.txt", life.text(made))
    life.go(made)

    waiting = life.plan()
    assert (waiting.steps, waiting.changes, reasons(waiting)) == ((), False, [WaitReason.NEW_DISK])
    golden.check("sites/disk-replacement-2-waiting.txt", life.text(waiting))

    serial = life.insert(old)
    found = life.plan()
    assert found.desired.ceph is not None
    new = next(osd for osd in found.desired.ceph.osds if osd.number == n)
    assert (new.data.serial, new.machine, new.slot, new.db) == (serial, old.machine, old.slot, old.db)
    assert {choice.serial for choice in found.disks if choice.fate is DiskFate.ERASE} == {serial}
    golden.check("sites/disk-replacement-3-new-disk.txt", life.text(found))
    life.go(found)
    assert [one.done for one in life.wanted] == [True]
    after = life.plan()
    assert (after.steps, after.changes, after.waits) == ((), False, ())


def test_the_old_disk_may_stay_in_its_slot_even_when_it_is_granted_and_blank(life: Life) -> None:
    """Beside the new one, wiped by somebody, and named by a grant of long ago: it is not used again."""
    old = life.layout.osds[0]
    life.want(old)
    life.go(life.plan())
    life.site = replace(life.site, erase=(EraseGrant(serial=old.data.serial, reason="of long ago"),))
    life.disks(lambda _, disk: replace(disk, content=BLANK) if disk.serial == old.data.serial else disk)
    assert life.plan().steps == ()
    serial = life.insert(old, pull=False)
    found = life.plan()
    assert {choice.serial for choice in found.disks if choice.fate is DiskFate.ERASE} == {serial}
    life.go(found)
    after = life.plan()
    assert (after.steps, after.waits) == ((), ())
    choice = next(choice for choice in after.disks if choice.serial == old.data.serial)
    assert choice.fate is DiskFate.KEEP
    assert choice.why.startswith("it was replaced: take it out")
    life.wanted.clear()
    back = life.plan()
    assert any(step.key.startswith("ceph-osd/") for step in back.steps), "taken back, it is a disk like any other"


def test_it_goes_on_when_the_old_disk_is_pulled_first(life: Life) -> None:
    old = life.layout.osds[5]
    life.want(old)
    life.go(life.plan())
    life.disks(lambda _, disk: None if disk.serial == old.data.serial else disk)
    waiting = life.plan()
    assert (waiting.steps, reasons(waiting)) == ((), [WaitReason.NEW_DISK])
    assert any(osd.number == old.number for osd in waiting.desired.ceph.osds)  # type: ignore[union-attr]


def test_a_spare_disk_that_is_there_already_is_taken_in_one_plan(life: Life) -> None:
    old = life.layout.osds[5]
    serial = life.insert(old, pull=False)
    life.want(old)
    made = life.plan()
    order = [k for k in keys(made) if k.split("/")[0] in {"ceph-out", "ceph-destroy", "ceph-osd"}]
    assert [k.split("/")[0] for k in order] == ["ceph-out", "ceph-destroy", "ceph-osd"]
    new = next(osd for osd in made.desired.ceph.osds if osd.number == old.number)  # type: ignore[union-attr]
    assert new.data.serial == serial
    life.go(made)
    assert life.plan().steps == ()


def test_the_slot_on_the_db_device_is_kept_and_used_again() -> None:
    """Both when others share the device, and when every OSD on it leaves at once."""
    life = Life(Storage(hardware=(fleet.EPYC_HDD,)))
    olds = [osd for osd in life.layout.osds if osd.machine == life.layout.osds[0].machine and osd.db is not None]
    assert len(olds) > 2
    for among in (olds[1:2], olds):
        current = [osd for osd in life.layout.osds if osd.number in {old.number for old in among}]
        for osd in current:
            life.want(osd)
        made = life.plan()
        assert [k for k in keys(made) if k.startswith("ceph-zap/")] == [f"ceph-zap/osd.{osd.number}" for osd in current]
        life.go(made)
        assert life.plan().steps == ()
        slots = {osd.number: (osd.db, osd.slot, osd.db_size) for osd in life.layout.osds}
        for osd in current:
            life.insert(osd)
        found = life.plan()
        assert {c.serial for c in found.disks if c.fate is DiskFate.ERASE} == {
            f"NEW{life.serial - n}" for n in range(len(current))
        }
        life.go(found)
        for osd in life.layout.osds:
            db, _, size = slots[osd.number]
            assert osd.db is not None and db is not None
            assert (osd.db.serial, osd.db_size) == (db.serial, size)
        assert {(osd.db.serial, osd.slot) for osd in life.layout.osds if osd.db} == {
            (db.serial, slot) for db, slot, _ in slots.values() if db
        }
        after = life.plan()
        assert (keys(after), after.waits) == ([], ()), life.text(after)


def test_a_disk_of_two_osds_lets_both_go(storage: Storage) -> None:
    """One lamp, one new disk, both numbers."""
    assert storage.site.ceph is not None
    two = DriveGroup(name="two", data=DeviceFilter(rotational=False, size="1TB:"), osds_per_device=2)
    split = copy.copy(storage)
    split.site = replace(storage.site, ceph=replace(storage.site.ceph, groups=(two,)))
    split.first = make(split.site, split.before)
    split.seen = fleet.accepted(split.first, split.before)
    split.second = make(split.site, split.seen, split.first)
    life = Life(split)
    old = next(osd for osd in life.layout.osds if osd.part == 1)
    both = sorted(osd.number for osd in life.layout.osds if osd.data == old.data and osd.machine == old.machine)
    assert len(both) == 2
    life.want(old)
    made = life.plan()
    assert sorted(k for k in keys(made) if k.startswith("ceph-destroy/")) == [f"ceph-destroy/osd.{n}" for n in both]
    assert len([k for k in keys(made) if k.startswith("ceph-locate/")]) == 1
    life.go(made)
    assert reasons(life.plan()) == [WaitReason.NEW_DISK] * 2
    serial = life.insert(old)
    life.go(life.plan())
    made_on = [osd for osd in life.layout.osds if osd.data.serial == serial]
    assert sorted(osd.number for osd in made_on) == both
    assert sorted(osd.part for osd in made_on) == [0, 1]
    assert life.plan().changes is False


def test_one_that_is_down_is_only_waited_for(life: Life) -> None:
    """There is nothing to drain, and nothing that could become clean before the new disk is there: a plan that waited for
    that would stand in the way of the one that makes the OSD again. It is destroyed when its successor is made."""
    old = life.layout.osds[2]
    life.fake._osds(lambda osd: osd.number == old.number, up=False)
    life.want(old)
    made = life.plan()
    assert keys(made) == [f"ceph-locate/osd.{old.number}"]
    life.go(made)
    waiting = life.plan()
    assert (waiting.steps, waiting.changes, reasons(waiting)) == ((), False, [WaitReason.NEW_DISK])
    serial = life.insert(old)
    found = life.plan()
    assert [k for k in keys(found) if k.startswith(("ceph-out", "ceph-destroy"))] == [f"ceph-destroy/osd.{old.number}"]
    assert {choice.serial for choice in found.disks if choice.fate is DiskFate.ERASE} == {serial}
    life.go(found)
    assert life.plan().changes is False


def test_refused_with_numbers_and_nothing_moves(life: Life) -> None:
    state = life.fake.state
    assert state is not None
    full = tuple(replace(osd, used=osd.size * 84 // 100) for osd in state.osds)
    life.fake.state = replace(state, osds=full)
    for osd in life.layout.osds:
        life.want(osd)
    made = life.plan()
    assert WaitReason.DRAIN_REFUSED in reasons(made)
    text = next(wait.text for wait in made.waits if wait.reason is WaitReason.DRAIN_REFUSED)
    assert "at most 85% may be used; add disks first" in text
    drained = {k for k in keys(made) if k.startswith("ceph-out/")}
    assert len(drained) < len(life.layout.osds) // 2
    assert len(drained) + reasons(made).count(WaitReason.DRAIN_REFUSED) == len(life.layout.osds)


def test_taken_back_before_it_was_destroyed_everything_is_as_it_was(life: Life) -> None:
    old = life.layout.osds[1]
    life.want(old)
    made = life.plan()
    life.fake.finish(made.steps[0])  # drained
    life.parent = made
    life.wanted.clear()
    assert [fact.name.split("/")[1] for fact in changed_facts(made, life.observed())] == ["replacing"]
    back = life.plan()
    assert [k for k in keys(back) if k.startswith(("ceph-out", "ceph-destroy"))] == []
    life.go(back)
    assert life.plan().changes is False
    assert all(osd.in_ for osd in life.fake.state.osds)  # type: ignore[union-attr]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_is_wanted_it_converges(data: st.DataObject) -> None:
    """Random wishes, disks pulled, put in, taken back, plans cut in the middle: `Life.plan` checks that no step touches an
    ungranted disk; in the end every number is there once, in its place, and nothing is left to do."""
    life = Life(_shared())
    first = {osd.number: osd.machine for osd in life.layout.osds}
    for _ in range(data.draw(st.integers(1, 4))):
        osd = data.draw(st.sampled_from(life.layout.osds))
        if not any(one.serial == osd.data.serial for one in life.wanted):
            life.want(osd)
        made = life.plan()
        cut = data.draw(st.integers(0, len(made.steps)))
        life.fake.run(made.steps[:cut])
        life.parent = made
    for _ in range(4 * len(first)):
        made = life.plan()
        life.go(made)
        waiting = [osd for osd in life.layout.osds if osd.replacing]
        if not waiting and not life.plan().steps:
            break
        if waiting:
            there = {disk.serial for _, disk in life.every()}
            life.insert(waiting[0], pull=data.draw(st.booleans()) and waiting[0].data.serial in there)
    assert {osd.number: osd.machine for osd in life.layout.osds} == first
    assert not [one for one in life.wanted if not one.done]
    assert life.fake.state is not None
    live = {osd.uuid for osd in life.fake.state.osds if not osd.destroyed}
    assert live == {kind.osd_uuid(life.layout.fsid, osd) for osd in life.layout.osds}
    assert life.plan().changes is False


_STORAGE: list[Storage] = []


def _shared() -> Storage:
    if not _STORAGE:
        _STORAGE.append(Storage())
    return _STORAGE[0]
