"""Ceph by orders: what installed machines are told, who gets which secret, and what of the answers is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agent.cephorder import CephAction, MonAnswer
from agent.wire import Environment, Order, ProgressState
from appliance.engine.orderdoor import OrderDoor
from appliance.engine.orders import ASK, secret_names
from appliance.kinds import ceph
from appliance.model.machine import Phase, Policy, TroubleKind
from appliance.operations import deadlines, timeline
from appliance.operations import orders as operation
from appliance.operations.context import SYSTEM
from appliance.operations.errors import Conflict, NotFound, Unavailable
from appliance.operations.secrets import secret_for
from appliance.store import audit, cephstates, events, machines, orders, schema, secrets
from tests.unit.engine.cephworld import Agents, CephWorld
from tests.unit.kinds import scenes

ALL = (scenes.BLOCK, scenes.FILE, scenes.OBJECT)


@pytest.fixture
def world(template: Path, tmp_path: Path, request: pytest.FixtureRequest) -> CephWorld:
    """Three machines, or as many and with as many services as the test says; everything by the product's door."""
    shutil.copytree(template, tmp_path / "state")
    made = CephWorld(tmp_path / "state", **getattr(request, "param", {}))
    made.use(OrderDoor(store=made.store, clock=made.clock, authority=made.app.authority))
    return made


@pytest.fixture
def agents(world: CephWorld) -> Agents:
    world.accept()
    return Agents(world)


def told(agents: Agents, wanted: str, seconds: int = 400) -> tuple[str, Order]:
    """Until some machine has an order whose step begins so: that machine, and the order, which it has not begun."""
    for _ in range(seconds):
        while agents.world.engine.run_one():
            pass
        for machine in agents.nonces:
            order = agents.poll(machine)
            if order is not None and order.step.startswith(wanted):
                return machine, order
        agents.turn()
        agents.world.clock.advance(1.0)
    raise AssertionError(f"nobody was told {wanted}")


@pytest.mark.parametrize("world", [{"boxes": 4, "pools": ALL}], indirect=True)
def test_a_plan_becomes_a_cluster_by_orders_alone(world: CephWorld, agents: Agents) -> None:
    assert agents.run() == "done"
    assert world.left() == ()
    assert len(world.sim.made) == len(set(world.sim.made)) == len(world.layout.osds)
    with world.store.read() as connection:
        kept = cephstates.latest(connection)
        story = [event.text for event in events.since(connection, 0, 10_000)]
        questions = orders.of_step(connection, "c" * 64, ASK)
    assert kept is not None
    assert ceph.steps(world.layout, world.scene.hosts, kept, world.layout, world.scene.networks, ()) == ()
    assert not any("order" in text and "ask" in text and "ceph-ask" in text for text in story), "questions are no story"
    assert len(questions) <= len(world.ids), "questions that were answered are forgotten"
    assert all(world.world.machine(machine).phase is Phase.MEMBER for machine in world.ids.values())
    steps_told = [order.step for order in agents.told]
    assert sum(step.startswith("ceph-osd") for step in steps_told) == len(world.layout.osds)


def test_grants_are_of_the_plan_and_the_machine(agents: Agents) -> None:
    machine, order = told(agents, "ceph-osd")
    assert order.ceph is not None
    assert order.ceph.grants
    assert {(grant.plan, grant.machine) for grant in order.ceph.grants} == {("c" * 64, machine)}
    assert order.plan == "c" * 64


def test_keys_are_made_once_sealed_and_never_shown(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-mgr")
    names = [spec.name for spec in ceph.keys(world.layout, world.scene.hosts)]
    values: list[bytes] = []
    with world.store.read() as connection:
        for name in names:
            sealed = secrets.get(connection, name)
            assert sealed is not None
            values.append(world.app.secrets.unseal(name, sealed))
        rows = audit.before(connection, None, 100)
        everything = [
            repr(row) for table in schema.metadata.sorted_tables for row in connection.execute(table.select())
        ]
    assert len(set(values)) == len(names)
    assert [row.detail["names"] for row in rows if row.verb == "secret.make"] == [names]
    assert not any(value.decode() in text for value in values for text in everything)
    world.accept()
    with world.store.read() as connection:
        again = [world.app.secrets.unseal(name, secrets.get(connection, name) or b"") for name in names]
    assert again == values
    assert machine and order


def test_cephx_keys_have_cephs_form(world: CephWorld, agents: Agents) -> None:
    import base64  # noqa: PLC0415
    import struct  # noqa: PLC0415

    machine, order = told(agents, "ceph-mon")
    assert order.ceph is not None
    for name in secret_names(order.ceph):
        raw = base64.b64decode(secret_for(world.app, machine, name, order.id).secret, validate=True)
        kind, seconds, _nanoseconds, length = struct.unpack("<HIIH", raw[:12])
        assert (kind, length, len(raw)) == (1, 16, 28)
        assert 0 <= world.clock.now() - seconds < 3600


def test_only_the_machine_that_is_told_gets_only_what_its_order_names(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-mon")
    assert order.ceph is not None
    named = sorted(secret_names(order.ceph))
    assert named
    assert secret_for(world.app, machine, named[0], order.id).secret
    other = next(one for one in world.ids.values() if one != machine)
    with pytest.raises(NotFound, match="has no order"):
        secret_for(world.app, other, named[0], order.id)
    with pytest.raises(NotFound, match="has no order"):
        secret_for(world.app, machine, named[0], "11111111-1111-4111-8111-111111111111")
    foreign = next(spec.name for spec in ceph.keys(world.layout, world.scene.hosts) if spec.name not in named)
    with pytest.raises(NotFound, match="names no secret"):
        secret_for(world.app, machine, foreign, order.id)
    with pytest.raises(Conflict, match="installed system"):
        secret_for(world.app, machine, named[0], order.id, Environment.IMAGE)
    agents.one(machine)
    with pytest.raises(Conflict, match="it is done"):
        secret_for(world.app, machine, named[0], order.id)


def test_a_machine_that_is_held_or_whose_step_is_over_gets_no_secret(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-mon")
    assert order.ceph is not None
    name = sorted(secret_names(order.ceph))[0]
    with world.store.write() as connection:
        machines.change(connection, machine, policy=Policy.HOLD)
    with pytest.raises(Conflict, match="policy hold"):
        secret_for(world.app, machine, name, order.id)
    with world.store.write() as connection:
        machines.change(connection, machine, policy=Policy.USE)
        from appliance.store import steps  # noqa: PLC0415

        steps.cancel(connection, order.plan, [order.step], why="t")
    with pytest.raises(Conflict, match="cancelled"):
        secret_for(world.app, machine, name, order.id)


def test_another_key_file_gives_no_secret_and_says_why(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-mon")
    assert order.ceph is not None
    name = sorted(secret_names(order.ceph))[0]
    with world.store.write() as connection:
        connection.execute(
            schema.secret.update().where(schema.secret.c.name == name).values(sealed=b"\x01" + b"x" * 60)
        )
    with pytest.raises(Unavailable, match="another key"):
        secret_for(world.app, machine, name, order.id)


def test_the_agent_image_is_given_nothing_for_ceph(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-configure")
    assert operation.poll(world.app, machine, order.nonce, Environment.IMAGE).order is None


def test_a_machine_that_is_worked_on_asks_often(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-configure")
    reply = operation.poll(world.app, machine, order.nonce, Environment.INSTALLED)
    assert reply.interval == operation.BUSY_SECONDS
    assert agents.run() == "done"
    world.clock.advance(operation.BUSY_FOR_SECONDS + 1)
    reply = operation.poll(world.app, machine, agents.nonces[machine], Environment.INSTALLED)
    assert reply.interval > operation.BUSY_SECONDS


def test_a_machine_that_lost_power_is_told_again_and_goes_on(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-osd")
    agents.tell(machine, order, ProgressState.RUNNING, stage="osd", fraction=0.3)
    agents.off.add(machine)
    agents.run(40)
    agents.off.clear()
    agents.nonces[machine] = "after-the-cut"
    world.boot(machine, "after-the-cut")
    again = agents.poll(machine)
    assert again is not None
    assert again.fence > order.fence
    assert (again.ceph, again.step) == (order.ceph, order.step)
    with pytest.raises(Conflict, match="withdrawn"):
        agents.tell(machine, order, ProgressState.DONE)
    assert agents.run() == "done"
    assert len(world.sim.made) == len(set(world.sim.made))


def test_a_machine_without_power_is_named_and_its_step_says_whom_it_waits_for(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-osd")
    agents.tell(machine, order, ProgressState.RUNNING, stage="mkfs", fraction=0.6)
    agents.off.add(machine)
    name = world.world.machine(machine).name
    for _ in range(100):
        agents.run(1)
        deadlines.check(world.app)
    trouble = world.world.machine(machine).trouble
    assert trouble is not None
    assert trouble.kind is TroubleKind.SILENT
    assert f"since mkfs of {order.step}" in trouble.text
    assert "power-cycle it" in trouble.text
    said = world.step(order.step).progress
    assert said["stage"] == "silent"
    assert said["message"].startswith(f"{name} says nothing for 1 min, since mkfs of {order.step}: it has no power")
    seen = timeline.timeline(world.app, SYSTEM, machine)
    assert seen.missing is not None
    assert (seen.missing.step, seen.overdue) == ("its next word", True)
    others = [one for one in world.ids.values() if one != machine]
    assert all(world.world.machine(one).trouble is None for one in others)
    agents.off.clear()
    agents.nonces[machine] = "after-the-cut"
    world.boot(machine, "after-the-cut")
    agents.turn()
    deadlines.check(world.app)
    assert world.world.machine(machine).trouble is None
    assert agents.run() == "done"


def test_a_machine_that_says_again_and_again_what_it_does_is_not_silent(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-osd")
    agents.off.add(machine)
    for _ in range(60):
        agents.tell(machine, order, ProgressState.RUNNING, stage="mkfs", fraction=0.6)
        agents.run(10)
        deadlines.check(world.app)
        assert world.world.machine(machine).trouble is None
        assert world.step(order.step).progress["stage"] == "mkfs"


def test_a_silent_monitor_is_not_waited_for_another_one_is_asked(world: CephWorld, agents: Agents) -> None:
    told(agents, "ceph-mgr")
    with world.store.read() as connection:
        asked = orders.newest(connection, "c" * 64, ASK)
    assert asked is not None
    agents.off.add(asked.machine)
    began = world.clock.now()
    for _ in range(200):
        while world.engine.run_one():
            pass
        agents.turn()
        world.clock.advance(1.0)
        with world.store.read() as connection:
            now = orders.newest(connection, "c" * 64, ASK)
            state = cephstates.latest(connection)
        if now is not None and now.machine != asked.machine and state is not None and state.at > began + 5:
            break
    else:
        raise AssertionError("nobody else was asked")


def test_a_refusal_is_the_machines_trouble_and_names_the_disk(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-osd")
    agents.tell(machine, order, ProgressState.REFUSED, message="disk S001D1 carries ext4 by now: nothing was written")
    assert agents.run() == "failed"
    trouble = world.world.machine(machine).trouble
    assert trouble is not None
    assert trouble.step == order.step
    assert "S001D1 carries ext4" in trouble.text


def test_answers_of_a_step_are_kept_with_its_order(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-tree")
    answers = (MonAnswer(code=0, output="{}"), MonAnswer(code=22, status="no such bucket type"))
    agents.tell(machine, order, ProgressState.FAILED, message="no such bucket type", answers=answers)
    with world.store.read() as connection:
        kept = orders.get(connection, order.id)
    assert kept is not None
    assert kept.answers == answers
    world.clock.advance(10.0)
    assert told(agents, "ceph-tree")[1].id != order.id, "it is told again"


@pytest.mark.parametrize("output", ["", "no json", "[]", '{"fsid": 3}'])
def test_answers_that_are_no_answers_change_nothing(world: CephWorld, agents: Agents, output: str) -> None:
    told(agents, "ceph-mgr")
    with world.store.read() as connection:
        before = cephstates.latest(connection)
    world.clock.advance(10.0)
    while world.engine.run_one():
        pass
    machine, order = told(agents, ASK)
    assert order.ceph is not None
    assert order.ceph.action is CephAction.ASK
    agents.tell(machine, order, ProgressState.DONE, answers=tuple(MonAnswer(code=0, output=output) for _ in range(10)))
    with world.store.read() as connection:
        after = cephstates.latest(connection)
    assert after is not None
    assert before is not None
    assert after.monitors == before.monitors


def test_another_clusters_answers_are_not_ours(world: CephWorld, agents: Agents) -> None:
    told(agents, "ceph-mgr")
    machine, order = told(agents, ASK)
    assert order.ceph is not None
    answers = list(world.sim.carry(machine, order.ceph))
    strange = json.loads(answers[0].output)
    strange["fsid"] = "00000000-0000-4000-8000-000000000000"
    answers[0] = MonAnswer(code=0, output=json.dumps(strange))
    agents.tell(machine, order, ProgressState.DONE, answers=tuple(answers))
    with world.store.read() as connection:
        latest = cephstates.latest(connection)
    assert latest is not None
    assert latest.fsid == world.layout.fsid


def test_questions_never_take_the_place_of_a_steps_order(world: CephWorld, agents: Agents) -> None:
    machine, order = told(agents, "ceph-osd")
    door = world.tools.ceph
    for _ in range(20):
        door.observe()
        world.clock.advance(5.0)
        now = agents.poll(machine)
        assert now is not None
        assert now.id == order.id
