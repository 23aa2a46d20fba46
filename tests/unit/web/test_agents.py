"""Enrolment and the agents' API as the agent speaks them; identity comes from the connection's certificate alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from flask.testing import FlaskClient

from agent import wire
from appliance.operations import machines, sites
from appliance.operations.context import SYSTEM, Appliance
from tests.unit.operations.lab import APPROVE_ANY, SITE, Box
from tests.unit.web.conftest import HOST


class Connection:
    """Stands for a TLS connection with a verified client certificate."""

    def __init__(self, pem: str) -> None:
        self.der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)

    def getpeercert(self, binary_form: bool = False) -> bytes:
        assert binary_form
        return self.der


def enrol(client: FlaskClient, machine: Box) -> wire.EnrolmentReply:
    body = wire.encode(machine.request())
    answer = client.post("/api/v1/enrolments", data=body, content_type="application/json", base_url=HOST)
    assert answer.status_code == 201, answer.text
    return wire.decode(wire.EnrolmentReply, answer.data)


@pytest.fixture
def enrolled(app: Appliance, anonymous: FlaskClient, box: Callable[..., Box]) -> tuple[Box, wire.EnrolmentReply]:
    sites.load_site_text(app, SYSTEM, APPROVE_ANY, "site.yaml")
    machine = box(1)
    return machine, enrol(anonymous, machine)


def test_nothing_before_approval(app: Appliance, anonymous: FlaskClient, box: Callable[..., Box]) -> None:
    sites.load_site_text(app, SYSTEM, SITE, "site.yaml")
    machine = box(1)
    reply = enrol(anonymous, machine)
    assert (reply.state, reply.certificate, reply.order_key, reply.machine) == ("pending", "", "", "")
    view = machines.list_machines(app, SYSTEM)[0]
    machines.approve(app, SYSTEM, view.machine.id, machine.code)
    answer = anonymous.get(f"/api/v1/enrolments/{reply.token}", base_url=HOST)
    approved = wire.decode(wire.EnrolmentReply, answer.data)
    assert approved.certificate.startswith("-----BEGIN CERTIFICATE")
    assert approved.machine == view.machine.id
    assert anonymous.get("/api/v1/enrolments/unknown", base_url=HOST).status_code == 404


@pytest.mark.parametrize("body", [b"{}", b"not json", b'{"csr": 1}'])
def test_bad_requests_to_enrol(anonymous: FlaskClient, body: bytes) -> None:
    answer = anonymous.post("/api/v1/enrolments", data=body, content_type="application/json", base_url=HOST)
    assert answer.status_code == 422
    assert answer.json["errors"]


def test_a_request_that_is_too_long(anonymous: FlaskClient) -> None:
    body = b'"' + b"x" * (1 << 20) + b'"'
    answer = anonymous.post("/api/v1/enrolments", data=body, content_type="application/json", base_url=HOST)
    assert answer.status_code == 413


def test_report_and_order(app: Appliance, agent_web: FlaskClient, enrolled: tuple[Box, wire.EnrolmentReply]) -> None:
    machine, reply = enrolled
    environ = {"gunicorn.socket": Connection(reply.certificate)}
    body = wire.encode(wire.Report(nonce=machine.nonce, inventory=machine.inventory))
    answer = agent_web.post("/agent/v1/report", data=body, content_type="application/json", environ_overrides=environ)
    assert wire.decode(wire.ReportReply, answer.data).machine == reply.machine
    polled = agent_web.get(f"/agent/v1/order?nonce={machine.nonce}", environ_overrides=environ)
    assert wire.decode(wire.Poll, polled.data).order is None
    assert agent_web.get("/agent/v1/order", environ_overrides=environ).status_code == 422
    progress = wire.encode(wire.Progress(order="nothing", fence=1, state=wire.ProgressState.DONE))
    answer = agent_web.post(
        "/agent/v1/progress", data=progress, content_type="application/json", environ_overrides=environ
    )
    assert answer.status_code == 404
    claim = wire.encode(wire.PermitClaim(order="nothing", nonce=machine.nonce))
    answer = agent_web.post(
        "/agent/v1/permits/none/claim", data=claim, content_type="application/json", environ_overrides=environ
    )
    assert answer.status_code in (404, 409)


def test_without_a_certificate(agent_web: FlaskClient) -> None:
    assert agent_web.get("/agent/v1/order?nonce=1").status_code == 401


def test_certificates_that_ended(
    app: Appliance, anonymous: FlaskClient, agent_web: FlaskClient, enrolled: tuple[Box, wire.EnrolmentReply]
) -> None:
    """The machine came back with a new key: its old certificate is refused; and a retired machine's, too."""
    machine, old = enrolled
    machine.reboot()
    new = enrol(anonymous, machine)
    assert new.machine == old.machine

    def poll(reply: wire.EnrolmentReply) -> int:
        environ = {"gunicorn.socket": Connection(reply.certificate)}
        return agent_web.get("/agent/v1/order?nonce=1", environ_overrides=environ).status_code

    assert poll(new) == 200
    assert poll(old) == 401
    machines.retire(app, SYSTEM, new.machine)
    assert poll(new) == 401
