"""Trusted reports: phases, profiles, the installed system, and hardware that is not the machine's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent import wire
from agent.wire import EnrolmentState, Environment, Report
from appliance.model.machine import MachineEvent, Phase, TroubleKind
from appliance.operations import enrolment, machines, reports, sites
from appliance.operations.context import Appliance
from appliance.operations.errors import Conflict, Invalid, NotSignedIn
from appliance.operations.events import events_since
from appliance.store import certificates, inventories, lifecycle, permits
from appliance.store.certificates import CertificateState
from tests.unit.operations.lab import APPROVE_ANY, OPERATOR, VIEWER, Box, csr

Make = Callable[..., Box]


@pytest.fixture
def machine(app: Appliance, box: Make) -> tuple[Box, str]:
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    one = box(1)
    reply = one.enrol()
    assert reply.state is EnrolmentState.APPROVED
    return one, reply.machine


def _machine(app: Appliance, key: str) -> machines.MachineView:
    return machines.show_machine(app, VIEWER, key).view


def test_the_first_report_makes_it_ready(app: Appliance, machine: tuple[Box, str]) -> None:
    one, key = machine
    assert _machine(app, key).machine.phase is Phase.APPROVED
    reply = one.report(key)
    shown = _machine(app, key)
    assert (shown.machine.phase, shown.machine.profile, shown.trusted) == (Phase.READY, "epyc-compute", True)
    assert (reply.machine, reply.interval > 0, reply.report_interval > 0) == (key, True, True)
    assert shown.machine.boot_nonce == one.nonce
    phases = [e.text.split(":")[0] for e in events_since(app, VIEWER, 0) if e.kind == "phase"]
    assert phases == ["seen → enrolled", "enrolled → approved", "approved → inspected", "inspected → ready"]


def test_a_report_that_says_nothing_new_writes_no_event(app: Appliance, machine: tuple[Box, str]) -> None:
    one, key = machine
    one.report(key)
    before, generation = len(events_since(app, VIEWER, 0)), _machine(app, key).machine.generation
    hot = replace(one.inventory.disks[0], smart=wire.Smart(temperature_celsius=50))
    one.report(key, disks=(hot,))
    assert len(events_since(app, VIEWER, 0)) == before
    assert _machine(app, key).machine.generation == generation
    one.report(key, disks=())
    assert len(events_since(app, VIEWER, 0)) == before + 1


def test_hardware_without_a_profile_has_a_trouble_until_it_fits(app: Appliance, machine: tuple[Box, str]) -> None:
    one, key = machine
    one.report(key, architecture="sparc64", board=replace(one.inventory.board, vendor="Sun", name="T5"), cpu=wire.Cpu())
    shown = _machine(app, key).machine
    assert shown.phase is Phase.INSPECTED
    assert shown.trouble and shown.trouble.kind is TroubleKind.NO_PROFILE
    one.report(key)
    shown = _machine(app, key).machine
    assert (shown.phase, shown.trouble) == (Phase.READY, None)
    one.report(key, architecture="sparc64", board=replace(one.inventory.board, vendor="Sun", name="T5"), cpu=wire.Cpu())
    assert _machine(app, key).machine.phase is Phase.INSPECTED


def test_the_site_file_may_name_the_profile(app: Appliance, box: Make) -> None:
    text = f"{APPROVE_ANY}machines:\n  n1: {{serial: WM21000001, profile: generic-x86-64}}\n"
    sites.load_site_text(app, OPERATOR, text, "lab.yaml")
    one = box(1)
    key = one.enrol().machine
    one.report(key)
    assert _machine(app, key).machine.profile == "generic-x86-64"


def test_a_report_for_another_environment_than_the_certificate_is_refused(
    app: Appliance, machine: tuple[Box, str]
) -> None:
    one, key = machine
    document = Report(nonce=one.nonce, inventory=replace(one.inventory, environment=Environment.INSTALLED))
    with pytest.raises(Invalid, match="the certificate is for the environment image"):
        reports.report(app, key, document, environment=Environment.IMAGE)


def test_other_hardware_with_the_machines_key_is_not_believed(
    app: Appliance, machine: tuple[Box, str], box: Make
) -> None:
    one, key = machine
    one.report(key)
    with pytest.raises(Conflict, match="a person must decide"):
        one.send(key, Report(nonce=one.nonce, inventory=box(5).inventory))
    detail = machines.show_machine(app, VIEWER, key)
    assert detail.view.machine.trouble and detail.view.machine.trouble.kind is TroubleKind.IDENTITY_CONFLICT
    assert detail.inventory == one.inventory
    one.report(key)
    assert _machine(app, key).machine.trouble is None


def test_a_report_is_stored_whole_or_not_at_all(
    app: Appliance, machine: tuple[Box, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, key = machine
    before = machines.show_machine(app, VIEWER, key)

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError("killed here")

    monkeypatch.setattr(reports, "match_profile", dies)
    with pytest.raises(RuntimeError):
        one.report(key)
    assert machines.show_machine(app, VIEWER, key) == before
    monkeypatch.undo()
    one.report(key)
    assert _machine(app, key).machine.phase is Phase.READY


def test_a_retired_machine_reports_nothing(app: Appliance, machine: tuple[Box, str]) -> None:
    one, key = machine
    one.report(key)
    machines.retire(app, OPERATOR, key)
    with pytest.raises(Conflict, match="is retired and takes no reports"):
        one.report(key)
    with app.store.read() as connection:
        assert all(c.state is CertificateState.REVOKED for c in certificates.of_machine(connection, key))
    assert _machine(app, key).machine.trouble is None


def test_a_machine_whose_install_is_stuck_can_be_retired(app: Appliance, machine: tuple[Box, str]) -> None:
    """The way out when an installed system never reports: nothing that was ordered of it holds any more."""
    one, key = machine
    one.report(key)
    with app.store.write() as connection:
        lifecycle.advance(connection, key, MachineEvent.INSTALL, at=app.clock.now())
        permit = permits.issue(connection, machine=key, plan="p", step="s", disk_serial="d", at=app.clock.now())
    machines.retire(app, OPERATOR, key)
    assert _machine(app, key).machine.phase is Phase.RETIRED
    with app.store.read() as connection:
        after = permits.get(connection, permit.id)
    assert after is not None
    assert after.state == "void"


def test_the_installed_systems_first_report_ends_the_image_key(app: Appliance, machine: tuple[Box, str]) -> None:
    one, key = machine
    one.report(key)
    installed = Box(app=app, inventory=replace(one.inventory, environment=Environment.INSTALLED))
    with app.store.write() as connection:
        lifecycle.advance(connection, key, MachineEvent.INSTALL, at=app.clock.now())
        image = certificates.of_machine(connection, key)[0].serial
        waiting = enrolment.issue_certificate(
            app,
            connection,
            key,
            csr(installed.key),
            environment=Environment.INSTALLED,
            state=CertificateState.WAITING,
        )
    assert reports.caller_of_certificate(app, image).environment is Environment.IMAGE
    caller = reports.caller_of_certificate(app, waiting.serial)
    assert caller.environment is Environment.INSTALLED
    permit = "8c0e5d5e-0000-4000-8000-000000000001"
    installed.send(key, Report(nonce=installed.nonce, inventory=installed.inventory, permit=permit))
    with pytest.raises(NotSignedIn):
        reports.caller_of_certificate(app, image)
    assert reports.caller_of_certificate(app, waiting.serial) == caller
    with app.store.read() as connection:
        stored = inventories.get(connection, key, Environment.INSTALLED)
    assert stored and (stored.permit, stored.nonce) == (permit, installed.nonce)
    assert _machine(app, key).machine.phase is Phase.DEPLOYING


def test_a_machine_is_known_by_the_switch_port_that_it_hears(app: Appliance, machine: tuple[Box, str]) -> None:
    """Its trusted report counts; and silence (LLDP takes half a minute after every reboot) takes nothing away."""
    one, key = machine
    text = APPROVE_ANY + "machines: {rack1-u7: {switch_port: leaf1/Ethernet7}}\n"
    sites.load_site_text(app, OPERATOR, text, "lab.yaml")
    one.report(key)
    assert _machine(app, key).expected == ""
    nic = one.inventory.nics[0]
    neighbour = wire.Neighbour(chassis="aa:bb:cc:00:00:01", port="Ethernet7", system="leaf1.example.org")
    one.report(key, nics=(replace(nic, neighbours=(neighbour,)),))
    assert _machine(app, key).expected == "rack1-u7"
    one.report(key, nics=(nic,))
    assert _machine(app, key).expected == "rack1-u7"
    elsewhere = replace(neighbour, port="Ethernet9")
    one.report(key, nics=(replace(nic, neighbours=(elsewhere,)),))
    assert _machine(app, key).expected == ""
