"""Making orders: the permit, the rendered files, the image, the fence and the signature, in one transaction.

Nothing is made for a machine that is not approved: an order carries host names, keys and addresses, and an install order
allows a disk to be erased. `obstacle` says what is in the way.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from sqlalchemy import Connection

from agent.wire import DiskGrant, Environment, ImageRef, InstallOrder, Order, OrderKind
from appliance.engine.registry import Tools
from appliance.model.machine import Phase, Policy, TroubleKind
from appliance.model.plan import InstallArgs
from appliance.store import artefacts, certificates, events, inventories, machines, orders, permits
from appliance.store.artefacts import ArtefactRow
from appliance.store.certificates import CertificateState
from appliance.store.events import Happening
from appliance.store.orders import OrderRow, OrderState
from appliance.store.permits import PermitRow
from appliance.store.steps import StepRow

log = logging.getLogger(__name__)


class OrderError(Exception):
    """An order cannot be made now. The message says what is missing."""


def obstacle(connection: Connection, machine: str, *, now: float) -> str:
    """Why this machine may not be given an order now, in words; empty when it may."""
    row = machines.get(connection, machine)
    if row is None:
        return "is not known"
    it = row.machine
    if it.trouble and it.trouble.kind is TroubleKind.IDENTITY_CONFLICT:
        return "is in quarantine: another machine claims its identity"
    if it.policy is not Policy.USE:
        return f"has the policy {it.policy}"
    if it.phase not in (Phase.READY, Phase.DEPLOYING):
        return f"is in phase {it.phase}, not ready"
    if not image_certificate(connection, machine, now=now):
        return "has no valid certificate: approve it"
    return ""


def image_certificate(connection: Connection, machine: str, *, now: float) -> bool:
    """Whether the agent image on this machine has a certificate that we accept."""
    return any(
        row.environment is Environment.IMAGE and row.state is CertificateState.CURRENT and row.not_after > now
        for row in certificates.of_machine(connection, machine)
    )


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
    return _add(connection, tools, order, text)


def issue_again(connection: Connection, tools: Tools, before: OrderRow, *, nonce: str) -> OrderRow:
    """The same order for another boot of its machine, with a higher fence; the one before becomes void.

    Its body stays what it was, so that an interrupted install goes on with exactly what it began with.
    """
    fence = orders.next_fence(connection, before.machine)
    order = replace(tools.authority.verify(before.signed), id=str(uuid.uuid4()), fence=fence, nonce=nonce)
    return _add(
        connection, tools, order, f"{order.kind} order {fence} replaces {before.fence}: the machine was restarted"
    )


def _add(connection: Connection, tools: Tools, order: Order, text: str) -> OrderRow:
    signed, now = tools.authority.sign(order), tools.clock.now()
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
        created=now,
        updated=now,
    )
    orders.add(connection, row)
    data = {"order": order.id, "fence": order.fence, "step": order.step}
    events.add(connection, at=now, machine=order.machine, kind=Happening.ORDER, text=text, data=data)
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
