"""Steps of Ceph: from nothing to a cluster, and everything that can go wrong on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from appliance.effects.cephdoor import DoorResult, DoorState
from appliance.engine.registry import Run
from appliance.engine.steps.ceph import Ceph
from appliance.engine.telling import ORDERS, RECENT_SECONDS, recall
from appliance.kinds import ceph
from appliance.kinds.ceph import Act, Wait
from appliance.model.cephstate import CephState
from appliance.model.machine import Phase, TroubleKind
from appliance.model.plan import Step, StepKind
from appliance.store import events, plans, steps
from tests.unit.engine.cephworld import CephWorld
from tests.unit.kinds import scenes

Make = Callable[..., CephWorld]
ALL = (scenes.BLOCK, scenes.FILE, scenes.OBJECT)


@pytest.fixture
def make(template: Path, tmp_path: Path) -> Make:
    def build(**facts: object) -> CephWorld:
        shutil.copytree(template, tmp_path / "state")
        return CephWorld(tmp_path / "state", **facts)  # type: ignore[arg-type]

    return build


def test_from_nothing_to_everything_that_was_planned(make: Make) -> None:
    world = make(boxes=4, pools=ALL)
    world.accept()
    assert world.run() == "done"
    assert world.left() == ()
    wanted = {osd.number: ceph.osd_uuid(world.layout.fsid, osd) for osd in world.layout.osds}
    assert {osd.number: osd.uuid for osd in world.formed.osds} == wanted
    assert sorted(world.sim.made) == sorted(wanted.values()), "each OSD once"
    assert {check.partition(":")[0] for check in world.sim.checks} == {"block", "file", "object"}
    told = [(job.step, job.order) for job in world.door.jobs]
    assert len(told) == len(set(map(repr, told))), "nothing was told twice"
    for machine in world.ids.values():
        assert world.world.machine(machine).phase is Phase.MEMBER
        assert world.world.machine(machine).trouble is None


def test_what_showed_the_end_of_a_step_shows_where_the_next_one_begins(make: Make) -> None:
    """Asking costs seconds on a slow machine; not once more for every step. What is older than a while says nothing."""
    world = make()
    world.accept()
    first, second = "ceph-mon/h1", "ceph-mon/h2"
    while world.step(first).state != "done":
        assert world.engine.run_one() or world.clock.advance(1.0) is None
    ended = steps_memo(world, first)
    begun = replace(world.step(second), started=world.clock.now() + 5.0)
    assert recall(Run(row=begun, tools=world.tools)).since == ended
    later = replace(begun, started=ended + 1000.0)
    assert recall(Run(row=later, tools=world.tools)).since == ended + 1000.0 - RECENT_SECONDS
    alone = replace(later, step=replace(later.step, after=()))
    assert recall(Run(row=alone, tools=world.tools)).since == ended + 1000.0


def steps_memo(world: CephWorld, key: str) -> float:
    """When the last order of a step ended."""
    with world.store.read() as connection:
        return float(steps.memo_of(connection, "c" * 64, key)["since"])


def test_a_machine_is_a_member_when_its_own_last_step_is_done(make: Make) -> None:
    world = make()
    world.accept()
    late = next(step for step in world.steps if step.key.startswith("ceph-osd/h3"))
    world.door.fail[late.key] = DoorResult(state=DoorState.RUNNING)
    world.run(60)
    assert world.step(late.key).state == "running"
    assert world.world.machine(world.ids["h3"]).phase is Phase.DEPLOYED
    assert world.world.machine(world.ids["h2"]).phase is Phase.MEMBER
    del world.door.fail[late.key]
    assert world.run() == "done"
    assert world.world.machine(world.ids["h3"]).phase is Phase.MEMBER


def test_a_refusal_ends_the_step_and_is_the_machines_trouble(make: Make) -> None:
    world = make()
    key = world.key("ceph-osd/h2")
    world.door.fail[key] = DoorResult(state=DoorState.REFUSED, message="disk S002D1 carries ext4, not what was planned")
    world.accept()
    assert world.run() == "failed"
    assert world.step(key).state == "failed"
    trouble = world.world.machine(world.ids["h2"]).trouble
    assert trouble is not None
    assert (trouble.kind, trouble.step) == (TroubleKind.DISKS, key)
    assert "carries ext4" in trouble.text
    assert sum(job.step == key for job in world.door.jobs) == 1, "a refusal is not asked again"
    assert world.step(world.key("ceph-osd/h1")).state == "done", "other machines go on"
    assert world.step("ceph-settle").state == "cancelled"
    assert world.world.machine(world.ids["h2"]).phase is Phase.DEPLOYED


def test_failures_are_told_again_later_and_later_and_end_in_the_end(make: Make) -> None:
    world = make()
    key = world.key("ceph-mgr")
    world.door.fail[key] = DoorResult(state=DoorState.FAILED, message="ceph-mgr does not start: no bcrypt")
    world.accept()
    world.run()
    assert world.step(key).state == "failed"
    assert f"{ORDERS} times" in world.step(key).error
    assert "no bcrypt" in world.step(key).error
    times = [job.due for job in world.door.jobs if job.step == key]
    gaps = [after - before for before, after in pairwise(times)]
    assert len(times) == ORDERS
    assert all(later > sooner for sooner, later in pairwise(gaps))
    with world.store.read() as connection:
        told = [event.text for event in events.since(connection, 0, 1000) if "told again" in event.text]
    assert len(told) == ORDERS - 1
    assert all("no bcrypt" in text for text in told)


def test_a_failure_that_goes_away_is_forgotten(make: Make) -> None:
    world = make()
    key = world.key("ceph-mon/h2")
    world.door.fail[key] = DoorResult(state=DoorState.FAILED, message="no route to host")
    world.accept()
    world.run(12)
    del world.door.fail[key]
    assert world.run() == "done"


def test_waits_are_shown(make: Make) -> None:
    world = make()
    key = world.key("ceph-mon/h1")
    world.door.fail[key] = DoorResult(state=DoorState.RUNNING, message="h1 was told")
    world.accept()
    world.run(20)
    assert world.step(key).progress == {"stage": "ordered", "message": "h1 was told"}


def test_a_step_that_is_not_done_in_time_is_given_up_with_its_name(make: Make) -> None:
    world = make()
    key = world.key("ceph-mon/h1")
    world.door.fail[key] = DoorResult(state=DoorState.RUNNING)
    world.accept()
    world.run(2000, pause=30.0)
    assert world.step(key).state == "failed"
    trouble = world.world.machine(world.step(key).machine).trouble
    assert trouble is not None
    assert (trouble.kind, trouble.step) == (TroubleKind.DEADLINE, key)


def test_the_time_of_a_step_does_not_run_while_it_waits_for_room(make: Make) -> None:
    world = make()
    key = world.key("ceph-mon/h1")
    step = next(step for step in world.steps if step.key == key)
    full: list[Wait] = [Wait(text="osd.0 is 95% full", room=True)]

    class Full:
        """The kind, with one step for which there is no room at first."""

        done, by_order = staticmethod(ceph.done), staticmethod(ceph.by_order)

        @staticmethod
        def act(asked: Step, state: CephState | None) -> Act | Wait:
            return full[0] if full and asked.key == key else ceph.act(asked, state)

    world.engine.registry = {**world.engine.registry, StepKind.CEPH: Ceph(Full())}
    world.accept()
    world.run(round(3 * step.deadline / 30), pause=30.0)
    assert world.step(key).progress["message"] == "osd.0 is 95% full"
    world.clock.advance(2 * step.deadline)  # also while no worker runs
    world.run(20)
    assert world.step(key).state == "running"
    full[:] = [Wait(text="something else")]
    world.run(20)
    late = world.step(key).deadline
    assert late is not None and late - world.clock.now() < step.deadline, "now it runs"
    full.clear()
    assert world.run() == "done"


def test_a_plan_that_failed_goes_on_where_it_stopped(make: Make) -> None:
    world = make()
    key = world.key("ceph-osd/h2")
    world.door.fail[key] = DoorResult(state=DoorState.REFUSED, message="another disk")
    world.accept()
    assert world.run() == "failed"
    before = list(world.sim.made)
    del world.door.fail[key]
    world.door.jobs = [job for job in world.door.jobs if job.step != key]
    world.clock.advance(60)
    world.accept()
    assert world.run() == "done"
    assert world.left() == ()
    assert world.sim.made[: len(before)] == before
    assert len(set(world.sim.made)) == len(world.layout.osds)
    assert world.world.machine(world.ids["h2"]).trouble is None


def test_what_ceph_said_before_the_step_began_does_not_count(make: Make) -> None:
    world = make()
    world.accept()
    assert world.run() == "done"
    old = world.sim.state(world.clock.now() - 3600)
    world.door.observe = lambda: old  # type: ignore[method-assign]
    settle = next(step for step in world.steps if step.key == "ceph-settle")
    with world.store.write() as connection:
        plans.set_state(connection, "c" * 64, plans.PlanState.ACCEPTED)
        steps.forget(connection, "c" * 64)
        steps.add(connection, "c" * 64, [replace(settle, after=())])
    world.run(30)
    assert world.step("ceph-settle").state == "running"
    assert world.step("ceph-settle").progress["stage"] == "observe"
