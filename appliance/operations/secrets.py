"""Secrets of clusters: made when a plan is accepted, sealed in the store, given to the one machine whose order names them.

No value of a secret is ever in a log, an event, an audit row, a plan or an order.
"""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from agent.wire import Environment, OrderKind, SecretReply
from appliance.effects.cephkeys import access_secret, cephx_key
from appliance.effects.secrets import SecretError
from appliance.engine.orders import environment_of, obstacle, secret_names, withdrawn
from appliance.kinds.ceph import KeyKind, keys
from appliance.model.plan import Plan, StepKind
from appliance.operations import audit
from appliance.operations.context import Actor, Appliance
from appliance.operations.errors import Conflict, NotFound, Unavailable
from appliance.plan.ceph.steps import hosts
from appliance.store import orders, secrets
from appliance.store.orders import ACTIVE

log = logging.getLogger(__name__)


def make_keys(app: Appliance, connection: Connection, actor: Actor, plan: Plan) -> int:
    """Part of accepting a plan: every key that its Ceph steps need and that there is not yet. Returns how many were made.

    A key that is there is never made anew: daemons have it. Raises `Unavailable` when secrets cannot be sealed.
    """
    layout = plan.desired.ceph
    if layout is None or not any(step.kind is StepKind.CEPH for step in plan.steps):
        return 0
    given = {allocation.machine: allocation for allocation in plan.allocations}
    specs = {spec.name: spec for spec in keys(layout, hosts(plan.desired, given))}
    now = app.clock.now()
    new = secrets.missing(connection, specs)
    for name in new:
        value = access_secret() if specs[name].kind is KeyKind.S3 else cephx_key(now)
        secrets.add(connection, name, app.secrets.seal(name, value.encode("ascii")), at=now)
    if new:
        audit.record(connection, app, actor, "secret.make", layout.name, plan=plan.hash, names=list(new))
    return len(new)


def secret_for(
    app: Appliance, machine_id: str, name: str, order_id: str, environment: Environment = Environment.INSTALLED
) -> SecretReply:
    """``GET /agent/v1/secrets/<name>?order=…``: only for an active order of this very machine that names this secret.

    Raises `NotFound` (no such order of this machine, or it names no such secret), `Conflict` (the order is over or
    withdrawn), `Unavailable` (the key file does not fit the database).
    """
    with app.store.read() as connection:
        order = orders.get(connection, order_id)
        if order is None or order.machine != machine_id or order.kind is not OrderKind.CEPH:
            raise NotFound(f"{machine_id} has no order {order_id} that needs secrets")
        why = f"it is {order.state}" if order.state not in ACTIVE else ""
        fits = environment is environment_of(order.kind, machine_id)
        why = why or ("" if fits else "it is for the installed system")
        why = why or withdrawn(connection, order.plan, order.step, order.kind)
        why = why or obstacle(connection, machine_id, now=app.clock.now(), kind=OrderKind.CEPH)
        if why:
            raise Conflict(f"order {order.fence} gives no secrets any more: {why}")
        body = app.authority.verify(order.signed).ceph
        sealed = secrets.get(connection, name) if body is not None and name in secret_names(body) else None
    if sealed is None:
        raise NotFound(f"order {order.fence} of {machine_id} names no secret {name!r}")
    try:
        value = app.secrets.unseal(name, sealed).decode("ascii")
    except SecretError as error:
        log.error("machine=%s step=%s why=%s", machine_id, order.step, error)
        raise Unavailable(str(error)) from error
    log.info("machine=%s step=%s why=given the secret %s", machine_id, order.step, name)
    return SecretReply(secret=value)
