"""``/agent/v1``: approved machines over mutual TLS. Who asks is told by the client certificate of the connection alone,
looked up in the store at every request: a certificate that was replaced or revoked is refused whatever its dates say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import request

from agent.wire import (
    CertificateReply,
    CertificateRequest,
    Environment,
    PermitClaim,
    Poll,
    Progress,
    Report,
    ReportReply,
    SecretReply,
)
from appliance.api.route import Api, appliance
from appliance.operations import orders, reports, secrets
from appliance.operations.errors import NotSignedIn

api = Api("agents", __name__, url_prefix="/agent/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonce:
    """``nonce`` names one start of the agent: orders are signed for it."""

    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForOrder:
    """``order`` is the id of the order that names the secret."""

    order: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An empty answer: it is written down."""


def caller() -> tuple[str, Environment]:
    """The machine at the other end, and where its agent runs. Raises `NotSignedIn`."""
    ask: Any = getattr(request.environ.get("gunicorn.socket"), "getpeercert", None)
    der = ask(binary_form=True) if ask is not None else None
    if not der:
        raise NotSignedIn("this API is only for machines with a certificate of this appliance")
    return orders.machine_of_certificate(appliance(), der)


@api.route_for("POST", "/report", errors=(401, 409, 413), limit=1 << 20)
def report(body: Report) -> ReportReply:
    """The machine's inventory; plans are made from it."""
    machine, environment = caller()
    return reports.report(appliance(), machine, body, environment=environment)


@api.route_for("GET", "/order", errors=(401, 409, 422))
def order(query: Nonce) -> Poll:
    """What to do now, and when to ask again."""
    machine, environment = caller()
    return orders.poll(appliance(), machine, query.nonce, environment)


@api.route_for("POST", "/progress", errors=(401, 404, 409, 413), limit=1 << 20)
def progress(body: Progress) -> Done:
    """How far an order is, or how it ended."""
    orders.progress(appliance(), caller()[0], body)
    return Done()


@api.route_for("POST", "/permits/<permit>/claim", errors=(401, 404, 409))
def claim(permit: str, body: PermitClaim) -> Done:
    """Asked right before the first write to a disk. Anything but success means: do not write."""
    machine, environment = caller()
    orders.claim(appliance(), machine, permit, body, environment)
    return Done()


@api.route_for("POST", "/certificate", errors=(401, 404, 409))
def certificate(body: CertificateRequest) -> CertificateReply:
    """A certificate for the key of the system that is being installed."""
    machine, environment = caller()
    return orders.certify(appliance(), machine, body, environment)


@api.route_for("GET", "/secrets/<path:name>", errors=(401, 404, 409, 422, 503))
def secret(name: str, query: ForOrder) -> SecretReply:
    """A secret that an active order of this machine names; asked when the order is carried out, and kept nowhere else."""
    machine, environment = caller()
    return secrets.secret_for(appliance(), machine, name, query.order, environment)
