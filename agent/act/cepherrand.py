"""One order for Ceph with everything that it needs of this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.act.cephdaemons import Daemons, Tell
from agent.act.cephdisks import Disks
from agent.wire import CephOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """``machine`` and ``plan`` are the signed order's; grants must say the same. ``disks`` reads what is in the machine
    now, ``secrets`` fetches a key by its name, ``tell`` reports (and raises when the order was withdrawn)."""

    order: CephOrder
    machine: str
    plan: str
    disks: Disks
    secrets: Callable[[str], str]
    daemons: Daemons
    tell: Tell
