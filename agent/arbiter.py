"""What the agent on the boot server carries out, of all that machines may be told: one monitor of Ceph, nothing else.

The boot server is nobody's to install, to restart or to erase. The appliance asks `refusal` before it signs an order for
this machine, the agent asks it again before it does anything.
"""

from __future__ import annotations

from dataclasses import fields

from agent.cephorder import CephAction, CephOrder

MACHINE = "appliance"
"""The machine's id, and the name of its monitor."""
ACTIONS = frozenset({CephAction.CONFIGURE, CephAction.MON, CephAction.STOP, CephAction.REMOVE})
USED = frozenset({"action", "fsid", "daemon", "kind", "address", "monitors", "files", "secrets"})
"""Fields of an order that may say something: one that is added later is refused until it is looked at here."""
FILES = frozenset({"/etc/ceph/ceph.conf"})
KEYRINGS = frozenset({("mon.", ""), ("client.admin", "/etc/ceph/ceph.client.admin.keyring")})
"""Keys by entity and path. The monitor's is only needed while its store is made."""


def refusal(order: CephOrder) -> str:
    """Why this order is not for the boot server, in words; empty when it is."""
    if order.grants or order.osd is not None:
        return "it would write disks: nothing on the boot server is ever erased"
    if order.action not in ACTIONS:
        return f"it is to {order.action}: the boot server only has a monitor"
    if order.kind != "mon":
        return f"it is about {order.kind or 'no kind of daemon'}: the boot server only has a monitor"
    if order.action is not CephAction.CONFIGURE and order.daemon != MACHINE:
        return f"it is about mon.{order.daemon}: the monitor here is mon.{MACHINE}"
    more = [
        field.name for field in fields(order) if field.name not in USED and getattr(order, field.name) != field.default
    ]
    if more:
        return f"it carries more than a monitor needs: {', '.join(more)}"
    strange = [item.path for item in order.files if item.path not in FILES]
    strange += [item.path or item.entity for item in order.secrets if (item.entity, item.path) not in KEYRINGS]
    return f"it would write {', '.join(strange)}: a monitor has no such file" if strange else ""
