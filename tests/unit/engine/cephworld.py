"""A world with machines that are deployed with Debian, a planned Ceph, its steps, and a door to a simulated one."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.cephorder import CephAction, CephOrder, MonAnswer
from agent.wire import Environment, Order, Progress, ProgressState, Report
from appliance.effects.cephdoor import DoorResult, DoorState
from appliance.effects.clock import FakeClock
from appliance.engine.engine import Engine
from appliance.engine.orders import ASK, secret_names
from appliance.engine.registry import Tools, registry
from appliance.kinds import ceph
from appliance.model.ceph import PoolSpec
from appliance.model.cephstate import CephState
from appliance.model.machine import APPLIANCE, MachineEvent
from appliance.model.network import AddressLayout, HostNetwork, Plane
from appliance.model.place import Place
from appliance.model.plan import Desired, NodeLayout, Plan, Step
from appliance.operations import arbiter, reports
from appliance.operations import orders as operation
from appliance.operations.context import SYSTEM, Actor, Role
from appliance.operations.secrets import make_keys, secret_for
from appliance.store import certificates, inventories, lifecycle, machines, plans, steps
from appliance.store.certificates import CertificateRow, CertificateState
from tests.unit.engine.cephsim import CephSim
from tests.unit.engine.world import World, new_csr, render
from tests.unit.kinds import scenes

PLAN = "c" * 64
READING = frozenset({CephAction.ASK, CephAction.CHECK, CephAction.PROVE})
SOCKET = Actor(name="root", role=Role.ADMIN, via="socket")


@dataclass
class Job:
    """One order on its way: carried out and answered at some time, or never."""

    machine: str
    plan: str
    step: str
    order: CephOrder
    result: DoorResult = field(default_factory=lambda: DoorResult(state=DoorState.RUNNING))
    due: float = 0.0
    twice: bool = False
    lost: bool = False


@dataclass
class SimDoor:
    """`CephDoor` on a simulated Ceph. ``chance`` decides: an order is lost before it is carried out (its machine was
    restarted, and says so only much later, or somebody withdrew it), carried out twice, or carried out late."""

    sim: CephSim
    clock: FakeClock
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    trouble: float = 0.0
    jobs: list[Job] = field(default_factory=list)
    fail: dict[str, DoorResult] = field(default_factory=dict)
    asked: int = 0

    def observe(self) -> CephState | None:
        self.asked += 1
        self.work()
        return self.sim.state(self.clock.now())

    def start(self, machine: str, plan: str, step: str, order: CephOrder) -> None:
        if self._last(plan, step).state is DoorState.RUNNING:
            return
        busy = [job.step for job in self.jobs if job.machine == machine and job.result.state is DoorState.RUNNING]
        assert not busy, f"{machine} is told {step} while it works on {busy}"
        job = Job(machine=machine, plan=plan, step=step, order=order, due=self.clock.now())
        if self.chance.random() < self.trouble:
            job.lost = self.chance.random() < 0.4
            job.twice = self.chance.random() < 0.4
            job.due += self.chance.choice((0.0, 1.0, 7.0, 40.0))
        self.jobs.append(job)

    def result(self, plan: str, step: str) -> DoorResult:
        self.work()
        return self._last(plan, step)

    def _last(self, plan: str, step: str) -> DoorResult:
        found = [job for job in self.jobs if (job.plan, job.step) == (plan, step)]
        return found[-1].result if found else DoorResult(state=DoorState.NONE)

    def work(self) -> None:
        """Machines do what is due."""
        for job in self.jobs:
            if job.result.state is not DoorState.RUNNING or job.due > self.clock.now():
                continue
            told = self.fail.get(job.step)
            if told is not None:
                job.result = told
            elif job.lost:
                job.result = DoorResult(
                    state=self.chance.choice((DoorState.NONE, DoorState.FAILED)), message="power cut"
                )
            else:
                answers: tuple[MonAnswer, ...] = ()
                for _ in range(1 + job.twice):
                    answers = self.sim.carry(job.machine, job.order)
                job.result = DoorResult(state=DoorState.DONE, answers=answers)


class CephWorld:
    """``boxes`` machines with two disks each; `steps` are what the kind makes of nothing. ``stretch``: in two datacenters,
    with the tiebreaker on the appliance, whose own agent is enrolled by `Agents`."""

    def __init__(
        self, folder: Path, boxes: int = 3, pools: tuple[PoolSpec, ...] = (scenes.BLOCK,), *, stretch: bool = False
    ) -> None:
        self.world = World(folder)
        self.clock, self.store, self.app = self.world.clock, self.world.store, self.world.app
        among = scenes.boxes(boxes, racks=2, datacenters=2) if stretch else scenes.boxes(boxes)
        self.ids = {box.name: self.deployed(box.name) for box in among}
        self.scene = scenes.scene(among, pools, ids=self.ids, stretch=stretch)
        self.layout = self.scene.layout
        self.steps = ceph.steps(self.layout, self.scene.hosts, None, None, self.scene.networks, self.scene.choices)
        self.sim = CephSim(self.layout, dict(self.scene.hosts))
        self.door = SimDoor(self.sim, self.clock)
        self.use(self.door)

    def use(self, door: object) -> None:
        """The engine works through this door from now on."""
        tools = self.world.tools
        self.tools = Tools(
            store=tools.store,
            clock=tools.clock,
            authority=tools.authority,
            settings=tools.settings,
            render=render,
            ceph=door,  # type: ignore[arg-type]
        )
        self.engine = Engine(self.tools, registry())

    def deployed(self, name: str) -> str:
        """A machine whose installed system has reported; returns its id."""
        now = self.clock.now()
        with self.store.write() as connection:
            machine = machines.add(connection, at=now)
            moves = (MachineEvent.ENROL, MachineEvent.APPROVE, MachineEvent.REPORT, MachineEvent.MATCH)
            for move in (*moves, MachineEvent.INSTALL, MachineEvent.FIRST_BOOT):
                lifecycle.advance(connection, machine, move, at=now)
            machines.change(connection, machine, name=name)
        self.boot(machine, f"{name}-1")
        return machine

    def boot(self, machine: str, nonce: str) -> None:
        """The installed system came up (again) and reported."""
        now = self.clock.now()
        with self.store.write() as connection:
            if not certificates.of_machine(connection, machine):
                issued = self.app.authority.issue(new_csr(), machine=machine, environment="installed")
                row = CertificateRow(
                    serial=issued.serial,
                    machine=machine,
                    environment=Environment.INSTALLED,
                    pem=issued.pem,
                    key_sha256=issued.key_sha256,
                    state=CertificateState.CURRENT,
                    not_after=issued.not_after,
                    created=now,
                )
                certificates.add(connection, row)
            inventory = self.world.inventory(Environment.INSTALLED)
            inventories.put(connection, machine, inventory, at=now, nonce=nonce)
            machines.touch(connection, machine, at=now, nonce=nonce)

    def accept(self, *some: Step, hash_: str = PLAN, parent: str = "") -> None:
        """An accepted plan with these steps (all by default)."""
        wanted = some or self.steps
        desired = Desired(ceph=self.layout, nodes=self.nodes())
        plan = Plan(
            hash=hash_, parent=parent, steps=wanted, waits=(), disks=(), allocations=(), facts=(), desired=desired
        )
        with self.store.write() as connection:
            plans.put_draft(connection, plan, lint=(), diff="", made_by="t", made=self.clock.now())
            make_keys(self.app, connection, SYSTEM, plan)
            plans.accept(connection, hash_, by="t", at=self.clock.now())
            steps.add(connection, hash_, wanted)

    def nodes(self) -> tuple[NodeLayout, ...]:
        """The layout of the machines' network, as far as Ceph looks."""
        return tuple(
            NodeLayout(
                machine=host.machine,
                name=host.name,
                number=index,
                profile="",
                place=Place(),
                network=HostNetwork(
                    addresses=(
                        AddressLayout(
                            network=self.layout.public,
                            plane=Plane.STORAGE_PUBLIC,
                            interface="lan0",
                            address=f"{host.address}/24",
                        ),
                    )
                ),
            )
            for index, host in enumerate(self.scene.hosts.values(), 1)
        )

    def run(self, seconds: float = 600.0, pause: float = 1.0) -> str:
        """Until the plan is over, or so much time has passed; returns its state."""
        until = self.clock.now() + seconds
        while self.state == "accepted" and self.clock.now() < until:
            if not self.engine.run_one():
                self.clock.advance(pause)
        return self.state

    @property
    def state(self) -> str:
        with self.store.read() as connection:
            found = plans.get_state(connection, PLAN)
        assert found is not None
        return found

    def step(self, key: str) -> steps.StepRow:
        return self.world.step(key, PLAN)

    def key(self, start: str) -> str:
        """The first step whose key begins so."""
        return next(step.key for step in self.steps if step.key.startswith(start))

    @property
    def formed(self) -> CephState:
        state = self.sim.state(self.clock.now())
        assert state is not None
        return state

    def left(self) -> tuple[Step, ...]:
        """What the kind would still do."""
        scene = self.scene
        return ceph.steps(self.layout, scene.hosts, self.formed, self.layout, scene.networks, scene.choices)


class Agents:
    """The machines of a world as the product knows them: they ask for orders, carry them out on the simulated Ceph, fetch
    the secrets that an order names, and tell how it went. ``off`` do nothing."""

    def __init__(self, world: CephWorld) -> None:
        self.world = world
        self.nonces = {machine: f"{name}-1" for name, machine in world.ids.items()}
        self.environments = dict.fromkeys(self.nonces, Environment.INSTALLED)
        if APPLIANCE in world.scene.hosts:
            self.nonces[APPLIANCE], self.environments[APPLIANCE] = "appliance-1", Environment.ARBITER
            self.enrol_appliance()
        self.off: set[str] = set()
        self.secrets: dict[str, set[str]] = {machine: set() for machine in self.nonces}
        self.told: list[Order] = []

    def enrol_appliance(self) -> None:
        """As `rackseed serve arbiter` and its agent do."""
        place = arbiter.enrol(self.world.app, SOCKET, new_csr())
        assert place.certificate
        inventory = self.world.world.inventory(Environment.ARBITER)
        report = Report(nonce=self.nonces[APPLIANCE], inventory=replace(inventory, disks=(), ceph="18.2.7"))
        reports.report(self.world.app, APPLIANCE, report, environment=Environment.ARBITER)

    def turn(self) -> None:
        """Each machine asks once, and does what it is told."""
        for machine in self.nonces:
            if machine not in self.off:
                self.one(machine)

    def poll(self, machine: str) -> Order | None:
        signed = operation.poll(self.world.app, machine, self.nonces[machine], self.environments[machine]).order
        return self.world.app.authority.verify(signed) if signed else None

    def one(self, machine: str) -> None:
        order = self.poll(machine)
        if order is None:
            return
        assert order.ceph is not None
        if order.step != ASK:
            self.told.append(order)
        for name in secret_names(order.ceph):
            value = secret_for(self.world.app, machine, name, order.id, self.environments[machine]).secret
            assert value
            self.secrets[machine].add(name)
        self.tell(machine, order, ProgressState.RUNNING, stage="ceph", fraction=0.5)
        answers = self.world.sim.carry(machine, order.ceph)
        self.tell(machine, order, ProgressState.DONE, answers=answers)

    def tell(self, machine: str, order: Order, state: ProgressState, **facts: object) -> None:
        told = Progress(order=order.id, fence=order.fence, state=state, **facts)  # type: ignore[arg-type]
        operation.progress(self.world.app, machine, told)

    def run(self, seconds: float = 600.0) -> str:
        """Engine and agents in turns, a second each, until the plan is over."""
        world, until = self.world, self.world.clock.now() + seconds
        while world.state == "accepted" and world.clock.now() < until:
            while world.engine.run_one():
                pass
            self.turn()
            world.clock.advance(1.0)
        return world.state
