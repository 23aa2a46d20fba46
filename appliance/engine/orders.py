"""Making orders: the permit, the rendered files, the image, the fence and the signature, in one transaction.

Nothing is made for a machine that is not approved: an order carries host names, keys and addresses, and allows disks to be
written. `obstacle` says what is in the way: installs are for the agent image of a machine that is ready, orders for Ceph for
the installed system of one that is in service.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from sqlalchemy import Connection

from agent import arbiter
from agent.cephorder import CephOrder
from agent.wire import DiskGrant, Environment, ImageRef, InstallOrder, Order, OrderKind
from appliance.effects.authority import Authority
from appliance.engine.registry import Tools
from appliance.model.machine import APPLIANCE, Phase, Policy, TroubleKind
from appliance.model.plan import InstallArgs
from appliance.store import artefacts, certificates, events, inventories, machines, orders, permits, plans, steps
from appliance.store.artefacts import ArtefactRow
from appliance.store.certificates import CertificateState
from appliance.store.events import Happening
from appliance.store.orders import OrderRow, OrderState
from appliance.store.permits import OPEN, PermitRow
from appliance.store.plans import PlanState
from appliance.store.steps import StepRow, StepState

ASK = "ceph-ask"
"""Instead of a step: commands to the monitors that change nothing, asked of a machine that has one (`orderdoor`)."""
MEASURE = "ceph-measure"
"""Instead of a step: how fast pools are, asked by a person. Its answers are kept (`operations.measurements`)."""
MEASURE_SECONDS = 900.0
"""A machine that says nothing for so long does not measure any more."""
PHASES = {
    OrderKind.INSTALL: frozenset({Phase.READY, Phase.DEPLOYING}),
    OrderKind.CEPH: frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING}),
}
"""Phases in which a machine may be given an order of a kind."""
ENVIRONMENTS = {OrderKind.INSTALL: Environment.IMAGE, OrderKind.CEPH: Environment.INSTALLED}
"""Where its agent must run, unless it is the appliance's own (`environment_of`)."""

_REMEDIES = {
    Environment.IMAGE: "approve it",
    Environment.INSTALLED: "its installed system has to report in",
    Environment.ARBITER: "start its agent as root: rackseed-arbiter.service",
}

log = logging.getLogger(__name__)


class OrderError(Exception):
    """An order cannot be made now. The message says what is missing."""


def environment_of(kind: OrderKind, machine: str) -> Environment | None:
    """Where the agent of a machine must run to be given an order of this kind; None: nowhere. The appliance's own is given
    orders for Ceph, and no others."""
    if machine == APPLIANCE:
        return Environment.ARBITER if kind is OrderKind.CEPH else None
    return ENVIRONMENTS.get(kind)


def obstacle(connection: Connection, machine: str, *, now: float, kind: OrderKind = OrderKind.INSTALL) -> str:
    """Why this machine may not be given an order of this kind now, in words; empty when it may."""
    row = machines.get(connection, machine)
    if row is None:
        return "is not known"
    it = row.machine
    if it.trouble and it.trouble.kind is TroubleKind.IDENTITY_CONFLICT:
        return "is in quarantine: another machine claims its identity"
    if it.policy is not Policy.USE and (kind, it.policy) != (OrderKind.CEPH, Policy.DRAIN):
        return f"has the policy {it.policy}"
    if kind not in PHASES or it.phase not in PHASES[kind]:
        return f"is in phase {it.phase}, not {'ready' if kind is OrderKind.INSTALL else 'installed'}"
    environment = environment_of(kind, machine)
    if environment is None:
        return f"is the appliance itself: it is given no {kind} order"
    if not has_certificate(connection, machine, environment, now=now):
        return f"has no valid certificate: {_REMEDIES[environment]}"
    return ""


def has_certificate(connection: Connection, machine: str, environment: Environment, *, now: float) -> bool:
    """Whether the agent in this environment of the machine has a certificate that we accept."""
    return any(
        row.environment is environment and row.state is CertificateState.CURRENT and row.not_after > now
        for row in certificates.of_machine(connection, machine)
    )


def withdrawn(connection: Connection, plan_hash: str, key: str, kind: OrderKind) -> str:
    """Why the step that an order is for is not to be done any more, or empty."""
    if key in (ASK, MEASURE):
        return ""
    plan = plans.get_state(connection, plan_hash)
    if plan is not PlanState.ACCEPTED:
        return f"plan {plan_hash[:12]} is {plan or 'gone'}"
    step = steps.get(connection, plan_hash, key)
    if step is None or step.state is not StepState.RUNNING:
        return f"step {key} is {step.state if step else 'gone'}"
    if kind is OrderKind.INSTALL:
        permit = permits.of_step(connection, plan_hash, key)
        if permit is None or permit.state not in OPEN:
            return f"its permit is {permit.state if permit else 'gone'}"
    return ""


def install_reported(connection: Connection, permit: PermitRow) -> bool:
    """Whether the system that was installed with this permit has reported over mutual TLS since the claim."""
    report = inventories.get(connection, permit.machine, Environment.INSTALLED)
    if report is None or permit.claimed is None:
        return False
    return report.permit.lower() == permit.id and report.at >= permit.claimed


def issue_install(connection: Connection, tools: Tools, row: StepRow, *, nonce: str) -> OrderRow:
    """A new install order for the boot ``nonce`` of the step's machine, with a higher fence than any before.

    The permit is made, or the open one of this step goes on. Raises `OrderError` when the image is missing.
    """
    args, now = row.step.install, tools.clock.now()
    if args is None:
        raise OrderError(f"{row.key} carries nothing to install; plan again")
    image = artefacts.get(connection, args.image)
    if image is None:
        raise OrderError(f"the root image {args.image[:12]} is not registered: run rackseed image, then plan again")
    permit = permits.issue(
        connection, machine=row.machine, plan=row.plan, step=row.key, disk_serial=args.disk.serial, at=now
    )
    order = Order(
        id=str(uuid.uuid4()),
        machine=row.machine,
        plan=row.plan,
        step=row.key,
        fence=orders.next_fence(connection, row.machine),
        nonce=nonce,
        kind=OrderKind.INSTALL,
        install=_body(tools, row, args, image, permit),
    )
    text = f"install order {order.fence} for {args.host.hostname}: {args.disk.model} {args.disk.serial}"
    return _add(connection, tools.authority, order, text, at=now)


def issue_ceph(
    connection: Connection, authority: Authority, machine: str, *, plan: str, step: str, body: CephOrder, at: float
) -> OrderRow:
    """A new order for the installed system of ``machine``. What the machine works on becomes void: look before.

    Grants are for this machine and become grants of ``plan``. Raises `OrderError` when the system has not reported since
    it started, a grant names another machine, or the appliance itself would do more than have a monitor.
    """
    environment = environment_of(OrderKind.CEPH, machine) or Environment.INSTALLED
    row, report = machines.get(connection, machine), inventories.get(connection, machine, environment)
    if row is None or report is None or not report.nonce or report.nonce != row.machine.boot_nonce:
        who = "its agent" if environment is Environment.ARBITER else "its installed system"
        raise OrderError(f"{who} has not reported since it started")
    why = arbiter.refusal(body) if machine == APPLIANCE else ""
    if why:
        raise OrderError(f"{step} is not for the boot server: {why}; plan again")
    strange = [grant.serial or grant.wwn for grant in body.grants if grant.machine != machine]
    if strange:
        raise OrderError(f"{step} would write disk {strange[0]} of another machine; plan again")
    order = Order(
        id=str(uuid.uuid4()),
        machine=machine,
        plan=plan,
        step=step,
        fence=orders.next_fence(connection, machine),
        nonce=report.nonce,
        kind=OrderKind.CEPH,
        ceph=_of_plan(body, plan),
    )
    what = f"{body.action} {body.daemon}".strip()
    return _add(connection, authority, order, f"ceph order {order.fence}: {what}", at=at)


def secret_names(body: CephOrder) -> frozenset[str]:
    """Names of the secrets that an order needs: nothing else is given out for it."""
    names = {*(file.secret for file in body.secrets), *(command.secret for command in body.commands)}
    names |= {namespace.secret for namespace in body.namespaces}
    return frozenset(names | ({body.store.secret} if body.store else set())) - {""}


def _of_plan(body: CephOrder, plan: str) -> CephOrder:
    """A step cannot name its plan, whose hash covers it: its grants become the plan's when it is told to a machine."""
    osd = body.osd
    if osd is not None:
        osd = replace(
            osd,
            data=replace(osd.data, plan=plan),
            db=None if osd.db is None else replace(osd.db, plan=plan),
            wal=None if osd.wal is None else replace(osd.wal, plan=plan),
        )
    return replace(body, osd=osd, zap=tuple(replace(grant, plan=plan) for grant in body.zap))


def issue_again(connection: Connection, tools: Tools, before: OrderRow, *, nonce: str) -> OrderRow:
    """The same order for another boot of its machine, with a higher fence; the one before becomes void.

    Its body stays what it was, so that an interrupted install goes on with exactly what it began with.
    """
    fence = orders.next_fence(connection, before.machine)
    order = replace(tools.authority.verify(before.signed), id=str(uuid.uuid4()), fence=fence, nonce=nonce)
    text = f"{order.kind} order {fence} replaces {before.fence}: the machine was restarted"
    return _add(connection, tools.authority, order, text, at=tools.clock.now())


def _add(connection: Connection, authority: Authority, order: Order, text: str, *, at: float) -> OrderRow:
    signed = authority.sign(order)
    row = OrderRow(
        id=order.id,
        machine=order.machine,
        plan=order.plan,
        step=order.step,
        fence=order.fence,
        nonce=order.nonce,
        kind=order.kind,
        payload=signed.payload,
        signature=signed.signature,
        state=OrderState.OPEN,
        stage="",
        fraction=0.0,
        message="",
        created=at,
        updated=at,
    )
    orders.add(connection, row)
    if order.step == ASK:  # every few seconds, and nothing is done: no line of anybody's story
        log.debug("machine=%s step=%s why=%s", order.machine, order.step, text)
        return row
    data = {"order": order.id, "fence": order.fence, "step": order.step}
    events.add(connection, at=at, machine=order.machine, kind=Happening.ORDER, text=text, data=data)
    log.info("machine=%s step=%s why=%s", order.machine, order.step, text)
    return row


def _body(tools: Tools, row: StepRow, args: InstallArgs, image: ArtefactRow, permit: PermitRow) -> InstallOrder:
    disk = args.disk
    return InstallOrder(
        permit=permit.id,
        hostname=args.host.hostname,
        grant=DiskGrant(
            machine=row.machine,
            plan=row.plan,
            serial=disk.serial,
            wwn=disk.wwn,
            model=disk.model,
            size=disk.size,
            fingerprint=disk.fingerprint,
        ),
        partitions=args.partitions,
        image=image_reference(image, tools.settings.public_url),
        files=tools.render(image, args.host, args.partitions),
    )


def image_reference(image: ArtefactRow, public_url: str) -> ImageRef:
    """What the agent needs to stream and verify a registered root image; `OrderError` when its manifest is not one."""
    manifest = image.document
    try:
        return ImageRef(
            name=image.name,
            url=f"{public_url}/artefacts/{image.sha256}/{image.name}",
            size=image.size,
            sha256=image.sha256,
            chunk_size=int(manifest["chunk_size"]),
            chunks=tuple(str(chunk) for chunk in manifest["chunks"]),
            unpacked=int(manifest["unpacked"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OrderError(f"the root image {image.sha256[:12]} has no usable manifest: build it again") from error
