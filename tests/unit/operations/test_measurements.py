"""Measuring, from a person's word to the numbers that are kept: who may, when not, and what it must not be in the way of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.cephorder import MonAnswer
from agent.wire import Environment, ProgressState
from appliance.effects.cephdoor import DoorError
from appliance.engine.orderdoor import OrderDoor
from appliance.engine.orders import MEASURE, MEASURE_SECONDS
from appliance.model.ceph import Throughput
from appliance.model.measured import Verdict
from appliance.operations import measurements
from appliance.operations import orders as operation
from appliance.operations.context import Actor
from appliance.operations.errors import Conflict, NotFound, PermissionDenied, Unavailable
from appliance.store import audit, cephstates, orders, plans
from appliance.store.orders import OrderState
from tests.unit.engine.cephworld import Agents, CephWorld
from tests.unit.operations.lab import OPERATOR, VIEWER

PROMISE = Throughput(
    pool="vms",
    write_bound=25_000_000,
    write_expected=15_000_000,
    read_bound=50_000_000,
    read_expected=30_000_000,
    limit="writing and reading: one client's port",
)


@pytest.fixture
def world(template: Path, tmp_path: Path) -> CephWorld:
    """Three machines with a pool for block devices, of which the plan promises something; nothing is formed yet."""
    shutil.copytree(template, tmp_path / "state")
    made = CephWorld(tmp_path / "state")
    made.layout = replace(made.layout, throughput=(PROMISE,))
    made.use(OrderDoor(store=made.store, clock=made.clock, authority=made.app.authority))
    return made


@pytest.fixture
def agents(world: CephWorld) -> Agents:
    """Formed, and Ceph was heard of just now."""
    world.accept()
    agents = Agents(world)
    assert agents.run() == "done"
    listen(world)
    return agents


def listen(world: CephWorld, **changes: object) -> None:
    state = replace(world.formed, **changes)  # type: ignore[arg-type]
    with world.store.write() as connection:
        assert cephstates.put(connection, state)


def measure(world: CephWorld, actor: Actor = OPERATOR, *names: str) -> measurements.SpeedView:
    return measurements.measure(world.app, actor, names)


def test_a_measurement_from_the_word_to_the_numbers(world: CephWorld, agents: Agents) -> None:
    begun = measure(world)
    assert begun.last is not None
    assert begun.last.running and begun.last.name == "h1"
    assert [(one.pool, one.measured) for one in begun.pools] == [("vms", None)]
    with pytest.raises(Conflict, match="runs already"):
        measure(world)
    agents.turn()
    view = measurements.show_speed(world.app, VIEWER)
    assert view.last is not None and view.last.state is OrderState.DONE
    (speed,) = view.pools
    assert speed.measured is not None
    assert (speed.measured.write.rate, speed.measured.read.rate) == (10_000_000.0, 10_000_000.0)
    assert (speed.measured.write_verdict, speed.measured.read_verdict) == (Verdict.FINE, Verdict.LOW)
    assert speed.hints[0].startswith("reading is less than half")
    assert speed.measured.promise == PROMISE
    assert view.history == (speed.measured,)
    with world.store.read() as connection:
        (row,) = [row for row in audit.before(connection, None, 50) if row.verb == "ceph.measure"]
    assert (row.actor, row.detail["pools"]) == (OPERATOR.name, ["vms"])


def test_the_newest_of_each_pool_counts(world: CephWorld, agents: Agents) -> None:
    for _ in range(2):
        measure(world, OPERATOR, "vms")
        agents.turn()
        world.clock.advance(400.0)
        listen(world)
    view = measurements.show_speed(world.app, VIEWER)
    assert len(view.history) == 2
    assert view.pools[0].measured == view.history[0]
    assert view.history[0].at > view.history[1].at


def fresh_state(world: CephWorld) -> None:
    world.clock.advance(1000.0)


def running_plan(world: CephWorld) -> None:
    world.accept(hash_="d" * 64, parent="c" * 64)


REFUSALS: list[tuple[Callable[[CephWorld], None], type[Exception], str]] = [
    (fresh_state, Unavailable, "was not heard of for 300 s"),
    (running_plan, Conflict, "plan dddddddddddd is being carried out"),
    (lambda world: listen(world, pgs=(("active+degraded", 3),)), Conflict, "3 PGs are active\\+degraded"),
    (lambda world: listen(world, quorum=()), Unavailable, "no machine with a monitor is free"),
]


@pytest.mark.parametrize(("before", "error", "words"), REFUSALS)
def test_when_nothing_is_measured(
    world: CephWorld, agents: Agents, before: Callable[[CephWorld], None], error: type[Exception], words: str
) -> None:
    before(world)
    with pytest.raises(error, match=words):
        measure(world)
    assert agents.told[-1].step != MEASURE


def test_who_may_and_what_is_there(world: CephWorld, agents: Agents) -> None:
    with pytest.raises(PermissionDenied, match="may not measure Ceph"):
        measure(world, VIEWER)
    with pytest.raises(NotFound, match="tapes: pools for large data are vms"):
        measure(world, OPERATOR, "tapes")


def test_without_ceph(world: CephWorld) -> None:
    with pytest.raises(NotFound, match="no accepted plan has a Ceph"):
        measurements.show_speed(world.app, VIEWER)


def test_a_failure_keeps_what_was_measured_before_it(world: CephWorld, agents: Agents) -> None:
    begun = measure(world)
    assert begun.last is not None
    machine = begun.last.machine
    order = agents.poll(machine)
    assert order is not None and order.ceph is not None
    (answer,) = world.sim.carry(machine, order.ceph)
    strange = MonAnswer(code=0, output=answer.output.replace("vms", "other"))
    agents.tell(machine, order, ProgressState.FAILED, message="pool x can't be measured", answers=(answer, strange))
    view = measurements.show_speed(world.app, VIEWER)
    assert view.last is not None and (view.last.state, view.last.running) == (OrderState.FAILED, False)
    assert [one.pool for one in view.history] == ["vms"]


def test_a_machine_that_is_restarted_measures_no_more(world: CephWorld, agents: Agents) -> None:
    begun = measure(world)
    assert begun.last is not None
    machine = begun.last.machine
    assert agents.poll(machine) is not None
    world.boot(machine, "another")
    assert operation.poll(world.app, machine, "another", Environment.INSTALLED).order is None
    view = measurements.show_speed(world.app, VIEWER)
    assert view.last is not None and view.last.state is OrderState.VOID
    assert measure(world).last is not None, "it may be measured again"


def test_a_step_waits_for_a_measurement_but_not_for_ever(world: CephWorld, agents: Agents) -> None:
    begun = measure(world)
    assert begun.last is not None
    machine = begun.last.machine
    world.accept(*world.steps[:1], hash_="d" * 64, parent="c" * 64)
    key, body = world.steps[0].key, agents.told[0].ceph
    assert body is not None
    world.engine.run_one()
    door = OrderDoor(store=world.store, clock=world.clock, authority=world.app.authority)
    with pytest.raises(DoorError, match="h1 is busy with ceph-measure"):
        door.start(machine, "d" * 64, key, body)
    world.clock.advance(MEASURE_SECONDS + 1)
    door.start(machine, "d" * 64, key, body)
    with world.store.read() as connection:
        active = orders.active_of_machine(connection, machine)
        assert plans.last_accepted(connection) == "d" * 64
    assert active is not None and active.step == key
