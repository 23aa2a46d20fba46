"""What may leave, how long it takes, and what is never told to a machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cephorder import CephAction
from appliance.kinds import ceph as kind
from appliance.kinds.ceph import Act, Wait
from appliance.kinds.ceph.there import SETTLED, settled, unsettled
from appliance.model.ceph import CephVerb
from appliance.model.cephstate import CephState, FilesystemState
from appliance.model.plan import Step
from tests.unit.kinds.fake import Fake
from tests.unit.kinds.scenes import BLOCK, GIB, Scene, boxes, scene
from tests.unit.kinds.test_ceph_steps import formed, grown, steps_of


def four() -> tuple[Scene, CephState]:
    made = scene(boxes(4), (BLOCK,))
    state = formed(made).state
    assert state is not None
    return made, state


def of_host(state: CephState, *hosts: str) -> list[int]:
    return [osd.number for osd in state.osds if osd.host in hosts]


def only(steps: tuple[Step, ...], key: str) -> Step:
    return next(step for step in steps if step.key == key)


# ---------------------------------------------------------------- may it leave?


def test_one_of_four_hosts_may_leave() -> None:
    made, state = four()
    assert kind.may_leave(made.layout, state, of_host(state, "h4")) == ""


def test_two_of_four_may_not() -> None:
    made, state = four()
    why = kind.may_leave(made.layout, state, of_host(state, "h3", "h4"))
    assert why == "pool vms: 3 copies need 3 hosts of class ssd, 2 would stay"


def test_a_host_that_is_down_counts_for_nothing() -> None:
    made, state = four()
    down = tuple(replace(osd, up=False) if osd.host == "h3" else osd for osd in state.osds)
    assert "2 would stay" in kind.may_leave(made.layout, replace(state, osds=down), of_host(state, "h4"))


def test_what_is_stored_must_fit() -> None:
    made, state = four()
    full = replace(state, osds=tuple(replace(osd, used=6 * GIB) for osd in state.osds))
    assert kind.may_leave(made.layout, full, of_host(full, "h4")) == (
        "48.0 GiB are stored on OSDs of class ssd, 48.0 GiB would stay: 100% of it, at most 85% may be used; add disks first"
    )
    one = of_host(full, "h4")[:1]
    assert "86% of it" in kind.may_leave(made.layout, full, one)


def test_nobody_knows_without_a_manager() -> None:
    made, state = four()
    blind = replace(state, osds=tuple(replace(osd, pgs=None, size=0) for osd in state.osds))
    assert "wait until a manager answers" in kind.may_leave(made.layout, blind, of_host(state, "h4"))


def test_an_osd_that_is_not_there() -> None:
    made, state = four()
    assert kind.may_leave(made.layout, state, [0, 77]) == "there is no osd.77"


def test_drain_time_by_what_is_stored_then_by_what_moves() -> None:
    _, state = four()
    assert kind.drain_seconds(state, state.osds[:1]) == pytest.approx(GIB / 100e6)
    assert kind.drain_seconds(replace(state, misplaced=1000, recovering=50.0), state.osds[:1]) == 20.0


# ---------------------------------------------------------------- what is told


def leaving() -> tuple[Fake, tuple[Step, ...]]:
    before = scene(boxes(5), (BLOCK,))
    fake = formed(before)
    made = replace(grown(boxes(5)[:4], before, pools=(BLOCK,)), hosts=before.hosts)
    return fake, steps_of(made, fake.state)


def test_a_drain_begins_only_when_its_data_fit() -> None:
    fake, steps = leaving()
    assert fake.state is not None
    full = replace(fake.state, osds=tuple(replace(osd, used=7 * GIB) for osd in fake.state.osds))
    told = kind.act(only(steps, "ceph-out/osd.8"), full)
    assert isinstance(told, Wait) and "109% of it" in told.text, "both of the host leave"


def test_a_drain_says_how_long_it_takes() -> None:
    fake, steps = leaving()
    assert fake.state is not None
    osds = tuple(replace(osd, in_=False, used=6 * GIB) if osd.number == 8 else osd for osd in fake.state.osds)
    told = kind.act(only(steps, "ceph-out/osd.8"), replace(fake.state, osds=osds))
    assert told == Wait(text="osd.8 still holds 40 PGs; empty within a minute"), "two SSDs read 660 MB/s"
    step = only(steps, "ceph-out/osd.8")
    assert step.ceph is not None and step.ceph.rate == int(2 * 550e6 * 0.6) // 2
    slow = replace(step, ceph=replace(step.ceph, rate=0))
    told = kind.act(slow, replace(fake.state, osds=osds))
    assert told == Wait(text="osd.8 still holds 40 PGs; empty in about 1 min"), "100 MB/s when nothing is known"


def test_an_osd_that_went_down_while_it_was_drained_is_not_taken_for_empty() -> None:
    """Its machine lost its power: nothing is counted as its own then, and what it holds may be missing elsewhere."""
    fake, steps = leaving()
    assert fake.state is not None
    down = tuple(
        replace(osd, in_=False, up=False, pgs=0, used=0, safe=False) if osd.number == 8 else osd
        for osd in fake.state.osds
    )
    cut = replace(fake.state, osds=down, pgs=(("active+clean", 30), ("active+undersized+degraded", 10)))
    out, purge = only(steps, "ceph-out/osd.8"), only(steps, "ceph-purge/osd.8")
    assert not kind.done(out, cut)
    told = kind.act(out, cut)
    assert isinstance(told, Wait) and "osd.8 is down, not empty" in told.text and "h5 runs again" in told.text
    dead = kind.act(purge, cut)
    assert isinstance(dead, Act) and '"force": true' in dead.order.commands[-1].command, "every PG serves without it"
    safe = tuple(replace(osd, safe=not osd.in_ or None) for osd in cut.osds)
    elsewhere = replace(cut, osds=safe, pgs=(("active+clean", 40),))
    assert kind.done(out, elsewhere)
    just_now = replace(elsewhere, at=1019.0, osds=tuple(replace(osd, down_since=1000.0) for osd in elsewhere.osds))
    assert not kind.done(out, just_now), "what is said about PGs may be from before"
    assert kind.act(out, just_now) == Wait(text="osd.8 just went down: what it holds is known in a few seconds")
    assert kind.done(out, replace(just_now, at=1020.0))
    gone = kind.act(purge, elsewhere)
    assert isinstance(gone, Act) and '"force": false' in gone.order.commands[-1].command


def test_an_osd_that_serves_nothing_is_not_empty_before_everything_was_copied() -> None:
    """PGs with a whole log leave it at once, and are copied from it afterwards."""
    fake, steps = leaving()
    assert fake.state is not None
    out, purge = only(steps, "ceph-out/osd.8"), only(steps, "ceph-purge/osd.8")
    for safe, said in ((None, "is not known: wait"), (False, "what it holds is being copied; empty within a minute")):
        left = tuple(replace(osd, in_=False, pgs=0, safe=safe) if osd.number == 8 else osd for osd in fake.state.osds)
        state = replace(fake.state, osds=left, pgs=(("active+recovering+degraded", 40),))
        told = kind.act(out, state)
        assert not kind.done(out, state) and isinstance(told, Wait) and said in told.text, told
        assert isinstance(kind.act(purge, state), Wait), "it is not stopped"


def test_an_osd_that_runs_and_holds_data_is_not_stopped() -> None:
    fake, steps = leaving()
    told = kind.act(only(steps, "ceph-purge/osd.8"), fake.state)
    assert isinstance(told, Wait) and "drained first" in told.text


def test_an_osd_that_is_down_and_missed_is_not_purged() -> None:
    fake, steps = leaving()
    assert fake.state is not None
    down = tuple(replace(osd, up=False) if osd.number == 8 else osd for osd in fake.state.osds)
    state = replace(fake.state, osds=down, pgs=(("down", 1), ("active+clean", 8)))
    told = kind.act(only(steps, "ceph-purge/osd.8"), state)
    assert isinstance(told, Wait) and "can't be used without it" in told.text
    just_now = replace(state, at=1001.0, osds=tuple(replace(osd, down_since=1000.0) for osd in state.osds))
    told = kind.act(only(steps, "ceph-purge/osd.8"), replace(just_now, pgs=(("active+clean", 9),)))
    assert isinstance(told, Wait) and "just went down" in told.text
    fine = kind.act(only(steps, "ceph-purge/osd.8"), replace(state, pgs=(("active+undersized+degraded", 9),)))
    assert isinstance(fine, Act) and '"force": true' in fine.order.commands[-1].command


def test_the_last_quorum_is_kept() -> None:
    """Two of three answer: the third may leave the map, none of the two may."""
    before = scene(boxes(4), (BLOCK,))
    fake = formed(before)
    services = tuple(one for one in before.layout.services if (one.kind, one.machine) != ("mon", "m-h3"))
    made = replace(before, layout=replace(before.layout, services=services), before=before.layout)
    assert fake.state is not None
    step = only(steps_of(made, fake.state), "ceph-leave/mon/h3")
    lonely = replace(fake.state, quorum=("h1",))
    told = kind.act(step, lonely)
    assert isinstance(told, Wait) and "would have no quorum" in told.text


def test_no_second_cluster_is_begun() -> None:
    """A monitor that is not the first waits for one that answers."""
    made = scene(boxes(3), (BLOCK,))
    steps = steps_of(made)
    assert isinstance(kind.act(only(steps, "ceph-mon/h2"), None), Wait)
    first = kind.act(only(steps, "ceph-mon/h1"), None)
    assert isinstance(first, Act) and first.order.monitors == ()


def test_without_an_answering_monitor_everything_waits() -> None:
    made = scene(boxes(4), (BLOCK,))
    fake = formed(made)
    assert fake.state is not None
    silent = replace(fake.state, quorum=())
    for step in steps_of(made):
        assert step.ceph is not None
        if step.ceph.verb in {CephVerb.CONFIGURE, CephVerb.MON, CephVerb.MGR, CephVerb.SETTLE}:
            continue
        told = kind.act(step, silent)
        assert isinstance(told, Wait) and "no monitor of h1, h2, h3 answers" in told.text, step.key


def test_an_osd_that_came_up_wrong_is_put_right() -> None:
    made = scene(boxes(4), (BLOCK,))
    fake = formed(made)
    assert fake.state is not None
    step = next(step for step in steps_of(made) if step.key.startswith("ceph-osd/h2"))
    assert step.ceph is not None and step.ceph.osd is not None
    number = step.ceph.osd.number
    wrong = {"device_class": "hdd", "host": "h1", "in_": False}
    osds = tuple(replace(osd, **wrong) if osd.number == number else osd for osd in fake.state.osds)
    fake.state = replace(fake.state, osds=osds)
    assert not kind.done(step, fake.state)
    fake.finish(step)
    assert [order.action for _, _, order in fake.orders[-1:]] == [CephAction.ASK]
    assert kind.done(step, fake.state)


# ---------------------------------------------------------------- settled?


def test_settled_means_clean_and_no_check_but_those_that_may_be() -> None:
    _, state = four()
    assert settled(state)
    assert unsettled(replace(state, pgs=(("active+clean", 5), ("active+remapped", 2)))) == "2 PGs are active+remapped"
    assert settled(replace(state, checks=tuple((code, "x") for code in SETTLED)))
    assert unsettled(replace(state, checks=(("OSD_DOWN", "1 osds down"),))) == "OSD_DOWN: 1 osds down"
    system = FilesystemState(name="fs", metadata="m", data=("d",))
    assert unsettled(replace(state, filesystems=(system,))) == "no metadata server is active for fs"
    scrubbing = (("active+clean+scrubbing+deep", 1),)
    assert settled(replace(state, pgs=scrubbing))


# ---------------------------------------------------------------- what is only said


def test_strangers_and_full_osds_are_named() -> None:
    made, state = four()
    assert kind.lint(made.layout, None, state) == ()
    stranger = replace(state.osds[0], number=20, uuid="11111111-2222-4333-8444-555555555555", host="")
    waiting = replace(state.osds[0], number=21, destroyed=True)
    full = [replace(osd, used=int(osd.size * part)) for osd, part in zip(state.osds, (0.86, 0.91, 0.96), strict=False)]
    odd = replace(state, osds=(stranger, waiting, *full, *state.osds[3:]))
    found = kind.lint(made.layout, None, odd)
    assert [(one.about, one.rule, one.severity) for one in found] == [
        ("osd.0", "ceph-osd-full", "warning"),
        ("osd.1", "ceph-osd-full", "warning"),
        ("osd.2", "ceph-osd-full", "warning"),
        ("osd.20", "ceph-osd-unknown", "warning"),
        ("osd.21", "ceph-osd-destroyed", "warning"),
    ]
    assert found[2].text == "it is 96% full; its pools take no more writes: add disks or delete data now"


def test_what_leaves_is_no_stranger() -> None:
    made, state = four()
    less = replace(made.layout, osds=made.layout.osds[:-1])
    assert kind.lint(less, made.layout, state) == ()
    assert [one.about for one in kind.lint(less, None, state)] == [f"osd.{made.layout.osds[-1].number}"]


def test_what_is_out_still_has_to_fit() -> None:
    """One that drains already still holds its data: the next one must leave room for them too."""
    made, state = four()
    osds = tuple(replace(osd, used=6 * GIB, in_=osd.number != 0) for osd in state.osds)
    assert "48.0 GiB are stored" in kind.may_leave(made.layout, replace(state, osds=osds), [1])
