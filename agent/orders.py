"""Whether an order may be carried out: signed by the appliance, for this machine, this boot, and not overtaken."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from agent import wire
from agent.document import WireError, decode, encode
from agent.errors import OrderRefusedError


def verify(signed: wire.SignedOrder, order_key_pem: str) -> wire.Order:
    """The order inside, if its Ed25519 signature and its form hold. Raises `OrderRefusedError`."""

    try:
        payload = base64.b64decode(signed.payload, validate=True)
        signature = base64.b64decode(signed.signature, validate=True)
    except (binascii.Error, ValueError) as error:
        raise OrderRefusedError("the order is not base64") from error
    try:
        key = load_pem_public_key(order_key_pem.encode())
    except ValueError as error:
        raise OrderRefusedError(f"the order key of this site can't be read: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise OrderRefusedError("the order key of this site is not an Ed25519 key")
    try:
        key.verify(signature, payload)
    except InvalidSignature as error:
        raise OrderRefusedError("the signature of the order is wrong: it does not come from our appliance") from error
    try:
        order = decode(wire.Order, payload)
    except WireError as error:
        raise OrderRefusedError(f"the order does not fit this agent's version: {error}") from error
    if encode(order) != payload:
        raise OrderRefusedError("the order is not in canonical form")
    return order


@dataclass(slots=True, kw_only=True)
class Gate:
    """What this run of the agent has seen of orders. ``machine`` is our id, ``nonce`` our boot nonce.

    `finished` keeps the last word on every order, so that the same order asked for again is answered, not done again.
    """

    machine: str
    nonce: str
    fence: int = -1
    finished: dict[str, wire.Progress] = field(default_factory=dict)

    def admit(self, order: wire.Order) -> None:
        """Raises `OrderRefusedError` with the reason; otherwise the order's fence becomes the lowest allowed."""
        if order.machine != self.machine:
            raise OrderRefusedError(f"the order is for machine {order.machine}, this is {self.machine}")
        if order.nonce != self.nonce:
            raise OrderRefusedError("the order is for another boot of this machine")
        if order.fence < self.fence:
            raise OrderRefusedError(f"the order was overtaken: fence {order.fence}, seen {self.fence}")
        self._check_body(order)
        self.fence = order.fence

    def _check_body(self, order: wire.Order) -> None:
        bodies = {
            wire.OrderKind.INSTALL: order.install,
            wire.OrderKind.REBOOT: order.reboot,
            wire.OrderKind.CEPH: order.ceph,
        }
        if [kind for kind, body in bodies.items() if body is not None] != [order.kind]:
            raise OrderRefusedError(f"the order says {order.kind} but carries something else")
        for grant in _grants(order):
            if grant.machine != order.machine:
                raise OrderRefusedError(f"the disk grant is for machine {grant.machine}, the order for {order.machine}")
            if grant.plan != order.plan:
                raise OrderRefusedError("the disk grant belongs to another plan than the order")


def _grants(order: wire.Order) -> tuple[wire.DiskGrant | wire.DeviceGrant, ...]:
    """Every permission to write a disk that the order carries, whatever its kind."""
    if order.install is not None:
        return (order.install.grant,)
    return order.ceph.grants if order.ceph is not None else ()
