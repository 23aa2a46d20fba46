"""What the disks of a machine look like. Machines that look alike are decided about once.

A site is bought by the rack: ten thousand machines are a few kinds of hardware, new from the box. What becomes of their
disks follows from what the disks are, not from which they are, as long as nothing is said of any of them by its serial and
nothing is on it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from agent.wire import Disk
from appliance.plan.disks.verdict import Claims
from hwprofiles.normal import serial_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """``disks`` in their order (`verdict.in_order`); ``kind`` is equal for machines whose disks differ in nothing but
    serial, WWN, kernel's name, firmware and what is volatile."""

    disks: Sequence[Disk]
    kind: Hashable


_LOOK = attrgetter("size", "transport", "rotational", "removable", "read_only", "model", "vendor", "content")
"""Everything that a decision about a disk looks at, but for its identity and its health."""


def looks(disks: Sequence[Disk], claimed: Claims) -> Looks | None:
    """What these disks (in order) look like, or None when one of them is a case of its own: it carries something, fails,
    or has a serial that is missing, not its own, granted or protected."""
    if not all(disk.content.blank for disk in disks):
        return None
    if any(disk.smart is not None and disk.smart.healthy is False for disk in disks):
        return None
    serials = {serial_key(disk.serial) for disk in disks}
    if len(serials) < len(disks) or not claimed.special.isdisjoint(serials):
        return None
    return Looks(disks=disks, kind=tuple(map(_LOOK, disks)))
