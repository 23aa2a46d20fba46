"""From an accepted plan to a deployed machine, and everything that can go wrong on the way."""

from __future__ import annotations

import pytest

from agent.wire import CertificateRequest, Environment, PermitClaim, Poll, ProgressState, encode
from appliance.engine.registry import Run
from appliance.engine.settlement import withdraw
from appliance.engine.steps.install import Install
from appliance.model.machine import MachineEvent, Phase, Policy, TroubleKind
from appliance.operations import orders as operation
from appliance.operations.errors import Conflict, Invalid, NotFound, NotSignedIn
from appliance.store import certificates, events, lifecycle, machines, orders, permits
from tests.unit.engine.world import World, boot_step, install_step, new_csr

DONE, RUNNING, FAILED, REFUSED = (
    ProgressState.DONE,
    ProgressState.RUNNING,
    ProgressState.FAILED,
    ProgressState.REFUSED,
)


def started(world: World) -> str:
    """A machine with an install that has begun."""
    machine = world.ready()
    world.accept(install_step(machine), boot_step(machine))
    assert world.order(machine, "n1") is None
    world.turn()
    return machine


def test_from_ready_to_deployed(world: World) -> None:
    machine = started(world)
    assert world.machine(machine).phase is Phase.DEPLOYING
    order = world.order(machine, "n1")
    assert order is not None
    assert order.install is not None
    permit = world.permit(machine)
    assert permit is not None
    assert (order.fence, order.nonce, order.install.permit, permit.state) == (1, "n1", permit.id, "issued")
    assert order.install.grant.serial == f"S-{machine}"
    assert order.install.image.url == f"http://10.7.0.1:8080/artefacts/{'ab' * 32}/debian-13"
    assert order.install.files[0].content == f"host-{machine}\n"
    world.claim(machine, order, "n1")
    world.tell(machine, order, RUNNING, stage="image", fraction=0.4)
    assert world.step(f"install/{machine}").progress == {"stage": "image", "fraction": 0.4, "message": ""}
    world.certify(machine, order, new_csr())
    world.tell(machine, order, DONE, stage="boot-order", fraction=1.0)
    permit = world.permit(machine)
    assert permit is not None
    assert permit.state == "spent"
    world.clock.advance(3)
    world.turn()
    assert world.step(f"install/{machine}").state == "done"
    assert world.machine(machine).phase is Phase.DEPLOYING
    assert world.order(machine, "n1") is None
    world.first_report(machine, permit.id)
    world.clock.advance(3)
    world.turn()
    assert world.machine(machine).phase is Phase.DEPLOYED
    assert world.plan_state() == "done"
    with world.store.read() as connection:
        row = machines.get(connection, machine)
        assert row is not None
        assert row.installed_by == "p" * 64
        assert permits.open_of_machine(connection, machine) is None


def test_a_last_word_that_comes_between_two_looks_starts_no_second_install(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen on a busy computer: a machine that had just been installed was sent to install once more."""
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    world.claim(machine, order, "n1")
    done = Install.done

    def and_then_it_is(self: Install, run: Run) -> bool:
        seen = done(self, run)
        world.tell(machine, order, DONE, stage="boot-order", fraction=1.0)
        return seen

    monkeypatch.setattr(Install, "done", and_then_it_is)
    world.clock.advance(3)
    world.turn()
    assert world.step(f"install/{machine}").state == "done"
    with world.store.read() as connection:
        assert len(orders.of_step(connection, "p" * 64, f"install/{machine}")) == 1
        assert permits.open_of_machine(connection, machine) is None


def test_nothing_is_ordered_before_its_time(world: World) -> None:
    """An order carries names, addresses and keys: only an approved machine with a certificate gets one, by a plan."""
    machine = world.ready()
    assert operation.poll(world.app, machine, "n1") == Poll(interval=3.0)
    world.accept(install_step(machine), boot_step(machine))
    with world.store.write() as connection:
        certificates.revoke(connection, machine)
    world.turn()
    assert world.order(machine, "n1") is None
    assert world.machine(machine).phase is Phase.READY
    assert "has no valid certificate" in str(world.step(f"install/{machine}").progress["message"])
    with world.store.read() as connection:
        assert orders.of_step(connection, "p" * 64, f"install/{machine}") == ()
        assert permits.open_of_machine(connection, machine) is None


@pytest.mark.parametrize("policy", [Policy.HOLD, Policy.DRAIN, Policy.EXPUNGE])
def test_a_machine_that_is_held_is_left_alone(world: World, policy: Policy) -> None:
    machine = world.ready()
    world.accept(install_step(machine))
    with world.store.write() as connection:
        machines.change(connection, machine, policy=policy)
    world.turn()
    assert world.order(machine, "n1") is None
    with world.store.write() as connection:
        machines.change(connection, machine, policy=Policy.USE)
    world.clock.advance(3)
    world.turn()
    assert world.order(machine, "n1") is not None


def test_no_secret_in_events_or_progress(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    world.claim(machine, order, "n1")
    world.certify(machine, order, new_csr())
    with world.store.read() as connection:
        told = events.since(connection, 0, 1000)
    text = "".join(f"{event.text}{event.data}" for event in told)
    assert "PRIVATE" not in text
    assert "BEGIN" not in text
    private = world.app.authority.folder / "order.key"
    assert private.read_bytes() not in encode(order)


def test_a_power_cut_in_the_middle(world: World) -> None:
    """New boot, new key, new nonce: the order comes again with a higher fence, and the same permit is claimed again."""
    machine = started(world)
    first = world.order(machine, "n1")
    assert first is not None
    world.claim(machine, first, "n1")
    world.tell(machine, first, RUNNING, stage="image", fraction=0.5)
    world.boot(machine, "n2")
    second = world.order(machine, "n2")
    assert second is not None
    assert first.install is not None
    assert second.install is not None
    assert second.fence > first.fence
    assert second.install.permit == first.install.permit
    assert second.id != first.id
    with pytest.raises(Conflict, match="not the one that holds now"):
        world.claim(machine, first, "n1")
    with pytest.raises(Conflict, match="withdrawn"):
        world.tell(machine, first, RUNNING, stage="image", fraction=0.6)
    with pytest.raises(Conflict):
        world.tell(machine, first, DONE)
    world.tell(machine, first, FAILED)
    world.claim(machine, second, "n2")
    world.tell(machine, second, DONE)
    permit = world.permit(machine)
    assert permit is not None
    assert permit.state == "spent"


def test_an_order_stays_the_same_for_one_boot(world: World) -> None:
    machine = started(world)
    assert world.order(machine, "n1") == world.order(machine, "n1")
    for _ in range(3):
        world.clock.advance(3)
        world.turn()
    order = world.order(machine, "n1")
    assert order is not None
    assert order.fence == 1


def test_the_last_word_may_come_twice(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    world.claim(machine, order, "n1")
    world.claim(machine, order, "n1")
    world.tell(machine, order, DONE)
    world.tell(machine, order, DONE)
    world.tell(machine, order, RUNNING, stage="image", fraction=0.1)
    with world.store.read() as connection:
        row = orders.get(connection, order.id)
    assert row is not None
    assert (row.state, row.fraction) == ("done", 1.0)
    with pytest.raises(Conflict, match="spent"):
        world.claim(machine, order, "n1")


def test_done_without_a_claim_is_not_believed(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    with pytest.raises(Conflict, match="never claimed"):
        world.tell(machine, order, DONE)
    assert world.order(machine, "n1") is not None


def test_an_installed_system_cannot_install(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    assert order.install is not None
    claim = PermitClaim(order=order.id, nonce="n1")
    request = CertificateRequest(csr=new_csr(), order=order.id)
    with pytest.raises(Conflict, match="installed system"):
        operation.claim(world.app, machine, order.install.permit, claim, Environment.INSTALLED)
    world.claim(machine, order, "n1")
    with pytest.raises(Conflict, match="installed system"):
        operation.certify(world.app, machine, request, Environment.INSTALLED)


def test_progress_never_goes_back(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    world.tell(machine, order, RUNNING, stage="image", fraction=0.5)
    world.tell(machine, order, RUNNING, stage="image", fraction=0.2)
    world.tell(machine, order, RUNNING, fraction=9.0)
    assert world.step(f"install/{machine}").progress["fraction"] == 1.0
    with world.store.read() as connection:
        before = events.last_seq(connection)
    for number in range(100):
        world.tell(machine, order, RUNNING, stage="image", fraction=0.5 + number / 1000)
    with world.store.read() as connection:
        assert events.last_seq(connection) == before, "a message is not an event"


def test_the_guard_of_the_agent_ends_it(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    world.tell(machine, order, REFUSED, message="two disks fit")
    world.turn()
    step = world.step(f"install/{machine}")
    assert (step.state, world.step(f"first-boot/{machine}").state) == ("failed", "cancelled")
    assert world.plan_state() == "failed"
    it = world.machine(machine)
    assert it.phase is Phase.READY
    assert it.trouble is not None
    assert it.trouble.kind is TroubleKind.INSTALL_REFUSED
    assert "two disks fit" in it.trouble.text
    permit = world.permit(machine)
    assert permit is not None
    assert permit.state == "void"
    with pytest.raises(Conflict):
        world.claim(machine, order, "n1")


def test_a_failed_install_is_ordered_again_and_given_up_in_the_end(world: World) -> None:
    machine = started(world)
    fences = []
    for number in range(3):
        order = world.order(machine, "n1")
        assert order is not None
        fences.append(order.fence)
        world.claim(machine, order, "n1")
        world.tell(machine, order, FAILED, message=f"no route {number}")
        world.turn()
        assert world.order(machine, "n1") is None, "a pause first"
        world.clock.advance(100)
        world.turn()
    assert fences == [1, 2, 3]
    it = world.machine(machine)
    assert it.trouble is not None
    assert (it.phase, it.trouble.kind) == (Phase.READY, TroubleKind.STEP_FAILED)
    assert "failed 3 times, at last: no route 2" in it.trouble.text
    permit = world.permit(machine)
    assert permit is not None
    assert permit.state == "claimed", "the disk may carry its marker"


def test_the_deadline(world: World) -> None:
    machine = world.ready()
    world.accept(install_step(machine, deadline=100.0), boot_step(machine))
    world.turn()
    world.clock.advance(99)
    world.turn()
    assert world.step(f"install/{machine}").state == "running"
    world.clock.advance(2)
    world.turn()
    it = world.machine(machine)
    assert it.trouble is not None
    assert (it.phase, it.trouble.kind, it.trouble.step) == (Phase.READY, TroubleKind.DEADLINE, f"install/{machine}")
    assert world.order(machine, "n1") is None


def test_a_lost_last_word(world: World) -> None:
    """The machine was done, but the power failed before it could say so: the installed system's report is proof."""
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    assert order.install is not None
    world.claim(machine, order, "n1")
    world.certify(machine, order, new_csr())
    world.clock.advance(60)
    world.first_report(machine, order.install.permit)
    world.turn()
    world.clock.advance(5)
    world.turn()
    assert world.machine(machine).phase is Phase.DEPLOYED
    assert world.plan_state() == "done"


def test_a_foreign_report_is_no_first_boot(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    world.claim(machine, order, "n1")
    world.certify(machine, order, new_csr())
    world.tell(machine, order, DONE)
    world.first_report(machine, "00000000-0000-0000-0000-000000000000")
    world.clock.advance(3)
    world.turn()
    assert world.machine(machine).phase is Phase.DEPLOYING


def test_first_boot_that_never_comes(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    world.claim(machine, order, "n1")
    world.tell(machine, order, DONE)
    world.clock.advance(3)
    world.turn()
    world.clock.advance(2000)
    world.turn()
    it = world.machine(machine)
    assert it.trouble is not None
    assert (it.phase, it.trouble.kind) == (Phase.DEPLOYING, TroubleKind.BOOT)
    assert "rackseed apply pppp" in it.trouble.text


def test_certificate_of_the_installed_system(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    csr = new_csr()
    with pytest.raises(Conflict, match="claimed permit"):
        world.certify(machine, order, csr)
    world.claim(machine, order, "n1")
    pem = world.certify(machine, order, csr)
    assert world.certify(machine, order, csr) == pem
    other = world.certify(machine, order, new_csr())
    with world.store.read() as connection:
        rows = {row.pem: row.state for row in certificates.of_machine(connection, machine)}
    assert (rows[pem], rows[other]) == ("revoked", "waiting")
    with pytest.raises(Invalid, match="not a certificate request"):
        world.certify(machine, order, "nonsense")
    with pytest.raises(NotFound):
        world.certify(world.ready(), order, csr)
    permit = world.permit(machine)
    assert permit is not None
    world.first_report(machine, permit.id)
    with world.store.read() as connection:
        states = [
            (row.environment, row.state)
            for row in certificates.of_machine(connection, machine)
            if row.state != "revoked"
        ]
    assert states == [(Environment.INSTALLED, "current")]


def test_peers_are_checked_in_the_store(world: World) -> None:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    machine = world.ready()
    with world.store.read() as connection:
        (row,) = certificates.of_machine(connection, machine)
    der = x509.load_pem_x509_certificate(row.pem.encode()).public_bytes(Encoding.DER)
    assert operation.machine_of_certificate(world.app, der) == (machine, Environment.IMAGE)
    with pytest.raises(NotSignedIn):
        operation.machine_of_certificate(world.app, b"nonsense")
    stranger = world.app.authority.issue(new_csr(), machine=machine, environment="image")
    unknown = x509.load_pem_x509_certificate(stranger.pem.encode()).public_bytes(Encoding.DER)
    with pytest.raises(NotSignedIn):
        operation.machine_of_certificate(world.app, unknown)
    world.boot(machine, "n2")
    with pytest.raises(NotSignedIn):
        operation.machine_of_certificate(world.app, der)
    with world.store.read() as connection:
        now = next(row for row in certificates.of_machine(connection, machine) if row.state == "current")
    der = x509.load_pem_x509_certificate(now.pem.encode()).public_bytes(Encoding.DER)
    assert operation.machine_of_certificate(world.app, der)[0] == machine
    with world.store.write() as connection:
        lifecycle.advance(connection, machine, MachineEvent.RETIRE, at=world.clock.now())
    with pytest.raises(NotSignedIn):
        operation.machine_of_certificate(world.app, der)


def test_an_installed_system_is_never_told_to_install(world: World) -> None:
    machine = started(world)
    poll = operation.poll(world.app, machine, "whatever", Environment.INSTALLED)
    assert poll.order is None
    order = world.order(machine, "n1")
    assert order is not None
    assert order.fence == 1, "asking from the installed system has not renewed it"


def test_other_machines_get_nothing_of_it(world: World) -> None:
    machine, other = started(world), world.ready()
    order = world.order(machine, "n1")
    assert order is not None
    assert world.order(other, "n1") is None
    with pytest.raises(NotFound):
        world.claim(other, order, "n1")
    with pytest.raises(NotFound):
        world.tell(other, order, RUNNING)
    permit = world.permit(machine)
    assert permit is not None
    assert permit.state == "issued"


def test_withdrawn_is_withdrawn(world: World) -> None:
    machine = started(world)
    order = world.order(machine, "n1")
    assert order is not None
    with world.store.write() as connection:
        assert withdraw(connection, machine, at=world.clock.now(), why="it was retired") == 2
    with pytest.raises(Conflict):
        world.claim(machine, order, "n1")
    assert world.order(machine, "n1") is None
    world.clock.advance(10)
    assert world.turn() == 0
    assert world.plan_state() == "failed"


def test_a_missing_image_is_said(world: World) -> None:
    machine = world.ready()
    step = install_step(machine)
    assert step.install is not None
    from dataclasses import replace  # noqa: PLC0415

    world.accept(replace(step, install=replace(step.install, image="cd" * 32)))
    world.turn()
    row = world.step(step.key)
    assert row.state == "running"
    assert "the root image cdcdcdcdcdcd is not registered: run rackseed image" in row.error
    assert world.machine(machine).phase is Phase.READY, "nothing of a failed look remains"
    for _ in range(10):
        world.clock.advance(100)
        world.turn()
    assert world.step(step.key).state == "failed"
