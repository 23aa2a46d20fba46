"""What a plan decides about one disk."""

from __future__ import annotations

from agent.wire import Disk
from appliance.model.plan import DiskChoice, DiskFate
from appliance.plan.disks.content import describe, fingerprint


def disk_choice(machine: str, disk: Disk, fate: DiskFate, role: str, why: str) -> DiskChoice:
    """``machine`` is an id, ``why`` the line that people read; what the disk is and carries now is written beside it."""
    return DiskChoice(
        machine=machine,
        serial=disk.serial,
        wwn=disk.wwn,
        model=disk.model,
        size=disk.size,
        path=disk.path,
        role=role,
        fate=fate,
        now=describe(disk.content),
        why=why,
        fingerprint=fingerprint(disk.content),
    )
