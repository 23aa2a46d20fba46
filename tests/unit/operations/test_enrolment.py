"""Enrolment, approval and certificates: what a machine gets, when, and what ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509

from agent.wire import EnrolmentState, Environment
from appliance.effects.clock import FakeClock
from appliance.model.machine import Phase, Policy, TroubleKind
from appliance.operations import enrolment, machines, reports, sites
from appliance.operations.context import Appliance
from appliance.operations.errors import (
    Conflict,
    GenerationConflict,
    Invalid,
    NotFound,
    NotSignedIn,
    PermissionDenied,
    TooLarge,
    TooMany,
)
from appliance.operations.events import events_since
from appliance.store import certificates, schema
from tests.unit.operations.lab import ADMIN, APPROVE_ANY, OPERATOR, SITE, VIEWER, Box

Make = Callable[..., Box]


def _only(app: Appliance) -> machines.MachineView:
    (found,) = machines.list_machines(app, VIEWER)
    return found


def _approved(app: Appliance, machine: Box) -> str:
    machine.enrol()
    (view,) = [v for v in machines.list_machines(app, OPERATOR) if machine.inventory.boot_mac in v.macs]
    machines.approve(app, OPERATOR, view.machine.id, machine.code)
    return view.machine.id


def test_a_machine_waits_until_a_person_types_its_code(app: Appliance, box: Make) -> None:
    one = box(1)
    waiting = one.enrol()
    assert (waiting.state, waiting.machine, waiting.certificate, waiting.order_key) == (
        EnrolmentState.PENDING,
        "",
        "",
        "",
    )
    seen = _only(app)
    assert (seen.machine.phase, seen.pending, seen.trusted, seen.serial) == (Phase.ENROLLED, True, False, "WM21000001")
    machines.approve(app, OPERATOR, seen.machine.id, one.code.lower().replace("-", " "))
    reply = enrolment.enrolment_state(app, waiting.token)
    assert (reply.state, reply.machine) == (EnrolmentState.APPROVED, seen.machine.id)
    assert reply.order_key == app.authority.order_key_pem
    certificate = x509.load_pem_x509_certificate(reply.certificate.encode())
    assert certificate.subject.rfc4514_string().split(",")[0] in (f"OU={Environment.IMAGE}", f"CN={seen.machine.id}")
    caller = reports.caller_of_certificate(app, f"{certificate.serial_number:X}")
    assert (caller.machine, caller.environment) == (seen.machine.id, Environment.IMAGE)
    assert _only(app).machine.phase is Phase.APPROVED


def test_asking_again_with_the_same_key_is_the_same_enrolment(app: Appliance, box: Make) -> None:
    one = box(1)
    assert one.enrol().token == one.enrol().token
    assert len(machines.show_machine(app, OPERATOR, _only(app).machine.id).enrolments) == 1


def test_a_key_cannot_become_another_machine_while_it_waits(app: Appliance, box: Make) -> None:
    one = box(1)
    victim = _approved(app, box(2))
    one.enrol()
    one.inventory = box(2).inventory
    one.enrol()
    own = next(v for v in machines.list_machines(app, VIEWER) if v.machine.id != victim)
    machines.approve(app, OPERATOR, own.machine.id, one.code)
    assert machines.show_machine(app, VIEWER, own.machine.id).view.serial == "WM21000001"
    assert machines.show_machine(app, VIEWER, own.machine.id).view.conflicts == ()


def test_another_code_approves_nothing(app: Appliance, box: Make) -> None:
    one, other = box(1), box(2)
    one.enrol()
    with pytest.raises(Invalid, match="not the code of a pending request"):
        machines.approve(app, OPERATOR, _only(app).machine.id, other.code)
    assert _only(app).machine.phase is Phase.ENROLLED


def test_approving_without_a_code_must_be_said_and_is_audited(app: Appliance, box: Make) -> None:
    box(1).enrol()
    key = _only(app).machine.id
    with pytest.raises(Invalid, match="or say that you approve without it"):
        machines.approve(app, OPERATOR, key)
    machines.approve(app, OPERATOR, key, without_code=True)
    from appliance.operations.audit import list_audit  # noqa: PLC0415

    assert [(row.verb, row.detail["how"]) for row in list_audit(app, ADMIN)] == [
        ("machine.approve", "without its code")
    ]


def test_roles(app: Appliance, box: Make) -> None:
    one = box(1)
    one.enrol()
    key = _only(app).machine.id
    with pytest.raises(
        PermissionDenied, match="vera is viewer and may not approve machines; this needs the role operator"
    ):
        machines.approve(app, VIEWER, key, one.code)
    assert machines.show_machine(app, OPERATOR, key).enrolments[0].code == one.code
    assert machines.show_machine(app, VIEWER, key).enrolments[0].code == ""
    with pytest.raises(NotFound, match="rackseed machine list"):
        machines.show_machine(app, VIEWER, "nonesuch")


def test_no_secret_and_no_code_is_in_events_or_audit(app: Appliance, box: Make) -> None:
    one = box(1)
    token = one.enrol().token
    machines.approve(app, OPERATOR, _only(app).machine.id, one.code)
    with app.store.read() as connection:
        text = json.dumps(
            [[list(map(str, row)) for row in connection.execute(t.select())] for t in (schema.event, schema.audit)]
        )
    assert "approve" in text
    assert one.code not in text
    assert token not in text


def test_a_generation_that_is_old_is_refused(app: Appliance, box: Make) -> None:
    one = box(1)
    one.enrol()
    seen = _only(app)
    machines.set_policy(app, OPERATOR, seen.machine.id, Policy.HOLD, generation=seen.machine.generation)
    with pytest.raises(GenerationConflict, match="has changed since you looked"):
        machines.set_policy(app, OPERATOR, seen.machine.id, Policy.USE, generation=seen.machine.generation)
    assert _only(app).machine.policy is Policy.HOLD


def test_a_rule_of_the_site_approves_at_once(app: Appliance, box: Make) -> None:
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    assert box(1).enrol().state is EnrolmentState.APPROVED
    shown = machines.show_machine(app, OPERATOR, _only(app).machine.id)
    assert shown.enrolments[0].approved_by == "rule: any machine"


def test_loading_a_site_approves_those_that_wait_but_not_the_held_ones(app: Appliance, box: Make) -> None:
    one, two = box(1), box(2)
    tokens = one.enrol().token, two.enrol().token
    held = next(v for v in machines.list_machines(app, VIEWER) if v.serial == "WM21000002")
    machines.set_policy(app, OPERATOR, held.machine.id, Policy.HOLD)
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    states = [enrolment.enrolment_state(app, token).state for token in tokens]
    assert states == [EnrolmentState.APPROVED, EnrolmentState.PENDING]
    machines.set_policy(app, OPERATOR, held.machine.id, Policy.USE)
    assert enrolment.enrolment_state(app, tokens[1]).state is EnrolmentState.APPROVED


@pytest.mark.parametrize(
    ("rule", "approved"),
    [
        ("expected: true", True),
        ("serial: wm21000001", True),
        ("serial: WM21000009", False),
        ("mac: 'AC:1F:6B:00:01:02'", True),
        ("serial: WM21000001\n    mac: ac:1f:6b:00:09:09", False),
    ],
)
def test_what_a_rule_asks_for_must_all_hold(app: Appliance, box: Make, rule: str, approved: bool) -> None:
    text = f"{SITE}machines:\n  n1: {{serial: WM21000001}}\napprove:\n  - {rule}\n"
    sites.load_site_text(app, OPERATOR, text, "lab.yaml")
    assert (box(1).enrol().state is EnrolmentState.APPROVED) is approved
    assert _only(app).expected == "n1"
    assert _only(app).machine.id == machines.show_machine(app, VIEWER, "n1").view.machine.id


def test_a_new_key_needs_a_new_code_and_ends_the_old_certificate(app: Appliance, box: Make) -> None:
    one = box(1)
    key = _approved(app, one)
    one.report(key)
    first = app_certificate(app, key)
    one.reboot()
    again = one.enrol()
    assert again.state is EnrolmentState.PENDING
    assert _only(app).machine.phase is Phase.READY
    assert reports.caller_of_certificate(app, first).machine == key
    machines.approve(app, OPERATOR, key, one.code)
    with pytest.raises(NotSignedIn, match="not accepted any more"):
        reports.caller_of_certificate(app, first)
    assert enrolment.enrolment_state(app, again.token).machine == key
    assert _only(app).machine.phase is Phase.READY
    texts = [event.text for event in events_since(app, VIEWER, 0)]
    assert any("again, with a new key" in text for text in texts)
    assert any("its earlier key is not accepted any more" in text for text in texts)


def app_certificate(app: Appliance, machine: str) -> str:
    """Serial number of the newest certificate."""
    with app.store.read() as connection:
        return certificates.of_machine(connection, machine)[0].serial


def test_a_key_whose_approval_ended_is_told_so(app: Appliance, box: Make) -> None:
    one = box(1)
    key = _approved(app, one)
    machines.retire(app, OPERATOR, key)
    assert one.enrol().state is EnrolmentState.REFUSED
    one.reboot()
    assert one.enrol().state is EnrolmentState.PENDING
    assert _only(app).machine.phase is Phase.ENROLLED


def test_a_certificate_past_its_end_or_of_a_retired_machine_is_not_accepted(
    app: Appliance, box: Make, clock: FakeClock
) -> None:
    key = _approved(app, box(1))
    serial = app_certificate(app, key)
    clock.advance(365 * 86400.0)
    with pytest.raises(NotSignedIn):
        reports.caller_of_certificate(app, serial)
    with pytest.raises(NotSignedIn):
        reports.caller_of_certificate(app, "no hex")


def test_requests_that_are_wrong_are_refused_and_leave_nothing(app: Appliance, box: Make) -> None:
    request = box(1).request()
    for changed, error in (
        (replace(request, csr="not a request"), Invalid),
        (replace(request, csr="x" * 9000), TooLarge),
        (replace(request, nonce="short"), Invalid),
        (replace(request, inventory=replace(request.inventory, environment=Environment.INSTALLED)), Invalid),
        (replace(request, inventory=replace(request.inventory, hostname="x" * (1 << 20))), TooLarge),
    ):
        with pytest.raises(error):
            enrolment.enrol(app, changed, "10.20.0.9")
    assert machines.list_machines(app, VIEWER) == ()


def test_one_address_may_not_enrol_without_end(app: Appliance, box: Make, clock: FakeClock) -> None:
    one = box(1)
    for _ in range(enrolment.RATE):
        one.reboot()
        one.enrol()
    one.reboot()
    with pytest.raises(TooMany) as caught:
        one.enrol()
    assert caught.value.retry_after > 0
    shown = machines.show_machine(app, OPERATOR, _only(app).machine.id)
    waiting = [e for e in shown.enrolments if e.state is EnrolmentState.PENDING]
    assert len(waiting) == enrolment.PENDING_PER_MACHINE
    clock.advance(enrolment.RATE_SECONDS + 1)
    assert one.enrol().state is EnrolmentState.PENDING


def test_an_unknown_token_is_not_found(app: Appliance) -> None:
    with pytest.raises(NotFound):
        enrolment.enrolment_state(app, "x" * 43)


def test_what_a_stranger_reads_names_no_other_machine(app: Appliance, box: Make) -> None:
    key = _approved(app, box(1))
    thief = box(7, uuid=box(1).inventory.board.system_uuid)
    reply = thief.enrol()
    assert reply.state is EnrolmentState.PENDING
    assert key not in reply.reason
    assert "a person must decide" in reply.reason


def test_a_quarantined_machine_is_not_approved(app: Appliance, box: Make) -> None:
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    first = box(1)
    first.enrol()
    thief = box(7, uuid=first.inventory.board.system_uuid)
    assert thief.enrol().state is EnrolmentState.PENDING
    found = next(v for v in machines.list_machines(app, VIEWER) if v.serial == "WM21000007")
    assert found.machine.trouble and found.machine.trouble.kind is TroubleKind.IDENTITY_CONFLICT
    with pytest.raises(Conflict, match="merge or split it first"):
        machines.approve(app, OPERATOR, found.machine.id, thief.code)
    with pytest.raises(Conflict, match="quarantine"):
        machines.set_policy(app, OPERATOR, found.machine.id, Policy.USE)
