"""Room: what is not drained, what is taken back, when it goes on, and what else waits while OSDs are too full."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.kinds import ceph as kind
from appliance.kinds.ceph import Act, Wait
from appliance.kinds.ceph.commands import shown
from appliance.kinds.ceph.there import unsettled
from appliance.model.cephstate import CephState
from appliance.model.plan import Step
from tests.unit.kinds.scenes import BLOCK, GIB, boxes, scene
from tests.unit.kinds.test_ceph_life import four, leaving, only
from tests.unit.kinds.test_ceph_steps import formed, grown, steps_of


@pytest.fixture
def drain() -> tuple[Step, CephState]:
    """A host of five is to leave; osd.8 and osd.9 are its, all OSDs have 8 GiB."""
    fake, steps = leaving()
    assert fake.state is not None
    return only(steps, "ceph-out/osd.8"), fake.state


def filled(state: CephState, **used: float) -> CephState:
    """``osd3=7.5``: so many GiB are used of it; ``rest`` of all others."""
    rest = used.pop("rest", 1.0)
    osds = tuple(replace(osd, used=int(used.get(f"osd{osd.number}", rest) * GIB)) for osd in state.osds)
    return replace(state, osds=osds)


def out(state: CephState, *numbers: int) -> CephState:
    return replace(state, osds=tuple(replace(osd, in_=osd.number not in numbers) for osd in state.osds))


def commands_of(told: Act | Wait) -> list[str]:
    assert isinstance(told, Act), told
    return [shown(one) for one in told.order.commands if "leaving/" not in one.command]


def noted(state: CephState, told: Act | Wait) -> CephState:
    """With the notes that an order leaves."""
    words = [text.split() for text in commands_of(told)]
    notes = dict(state.notes)
    for one in words:
        name = next((word.removeprefix("key=rackseed/") for word in one if word.startswith("key=")), "")
        if one[:2] == ["config-key", "set"]:
            notes[name] = " ".join(one[3:]).removeprefix("val=")
        if one[:2] == ["config-key", "rm"]:
            notes.pop(name, None)
    return replace(state, notes=tuple(sorted(notes.items())))


# ---------------------------------------------------------------- before it begins


def test_an_osd_that_would_become_too_full_is_looked_at_and_not_only_the_mean(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    assert commands_of(kind.act(step, filled(state, osd3=5.5, rest=4.0))) == ["osd out 8"]
    told = kind.act(step, filled(state, osd3=5.9, rest=4.0))
    assert told == Wait(
        text="osd.8 is not drained: osd.3 is 74% full and would become about 91%; nothing is moved onto an OSD above 90%: "
        "add disks first, or wait for the balancer",
        room=True,
    )


def test_while_one_is_nearfull_nothing_more_is_added(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    told = kind.act(step, filled(state, osd3=6.9, rest=0.1))
    assert isinstance(told, Wait) and "osd.3 is 86% full" in told.text
    by_monitors = tuple(replace(osd, filling="nearfull") if osd.number == 3 else osd for osd in state.osds)
    told = kind.act(step, replace(state, osds=by_monitors))
    assert isinstance(told, Wait) and "from 85% on nothing is added" in told.text


def test_one_that_is_full_itself_may_be_drained(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    assert commands_of(kind.act(step, filled(state, osd8=7.8, rest=2.0))) == ["osd out 8"]


def test_other_classes_do_not_count(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    full = replace(state.osds[0], number=70, uuid="x", device_class="hdd", used=8 * GIB)
    assert commands_of(kind.act(step, replace(state, osds=(*state.osds, full)))) == ["osd out 8"]


def test_ratios_are_those_that_the_cluster_has(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    half = filled(state, rest=4.0)
    assert isinstance(kind.act(step, replace(half, nearfull=0.4, backfillfull=0.45)), Wait)
    told = kind.act(step, replace(filled(state, rest=6.0), nearfull=0.95, backfillfull=0.97))
    assert commands_of(told) == ["osd out 8"]


def test_nothing_begins_while_nobody_knows_how_full_they_are(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    blind = replace(state, osds=tuple(replace(osd, used=0, size=0, pgs=None) for osd in state.osds))
    told = kind.act(step, blind)
    assert isinstance(told, Wait) and "wait until a manager answers" in told.text
    assert not told.room, "a manager comes by itself or is missed: the step's time runs"


def test_with_no_domain_to_spare_the_others_of_the_domain_must_hold_it() -> None:
    made = scene(boxes(3), (BLOCK,))
    state = formed(made).state
    assert state is not None
    one = [osd.number for osd in state.osds if osd.host == "h3"][:1]
    assert kind.may_leave(made.layout, filled(state, rest=3.0), one) == ""
    assert kind.may_leave(made.layout, filled(state, rest=4.0), one) == (
        "pool vms: 3 copies on 3 hosts leave no other place: host h3 holds 8.0 GiB, 8.0 GiB would stay of it, "
        "at most 85% may be used; add disks there first"
    )
    made, state = four()
    assert kind.may_leave(made.layout, filled(state, rest=4.0), one) == "", "a fourth host takes copies"


# ---------------------------------------------------------------- while it runs


def test_a_drain_that_makes_others_nearfull_says_so_and_goes_on(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    told = kind.act(step, out(filled(state, osd3=6.9, rest=4.0), 8))
    assert isinstance(told, Wait)
    assert told.text.endswith("; osd.3 is 86% full: nothing else is drained before there is room")


def test_a_drain_that_fills_others_is_taken_back_and_goes_on_when_there_is_room(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    full = out(filled(state, osd3=7.3, rest=4.0, osd8=2.0), 8)
    told = kind.act(step, full)
    assert [text.partition(" val=")[0] for text in commands_of(told)] == [
        "config-key set key=rackseed/paused/osd.8",
        "osd in 8",
    ]
    back = noted(out(filled(state, osd3=5.0, rest=4.0, osd8=4.0)), told)
    held = kind.act(step, back)
    assert isinstance(held, Wait)
    assert "its drain had filled other OSDs and was taken back; it goes on by itself when" in held.text
    assert not kind.done(step, back)
    less = noted(filled(state, osd3=4.0, rest=3.2, osd8=3.4), told)
    assert commands_of(kind.act(step, less)) == ["osd out 8", "config-key rm key=rackseed/paused/osd.8"]


def test_what_was_noted_about_another_drain_does_not_count(drain: tuple[Step, CephState]) -> None:
    """A plan drained the whole host and was taken back; another one only wants this OSD."""
    step, state = drain
    told = kind.act(step, out(filled(state, osd3=7.3, rest=4.0, osd8=2.0), 8))
    back = noted(filled(state, osd3=4.0, rest=4.0, osd8=4.0), told)
    assert isinstance(kind.act(step, back), Wait)
    assert step.ceph is not None
    alone = replace(step, ceph=replace(step.ceph, daemons=("8",)))
    assert commands_of(kind.act(alone, back)) == ["osd out 8", "config-key rm key=rackseed/paused/osd.8"]


def test_more_disks_are_room_too(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    told = kind.act(step, out(filled(state, osd3=7.3, rest=4.0, osd8=2.0), 8))
    back = noted(filled(state, osd3=5.0, rest=4.0, osd8=4.0), told)
    new = replace(back.osds[0], number=20, uuid="new", used=0)
    told = kind.act(step, replace(back, osds=(*back.osds, new)))
    assert commands_of(told)[0] == "osd out 8"


def test_one_that_is_down_is_not_taken_back(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    full = out(filled(state, osd3=7.3, rest=4.0), 8)
    down = replace(full, osds=tuple(replace(osd, up=osd.number != 8) for osd in full.osds))
    assert isinstance(kind.act(step, down), Wait)


def test_what_the_monitors_say_counts_without_numbers(drain: tuple[Step, CephState]) -> None:
    step, state = drain
    osds = tuple(replace(osd, filling="backfillfull") if osd.number == 3 else osd for osd in out(state, 8).osds)
    assert commands_of(kind.act(step, replace(state, osds=osds)))[-1] == "osd in 8"


# ---------------------------------------------------------------- what else waits


def test_a_pool_gets_no_more_copies_while_osds_are_nearfull() -> None:
    before = scene(boxes(4), (replace(BLOCK, size=3),))
    fake = formed(before)
    made = grown(boxes(4), before, pools=(replace(BLOCK, size=4),))
    assert fake.state is not None
    step = only(steps_of(made, fake.state), "ceph-pool/vms")
    told = kind.act(step, filled(fake.state, osd3=6.9))
    assert isinstance(told, Wait)
    assert told.text == "pool vms is not changed, that would move data: osd.3 is 86% full; add disks first"
    assert "osd pool set pool=vms var=size val=4" in commands_of(kind.act(step, fake.state))


def test_settling_says_which_osds_are_full() -> None:
    _, state = four()
    full = replace(filled(state, osd3=7.3), checks=(("OSD_BACKFILLFULL", "1 backfillfull osd(s)"),))
    assert unsettled(full) == "OSD_BACKFILLFULL: 1 backfillfull osd(s); osd.3 is 91% full: add disks, or delete data"
    stuck = replace(full, pgs=(("active+remapped+backfill_toofull", 3),))
    assert unsettled(stuck) == (
        "3 PGs are active+remapped+backfill_toofull; osd.3 is 91% full: add disks, or delete data"
    )
