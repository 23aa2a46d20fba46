"""Crashes at every point, several workers, a clock that jumps: effects happen once, in order, and all of it ends."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from appliance.engine.engine import Engine
from appliance.engine.registry import Failure, Run
from appliance.model.plan import Step, StepKind
from appliance.store import events, steps
from tests.unit.engine.world import World, boot_step, install_step

PROFILE = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
POINTS = ("claimed", "before done", "before apply", "in apply", "after apply", "before settle", "in settle")


class Crash(BaseException):
    """The process dies here: nothing after it runs, and its transaction is rolled back."""


class Fate:
    """Says at which of its points a worker dies."""

    def __init__(self, crashes: list[str]) -> None:
        self.crashes = crashes

    def at(self, point: str) -> None:
        if self.crashes and self.crashes[0] == point:
            self.crashes.pop(0)
            raise Crash(point)


class Effect:
    """One row per effect, written under the fence; done is seen only from the second look on."""

    poll_seconds: ClassVar[float] = 1.0

    def __init__(self, fate: Fate) -> None:
        self.fate = fate
        self.applied: list[str] = []

    def done(self, run: Run) -> bool:
        self.fate.at("before done")
        with run.tools.store.read() as connection:
            return run.row.key in effects(connection)

    def apply(self, run: Run) -> None:
        self.fate.at("before apply")
        self.applied.append(run.row.key)
        with run.tools.store.write() as connection:
            run.guard(connection)
            if run.row.key not in effects(connection):
                events.add(connection, at=0.0, machine="", kind="effect", text=run.row.key)
            self.fate.at("in apply")
        self.fate.at("after apply")

    def finished(self, connection: Connection, run: Run) -> None:
        events.add(connection, at=0.0, machine="", kind="finished", text=run.row.key)
        self.fate.at("in settle")

    def failed(self, connection: Connection, run: Run, failure: Failure) -> None:
        events.add(connection, at=0.0, machine="", kind="failed", text=f"{run.row.key} {failure.text}")


class Mortal(Engine):
    fate: Fate

    def _claim(self) -> steps.StepRow | None:
        row = super()._claim()
        if row is not None:
            self.fate.at("claimed")
        return row

    def _settle(self, *args: object) -> None:
        self.fate.at("before settle")
        super()._settle(*args)  # type: ignore[arg-type]


def effects(connection: Connection, kind: str = "effect") -> list[str]:
    return [event.text for event in events.since(connection, 0, 10_000) if event.kind == kind]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "state"
    World(folder).app.close()
    return folder


def chain(machines: int) -> list[Step]:
    return [step for number in range(machines) for step in (install_step(f"m-{number}"), boot_step(f"m-{number}"))]


@PROFILE
@given(
    machines=st.integers(1, 3),
    crashes=st.lists(st.sampled_from(POINTS), max_size=12),
    jumps=st.lists(st.sampled_from([0.0, 1.0, 31.0, 3.0]), min_size=1, max_size=10),
)
def test_crashes_anywhere(
    template: Path, tmp_path: Path, machines: int, crashes: list[str], jumps: list[float]
) -> None:
    folder = tmp_path / "state"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    world = World(folder)
    wanted = chain(machines)
    world.accept(*wanted)
    fate = Fate(list(crashes))
    effect = Effect(fate)
    for number in range(400):
        engine = Mortal(world.tools, {StepKind.INSTALL: effect, StepKind.FIRST_BOOT: effect})
        engine.fate = fate
        try:
            busy = engine.run_one()
        except Crash:
            busy = True
        if world.plan_state() == "done":
            break
        world.clock.advance(jumps[number % len(jumps)] if busy else 31.0)
    with world.store.read() as connection:
        done, finished = effects(connection), effects(connection, "finished")
        failed = effects(connection, "failed")
    world.app.close()
    keys = [step.key for step in wanted]
    assert world.plan_state() == "done"
    assert sorted(done) == sorted(keys), "every effect once"
    assert sorted(finished) == sorted(keys), "every step ends once"
    assert failed == []
    assert set(keys) <= set(effect.applied)
    for step in wanted:
        assert all(done.index(before) < done.index(step.key) for before in step.after)
