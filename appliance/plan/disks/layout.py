"""How a system disk is cut: for BIOS and UEFI at once, with identifiers that are the same after a retry."""

from __future__ import annotations

import hashlib
import uuid

from agent.wire import Disk, PartitionSpec
from hwprofiles.normal import serial_key

MIB = 1 << 20
BIOS_BOOT = MIB
ESP = 512 * MIB
SMALLEST_ROOT = 2048 * MIB
SMALLEST_DISK = BIOS_BOOT + ESP + SMALLEST_ROOT + 2 * MIB
"""Both partitions, the least root that makes sense, and alignment with both copies of the table."""
ROLES = ("bios-boot", "esp", "root")
_NAMESPACE = uuid.UUID("6f1b0c2e-7d0d-5b38-9d0c-0b9f4f0a6a11")


def partitions(machine: str, disk: Disk) -> tuple[PartitionSpec, ...]:
    """GPT: BIOS boot partition (GRUB's core image), EFI system partition, and the rest for the root file system.

    The GUIDs follow from machine and disk: an install that is done again makes the same ones, and a replaced disk that
    stays in the machine never has the same as its successor.
    """
    bios_boot, esp, root = (_guid(machine, disk, role) for role in ROLES)
    fat = _guid(machine, disk, "esp-filesystem").upper().replace("-", "")
    return (
        PartitionSpec(number=1, role="bios-boot", size=BIOS_BOOT, guid=bios_boot, label="bios-boot"),
        PartitionSpec(
            number=2, role="esp", size=ESP, guid=esp, filesystem="vfat", uuid=f"{fat[:4]}-{fat[4:8]}", label="esp"
        ),
        PartitionSpec(
            number=3,
            role="root",
            size=0,
            guid=root,
            filesystem="ext4",
            uuid=_guid(machine, disk, "root-filesystem"),
            label="root",
        ),
    )


def partition_guids(machine: str, disk: Disk) -> list[str]:
    """GUIDs of the partitions that we make on this disk of this machine, in order."""
    return [_guid(machine, disk, role) for role in ROLES]


def _guid(machine: str, disk: Disk, what: str) -> str:
    """`uuid.uuid5` (RFC 9562 §5.5) as text, without the object: 16 bytes of the SHA-1, with version and variant."""
    name = "\n".join((machine, disk.wwn.lower(), serial_key(disk.serial), what))
    text = hashlib.sha1(_NAMESPACE.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"
