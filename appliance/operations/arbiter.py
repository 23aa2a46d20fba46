"""The machine that the appliance runs on, as a place for a monitor of Ceph: whether it is needed, its certificate, its
reports. It is known under the id ``appliance`` and is in no list of machines.

Its certificate is given over the Unix socket only: whoever may use that (root, and the appliance's own user) could sign one
himself. It says ``arbiter`` and opens what a monitor needs, whatever its holder asks for.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Connection

from agent.wire import Environment, Report, SiteBundle
from appliance.effects.certificates import CertificateError
from appliance.model.machine import APPLIANCE
from appliance.operations import audit, sites
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.enrolment import MAX_CSR_BYTES, issue_certificate
from appliance.operations.errors import Conflict, Invalid, PermissionDenied, TooLarge
from appliance.plan.placement.membership import NOBODY
from appliance.store import certificates, events, inventories, machines, plans, steps
from appliance.store.certificates import CertificateState
from appliance.store.events import Happening

log = logging.getLogger(__name__)

RENEW_SECONDS = 15 * 86400.0
"""A certificate that ends sooner is issued anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbiterPlace:
    """``wanted`` says what needs the agent, empty when nothing does; then the rest is empty. ``certificate`` and
    ``order_key`` are PEM, ``site`` is what the agent finds its appliance by."""

    wanted: str
    certificate: str = ""
    order_key: str = ""
    site: SiteBundle | None = None


def wanted(connection: Connection) -> str:
    """What needs a monitor here: the site file, the accepted plan, or a step that takes it away; empty when nothing."""
    site = sites.current_in(connection)
    spec = site.ceph if site else None
    if spec is not None and spec.stretch and spec.tiebreaker in NOBODY:
        return f"the site file wants the tiebreaker of {spec.name} on the appliance"
    name = _planned(connection, plans.last_accepted(connection))
    if name:
        return f"a monitor of {name} is on the appliance"
    left = steps.unfinished(connection, APPLIANCE)
    return f"{left[0].key} is not done yet" if left else ""


_seen: dict[str, str] = {}


def _planned(connection: Connection, plan_hash: str) -> str:
    """The Ceph of the plan that has a monitor here, or empty. A plan never changes, and may be megabytes: read once."""
    if plan_hash not in _seen:
        row = plans.get(connection, plan_hash) if plan_hash else None
        layout = row.plan.desired.ceph if row else None
        here = layout is not None and any(service.machine == APPLIANCE for service in layout.services)
        _seen.clear()
        _seen[plan_hash] = layout.name if layout is not None and here else ""
    return _seen[plan_hash]


def enrol(app: Appliance, actor: Actor, csr: str) -> ArbiterPlace:
    """Whether the agent is needed here, and its certificate for the key of ``csr`` (PEM); asked again, the same one until it
    has to be renewed. Raises `PermissionDenied` (not over the socket), `TooLarge`, `Invalid` (the request itself)."""
    actor.require(Role.ADMIN, "run the agent of the appliance")
    if actor.via != "socket":
        raise PermissionDenied("the appliance's own agent is enrolled over the Unix socket only")
    if len(csr) > MAX_CSR_BYTES:
        raise TooLarge(f"a certificate request has at most {MAX_CSR_BYTES} bytes")
    try:
        key = app.authority.key_sha256(csr)
    except CertificateError as error:
        raise Invalid(f"csr: {error}", (("csr", str(error)),)) from error
    with app.store.read() as connection:
        why = wanted(connection)
        current = certificates.of_key(connection, APPLIANCE, key) if why else None
    now = app.clock.now()
    if not why:
        return ArbiterPlace(wanted="")
    if current is None or current.not_after - RENEW_SECONDS <= now:
        with app.store.write() as connection:
            machines.add_appliance(connection, at=now)
            current = issue_certificate(
                app, connection, APPLIANCE, csr, environment=Environment.ARBITER, state=CertificateState.CURRENT
            )
            text, data = f"the appliance's own agent got a certificate: {why}", {"serial": current.serial}
            events.add(connection, at=now, machine=APPLIANCE, kind=Happening.CERTIFICATE, text=text, data=data)
            audit.record(connection, app, actor, "arbiter.enrol", APPLIANCE, key_sha256=key)
        log.info("machine=%s step=enrol why=%s", APPLIANCE, why)
    return ArbiterPlace(wanted=why, certificate=current.pem, order_key=app.authority.order_key_pem, site=bundle(app))


def bundle(app: Appliance) -> SiteBundle:
    """Where the appliance is, and its CA."""
    settings = app.settings
    return SiteBundle(
        enrol_url=settings.enrol_url,
        agent_url=settings.agent_url,
        public_url=settings.public_url,
        ca=app.authority.ca_pem,
    )


def keep(connection: Connection, machine_id: str, report: Report, *, at: float) -> None:
    """What its agent reports. Raises `Conflict` when it is another machine's certificate."""
    if machine_id != APPLIANCE:
        raise Conflict(f"{machine_id} is not the appliance")
    before, now = inventories.get(connection, machine_id, Environment.ARBITER), report.inventory
    inventories.put(connection, machine_id, now, at=at, nonce=report.nonce)
    machines.touch(connection, machine_id, at=at, nonce=report.nonce)
    if before is None or (before.nonce, before.inventory.ceph) != (report.nonce, now.ceph):
        text = f"the appliance's own agent reported: {f'Ceph {now.ceph}' if now.ceph else 'no ceph-mon'}"
        events.add(connection, at=at, machine=machine_id, kind=Happening.REPORT, text=text)
