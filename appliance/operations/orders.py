"""What approved machines ask over mutual TLS: an order, a claim of its permit, a certificate; and what they tell of it.

Every request may come twice, late, or from a boot that is over: answers are the same again, or a refusal that says why.
"""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from agent.wire import (
    CertificateReply,
    CertificateRequest,
    Environment,
    OrderKind,
    PermitClaim,
    Poll,
    Progress,
    ProgressState,
)
from appliance.effects.authority import CertificateError
from appliance.effects.certificates import read_peer
from appliance.engine.orderdoor import OrderDoor, learn
from appliance.engine.orders import ASK, MEASURE, environment_of, issue_again, obstacle, withdrawn
from appliance.engine.registry import Tools
from appliance.model.plan import StepKind
from appliance.operations import measurements
from appliance.operations.context import Appliance
from appliance.operations.enrolment import issue_certificate
from appliance.operations.errors import Conflict, Invalid, NotFound, NotSignedIn
from appliance.operations.rendering import render_files
from appliance.operations.reports import POLL_SECONDS, caller_of_certificate
from appliance.store import certificates, events, machines, orders, permits, steps
from appliance.store.certificates import CertificateState
from appliance.store.events import Happening
from appliance.store.orders import ACTIVE, OrderRow, OrderState
from appliance.store.permits import OPEN, PermitRow, PermitState

log = logging.getLogger(__name__)

TOUCH_SECONDS = 20.0
"""A poll is written down as a contact at most this often: polls must not keep the disk busy."""

BUSY_SECONDS, BUSY_FOR_SECONDS = 2.0, 60.0
"""An installed system that was given an order so lately, or has steps that wait, asks for orders this often."""

TOLD_STEPS = 20
"""The timeline gets a line per stage and per twentieth of the way, not per message."""


def tools_of(app: Appliance) -> Tools:
    """What the engine's steps work with."""
    door = OrderDoor(store=app.store, clock=app.clock, authority=app.authority)
    return Tools(
        store=app.store,
        clock=app.clock,
        authority=app.authority,
        settings=app.settings,
        render=render_files,
        ceph=door,
    )


def machine_of_certificate(app: Appliance, der: bytes) -> tuple[str, Environment]:
    """The machine behind a client certificate that TLS has verified (DER), and where its agent runs.

    Every request is checked: the certificate must be the machine's accepted one in the store, for the same key, and the
    machine must not be retired. Raises `NotSignedIn`.
    """
    try:
        peer = read_peer(der)
    except CertificateError as error:
        raise NotSignedIn(str(error)) from error
    caller = caller_of_certificate(app, peer.serial)
    if (caller.machine, caller.environment, caller.key_sha256) != (peer.machine, peer.environment, peer.key_sha256):
        raise NotSignedIn("this certificate is not the one that we issued: enrol again")
    return caller.machine, caller.environment


def poll(app: Appliance, machine_id: str, nonce: str, environment: Environment = Environment.IMAGE) -> Poll:
    """The order to work on, signed for this boot. A machine that came back with another nonce, while its order still
    holds, gets the order anew with a higher fence. An installed system is never given an install, the agent image never
    anything else, the appliance's own agent only what a monitor of Ceph needs. A machine that is worked on asks again
    soon."""
    now = app.clock.now()
    with app.store.read() as connection:
        row = machines.get(connection, machine_id)
        active = orders.active_of_machine(connection, machine_id)
        interval = _interval(connection, machine_id, environment, now)
    if row is not None and now - row.machine.last_contact > TOUCH_SECONDS:
        with app.store.write() as connection:
            machines.touch(connection, machine_id, at=now)
    if active is None or environment_of(active.kind, machine_id) is not environment:
        return Poll(interval=interval)
    if active.nonce != nonce:
        active = _reissue(app, machine_id, nonce)
    return Poll(interval=interval, order=active.signed if active else None)


def _interval(connection: Connection, machine_id: str, environment: Environment, now: float) -> float:
    usual = POLL_SECONDS[environment]
    if environment is Environment.IMAGE:
        return usual
    busy = orders.touched(connection, machine_id, since=now - BUSY_FOR_SECONDS)
    return BUSY_SECONDS if busy or steps.at_work(connection, machine_id, StepKind.CEPH) else usual


def _reissue(app: Appliance, machine_id: str, nonce: str) -> OrderRow | None:
    with app.store.write() as connection:
        active = orders.active_of_machine(connection, machine_id)
        if active is None or active.nonce == nonce:
            return active
        if active.step == MEASURE:  # a machine that was restarted is no measure of anything
            orders.void_for(connection, MEASURE, at=app.clock.now())
            return None
        why = withdrawn(connection, active.plan, active.step, active.kind)
        why = why or obstacle(connection, machine_id, now=app.clock.now(), kind=active.kind)
        if why:
            log.info("machine=%s step=%s why=no order for the new boot: %s", machine_id, active.step, why)
            return None
        return issue_again(connection, tools_of(app), active, nonce=nonce)


def progress(app: Appliance, machine_id: str, progress: Progress) -> None:
    """``POST /agent/v1/progress``. Repeated and late messages change nothing.

    Raises `NotFound` for an order that this machine never had, and `Conflict` when the order was withdrawn, which tells
    the agent to stop.
    """
    with app.store.write() as connection:
        order = _order(connection, machine_id, progress.order)
        _touch(app, connection, machine_id)
        if order.state is OrderState.VOID or progress.fence != order.fence:
            if progress.state in (ProgressState.RUNNING, ProgressState.DONE):
                raise Conflict(f"order {order.fence} was withdrawn: stop, and ask for the order that holds now")
            return
        if order.state not in ACTIVE:
            return
        if progress.state is ProgressState.DONE:
            _spend(app, connection, order)
        state = OrderState(progress.state.value)
        fraction = 1.0 if state is OrderState.DONE else max(order.fraction, min(1.0, max(0.0, progress.fraction)))
        stage, now = progress.stage or order.stage, app.clock.now()
        over = state not in ACTIVE
        asked = order.step == ASK
        answers = progress.answers if over and not asked else ()
        orders.note(
            connection,
            order.id,
            state,
            stage=stage,
            fraction=fraction,
            message=progress.message,
            at=now,
            answers=answers,
        )
        if asked:
            _answered(app, connection, order, progress)
            return
        if over and order.step == MEASURE:
            measurements.learn(app, connection, order, progress)
        seen = {"stage": stage, "fraction": fraction, "message": progress.message}
        steps.set_progress(connection, order.plan, order.step, seen, wake=over)
        if over or stage != order.stage or int(fraction * TOLD_STEPS) != int(order.fraction * TOLD_STEPS):
            text = f"{state}: {stage} {fraction:.0%}" + (f", {progress.message}" if progress.message else "")
            data = {"order": order.id, "state": state.value, "step": order.step, **seen}
            events.add(connection, at=now, machine=machine_id, kind=Happening.PROGRESS, text=text, data=data)
    if over:
        log.info("machine=%s step=%s why=agent says %s: %s", machine_id, order.step, state, progress.message)


def _touch(app: Appliance, connection: Connection, machine_id: str) -> None:
    """A machine that works on a long order does not poll; what it tells is a contact, too."""
    row, now = machines.get(connection, machine_id), app.clock.now()
    if row is not None and now - row.machine.last_contact > TOUCH_SECONDS:
        machines.touch(connection, machine_id, at=now)


def _answered(app: Appliance, connection: Connection, order: OrderRow, progress: Progress) -> None:
    """What Ceph says of itself, in the answers to our questions (also when only the manager's is missing); steps that
    wait for it are looked at."""
    body = app.authority.verify(order.signed).ceph
    if body is not None and progress.answers:
        learn(connection, body.fsid, progress.answers, at=order.created)
    if progress.state is not ProgressState.RUNNING:
        log.debug("machine=%s step=%s why=%s %s", order.machine, order.step, progress.state, progress.message)
        steps.wake(connection, order.plan, StepKind.CEPH)


def _spend(app: Appliance, connection: Connection, order: OrderRow) -> None:
    if order.kind is not OrderKind.INSTALL:
        return
    permit = permits.of_step(connection, order.plan, order.step)
    if permit is None or not permits.spend(connection, permit.id, order.machine, at=app.clock.now()):
        raise Conflict("the install is said to be done, but its permit was never claimed")
    _tell(app, connection, order, permit, "the permit is spent")


def claim(
    app: Appliance,
    machine_id: str,
    permit_id: str,
    claim: PermitClaim,
    environment: Environment = Environment.IMAGE,
) -> None:
    """``POST /agent/v1/permits/<id>/claim``: from here on the machine may write to the disk that its order grants.

    The same machine may claim again, also after a power cut with its new order. Raises `NotFound` for a permit of nobody or
    of another machine, `Conflict` when it may not be claimed: then nothing may be written.
    """
    _only_the_image(environment)
    with app.store.write() as connection:
        permit = permits.get(connection, permit_id.lower())
        if permit is None or permit.machine != machine_id:
            raise NotFound(f"{machine_id} has no install permit {permit_id}")
        order = _order(connection, machine_id, claim.order)
        why = _unclaimable(app, connection, permit, order, claim)
        if why or not permits.claim(connection, permit.id, machine_id, at=app.clock.now()):
            raise Conflict(f"the install permit cannot be claimed: {why or f'it is {permit.state}'}; do not write")
        if permit.state is PermitState.ISSUED:
            _tell(app, connection, order, permit, f"the permit is claimed for disk {permit.disk_serial}")


def _unclaimable(app: Appliance, connection: Connection, permit: PermitRow, order: OrderRow, claim: PermitClaim) -> str:
    if permit.state not in OPEN:
        return f"it is {permit.state}"
    if (order.plan, order.step) != (permit.plan, permit.step):
        return "the order belongs to another step"
    if order.state not in ACTIVE or order.fence + 1 != orders.next_fence(connection, order.machine):
        return f"the order is {order.state}, not the one that holds now"
    if order.nonce != claim.nonce:
        return "the order is for another boot of this machine"
    why = withdrawn(connection, order.plan, order.step, order.kind)
    return why or obstacle(connection, order.machine, now=app.clock.now())


def certify(
    app: Appliance, machine_id: str, request: CertificateRequest, environment: Environment = Environment.IMAGE
) -> CertificateReply:
    """``POST /agent/v1/certificate``: for the key of the system that is being installed. Asked again, the same answer.

    It waits until that system reports in; until then the agent image's certificate stays accepted, too. Raises `NotFound`,
    `Conflict` (no claimed permit, order not the one that holds) or `Invalid` (the request itself).
    """
    _only_the_image(environment)
    try:
        key = app.authority.key_sha256(request.csr)
    except CertificateError as error:
        raise Invalid(f"csr: {error}", (("csr", str(error)),)) from error
    with app.store.write() as connection:
        order = _order(connection, machine_id, request.order)
        permit = permits.of_step(connection, order.plan, order.step)
        if order.state not in ACTIVE or permit is None or permit.state is not PermitState.CLAIMED:
            raise Conflict("a certificate for the installed system needs a running install with a claimed permit")
        why = withdrawn(connection, order.plan, order.step, order.kind)
        if why:
            raise Conflict(f"the install was withdrawn: {why}")
        for row in certificates.of_machine(connection, machine_id):
            if row.key_sha256 != key or row.state is CertificateState.REVOKED:
                continue
            if row.environment is Environment.IMAGE:
                raise Invalid("the installed system needs a key of its own", (("csr", "is the agent image's key"),))
            if row.state is CertificateState.WAITING:
                return CertificateReply(certificate=row.pem)
        issued = issue_certificate(
            app,
            connection,
            machine_id,
            request.csr,
            environment=Environment.INSTALLED,
            state=CertificateState.WAITING,
        )
        text = "a certificate for the installed system was issued; it counts from its first report on"
        now, data = app.clock.now(), {"serial": issued.serial}
        events.add(connection, at=now, machine=machine_id, kind=Happening.CERTIFICATE, text=text, data=data)
        return CertificateReply(certificate=issued.pem)


def _only_the_image(environment: Environment) -> None:
    """An installed system only observes: it cannot install, whatever it asks."""
    if environment is not Environment.IMAGE:
        raise Conflict("only the agent image installs; this certificate belongs to an installed system")


def _order(connection: Connection, machine_id: str, order_id: str) -> OrderRow:
    order = orders.get(connection, order_id)
    if order is None or order.machine != machine_id:
        raise NotFound(f"{machine_id} has no order {order_id}")
    return order


def _tell(app: Appliance, connection: Connection, order: OrderRow, permit: PermitRow, text: str) -> None:
    now, data = app.clock.now(), {"permit": permit.id, "order": order.id, "step": order.step}
    events.add(connection, at=now, machine=order.machine, kind=Happening.PERMIT, text=text, data=data)
    log.info("machine=%s step=%s why=%s", order.machine, order.step, text)
