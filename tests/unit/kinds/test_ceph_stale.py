"""OSDs that no plan made: what is said of them, which may go, and what is told then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.kinds import ceph as kind
from appliance.kinds.ceph import Act, Wait
from appliance.kinds.ceph.commands import shown
from appliance.model.cephstate import BucketState, CephState, OsdState
from appliance.model.plan import Step
from tests.unit.kinds.fake import NONE, Fake
from tests.unit.kinds.scenes import Scene, boxes, scene
from tests.unit.kinds.test_ceph_life import four
from tests.unit.kinds.test_ceph_steps import BLOCK, formed

OLD = "11111111-2222-4333-8444-555555555555"
STALE = OsdState(number=20, uuid=OLD, host="h9", device_class="ssd", up=False, in_=False, weight=1.0, pgs=0, safe=True)
PLACE = BucketState(name="h9", level="host", parent="default")


def with_stale(state: CephState, **facts: object) -> CephState:
    old = replace(STALE, **facts)  # type: ignore[arg-type]
    return replace(state, osds=(*state.osds, old), buckets=(*state.buckets, PLACE))


def removal(made: Scene, state: CephState, *numbers: int) -> tuple[Step, ...]:
    made = replace(made, before=made.layout)
    return kind.steps(made.layout, made.hosts, state, made.before, made.networks, made.choices, remove=numbers)


def kept(made: Scene, state: CephState, number: int = 20) -> str:
    return kind.kept(made.layout, made.layout, state, number)


# ---------------------------------------------------------------- which may go


def test_one_that_is_down_and_not_missed_may_go() -> None:
    made, state = four()
    assert kept(made, with_stale(state)) == ""
    assert kept(made, with_stale(state, in_=True, pgs=7)) == ""
    assert kept(made, with_stale(state, up=True)) == "", "it runs, out and empty"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"up": True, "in_": True, "pgs": 7}, "osd.20 runs on h9 and holds 7 PGs: `ceph osd out 20`"),
        ({"up": True, "in_": True, "pgs": None}, "how much it holds is not known"),
        ({"up": True, "pgs": 7, "host": ""}, "osd.20 runs below no host and holds 7 PGs"),
        ({"up": True, "in_": True, "pgs": 0}, "holds 0 PGs: `ceph osd out 20`"),
    ],
)
def test_one_that_runs_and_holds_data_is_never_removed(facts: dict[str, object], why: str) -> None:
    made, state = four()
    stale = with_stale(state, **facts)
    assert why in kept(made, stale)
    assert removal(made, stale, 20) == ()


def test_one_that_something_can_not_be_used_without_is_kept() -> None:
    made, state = four()
    bad = replace(with_stale(state), pgs=(("active+clean", 8), ("down", 1)))
    assert "PGs can't be used without it" in kept(made, bad), "no group is counted as its own while it is down"
    assert "PGs can't be used without it" in kept(made, replace(bad, osds=(*state.osds, replace(STALE, pgs=1))))


def test_what_would_not_fit_is_kept() -> None:
    made, state = four()
    full = replace(state, osds=tuple(replace(osd, used=int(0.87 * osd.size)) for osd in state.osds))
    assert "at most 85% may be used" in kept(made, with_stale(full, in_=True, pgs=3))


def test_what_a_plan_has_goes_with_its_disk() -> None:
    made, state = four()
    assert kept(made, state, 0) == "osd.0 is planned, on disk naa.3s001d1: take the disk or its machine out instead"
    dead = replace(state, osds=tuple(replace(osd, uuid=NONE, destroyed=True) for osd in state.osds))
    assert "is planned" in kept(made, dead, 3), "its id waits for the disk that the plan has"
    less = replace(made.layout, osds=made.layout.osds[:-1])
    number = made.layout.osds[-1].number
    assert "leaves by a plan already" in kind.kept(less, made.layout, state, number)
    assert kept(made, state, 99) == "there is no osd.99"


def test_a_stranger_with_a_planned_number_may_go() -> None:
    """The plan's own OSD got another number when it was made."""
    made, state = four()
    osds = (replace(STALE, number=3), *(replace(osd, number=30) if osd.number == 3 else osd for osd in state.osds))
    assert kept(made, replace(state, osds=osds), 3) == ""


# ---------------------------------------------------------------- what is told


def test_it_goes_with_the_host_that_nothing_else_is_below() -> None:
    made, state = four()
    stale = with_stale(state)
    steps = removal(made, stale, 20)
    assert [step.key for step in steps] == ["ceph-purge/osd.20", "ceph-leave/bucket/h9", "ceph-settle", "ceph-prove"]
    assert not steps[0].reversible
    told = kind.act(steps[0], stale)
    assert isinstance(told, Act)
    assert [shown(one) for one in told.order.commands] == ["osd purge id=20 force=False yes_i_really_mean_it=True"]
    fake = Fake(hosts=dict(made.hosts), state=stale)
    fake.run(steps)
    assert fake.state == state
    assert removal(made, state, 20) == (), "nothing is left to remove"


def test_a_host_with_another_osd_stays() -> None:
    made, state = four()
    two = with_stale(state)
    two = replace(two, osds=(*two.osds, replace(STALE, number=21, uuid=OLD.replace("1", "2"))))
    assert [step.key for step in removal(made, two, 20)] == ["ceph-purge/osd.20", "ceph-settle", "ceph-prove"]
    both = removal(made, two, 20, 21)
    assert [step.key for step in both][:3] == ["ceph-purge/osd.20", "ceph-purge/osd.21", "ceph-leave/bucket/h9"]
    assert both[2].after == ("ceph-purge/osd.20", "ceph-purge/osd.21")


def test_one_on_a_machine_of_ours_is_stopped_there_first() -> None:
    made, state = four()
    runs = with_stale(state, up=True, host="h2")
    (purge, *_) = removal(made, runs, 20)
    told = kind.act(purge, runs)
    assert isinstance(told, Act) and (told.machine, told.order.action) == ("m-h2", "stop")
    away = with_stale(state, up=True)
    (purge, *_) = removal(made, away, 20)
    waits = kind.act(purge, away)
    assert isinstance(waits, Wait) and "stop it there" in waits.text


def test_it_came_back_between_plan_and_work() -> None:
    made, state = four()
    (purge, *_) = removal(made, with_stale(state), 20)
    back = with_stale(state, up=True, in_=True, pgs=5)
    told = kind.act(purge, back)
    assert isinstance(told, Wait) and "runs and still holds data" in told.text
    assert not kind.done(purge, back)


def test_another_osd_with_its_number_is_not_touched() -> None:
    made, state = four()
    (purge, *_) = removal(made, with_stale(state), 20)
    other = with_stale(state, uuid=OLD.replace("1", "3"))
    assert kind.done(purge, other)


def test_an_id_that_waits_for_no_disk_is_given_up() -> None:
    made, state = four()
    waiting = with_stale(state, uuid=NONE, destroyed=True)
    (purge, *_) = removal(made, waiting, 20)
    told = kind.act(purge, waiting)
    assert isinstance(told, Act) and "osd purge id=20" in shown(told.order.commands[0])
    assert not kind.done(purge, waiting) and kind.done(purge, state)


def test_what_only_the_tree_has_is_removed_with_its_key() -> None:
    made, state = four()
    ghost = replace(state, ghosts=((31, "h9"),), buckets=(*state.buckets, PLACE))
    steps = removal(made, ghost, 31)
    assert [step.key for step in steps] == ["ceph-purge/osd.31", "ceph-leave/bucket/h9", "ceph-settle", "ceph-prove"]
    told = kind.act(steps[0], ghost)
    assert isinstance(told, Act)
    assert [shown(one) for one in told.order.commands] == ["osd crush rm name=osd.31", "auth rm entity=osd.31"]
    assert not kind.done(steps[0], ghost) and kind.done(steps[0], state)


# ---------------------------------------------------------------- what is said


def test_everything_old_is_named_with_what_to_do() -> None:
    made = scene(boxes(4), (BLOCK,))
    state = formed(made).state
    assert state is not None and kind.lint(made.layout, made.layout, state) == ()
    odd = with_stale(state)
    odd = replace(
        odd,
        osds=(*odd.osds, replace(STALE, number=21, uuid=NONE, destroyed=True)),
        ghosts=((22, "h9"),),
        buckets=(*odd.buckets, BucketState(name="h10", level="host", parent="default")),
    )
    found = kind.lint(made.layout, made.layout, odd)
    assert [(one.about, one.rule, one.severity) for one in found] == [
        ("osd.20", "ceph-osd-unknown", "warning"),
        ("osd.21", "ceph-osd-destroyed", "warning"),
        ("osd.22", "ceph-osd-ghost", "warning"),
        ("h10", "ceph-bucket-empty", "warning"),
    ]
    assert all(f"rackseed remove osd {one.about[4:]}" in one.text for one in found[:3])
