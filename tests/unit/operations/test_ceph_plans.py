"""From a site file with Ceph to its members, as people do it: plan, apply, plan, apply, no changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.wire import Content, Disk, Environment, Order, Progress, ProgressState, Report
from appliance.effects.clock import FakeClock
from appliance.engine.engine import Engine
from appliance.engine.orders import ASK
from appliance.engine.registry import registry
from appliance.model.machine import Phase
from appliance.operations import orders, plans, sites
from appliance.operations.audit import list_audit
from appliance.operations.context import Appliance
from appliance.operations.errors import Conflict
from appliance.operations.machines import show_machine
from appliance.operations.plans import PlanView
from appliance.plan.ceph.steps import hosts
from appliance.store import inventories, schema, steps
from appliance.store import plans as table
from tests.unit.engine.cephsim import CephSim
from tests.unit.operations.lab import APPROVE_ANY, OPERATOR, VIEWER, Box
from tests.unit.operations.test_plans import Floor

SITE = APPROVE_ANY + "expect: {epyc-compute: 3}\nceph: {pools: {vms: block}}\n"
BLANK = Content(blank=True, edges="0" * 64)


class Racks(Floor):
    """Three boxes with two NVMe drives each, and a Ceph that is simulated behind their agents."""

    sim: CephSim
    members: dict[str, Box]
    done: list[Order]

    def begin(self) -> None:
        sites.load_site_text(self.app, OPERATOR, SITE, "lab.yaml")
        self.image("ab" * 32, "debian-13-ceph")
        self.members, self.done = {}, []
        for number in (1, 2, 3):
            box = self.make(number)
            system = replace(box.inventory.disks[0], content=BLANK)
            drives = tuple(
                Disk(
                    path=f"/dev/nvme{slot}n1",
                    size=3_840_755_982_336,
                    serial=f"N{number}{slot}",
                    wwn=f"eui.{number:08x}{slot:08x}",
                    model="SAMSUNG MZQL23T8",
                    transport="nvme",
                    content=BLANK,
                )
                for slot in (1, 2)
            )
            box.inventory = replace(box.inventory, disks=(system, *drives))
            self.members[self.boot(box)] = box

    def deploy(self) -> None:
        for machine, box in self.members.items():
            permit = self.install(box, machine)
            self.work()
            self.come_up(box, machine, permit)
        self.work()

    def come_up(self, box: Box, machine: str, permit: str) -> None:
        content = Content(table="gpt", table_id=permit.upper(), edges="1" * 64, boot=True)
        system, *drives = box.inventory.disks
        disks = (replace(system, content=content), *drives)
        inventory = replace(box.inventory, environment=Environment.INSTALLED, disks=disks)
        box.inventory, box.nonce = inventory, "i" * 32
        box.send(machine, Report(nonce=box.nonce, inventory=inventory, permit=permit))

    def simulate(self, view: PlanView) -> None:
        layout = view.desired.ceph
        assert layout is not None
        with self.app.store.read() as connection:
            row = table.get(connection, view.hash)
        assert row is not None
        given = {allocation.machine: allocation for allocation in row.plan.allocations}
        self.sim = CephSim(layout, hosts(view.desired, given))

    def agents(self) -> list[Order]:
        """Every agent asks once, and does what it is told."""
        done = []
        for machine, box in self.members.items():
            signed = orders.poll(self.app, machine, box.nonce, Environment.INSTALLED).order
            if signed is None:
                continue
            order = self.app.authority.verify(signed)
            assert order.ceph is not None
            answers = self.sim.carry(machine, order.ceph)
            told = Progress(order=order.id, fence=order.fence, state=ProgressState.DONE, answers=answers)
            orders.progress(self.app, machine, told)
            done.append(order)
        return done

    def carries(self, machine: str, serial: str, content: Content) -> None:
        """The machine reports other content of one disk."""
        box = self.members[machine]
        disks = tuple(replace(d, content=content) if d.serial == serial else d for d in box.inventory.disks)
        box.inventory = replace(box.inventory, disks=disks)
        with self.app.store.write() as connection:
            inventories.put(connection, machine, box.inventory, at=self.clock.now(), nonce=box.nonce)

    def form(self, hash_: str, until: str = "") -> list[Order]:
        """Engine and agents in turns; stops after an agent did an order whose step begins with ``until``, with what was
        done last."""
        engine = Engine(orders.tools_of(self.app), registry())
        for _ in range(400):
            while engine.run_one():
                pass
            done = self.agents()
            self.done += done
            if until and any(order.step.startswith(until) for order in done):
                return done
            if plans.show_plan(self.app, VIEWER, hash_).state != "accepted":
                return done
            self.clock.advance(1.0)
        raise AssertionError("it is never formed")


@pytest.fixture
def racks(app: Appliance, clock: FakeClock, box: Callable[..., Box]) -> Racks:
    made = Racks(app=app, clock=clock, make=box)
    made.begin()
    view = plans.apply_plan(app, OPERATOR, plans.make_plan(app, OPERATOR).hash)
    assert {step.kind for step in view.steps} == {"install", "first-boot"}
    made.work()
    made.deploy()
    assert plans.show_plan(app, VIEWER, view.hash).state == "done"
    return made


def accept(racks: Racks) -> PlanView:
    draft = plans.make_plan(racks.app, OPERATOR)
    assert {step.kind for step in draft.steps} == {"ceph"}
    assert [finding for finding in draft.lint if finding.severity == "error"] == []
    view = plans.apply_plan(racks.app, OPERATOR, draft.hash)
    racks.simulate(view)
    return view


def test_from_a_site_file_to_no_changes(racks: Racks) -> None:
    view = accept(racks)
    erased = sorted(disk.serial for disk in view.disks if disk.fate == "erase")
    assert erased == ["N11", "N12", "N21", "N22", "N31", "N32"]
    assert all(serial in view.diff for serial in erased)
    racks.form(view.hash)
    assert plans.show_plan(racks.app, VIEWER, view.hash).state == "done"
    for machine in racks.members:
        assert show_machine(racks.app, VIEWER, machine).view.machine.phase is Phase.MEMBER
    after = plans.make_plan(racks.app, OPERATOR)
    assert (after.steps, after.changes) == ((), False)
    rows = {row.verb: row for row in list_audit(racks.app, OPERATOR) if row.about in (view.hash, "ceph")}
    assert rows["plan.apply"].detail["keys"] == len(rows["secret.make"].detail["names"]) > 0


def test_a_cluster_that_is_just_formed_is_one_work(racks: Racks) -> None:
    view = accept(racks)
    racks.form(view.hash, until="ceph-tree")
    racks.form(view.hash, until=ASK)
    other = plans.make_plan(racks.app, OPERATOR)
    assert other.hash != view.hash
    with pytest.raises(Conflict, match="still at work"):
        plans.apply_plan(racks.app, OPERATOR, other.hash)
    racks.form(view.hash)
    assert plans.show_plan(racks.app, VIEWER, view.hash).state == "done"


def test_a_disk_that_changed_since_the_plan_voids_it(racks: Racks) -> None:
    draft = plans.make_plan(racks.app, OPERATOR)
    racks.carries(next(iter(racks.members)), "N11", Content(edges="9" * 64))
    with pytest.raises(Conflict, match="what is on disk N11 changed"):
        plans.apply_plan(racks.app, OPERATOR, draft.hash)
    with racks.app.store.read() as connection:
        assert connection.execute(schema.secret.select()).first() is None, "no key is made for nothing"


def test_a_plan_that_failed_is_applied_again_although_its_own_osd_is_on_a_disk(racks: Racks) -> None:
    view = accept(racks)
    (order,) = [order for order in racks.form(view.hash, until="ceph-osd") if order.step.startswith("ceph-osd")][:1]
    assert order.ceph is not None
    assert order.ceph.osd is not None
    fail(racks, view.hash)
    written = order.ceph.osd.data.serial
    racks.carries(order.machine, written, Content(edges="7" * 64))
    assert plans.apply_plan(racks.app, OPERATOR, view.hash).state == "accepted", "the agent knows its own OSD"
    fail(racks, view.hash)
    begun = {order.ceph.osd.data.serial for order in racks.done if order.ceph and order.ceph.osd}
    other = next(disk for disk in view.disks if disk.fate == "erase" and disk.serial not in begun)
    racks.carries(other.machine, other.serial, Content(edges="8" * 64))
    with pytest.raises(Conflict, match=f"what is on disk {other.serial} changed"):
        plans.apply_plan(racks.app, OPERATOR, view.hash)


def fail(racks: Racks, hash_: str) -> None:
    """Nothing of the plan goes on."""
    with racks.app.store.write() as connection:
        keys = [row.key for row in steps.of_plan(connection, hash_)]
        steps.cancel(connection, hash_, keys, why="t")
        table.set_state(connection, hash_, table.PlanState.FAILED)
