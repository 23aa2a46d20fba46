"""Enrolment: a machine shows a key and what it claims to be; a person or a rule approves; then it gets a certificate.

Before approval nothing secret leaves the appliance. A machine that comes back with another key (its agent's key lives in
RAM) needs a rule or a new code again, whatever phase it is in; its old certificate holds until the new one is issued.
"""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import replace

from sqlalchemy import Connection

from agent.wire import EnrolmentReply, EnrolmentRequest, EnrolmentState, Environment, decode, encode, enrolment_code
from agent.wire import Inventory as WireInventory
from appliance.effects.certificates import CertificateError
from appliance.model.expected import approving_rule
from appliance.model.identity import of_inventory
from appliance.model.machine import LIFECYCLE, MachineEvent, Phase, Policy
from appliance.operations import audit, identity, sites
from appliance.operations.context import SYSTEM, Actor, Appliance
from appliance.operations.errors import Conflict, Invalid, NotFound, TooLarge, TooMany
from appliance.store import certificates, enrolments, events, evidence, lifecycle, machines
from appliance.store.certificates import CertificateRow, CertificateState
from appliance.store.enrolments import EnrolmentRow
from appliance.store.events import Happening

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 1 << 20
MAX_CSR_BYTES = 8192
RATE, RATE_SECONDS = 30, 60.0
PENDING_LIMIT, PENDING_PER_MACHINE = 2000, 5
PENDING_INTERVAL = 2.0
PENDING_PER_SECOND = 50.0


def enrol(app: Appliance, request: EnrolmentRequest, remote: str) -> EnrolmentReply:
    """``POST /api/v1/enrolments``. The same key again gets the same token. ``remote`` is the sender's address.

    Raises `Invalid` (bad request for a certificate), `TooLarge`, `TooMany`.
    """
    document = _checked(request)
    try:
        key = app.authority.public_key_der(request.csr)
        key_sha256 = app.authority.key_sha256(request.csr)
    except CertificateError as error:
        raise Invalid(f"csr: {error}", (("csr", str(error)),)) from error
    now = app.clock.now()
    with app.store.write() as connection:
        row = enrolments.of_key(connection, key_sha256)
        if row is not None:
            _refresh(connection, row, request, document, remote)
            return _reply(app, connection, row)
        _limit(connection, remote, now)
        joined = identity.join_inventory(connection, request.inventory, at=now)
        row = EnrolmentRow(
            token=secrets.token_urlsafe(32),
            machine=joined.machine,
            state=EnrolmentState.PENDING,
            reason=joined.reason,
            csr=request.csr,
            key_sha256=key_sha256,
            code=enrolment_code(key, app.authority.ca_key_der),
            nonce=request.nonce,
            clock_offset=request.clock_offset,
            inventory=document,
            remote=remote,
            approved_by="",
            created=now,
        )
        _trim(connection, joined.machine)
        enrolments.add(connection, row)
        _enrolled(app, connection, row, request.inventory, quarantined=joined.quarantined)
        apply_rules(app, connection, row.machine)
        return _reply(app, connection, enrolments.get(connection, row.token) or row)


def enrolment_state(app: Appliance, token: str) -> EnrolmentReply:
    """``GET /api/v1/enrolments/<token>``. Raises `NotFound` for an unknown token."""
    with app.store.read() as connection:
        row = enrolments.get(connection, token)
        if row is None:
            raise NotFound("this enrolment is not known: enrol again")
        return _reply(app, connection, row)


def approve(app: Appliance, connection: Connection, row: EnrolmentRow, actor: Actor, how: str) -> None:
    """Issue the certificate and let the machine go on; ``how`` is written to the audit trail and the timeline.

    Raises `Conflict` for a machine in quarantine or a request that is not pending.
    """
    machine = machines.get(connection, row.machine)
    if machine is None or row.state is not EnrolmentState.PENDING:
        raise Conflict(f"this request of {row.machine} is {row.state}, not pending: reboot the machine to ask again")
    if machine.machine.phase is Phase.SEEN:
        raise Conflict(f"{row.machine} claims to be another machine: merge or split it first")
    now = app.clock.now()
    old = [c for c in certificates.of_machine(connection, row.machine) if c.state is not CertificateState.REVOKED]
    issue_certificate(
        app,
        connection,
        row.machine,
        row.csr,
        environment=Environment.IMAGE,
        state=CertificateState.CURRENT,
    )
    enrolments.decide(connection, row.token, EnrolmentState.APPROVED, approved_by=how[:64])
    for other in enrolments.of_machine(connection, row.machine):
        if other.state is EnrolmentState.PENDING and other.token != row.token:
            reason = "another request of this machine was approved: reboot it to ask again"
            enrolments.decide(connection, other.token, EnrolmentState.REFUSED, reason=reason)
    evidence.replace(connection, row.machine, of_inventory(decode(WireInventory, row.inventory)), at=now)
    text = f"approved by {actor.name} ({how})" + ("; its earlier key is not accepted any more" if old else "")
    data = {"key_sha256": row.key_sha256, "earlier": [c.key_sha256 for c in old if c.environment is Environment.IMAGE]}
    events.add(connection, at=now, machine=row.machine, kind=Happening.APPROVAL, text=text, data=data)
    audit.record(connection, app, actor, "machine.approve", row.machine, how=how, key_sha256=row.key_sha256)
    if machine.machine.phase is Phase.ENROLLED:
        lifecycle.advance(connection, row.machine, MachineEvent.APPROVE, at=now, why=how)
    log.info("machine=%s step=approve why=%s by %s", row.machine, how, actor.name)


def issue_certificate(
    app: Appliance,
    connection: Connection,
    machine: str,
    csr: str,
    *,
    environment: Environment,
    state: CertificateState,
) -> CertificateRow:
    """Issue and store a certificate; the one of the same machine, environment and state ends with it."""
    issued = app.authority.issue(csr, machine=machine, environment=environment)
    row = CertificateRow(
        serial=issued.serial,
        machine=machine,
        environment=environment,
        pem=issued.pem,
        key_sha256=issued.key_sha256,
        state=state,
        not_after=issued.not_after,
        created=app.clock.now(),
    )
    certificates.add(connection, row)
    return row


def apply_rules(app: Appliance, connection: Connection, machine_id: str | None = None) -> int:
    """Approve what the site's rules approve, among the pending requests (of one machine); returns how many.

    A held machine, or one in quarantine, is never approved by a rule.
    """
    site = sites.current_in(connection)
    if site is None or not site.approve:
        return 0
    approved = 0
    newest = {row.machine: row for row in enrolments.pending(connection) if machine_id in (None, row.machine)}
    for row in newest.values():
        machine = machines.get(connection, row.machine)
        if machine is None or machine.machine.policy is not Policy.USE or machine.machine.phase is Phase.SEEN:
            continue
        inventory = decode(WireInventory, row.inventory)
        rule = approving_rule(site.approve, inventory, machine.expected)
        if rule:
            approve(app, connection, row, replace(SYSTEM, name=f"site {site.name}"[:64], via="rule"), rule)
            approved += 1
    return approved


def resume(app: Appliance, connection: Connection, machine_id: str, why: str) -> None:
    """A quarantine ended: the requests that waited for it count as enrolments now."""
    waiting = [r for r in enrolments.of_machine(connection, machine_id) if r.state is EnrolmentState.PENDING]
    machine = machines.get(connection, machine_id)
    if machine is None or not waiting:
        return
    for row in waiting:
        enrolments.decide(connection, row.token, EnrolmentState.PENDING)
    if (machine.machine.phase, MachineEvent.ENROL) in LIFECYCLE:
        lifecycle.advance(connection, machine_id, MachineEvent.ENROL, at=app.clock.now(), why=why)
    apply_rules(app, connection, machine_id)


def refuse_all(connection: Connection, machine_id: str, reason: str) -> None:
    """No pending request of this machine is approved any more."""
    for row in enrolments.of_machine(connection, machine_id):
        if row.state is EnrolmentState.PENDING:
            enrolments.decide(connection, row.token, EnrolmentState.REFUSED, reason=reason)


def _checked(request: EnrolmentRequest) -> str:
    """The inventory as JSON text, after the checks that need no database."""
    if len(request.csr) > MAX_CSR_BYTES:
        raise TooLarge(f"a certificate request has at most {MAX_CSR_BYTES} bytes")
    if not re.fullmatch(r"[0-9a-f]{32}", request.nonce):
        raise Invalid("nonce: must be 32 lower-case hex digits", (("nonce", "must be 32 lower-case hex digits"),))
    if request.inventory.environment is not Environment.IMAGE:
        message = "only the agent image enrols; an installed system has its own certificate"
        raise Invalid(f"inventory/environment: {message}", (("inventory/environment", message),))
    document = encode(request.inventory).decode()
    if len(document) > MAX_REQUEST_BYTES:
        raise TooLarge(f"an inventory has at most {MAX_REQUEST_BYTES} bytes")
    return document


def _refresh(connection: Connection, row: EnrolmentRow, request: EnrolmentRequest, document: str, remote: str) -> None:
    """The same key asked again; what it says is shown to the approver while that may still matter. Who it claims to be
    was decided at the first time: a key cannot become another machine."""
    before = of_inventory(decode(WireInventory, row.inventory))
    if row.state is EnrolmentState.PENDING and of_inventory(request.inventory) == before:
        enrolments.refresh(
            connection,
            row.token,
            nonce=request.nonce,
            clock_offset=request.clock_offset,
            inventory=document,
            remote=remote,
        )


def _limit(connection: Connection, remote: str, now: float) -> None:
    if enrolments.count_since(connection, remote, now - RATE_SECONDS) >= RATE:
        raise TooMany(f"more than {RATE} enrolments in {RATE_SECONDS:.0f} s came from {remote}", RATE_SECONDS)
    if enrolments.count_pending(connection) >= PENDING_LIMIT:
        raise TooMany(f"{PENDING_LIMIT} enrolments wait for a decision: approve or retire machines first", 300.0)


def _trim(connection: Connection, machine: str) -> None:
    """A machine that reboots again and again leaves requests behind: only the newest few wait."""
    waiting = [row for row in enrolments.of_machine(connection, machine) if row.state is EnrolmentState.PENDING]
    for row in waiting[PENDING_PER_MACHINE - 1 :]:
        reason = "newer requests of this machine took its place: reboot it to ask again"
        enrolments.decide(connection, row.token, EnrolmentState.REFUSED, reason=reason)


def _enrolled(
    app: Appliance, connection: Connection, row: EnrolmentRow, inventory: WireInventory, *, quarantined: bool
) -> None:
    """Write the event, move the machine where it may, and find its entry in the site file."""
    machine = machines.get(connection, row.machine)
    if machine is None:
        raise NotFound(f"there is no machine {row.machine}")
    now, phase = app.clock.now(), machine.machine.phase
    machines.touch(connection, row.machine, at=now)
    again = "" if phase in (Phase.SEEN, Phase.ENROLLED, Phase.RETIRED) else " again, with a new key"
    clock = f", its clock was set by {row.clock_offset:+.0f} s" if abs(row.clock_offset) > 60 else ""
    text = f"asks to enrol{again}{clock}; waits for its code or a rule"
    data = {"remote": row.remote, "key_sha256": row.key_sha256, "clock_offset": row.clock_offset}
    events.add(connection, at=now, machine=row.machine, kind=Happening.ENROLMENT, text=text, data=data)
    log.info("machine=%s step=enrol why=from %s%s", row.machine, row.remote, again)
    if not quarantined and (phase, MachineEvent.ENROL) in LIFECYCLE:
        lifecycle.advance(connection, row.machine, MachineEvent.ENROL, at=now)
    sites.recognise(connection, row.machine, at=now)


def _reply(app: Appliance, connection: Connection, row: EnrolmentRow) -> EnrolmentReply:
    if row.state is EnrolmentState.APPROVED:
        certificate = certificates.of_key(connection, row.machine, row.key_sha256)
        if certificate is None:
            reason = "the approval of this key has ended: reboot the machine to ask again"
            return EnrolmentReply(token=row.token, state=EnrolmentState.REFUSED, interval=60.0, reason=reason)
        return EnrolmentReply(
            token=row.token,
            state=EnrolmentState.APPROVED,
            interval=PENDING_INTERVAL,
            machine=row.machine,
            certificate=certificate.pem,
            order_key=app.authority.order_key_pem,
        )
    waiting = enrolments.count_pending(connection) / PENDING_PER_SECOND
    interval = max(PENDING_INTERVAL, waiting) if row.state is EnrolmentState.PENDING else 60.0
    return EnrolmentReply(token=row.token, state=row.state, interval=interval, reason=_public(row))


def _public(row: EnrolmentRow) -> str:
    """What a machine that nobody has approved may read: that it waits, never which other machines exist."""
    if row.state is EnrolmentState.PENDING and row.reason:
        return "a person must decide which machine this is: see the appliance"
    return row.reason
