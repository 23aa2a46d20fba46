"""Install permits under any sequence of what machines, workers and operators may do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from agent.wire import Order, PermitClaim, ProgressState
from appliance.engine.settlement import withdraw
from appliance.model.machine import Phase, Policy
from appliance.operations import orders as operation
from appliance.operations.errors import OperationError
from appliance.store import machines, orders, schema
from tests.unit.engine.world import World, boot_step, install_step

BOX = st.integers(0, 1)


class Permits(RuleBasedStateMachine):
    """Two machines with one plan. Every order that was ever seen is kept and tried again, by anybody."""

    template: Path
    folder: Path

    @initialize()
    def begin(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.template, self.folder)
        self.world = World(self.folder)
        self.boots = [1, 1]
        self.boxes = [self.world.ready("n0-1"), self.world.ready("n1-1")]
        self.world.accept(*(step for box in self.boxes for step in (install_step(box), boot_step(box))))
        self.seen: list[Order] = []
        self.claims: dict[str, set[str]] = {}
        self.over: set[str] = set()
        self.worker(3.0)
        self.poll(0)
        self.poll(1)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.app.close()

    def nonce(self, box: int) -> str:
        return f"n{box}-{self.boots[box]}"

    @rule(seconds=st.sampled_from([1.0, 5.0, 40.0]))
    def worker(self, seconds: float) -> None:
        self.world.turn()
        self.world.clock.advance(seconds)

    @rule(box=BOX)
    def poll(self, box: int) -> None:
        order = self.world.order(self.boxes[box], self.nonce(box))
        if order is not None:
            assert (order.machine, order.nonce) == (self.boxes[box], self.nonce(box))
            self.seen.append(order)

    @rule(box=BOX)
    def power_cut(self, box: int) -> None:
        self.boots[box] += 1
        if self.world.machine(self.boxes[box]).phase is not Phase.RETIRED:
            self.world.boot(self.boxes[box], self.nonce(box))

    @rule(box=BOX, pick=st.integers(0, 5), boot=st.sampled_from([0, 0, 1]))
    def claim(self, box: int, pick: int, boot: int) -> None:
        """Any order of anybody's, with the nonce of any boot; mostly the newest."""
        if not self.seen:
            return
        order = self.seen[-1 - pick % len(self.seen)]
        assert order.install is not None
        nonce = f"n{box}-{self.boots[box] - boot}"
        permit, machine = order.install.permit, self.boxes[box]
        with self.world.store.read() as connection:
            newest = orders.next_fence(connection, machine) - 1
            row = machines.get(connection, machine)
        try:
            operation.claim(self.world.app, machine, permit, PermitClaim(order=order.id, nonce=nonce))
        except OperationError:
            return
        self.claims.setdefault(permit, set()).add(machine)
        assert permit not in self.over, "claimed after it was spent or void"
        assert order.machine == machine
        assert order.nonce == nonce
        assert order.fence == newest, "claimed with an order that was overtaken"
        assert row is not None
        assert row.machine.policy is Policy.USE

    @rule(box=BOX, pick=st.integers(0, 5), state=st.sampled_from(ProgressState))
    def tell(self, box: int, pick: int, state: ProgressState) -> None:
        if not self.seen:
            return
        order = self.seen[-1 - pick % len(self.seen)]
        try:
            self.world.tell(self.boxes[box], order, state, stage="image", fraction=0.5, message="m")
        except OperationError:
            return
        assert order.machine == self.boxes[box]

    @rule(box=BOX, policy=st.sampled_from([Policy.USE, Policy.USE, Policy.HOLD]))
    def operator(self, box: int, policy: Policy) -> None:
        with self.world.store.write() as connection:
            machines.change(connection, self.boxes[box], policy=policy)

    @rule(box=BOX, really=st.integers(0, 9))
    def give_up(self, box: int, really: int) -> None:
        if really == 0:
            with self.world.store.write() as connection:
                withdraw(connection, self.boxes[box], at=self.world.clock.now(), why="test")

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "world"):
            return
        table = schema.permit
        with self.world.store.read() as connection:
            rows = connection.execute(select(table.c.id, table.c.machine, table.c.state)).all()
            query = select(schema.order.c.machine).where(schema.order.c.state.in_(orders.ACTIVE))
            active = list(connection.execute(query).scalars())
        assert len(active) == len(set(active)), "one order at a time for a machine"
        states = {permit: state for permit, _, state in rows}
        for permit in self.over:
            assert states[permit] in {"spent", "void"}, "what is over stays over"
        self.over |= {permit for permit, state in states.items() if state in {"spent", "void"}}
        opened = [machine for _, machine, state in rows if state in {"issued", "claimed"}]
        assert len(opened) == len(set(opened)), "one open permit for a machine"
        assert all(len(who) == 1 for who in self.claims.values()), "one machine for a permit"
        for permit, _, state in rows:
            assert state not in {"claimed", "spent"} or permit in self.claims


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "state"
    World(folder).app.close()
    return folder


def test_permits(template: Path, tmp_path: Path) -> None:
    Permits.template, Permits.folder = template, tmp_path / "state"
    run_state_machine_as_test(
        Permits,
        settings=settings(max_examples=15, stateful_step_count=30, deadline=None, derandomize=True),
    )
