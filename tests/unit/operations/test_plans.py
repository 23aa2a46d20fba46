"""Plans as people make and accept them, carried out by the engine against machines that are played by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from agent import wire
from agent.wire import CertificateRequest, Content, Environment, Order, PermitClaim, Progress, ProgressState, Report
from appliance.effects.clock import FakeClock
from appliance.engine.engine import Engine
from appliance.engine.registry import registry
from appliance.model.machine import Phase, Policy
from appliance.operations import machines, orders, plans, sites
from appliance.operations.audit import list_audit
from appliance.operations.context import Appliance
from appliance.operations.errors import Conflict, Invalid, NotFound, PermissionDenied, Unavailable
from appliance.operations.plans import PlanView
from appliance.operations.rendering import operating_system
from appliance.store import artefacts
from appliance.store import plans as table
from tests.unit.operations.lab import APPROVE_ANY, OPERATOR, SITE, VIEWER, Box, csr

Make = Callable[..., Box]
RUNNING, DONE, FAILED = ProgressState.RUNNING, ProgressState.DONE, ProgressState.FAILED


@dataclass
class Floor:
    """A site with machines, and the worker."""

    app: Appliance
    clock: FakeClock
    make: Make

    def start(self, count: int = 1) -> list[tuple[Box, str]]:
        sites.load_site_text(self.app, OPERATOR, APPROVE_ANY, "lab.yaml")
        self.image("ab" * 32)
        return [self.join(number) for number in range(1, count + 1)]

    def image(self, sha256: str, system: str = "debian-13") -> None:
        manifest = {"chunk_size": 4, "chunks": ["c" * 64], "unpacked": 100}
        row = artefacts.ArtefactRow(
            sha256=sha256,
            kind="os-image",
            name=f"{system}.tar.zst",
            path="/nowhere",
            size=4,
            document=manifest,
            current=True,
            added=self.clock.now(),
        )
        with self.app.store.write() as connection:
            artefacts.put(connection, row)

    def join(self, number: int) -> tuple[Box, str]:
        box = self.make(number)
        blank = Content(blank=True, edges="0" * 64)
        disk = replace(box.inventory.disks[0], content=blank)
        box.inventory = replace(box.inventory, disks=(disk,))
        return box, self.boot(box)

    def boot(self, box: Box) -> str:
        machine = box.enrol().machine
        box.report(machine)
        return machine

    def work(self, seconds: float = 5.0) -> None:
        engine = Engine(orders.tools_of(self.app), registry())
        self.clock.advance(seconds)
        while engine.run_one():
            pass

    def order(self, box: Box, machine: str) -> Order:
        signed = orders.poll(self.app, machine, box.nonce).order
        assert signed is not None
        return self.app.authority.verify(signed)

    def claim(self, box: Box, machine: str) -> Order:
        order = self.order(box, machine)
        assert order.install is not None
        assert f"{order.install.hostname}\n" in [file.content for file in order.install.files]
        orders.claim(self.app, machine, order.install.permit, PermitClaim(order=order.id, nonce=box.nonce))
        return order

    def install(self, box: Box, machine: str) -> str:
        """Everything up to the last word; returns the permit."""
        order = self.claim(box, machine)
        key = ec.generate_private_key(ec.SECP256R1())
        orders.certify(self.app, machine, CertificateRequest(csr=csr(key), order=order.id))
        orders.progress(self.app, machine, Progress(order=order.id, fence=order.fence, state=DONE))
        assert order.install is not None
        return order.install.permit

    def come_up(self, box: Box, machine: str, permit: str) -> None:
        """The installed system's first report."""
        content = Content(table="gpt", table_id=permit.upper(), edges="1" * 64, boot=True)
        disks = tuple(replace(disk, content=content) for disk in box.inventory.disks)
        inventory = replace(box.inventory, environment=Environment.INSTALLED, disks=disks)
        box.send(machine, Report(nonce="i" * 32, inventory=inventory, permit=permit))

    def phase(self, machine: str) -> Phase:
        return machines.show_machine(self.app, VIEWER, machine).view.machine.phase


@pytest.fixture
def floor(app: Appliance, clock: FakeClock, box: Make) -> Floor:
    return Floor(app=app, clock=clock, make=box)


def accepted(floor: Floor) -> PlanView:
    return plans.apply_plan(floor.app, OPERATOR, plans.make_plan(floor.app, OPERATOR).hash)


def test_from_a_plan_to_no_changes(floor: Floor) -> None:
    (one, first), (two, second) = floor.start(2)
    draft = plans.make_plan(floor.app, OPERATOR)
    assert (draft.state, draft.current, len(draft.steps)) == ("draft", True, 4)
    assert {step.state for step in draft.steps} == {"planned"}
    assert [disk.serial for disk in draft.disks if disk.fate == "erase"] == ["S00000001", "S00000002"]
    assert "S00000001" in draft.diff
    assert plans.make_plan(floor.app, OPERATOR).hash == draft.hash, "the same facts, the same plan"
    view = plans.apply_plan(floor.app, OPERATOR, draft.hash[:10])
    assert (view.state, {step.state for step in view.steps}) == ("accepted", {"waiting"})
    assert plans.apply_plan(floor.app, OPERATOR, draft.hash) == view, "twice is once"
    assert floor.phase(first) is Phase.READY, "deploying begins when the step does"
    floor.work()
    assert floor.phase(first) is floor.phase(second) is Phase.DEPLOYING
    for box, machine in ((one, first), (two, second)):
        permit = floor.install(box, machine)
        floor.work()
        floor.come_up(box, machine, permit)
    floor.work()
    assert floor.phase(first) is floor.phase(second) is Phase.DEPLOYED
    done = plans.show_plan(floor.app, VIEWER, draft.hash)
    assert (done.state, {step.state for step in done.steps}) == ("done", {"done"})
    after = plans.make_plan(floor.app, OPERATOR)
    assert (after.changes, after.parent) == (False, draft.hash)
    assert plans.apply_plan(floor.app, OPERATOR, after.hash).state == "done"
    assert [plan.hash for plan in plans.list_plans(floor.app, VIEWER)] == [after.hash, draft.hash]
    verbs = [row.verb for row in list_audit(floor.app, OPERATOR)]
    assert verbs.count("plan.apply") == 2
    assert plans.apply_plan(floor.app, OPERATOR, draft.hash).state == "done"


@pytest.mark.parametrize("name", ["debian-13", "debian-13.tar.zst", "debian-13-0123456789ab.tar.zst"])
def test_the_operating_system_of_an_image(floor: Floor, name: str) -> None:
    floor.image("ab" * 32)
    with floor.app.store.read() as connection:
        row = artefacts.get(connection, "ab" * 32)
    assert row is not None
    assert operating_system(replace(row, name=name)) == "debian-13"


def test_names_and_addresses_are_kept(floor: Floor) -> None:
    ((_box, machine),) = floor.start()
    view = accepted(floor)
    shown = machines.show_machine(floor.app, VIEWER, machine)
    assert shown.allocation is not None
    assert shown.view.machine.name == shown.allocation.name == view.steps[0].name


def test_who_may_and_what_must_be_there(floor: Floor) -> None:
    with pytest.raises(Unavailable, match="no site file is loaded"):
        plans.make_plan(floor.app, OPERATOR)
    floor.start()
    draft = plans.make_plan(floor.app, OPERATOR)
    for attempt in (plans.make_plan, lambda app, actor: plans.apply_plan(app, actor, draft.hash)):
        with pytest.raises(PermissionDenied):
            attempt(floor.app, VIEWER)
    for wrong in ("", "abc", "f" * 64, draft.hash[:5], "%%%%%%%%"):
        with pytest.raises(NotFound, match="there is no plan"):
            plans.apply_plan(floor.app, OPERATOR, wrong)


def test_a_stale_plan_is_refused(floor: Floor) -> None:
    floor.start()
    old = plans.make_plan(floor.app, OPERATOR)
    floor.join(2)
    new = plans.make_plan(floor.app, OPERATOR)
    assert new.hash != old.hash
    plans.apply_plan(floor.app, OPERATOR, new.hash)
    assert not plans.show_plan(floor.app, VIEWER, old.hash).current
    with pytest.raises(Conflict, match=f"plan {old.hash[:12]} is stale: plan {new.hash[:12]} was accepted"):
        plans.apply_plan(floor.app, OPERATOR, old.hash)


def test_changed_facts_are_named(floor: Floor) -> None:
    ((box, machine),) = floor.start()
    draft = plans.make_plan(floor.app, OPERATOR)
    written = replace(box.inventory.disks[0], content=Content(table="gpt", edges="2" * 64))
    box.report(machine, disks=(written,))
    with pytest.raises(Conflict, match=r"facts have changed.*what is on disk S00000001 changed"):
        plans.apply_plan(floor.app, OPERATOR, draft.hash)
    box.report(machine, disks=(replace(box.inventory.disks[0], size=10),))
    with pytest.raises(Conflict, match=r"disk"):
        plans.apply_plan(floor.app, OPERATOR, draft.hash)
    box.report(machine)
    machines.set_policy(floor.app, OPERATOR, machine, Policy.HOLD)
    with pytest.raises(Conflict, match="policy is hold now"):
        plans.apply_plan(floor.app, OPERATOR, draft.hash)
    machines.set_policy(floor.app, OPERATOR, machine, Policy.USE)
    hot = replace(box.inventory.disks[0], smart=wire.Smart(temperature_celsius=60), path="/dev/sdq")
    box.report(machine, disks=(hot,))
    assert plans.apply_plan(floor.app, OPERATOR, draft.hash).state == "accepted"


def test_a_new_image_is_a_changed_fact(floor: Floor) -> None:
    floor.start()
    draft = plans.make_plan(floor.app, OPERATOR)
    floor.image("cd" * 32)
    with pytest.raises(Conflict, match="the root image debian-13 was built anew"):
        plans.apply_plan(floor.app, OPERATOR, draft.hash)


def test_errors_of_lint_stop_it(floor: Floor) -> None:
    floor.start()
    draft = plans.make_plan(floor.app, OPERATOR)
    with floor.app.store.write() as connection:
        row = table.get(connection, draft.hash)
        assert row is not None
        from appliance.model.plan import LintFinding  # noqa: PLC0415

        finding = LintFinding(rule="protected-disk", severity="error", about="n1", text="the disk is protected")
        table.put_draft(connection, row.plan, lint=(finding,), diff="", made_by="t", made=1.0)
    with pytest.raises(Invalid, match="protected-disk: the disk is protected") as error:
        plans.apply_plan(floor.app, OPERATOR, draft.hash)
    assert error.value.problems == (("n1", "protected-disk: the disk is protected"),)


def test_what_cannot_be_written_is_said_before_anything_begins(floor: Floor) -> None:
    floor.start()
    draft = plans.make_plan(floor.app, OPERATOR)
    with floor.app.store.write() as connection:
        row = table.get(connection, draft.hash)
        assert row is not None
        install = row.plan.steps[0].install
        assert install is not None
        bad = replace(install, host=replace(install.host, ssh_keys=("ssh-rsa x\nroot::0:0",)))
        steps = (replace(row.plan.steps[0], install=bad), *row.plan.steps[1:])
        table.put_draft(connection, replace(row.plan, steps=steps), lint=(), diff="", made_by="t", made=1.0)
    with pytest.raises(Invalid, match=r"the files of .* cannot be written: .*ssh_keys"):
        plans.apply_plan(floor.app, OPERATOR, draft.hash)


def test_a_machine_works_for_one_plan_at_a_time(floor: Floor) -> None:
    ((one, first),) = floor.start()
    earlier = accepted(floor)
    floor.work()
    two, second = floor.join(2)
    later = accepted(floor)
    assert {step.machine for step in later.steps} == {second}
    assert plans.show_plan(floor.app, VIEWER, earlier.hash).state == "accepted", "what has begun goes on"
    floor.work()
    for box, machine in ((one, first), (two, second)):
        permit = floor.install(box, machine)
        floor.work()
        floor.come_up(box, machine, permit)
    floor.work()
    assert [plans.show_plan(floor.app, VIEWER, plan.hash).state for plan in (earlier, later)] == ["done", "done"]


def test_what_has_not_begun_is_superseded(floor: Floor) -> None:
    ((box, machine),) = floor.start()
    earlier = accepted(floor)
    floor.join(2)
    later = accepted(floor)
    assert later.parent == earlier.hash
    over = plans.show_plan(floor.app, VIEWER, earlier.hash)
    assert (over.state, {step.state for step in over.steps}) == ("superseded", {"cancelled"})
    floor.work()
    assert floor.order(box, machine).plan == later.hash
    with pytest.raises(Conflict, match="stale"):
        plans.apply_plan(floor.app, OPERATOR, earlier.hash)


def test_a_failed_plan_goes_on_where_it_stopped(floor: Floor) -> None:
    """Three failures, the marker is on the disk: applying the same plan again resumes with the same permit."""
    ((box, machine),) = floor.start()
    view = accepted(floor)
    permits = set()
    for _ in range(3):
        floor.work(100)
        order = floor.claim(box, machine)
        assert order.install is not None
        permits.add(order.install.permit)
        last = Progress(order=order.id, fence=order.fence, state=FAILED, message="no route")
        orders.progress(floor.app, machine, last)
    floor.work(100)
    assert plans.show_plan(floor.app, VIEWER, view.hash).state == "failed"
    box.reboot()
    (marker,) = permits
    half = Content(table="gpt", table_id=marker.upper(), edges="3" * 64)
    box.inventory = replace(box.inventory, disks=(replace(box.inventory.disks[0], content=half),))
    floor.boot(box)
    again = plans.apply_plan(floor.app, OPERATOR, view.hash)
    assert (again.state, [step.state for step in again.steps]) == ("accepted", ["waiting", "waiting"])
    floor.work()
    permit = floor.install(box, machine)
    assert permit == marker
    floor.work()
    floor.come_up(box, machine, permit)
    floor.work()
    assert floor.phase(machine) is Phase.DEPLOYED


def test_a_failed_plan_does_not_go_on_over_foreign_data(floor: Floor) -> None:
    ((box, machine),) = floor.start()
    view = accepted(floor)
    floor.work()
    order = floor.claim(box, machine)
    refused = Progress(order=order.id, fence=order.fence, state=ProgressState.REFUSED, message="no")
    orders.progress(floor.app, machine, refused)
    floor.work()
    other = Content(table="gpt", table_id="00000000-0000-4000-8000-00000000000f", edges="3" * 64)
    box.report(machine, disks=(replace(box.inventory.disks[0], content=other),))
    with pytest.raises(Conflict, match="facts have changed"):
        plans.apply_plan(floor.app, OPERATOR, view.hash)


def test_first_boot_that_came_late(floor: Floor) -> None:
    ((box, machine),) = floor.start()
    view = accepted(floor)
    floor.work()
    permit = floor.install(box, machine)
    floor.work()
    floor.work(10_000)
    assert plans.show_plan(floor.app, VIEWER, view.hash).state == "failed"
    floor.come_up(box, machine, permit)
    assert floor.phase(machine) is Phase.DEPLOYING
    plans.apply_plan(floor.app, OPERATOR, view.hash)
    floor.work()
    assert floor.phase(machine) is Phase.DEPLOYED


def test_nothing_secret_before_approval(floor: Floor) -> None:
    """A machine that is only enrolled is in no step, gets no allocation, and its poll has nothing for it."""
    sites.load_site_text(floor.app, OPERATOR, SITE, "lab.yaml")
    floor.image("ab" * 32)
    box = floor.make(1)
    reply = box.enrol()
    assert (reply.certificate, reply.order_key, reply.machine) == ("", "", "")
    view = plans.make_plan(floor.app, OPERATOR)
    assert (view.steps, view.disks) == ((), ())
    (wait,) = view.waits
    assert wait.reason == "not-approved"
    machine = machines.list_machines(floor.app, VIEWER)[0].machine.id
    floor.work()
    assert orders.poll(floor.app, machine, box.nonce).order is None
