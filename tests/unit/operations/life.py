"""A small Ceph that stands, for tests of what people do with it afterwards: three machines with two drives each.

Forming it is the slow part, so it is done once; every test begins with a copy. Import the fixtures `stood`, `app` and
`standing` to have one.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from agent.wire import Content, Disk, Order, Signature
from appliance.effects.clock import FakeClock
from appliance.model.settings import Settings
from appliance.operations import plans
from appliance.operations.context import Appliance
from appliance.operations.plans import PlanView
from appliance.store import cephstates, inventories
from tests.unit.engine.cephsim import CephSim
from tests.unit.operations.lab import OPERATOR, VIEWER, Box, hardware
from tests.unit.operations.test_ceph_plans import BLANK, Racks, accept


class Standing(Racks):
    """`stand` forms it. Machines are m1, m2, m3 by their order."""

    view: PlanView

    def stand(self) -> None:
        self.begin()
        plans.apply_plan(self.app, OPERATOR, plans.make_plan(self.app, OPERATOR).hash)
        self.work()
        self.deploy()
        self.view = accept(self)
        self.form(self.view.hash)
        for machine, box in self.members.items():
            for disk in box.inventory.disks[1:]:
                self.carries(machine, disk.serial, self.label("7"))

    def label(self, edge: str) -> Content:
        """What Ceph leaves on a disk."""
        found = (Signature(kind="ceph_bluestore", owner=self.sim.layout.fsid),)
        return Content(signatures=found, edges=edge * 64)

    def machine(self, number: int) -> str:
        return list(self.members)[number - 1]

    def put_in(self, machine: str, serial: str) -> None:
        """One more drive, blank."""
        box = self.members[machine]
        like = box.inventory.disks[1]
        new = replace(like, serial=serial, wwn=f"eui.9{serial.lower()}", path="/dev/nvme9n1", content=BLANK)
        self.report(machine, (*box.inventory.disks, new))

    def join_drives(self, number: int) -> str:
        """One more machine like the others, not installed yet."""
        box = self.make(number)
        system = replace(box.inventory.disks[0], content=BLANK)
        like = next(iter(self.members.values())).inventory.disks[1]
        drives = [replace(like, serial=f"N{number}{n}", wwn=f"eui.{number:08x}{n:08x}", content=BLANK) for n in (1, 2)]
        box.inventory = replace(box.inventory, disks=(system, *drives))
        machine = self.boot(box)
        self.members[machine] = box
        return machine

    def install_one(self, machine: str) -> None:
        """By a plan of its own."""
        box = self.members[machine]
        plans.apply_plan(self.app, OPERATOR, self.plan().hash)
        self.work()
        permit = self.install(box, machine)
        self.work()
        self.come_up(box, machine, permit)
        self.work()

    def pull(self, machine: str, serial: str) -> None:
        self.report(machine, tuple(d for d in self.members[machine].inventory.disks if d.serial != serial))

    def report(self, machine: str, disks: tuple[Disk, ...]) -> None:
        box = self.members[machine]
        box.inventory = replace(box.inventory, disks=disks)
        with self.app.store.write() as connection:
            inventories.put(connection, machine, box.inventory, at=self.clock.now(), nonce=box.nonce)

    def look(self) -> None:
        """The worker asks Ceph how it is, as it does every few seconds."""
        state = self.sim.state(self.clock.now())
        assert state is not None
        with self.app.store.write() as connection:
            cephstates.put(connection, state)

    def plan(self) -> PlanView:
        return plans.make_plan(self.app, OPERATOR)

    def carry_out(self, view: PlanView, until: str = "") -> list[Order]:
        plans.apply_plan(self.app, OPERATOR, view.hash)
        done = self.form(view.hash, until=until)
        if not until:
            assert plans.show_plan(self.app, VIEWER, view.hash).state == "done"
        return done

    def osd_of(self, serial: str) -> int:
        assert self.view.desired.ceph is not None
        return next(osd.number for osd in self.view.desired.ceph.osds if osd.data.serial == serial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """What is left of the one that was formed: its folder, and what its machines and its Ceph were then."""

    state: Path
    now: float
    boxes: dict[str, Box]
    sim: CephSim
    view: PlanView


def opened(state: Path, clock: FakeClock) -> Appliance:
    address = IPv4Address("10.20.0.1")
    return Appliance.open(Settings(state=state, cache=state.parent / "cache", address=address), clock)


@pytest.fixture(scope="session")
def stood(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Stood:
    state = tmp_path_factory.mktemp("stood") / "state"
    shutil.copytree(keys, state)
    clock = FakeClock()
    app = opened(state, clock)

    def make(number: int) -> Box:
        clock.advance(1.0)
        return Box(app=app, inventory=hardware(number))

    made = Standing(app=app, clock=clock, make=make)
    made.stand()
    app.close()
    return Stood(state=state, now=clock.now(), boxes=made.members, sim=made.sim, view=made.view)


@pytest.fixture
def app(stood: Stood, tmp_path: Path, clock: FakeClock) -> Iterator[Appliance]:
    clock.advance(stood.now - clock.now())
    state = tmp_path / "state"
    shutil.copytree(stood.state, state)
    appliance = opened(state, clock)
    yield appliance
    appliance.close()


@pytest.fixture
def standing(stood: Stood, app: Appliance, clock: FakeClock, box: Callable[..., Box]) -> Standing:
    made = Standing(app=app, clock=clock, make=box)
    made.members = {machine: replace(one, app=app) for machine, one in stood.boxes.items()}
    made.sim, made.view, made.done = copy.deepcopy(stood.sim), stood.view, []
    return made
