"""Which disks never become part of an OSD, and why, each reason by name.

The rules are those of ceph-volume's ``Device`` (18.2.7: read-only, below 5 GiB, partition table, file system, LVM,
BlueStore label, in use) and of `ceph.md` §4 (removable, USB, SD, virtual media, failing, not identifiable). What is *on*
a disk can be granted away by its serial; everything else stays.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from agent.wire import Content, Disk
from appliance.plan.disks.content import describe, signatures
from hwprofiles.normal import serial_key
from hwprofiles.values import show_size

SMALLEST = 5 << 30
"""Bytes that an OSD's device has at least (ceph-volume: ``size < 5368709120`` is "Insufficient space")."""


class Finding(StrEnum):
    """What is wrong with a disk. The first block is about the device, the second about what is on it."""

    REMOVABLE = "removable"
    USB = "usb"
    CARD = "card"
    VIRTUAL_MEDIA = "virtual-media"
    READ_ONLY = "read-only"
    TOO_SMALL = "too-small"
    FAILING = "failing"
    NO_IDENTITY = "no-identity"
    TWIN = "twin"
    PROTECTED = "protected"
    REPLACED = "replaced"
    IN_USE = "in-use"

    BLUESTORE = "bluestore"
    LVM = "lvm"
    ZFS = "zfs"
    RAID = "raid"
    ENCRYPTED = "encrypted"
    FILESYSTEM = "filesystem"
    TABLE = "partition-table"
    DATA = "data"


TEXTS: dict[Finding, str] = {
    Finding.REMOVABLE: "removable; an OSD's disk stays in its machine",
    Finding.USB: "attached by USB, which loses disks and lies about flushes",
    Finding.CARD: "a memory card, which an OSD wears out",
    Finding.VIRTUAL_MEDIA: "virtual media of the BMC",
    Finding.READ_ONLY: "read-only",
    Finding.TOO_SMALL: f"smaller than {SMALLEST >> 30} GiB",
    Finding.FAILING: "SMART says that it is failing; replace it",
    Finding.NO_IDENTITY: "it has neither serial nor WWN; it can't be named safely",
    Finding.TWIN: "another disk of the machine has the same serial and WWN; remove one",
    Finding.PROTECTED: "protected by the site file",
    Finding.REPLACED: "it was replaced: take it out of the machine (to use it again: rackseed replace disk SERIAL --cancel)",
    Finding.IN_USE: "in use: something on it is mounted or assembled",
}
NOUNS: dict[Finding, str] = {
    Finding.BLUESTORE: "an OSD of an earlier Ceph",
    Finding.LVM: "a volume group",
    Finding.ZFS: "a ZFS pool",
    Finding.RAID: "a member of a RAID",
    Finding.ENCRYPTED: "an encrypted volume",
    Finding.FILESYSTEM: "a file system",
    Finding.TABLE: "a partition table",
    Finding.DATA: "unknown data",
}
"""What is on the disk; these are the findings that a grant takes away."""

_KINDS = {
    "ceph_bluestore": Finding.BLUESTORE,
    "LVM1_member": Finding.LVM,
    "LVM2_member": Finding.LVM,
    "zfs_member": Finding.ZFS,
    "crypto_LUKS": Finding.ENCRYPTED,
}
_CEPH_DISK = frozenset(
    {
        "45b0969e-9b03-4f30-b4c6-35865ceff106",
        "4fbd7e29-9d25-41b8-afd0-062c0ceff05d",
        "89c57f98-2fe5-4dc0-89c1-f3ad0ceff2be",
        "cafecafe-9b03-4f30-b4c6-b4b80ceff106",
        "30cd0809-c2b2-499c-8879-2d6b78529876",
        "5ce17fce-4087-4169-b7ff-056cc58473f9",
    }
)
"""GPT types of ceph-disk (before Nautilus): journal, data, being made, BlueStore block, block.db and block.wal."""
_VIRTUAL = ("virtual media", "virtual hdisk", "virtual cdrom", "virtual floppy", "virtual usb", "vmedia", "lcdrive")
"""How BMCs call the drives that they emulate (AMI "Virtual HDISK0", iDRAC "LCDRIVE" and "Virtual Floppy" ...). Not
"virtual disk": that is what RAID controllers and hypervisors call real ones."""

HardwareShape = tuple[int, str, bool, bool, str, str]


def device_findings(disk: Disk) -> tuple[Finding, ...]:
    """What is wrong with the device itself, whatever is on it, the gravest first. In use counts here: no grant helps."""
    found = _hardware((disk.size, disk.transport, disk.removable, disk.read_only, disk.model, disk.vendor))
    if disk.content.in_use:
        found = (*found, Finding.IN_USE)
    if disk.smart is not None and disk.smart.healthy is False:
        found = (*found, Finding.FAILING)
    if not disk.wwn and not serial_key(disk.serial):
        found = (*found, Finding.NO_IDENTITY)
    return found


@lru_cache(maxsize=4096)
def _hardware(shape: HardwareShape) -> tuple[Finding, ...]:
    size, transport, removable, read_only, model, vendor = shape
    name = f"{vendor} {model}".casefold()
    facts = {
        Finding.VIRTUAL_MEDIA: any(word in name for word in _VIRTUAL),
        Finding.USB: transport == "usb",
        Finding.CARD: transport == "mmc",
        Finding.REMOVABLE: removable,
        Finding.READ_ONLY: read_only,
        Finding.TOO_SMALL: size < SMALLEST,
    }
    return tuple(finding for finding, holds in facts.items() if holds)


@lru_cache(maxsize=4096)
def content_findings(content: Content) -> tuple[Finding, ...]:
    """What is on the disk; empty when it is blank."""
    if content.blank:
        return ()
    found = {_kind(signature.kind) for signature in signatures(content)}
    if any(partition.type.lower() in _CEPH_DISK for partition in content.partitions):
        found.add(Finding.BLUESTORE)
    if content.table:
        found.add(Finding.TABLE)
    return tuple(finding for finding in NOUNS if finding in found) or (Finding.DATA,)


def _kind(kind: str) -> Finding:
    if kind.endswith("_raid_member") or kind in {"linux_raid_member", "isw_raid_member", "ddf_raid_member"}:
        return Finding.RAID
    return _KINDS.get(kind, Finding.FILESYSTEM)


@lru_cache(maxsize=4096)
def carries(content: Content) -> str:
    """What is found on a disk, in words: ``carries an OSD of an earlier Ceph: ceph_bluestore 'osd.3' of <fsid>``."""
    found = content_findings(content)
    return f"carries {NOUNS[found[0]]}: {describe(content)}" if found else ""


def explain(disk: Disk, finding: Finding) -> str:
    """One finding in words, with the number where there is one."""
    if finding is Finding.TOO_SMALL:
        return f"{show_size(disk.size)} is {TEXTS[finding]}"
    if finding is Finding.IN_USE and not disk.content.blank:
        return f"{TEXTS[finding]}; it {carries(disk.content)}"
    return TEXTS[finding] if finding in TEXTS else carries(disk.content)
