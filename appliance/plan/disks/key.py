"""What a disk is told from others by. NVMe namespaces and the paths of one disk share a serial, so the WWN belongs to it."""

from __future__ import annotations

from agent.wire import Disk
from appliance.model.ceph import DiskRef
from appliance.model.observed import Replacement
from appliance.model.plan import DiskChoice
from hwprofiles.normal import serial_key

AnyDisk = Disk | DiskRef | DiskChoice | Replacement
DiskKey = tuple[str, str, str]
"""Machine, comparable serial, WWN in lower case: which disk of the site."""


def label(disk: AnyDisk) -> tuple[str, str]:
    """Serial as it is compared, and WWN in lower case: which disk of its machine."""
    return serial_key(disk.serial), disk.wwn.lower()


def disk_key(machine: str, disk: AnyDisk) -> DiskKey:
    """The same for a disk of the site."""
    return machine, *label(disk)
