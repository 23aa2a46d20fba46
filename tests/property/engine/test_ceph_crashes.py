"""A Ceph is formed while the appliance dies anywhere, and machines lose orders, do them twice or late: in the end it
stands as planned, each OSD was made once, with its own id, and no machine ever had two orders at once."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.cephorder import CephOrder
from appliance.effects.cephdoor import DoorResult, DoorState
from appliance.engine.engine import Engine
from appliance.engine.registry import registry
from appliance.kinds import ceph
from appliance.model.cephstate import CephState
from appliance.store import steps
from tests.unit.engine.cephworld import CephWorld
from tests.unit.engine.world import World

PROFILE = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.generate],  # an example takes seconds: shrinking would take minutes
)
POINTS = ("claimed", "before start", "after start", "before observe", "before result", "before settle")
LEASE = 30.0


class Crash(BaseException):
    """The process dies here: nothing after it runs, and its transaction is rolled back."""


class Fate:
    """Says at which of its points a worker dies, and after how many visits of it."""

    def __init__(self, crashes: list[tuple[str, int]]) -> None:
        self.crashes = crashes
        self.seen: Counter[str] = Counter()

    def at(self, point: str) -> None:
        self.seen[point] += 1
        if self.crashes and self.crashes[0][0] == point and self.seen[point] >= self.crashes[0][1]:
            self.crashes.pop(0)
            self.seen.clear()
            raise Crash(point)


class MortalDoor:
    """The door of a process that may die right before or after it used it."""

    def __init__(self, world: CephWorld, fate: Fate) -> None:
        self.door, self.fate = world.door, fate

    def observe(self) -> CephState | None:
        self.fate.at("before observe")
        return self.door.observe()

    def start(self, machine: str, plan: str, step: str, order: CephOrder) -> None:
        self.fate.at("before start")
        self.door.start(machine, plan, step, order)
        self.fate.at("after start")

    def result(self, plan: str, step: str) -> DoorResult:
        self.fate.at("before result")
        return self.door.result(plan, step)


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


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "state"
    World(folder).app.close()
    return folder


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A bad day: ``trouble`` is how many of the orders go wrong, ``crashes`` where the appliance dies (and at which visit of
    that point), ``jumps`` how long it takes until it is there again."""

    boxes: int
    seed: int
    trouble: float
    crashes: tuple[tuple[str, int], ...]
    jumps: tuple[float, ...]


DAYS = st.builds(
    Bad,
    boxes=st.integers(3, 4),
    seed=st.integers(0, 10_000),
    trouble=st.sampled_from((0.0, 0.2, 0.5)),
    crashes=st.lists(st.tuples(st.sampled_from(POINTS), st.integers(1, 25)), max_size=12).map(tuple),
    jumps=st.lists(st.sampled_from((0.0, 1.0, 3.0, LEASE + 1.0)), min_size=1, max_size=8).map(tuple),
)


@PROFILE
@given(day=DAYS)
def test_it_is_formed_whatever_happens(template: Path, tmp_path: Path, day: Bad) -> None:
    folder = tmp_path / "state"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    world = CephWorld(folder, boxes=day.boxes)
    world.door.trouble, world.door.chance = day.trouble, random.Random(day.seed)
    world.accept()
    fate = Fate(list(day.crashes))
    world.use(MortalDoor(world, fate))
    for number in range(5000):
        engine = Mortal(world.tools, registry(), lease=LEASE)
        engine.fate = fate
        try:
            busy = engine.run_one()
        except Crash:
            busy = True
        if not busy:
            world.clock.advance(max(1.0, day.jumps[number % len(day.jumps)]))
            if world.state != "accepted":
                break
    again = [row for row in (world.step(step.key) for step in world.steps) if row.state != "done"]
    world.app.close()
    assert not again, f"{[(row.key, row.state, row.error) for row in again]}"
    uuids = {osd.number: ceph.osd_uuid(world.layout.fsid, osd) for osd in world.layout.osds}
    assert {osd.number: osd.uuid for osd in world.formed.osds} == uuids
    assert sorted(world.sim.made) == sorted(uuids.values()), "each OSD once"
    assert world.left() == ()
    lost = sum(job.result.state is DoorState.NONE for job in world.door.jobs)
    assert day.trouble or not lost
