"""The engine itself, with steps that do what a test says and a clock that only moves when told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import pytest
from sqlalchemy import Connection

from appliance.engine.engine import BACKOFF_LIMIT, TRIES, Engine, backoff
from appliance.engine.registry import Failure, LeaseLost, Run, StepAbandoned
from appliance.model.machine import TroubleKind
from appliance.model.plan import Step, StepKind
from appliance.store import events, steps
from tests.unit.engine.world import World, boot_step, install_step


class Script:
    """A handler that is done after ``looks`` applies; ``act`` is called in every apply and may raise."""

    poll_seconds: ClassVar[float] = 2.0

    def __init__(self, looks: int = 1, act: Callable[[Run], None] = lambda run: None) -> None:
        self.looks, self.act = looks, act
        self.applied: Counter[str] = Counter()
        self.order: list[str] = []
        self.ended: list[str] = []

    def done(self, run: Run) -> bool:
        return self.applied[run.row.key] >= self.looks

    def apply(self, run: Run) -> None:
        self.act(run)
        self.applied[run.row.key] += 1
        self.order.append(run.row.key)

    def finished(self, connection: Connection, run: Run) -> None:
        self.ended.append(f"{run.row.key} done")

    def failed(self, connection: Connection, run: Run, failure: Failure) -> None:
        self.ended.append(f"{run.row.key} {failure.kind}: {failure.text}")


def engine(world: World, script: Script, **values: float) -> Engine:
    world.engine = Engine(world.tools, {StepKind.INSTALL: script, StepKind.FIRST_BOOT: script}, **values)
    return world.engine


def pair(name: str = "m-a", **values: float) -> tuple[Step, Step]:
    return replace(install_step(name), **values), boot_step(name)


def test_steps_run_in_their_order_and_the_plan_ends(world: World) -> None:
    script = Script()
    world.accept(*pair("m-b"), *pair("m-a"))
    engine(world, script)
    world.turn()
    assert script.order == ["install/m-b", "first-boot/m-b", "install/m-a", "first-boot/m-a"]
    assert world.plan_state() == "done"
    assert Counter(script.ended) == Counter(f"{key} done" for key in script.order)
    assert not world.engine.run_one()


def test_a_step_of_a_plan_that_is_not_accepted_never_runs(world: World) -> None:
    from appliance.store import plans  # noqa: PLC0415

    world.accept(*pair())
    with world.store.write() as connection:
        plans.set_state(connection, "p" * 64, plans.PlanState.SUPERSEDED)
    engine(world, Script())
    assert world.turn() == 0


def test_applied_but_not_done_is_looked_at_again_and_is_no_failure(world: World) -> None:
    script = Script(looks=20)
    world.accept(install_step("m-a"))
    engine(world, script)
    for _ in range(19):
        assert world.turn() == 1
        row = world.step("install/m-a")
        assert (row.state, row.tries, row.not_before) == ("running", 0, world.clock.now() + 2.0)
        assert world.turn() == 0, "not before its time"
        world.clock.advance(2)
    world.turn()
    assert world.step("install/m-a").state == "done"


def test_done_is_asked_before_apply(world: World) -> None:
    script = Script(looks=0)
    world.accept(install_step("m-a"))
    engine(world, script)
    world.turn()
    assert script.order == []
    assert world.step("install/m-a").state == "done"


def test_exceptions_are_tried_again_with_backoff_and_then_given_up(world: World) -> None:
    def fail(run: Run) -> None:
        raise OSError("the switch is off")

    script = Script(act=fail)
    world.accept(*pair())
    engine(world, script)
    pauses = []
    for _ in range(TRIES):
        assert world.turn() == 1
        row = world.step("install/m-a")
        if row.state == "running":
            pauses.append(row.not_before - world.clock.now())
            world.clock.advance(pauses[-1])
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert backoff(50) == BACKOFF_LIMIT
    assert script.ended == ["install/m-a step-failed: OSError: the switch is off"]
    assert (world.step("first-boot/m-a").state, world.plan_state()) == ("cancelled", "failed")


def test_failures_count_in_a_row_only(world: World) -> None:
    looks = iter(range(1000))

    def every_other(run: Run) -> None:
        if next(looks) % 2:
            raise OSError("now and then")

    script = Script(looks=20, act=every_other)
    world.accept(install_step("m-a"))
    engine(world, script)
    for _ in range(60):
        world.turn()
        world.clock.advance(5)
    assert world.step("install/m-a").state == "done"


def test_abandoned_is_over_at_once(world: World) -> None:
    def refuse(run: Run) -> None:
        raise StepAbandoned(TroubleKind.DISKS, "the disk is gone")

    script = Script(act=refuse)
    world.accept(*pair())
    engine(world, script)
    world.turn()
    assert script.ended == ["install/m-a disks: the disk is gone"]
    assert world.plan_state() == "failed"


def test_other_machines_go_on_when_one_fails(world: World) -> None:
    def refuse(run: Run) -> None:
        if run.row.machine == "m-a":
            raise StepAbandoned(TroubleKind.DISKS, "no")

    world.accept(*pair("m-a"), *pair("m-b"))
    engine(world, Script(act=refuse))
    world.turn()
    assert [world.step(f"{kind}/m-{name}").state for name in "ab" for kind in ("install", "first-boot")] == [
        "failed",
        "cancelled",
        "done",
        "done",
    ]
    assert world.plan_state() == "failed"


def test_the_deadline_counts_from_the_first_claim(world: World) -> None:
    script = Script(looks=1000)
    world.accept(*pair(deadline=60.0))
    engine(world, script)
    world.clock.advance(10**6)
    for _ in range(12):
        world.turn()
        world.clock.advance(5)
    assert world.step("install/m-a").state == "running"
    world.clock.advance(5)
    world.turn()
    assert script.ended == [
        "install/m-a deadline: install/m-a was not done within 60 s; see the machine's timeline for where it stopped"
    ]


def test_what_was_done_in_time_but_seen_late_is_done(world: World) -> None:
    script = Script(looks=1)
    world.accept(install_step("m-a", deadline=60.0))
    late = engine(world, script)
    row = late._claim()
    assert row is not None
    script.applied["install/m-a"] = 1
    world.clock.advance(1000)
    world.turn()
    assert world.step("install/m-a").state == "done"


def test_a_dead_worker_is_replaced_when_its_lease_runs_out(world: World) -> None:
    script = Script()
    world.accept(install_step("m-a"))
    dead = engine(world, script)._claim()
    assert dead is not None
    other = engine(world, script)
    assert not other.run_one()
    world.clock.advance(other.lease + 1)
    assert other.run_one()
    assert world.step("install/m-a").fence == 2


def test_a_worker_that_was_away_cannot_undo_what_another_did(world: World) -> None:
    script = Script()
    world.accept(install_step("m-a"))
    away = engine(world, script)
    row = away._claim()
    assert row is not None
    world.clock.advance(away.lease + 1)
    engine(world, script).run_one()
    run = Run(row=row, tools=world.tools)
    with pytest.raises(LeaseLost), world.store.write() as connection:
        run.guard(connection)
    with world.store.write() as connection:
        assert not steps.release(connection, row, state=steps.StepState.FAILED, error="late")
    assert world.step("install/m-a").state == "done"
    assert script.ended == ["install/m-a done"]


def test_a_slow_step_keeps_its_lease(world: World) -> None:
    """The heartbeat runs in real time: a step that takes longer than its lease is not taken over."""
    import time  # noqa: PLC0415

    taken: list[bool] = []

    def slow(run: Run) -> None:
        for _ in range(4):
            time.sleep(0.1)
            world.clock.advance(0.1)
            taken.append(other.run_one())

    script = Script(act=slow)
    world.accept(install_step("m-a"))
    other = Engine(world.tools, {StepKind.INSTALL: Script(), StepKind.FIRST_BOOT: Script()}, lease=0.3)
    engine(world, script, lease=0.3)
    assert world.engine.run_one()
    assert taken == [False] * 4
    assert world.step("install/m-a").fence == 1


def test_a_hook_that_fails_does_not_end_the_worker(world: World) -> None:
    script = Script()
    calls = iter([True, True, False])

    def finished(connection: Connection, run: Run) -> None:
        if next(calls):
            raise ValueError("what follows went wrong")

    script.finished = finished  # type: ignore[method-assign]
    world.accept(install_step("m-a"))
    engine(world, script)
    for _ in range(3):
        world.turn()
        world.clock.advance(10)
    row = world.step("install/m-a")
    assert row.state == "done"
    with world.store.read() as connection:
        told = [event.text for event in events.since(connection, 0, 100)]
    assert sum("what follows went wrong" in text for text in told) == 2


def test_a_cancelled_step_is_not_given_back(world: World) -> None:
    def cancel(run: Run) -> None:
        with world.store.write() as connection:
            assert steps.cancel(connection, run.row.plan, [run.row.key], why="changed our minds") == 1

    script = Script(act=cancel)
    world.accept(install_step("m-a"))
    engine(world, script)
    world.turn()
    assert (world.step("install/m-a").state, script.ended) == ("cancelled", [])
