"""Laws of Ceph's steps, whatever the boxes, their disks, and what changes about them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cephorder import CephAction
from appliance.kinds import ceph as kind
from appliance.kinds.ceph import Act
from appliance.model.ceph import CephLayout, OsdLayout, PoolSpec
from appliance.model.cephstate import CephState
from appliance.model.plan import DiskFate, Step
from tests.unit.kinds.fake import Fake
from tests.unit.kinds.scenes import BLOCK, FILE, OBJECT, Box, Scene, boxes, scene

POOLS = st.lists(st.sampled_from([BLOCK, FILE, OBJECT]), unique=True, max_size=3)


def steps_of(scene: Scene, state: CephState | None) -> tuple[Step, ...]:
    return kind.steps(scene.layout, scene.hosts, state, scene.before, scene.networks, scene.choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of some boxes: a host more, a host less, disks that are replaced, taken out, put in."""

    first: tuple[Box, ...]
    then: tuple[Box, ...]
    pools: tuple[PoolSpec, ...]
    more: tuple[PoolSpec, ...]


@st.composite
def changes(draw: st.DrawFn) -> Change:
    number = draw(st.integers(5, 7))
    racks = draw(st.sampled_from([0, 2, 3]))
    first = boxes(number, draw(st.integers(2, 3)), racks=racks)
    if draw(st.booleans()):
        first = [replace(box, db=f"DB-{box.name}") for box in first]
    then = list(first)
    for index in draw(st.lists(st.integers(0, number - 1), unique=True, max_size=2)):
        box = then[index]
        words = draw(st.sampled_from(["replace", "out", "in"]))
        disks = {
            "replace": (f"N{index}", *box.disks[1:]),
            "out": box.disks[1:],
            "in": (*box.disks, f"N{index}"),
        }[words]
        then[index] = replace(box, disks=disks)
    if draw(st.booleans()):
        then.append(replace(first[0], name=f"h{number + 1}", disks=("X1", "X2")))
    if draw(st.booleans()):
        then.pop(draw(st.integers(0, number - 1)))
    pools = tuple(draw(POOLS))
    return Change(first=tuple(first), then=tuple(then), pools=pools, more=tuple(draw(POOLS)))


def build(change: Change) -> tuple[Scene, Scene]:
    before = scene(change.first, change.pools)
    pools = tuple(dict.fromkeys((*change.pools, *change.more)))
    after = scene(change.then, pools, before=before.layout)
    return before, replace(after, hosts={**before.hosts, **after.hosts})


@settings(max_examples=40, deadline=None, derandomize=True)
@given(changes())
def test_steps_end_at_the_layout(change: Change) -> None:
    """Once formed, and again after a change, nothing is left to do; every OSD is what the layout says."""
    before, after = build(change)
    fake = Fake(hosts=dict(after.hosts))
    for one in (before, after):
        fake.run(steps_of(one, fake.state))
        assert steps_of(replace(one, before=one.layout), fake.state) == ()
        assert fake.state is not None
        live = {osd.uuid: osd for osd in fake.state.osds if not osd.destroyed}
        assert set(live) == {kind.osd_uuid(one.layout.fsid, osd) for osd in one.layout.osds}
        for osd in one.layout.osds:
            found = live[kind.osd_uuid(one.layout.fsid, osd)]
            assert (found.number, found.host) == (osd.number, one.hosts[osd.machine].name)
        assert set(fake.state.quorum) == {one.hosts[s.machine].name for s in one.layout.services if s.kind == "mon"}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(changes(), st.randoms(use_true_random=False))
def test_any_order_that_respects_after_comes_to_the_same_end(change: Change, lots: random.Random) -> None:
    before, after = build(change)
    fake = Fake(hosts=dict(after.hosts))
    for one in (before, after):
        left, ended = list(steps_of(one, fake.state)), set[str]()
        while left:
            step = lots.choice([step for step in left if set(step.after) <= ended])
            fake.finish(step)
            left.remove(step)
            ended.add(step.key)
        assert steps_of(replace(one, before=one.layout), fake.state) == ()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(changes(), st.integers(0, 400))
def test_planned_again_in_the_middle_it_goes_on(change: Change, cut: int) -> None:
    """Whatever was done before, a new plan with the same parent does only what is missing, under the same keys."""
    before, after = build(change)
    fake = Fake(hosts=dict(after.hosts))
    for one in (before, after):
        steps = steps_of(one, fake.state)
        fake.run(steps[: cut % (len(steps) + 1)])
        again = steps_of(one, fake.state)
        assert {step.key for step in again} <= {step.key for step in steps}
        fake.run(again)
        assert steps_of(replace(one, before=one.layout), fake.state) == ()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(changes(), st.randoms(use_true_random=False))
def test_no_disk_without_its_choice(change: Change, lots: random.Random) -> None:
    """An order that may write names a disk that is assigned in the plan, on its machine, by what the layout saw on it."""
    before, after = build(change)
    given_away = tuple(
        replace(one, fate=lots.choice([DiskFate.ASSIGN, DiskFate.KEEP, DiskFate.ERASE])) for one in after.choices
    )
    after = replace(after, choices=given_away)
    fake = Fake(hosts=dict(after.hosts))
    fake.run(steps_of(before, None))
    begun = len(fake.orders)
    fake.run([step for step in steps_of(after, fake.state) if step.key != "ceph-settle"])
    assigned = {(one.machine, one.serial, one.wwn, one.size) for one in given_away if one.fate is DiskFate.ASSIGN}
    planned = {
        (osd.machine, disk.serial, disk.fingerprint)
        for layout in (before.layout, after.layout)
        for osd in layout.osds
        for disk in (osd.data, osd.db)
        if disk is not None
    }
    for _, machine, order in fake.orders[begun:]:
        for grant in order.grants:
            assert grant.machine == machine and grant.plan == ""
            assert (machine, grant.serial, grant.fingerprint) in planned
            if order.action is CephAction.OSD:
                assert (machine, grant.serial, grant.wwn, grant.size) in assigned
            else:
                assert order.action in {CephAction.ZAP, CephAction.REMOVE} and grant.shared, "no whole disk is blanked"


@settings(max_examples=40, deadline=None, derandomize=True)
@given(changes())
def test_no_osd_is_stopped_that_still_holds_data(change: Change) -> None:
    before, after = build(change)
    fake = Fake(hosts=dict(after.hosts))
    fake.run(steps_of(before, None))
    steps = steps_of(after, fake.state)
    for step in steps:
        for _ in range(12):
            if not kind.by_order(step) and kind.done(step, fake.state):
                break
            told = kind.act(step, fake.state)
            assert fake.state is not None
            if isinstance(told, Act) and told.order.action is CephAction.STOP:
                osd = next(osd for osd in fake.state.osds if osd.number == int(told.order.daemon))
                assert not osd.in_ and osd.pgs == 0 and osd.safe
            if isinstance(told, Act):
                fake.carry(step.key, told)
                if kind.by_order(step):
                    break
            else:
                fake.pass_time()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(changes(), st.randoms(use_true_random=False))
def test_order_of_what_is_given_does_not_matter(change: Change, lots: random.Random) -> None:
    before, after = build(change)
    fake = Fake(hosts=dict(after.hosts))
    fake.run(steps_of(before, None))
    steps = steps_of(after, fake.state)
    mixed = lambda items: tuple(lots.sample(list(items), len(list(items))))  # noqa: E731
    hosts = dict(mixed(after.hosts.items()))
    state = fake.state
    assert state is not None
    state = replace(
        state, osds=mixed(state.osds), pools=mixed(state.pools), buckets=mixed(state.buckets), notes=mixed(state.notes)
    )
    again = replace(after, hosts=hosts, choices=mixed(after.choices))
    assert steps_of(again, state) == steps


@settings(max_examples=60, deadline=None, derandomize=True)
@given(changes())
def test_steps_are_in_order_and_named_once(change: Change) -> None:
    before, after = build(change)
    fake = Fake(hosts=dict(after.hosts))
    for one in (before, after):
        steps = steps_of(one, fake.state)
        seen: set[str] = set()
        for step in steps:
            assert set(step.after) <= seen and step.key not in seen and step.ceph is not None
            assert step.reversible != (step.ceph.osd is not None) or step.ceph.osd is None
            if step.ceph.osd is not None:
                assert _names(step.ceph.osd, one.layout) and not step.reversible
            if step.ceph.old is not None:
                stay = {kind.osd_uuid(one.layout.fsid, osd) for osd in one.layout.osds}
                assert kind.osd_uuid(one.layout.fsid, step.ceph.old) not in stay, "an OSD that stays is not touched"
            seen.add(step.key)
        fake.run(steps)


def _names(osd: OsdLayout, layout: CephLayout) -> bool:
    return any((one.machine, one.data, one.db) == (osd.machine, osd.data, osd.db) for one in layout.osds)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(changes(), st.integers(0, 400))
def test_osds_that_began_to_leave_are_not_forgotten(change: Change, cut: int) -> None:
    """Also by a plan whose parent has them no more."""
    before, after = build(change)
    fake = Fake(hosts=dict(after.hosts))
    fake.run(steps_of(before, None))
    steps = steps_of(after, fake.state)
    fake.run(steps[: cut % (len(steps) + 1)])
    assert fake.state is not None
    begun = {osd.uuid for osd in fake.state.osds if not osd.in_ and not osd.destroyed}
    accepted = replace(after, before=after.layout)
    fake.run(steps_of(accepted, fake.state))
    assert steps_of(accepted, fake.state) == ()
    stay = {kind.osd_uuid(after.layout.fsid, osd) for osd in after.layout.osds}
    assert not begun & {osd.uuid for osd in fake.state.osds} - stay


@settings(max_examples=30, deadline=None, derandomize=True)
@given(changes(), st.integers(0, 400))
def test_who_changes_his_mind_gets_everything_back(change: Change, cut: int) -> None:
    """Back to the old layout in the middle: what was on its way out is taken in again."""
    before, after = build(replace(change, more=()))
    back = replace(before, before=after.layout, hosts=after.hosts)
    fake = Fake(hosts=dict(after.hosts))
    fake.run(steps_of(before, None))
    steps = steps_of(after, fake.state)
    fake.run(steps[: cut % (len(steps) + 1)])
    fake.run(steps_of(back, fake.state))
    assert fake.state is not None
    live = {osd.uuid for osd in fake.state.osds if osd.up and osd.in_ and not osd.destroyed}
    assert {kind.osd_uuid(before.layout.fsid, osd) for osd in before.layout.osds} <= live
