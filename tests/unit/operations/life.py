"""A small Ceph that stands, for tests of what people do with it afterwards: three machines with two drives each."""

from __future__ import annotations

from dataclasses import replace

from agent.wire import Content, Disk, Order, Signature
from appliance.operations import plans
from appliance.operations.plans import PlanView
from appliance.store import cephstates, inventories
from tests.unit.operations.lab import OPERATOR, VIEWER
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
