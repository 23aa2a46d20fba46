"""Disks as a person counts them: one entry per thing that can be pulled out of the machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agent.probe.nics import PCI
from agent.probe.tree import Tree
from agent.wire import Content, Disk, ProbeFailure, Smart

BLOCK = "sys/block"
NOT_A_DISK = re.compile(
    r"(sr|fd|loop|ram|zram|nbd|dm-|md|drbd|rbd|zd|bcache)\d+|nvme\d+c\d+n\d+|mmcblk\d+(boot\d+|rpmb)"
)
"""CD and floppy drives, what software makes, the boot areas of eMMC, and NVMe's path devices: ``nvme0c0n1`` is one way to
``nvme0n1`` (seen with QEMU's NVMe in a subsystem, and with every dual ported drive)."""

SECTOR = 512
"""The unit of sysfs' ``size``, whatever the disk's sectors are."""

TRANSPORTS = (
    (re.compile(r"/virtio\d+"), "virtio"),
    (re.compile(r"/usb\d+/"), "usb"),
    (re.compile(r"/ata\d+/"), "sata"),
    (re.compile(r"/end_device-|/sas_"), "sas"),
    (re.compile(r"/rport-"), "fc"),
    (re.compile(r"/session\d+/"), "iscsi"),
    (re.compile(r"/mmc\d+"), "mmc"),
)

ATA_PAGE = 0x89
IDENTIFY = 60  # offset of IDENTIFY DEVICE data in VPD page 89h (SAT-5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a disk grant names. ``size`` in bytes."""

    serial: str
    wwn: str
    model: str
    size: int


def identity(tree: Tree, base: str) -> Identity:
    """``base`` is the disk's folder: ``sys/block/sda``, or ``sys/dev/block/8:0`` for an open descriptor.

    sysfs only: it belongs to the kernel's object, where a link in /dev may still point to a disk that was pulled.
    """
    return Identity(
        serial=_serial(tree, base),
        wwn=_wwn(tree, base),
        model=_model(tree, base),
        size=tree.number(f"{base}/size") * SECTOR,
    )


def _serial(tree: Tree, base: str) -> str:
    """NVMe and virtio say it themselves, SCSI and SATA in VPD page 80h, USB on the device above."""
    shown = tree.text(f"{base}/serial") or tree.text(f"{base}/device/serial")
    page = tree.raw(f"{base}/device/vpd_pg80")
    paged = page[4 : 4 + int.from_bytes(page[2:4], "big")].strip(b"\0 ").decode("ascii", "replace")
    return shown or paged or _usb_serial(tree, base)


def _usb_serial(tree: Tree, base: str) -> str:
    parts = tree.real(base).split("/")
    if not any(part.startswith("usb") for part in parts):
        return ""
    for depth in range(len(parts), 3, -1):
        found = tree.text(f"{'/'.join(parts[:depth])}/serial")
        if found:
            return found
    return ""


def _wwn(tree: Tree, base: str) -> str:
    """The kernel's wwid, unless SCSI made it up from vendor and serial (``t10.``). NVMe's ``nvme.`` form is kept: it
    holds the namespace's number, which serial and model do not."""
    wwid = tree.text(f"{base}/wwid") or tree.text(f"{base}/device/wwid")
    return "" if wwid.startswith("t10.") else wwid


def _model(tree: Tree, base: str) -> str:
    """SCSI cuts models off after 16 characters; SATA disks tell the whole in VPD page 89h (words with bytes swapped)."""
    page = tree.raw(f"{base}/device/vpd_pg89")
    if tree.text(f"{base}/device/vendor") == "ATA" and len(page) >= IDENTIFY + 94 and page[1] == ATA_PAGE:
        words = page[IDENTIFY + 54 : IDENTIFY + 94]
        swapped = bytes(words[index ^ 1] for index in range(len(words)))
        name = swapped.strip(b"\0 ").decode("ascii", "replace")
        if name:
            return " ".join(name.split())
    return " ".join(tree.text(f"{base}/device/model").split())


def disk_names(tree: Tree) -> list[str]:
    """Kernel names of real disks with a medium."""
    return [
        name
        for name in tree.names(BLOCK)
        if not NOT_A_DISK.fullmatch(name)
        and tree.exists(f"{BLOCK}/{name}/device")
        and tree.text(f"{BLOCK}/{name}/hidden") != "1"
        and tree.number(f"{BLOCK}/{name}/size") > 0
    ]


def disks(
    tree: Tree, look: Callable[[Path, bool], Content], health: Callable[[str, str], Smart | None]
) -> tuple[tuple[Disk, ...], tuple[ProbeFailure, ...]]:
    """All disks sorted by path, legs of a multipath disk merged. ``look(node, in_use)`` reads the content,
    ``health(node, transport)`` SMART; a disk whose content can't be read is reported with empty content and a failure."""
    links = _links(tree, "dev/disk/by-id")
    bus_links = _links(tree, "dev/disk/by-path")
    busy = _mounted(tree)
    found: list[Disk] = []
    failures: list[ProbeFailure] = []
    for name in disk_names(tree):
        disk = _disk(tree, name, links.get(name, ()), bus_links.get(name, ()))
        in_use = _in_use(tree, name, busy)
        try:
            disk = replace(disk, content=look(tree.path(f"dev/{name}"), in_use))
        except OSError as error:
            failures.append(ProbeFailure(probe=f"content of /dev/{name}", message=str(error)))
            disk = replace(disk, content=Content(in_use=in_use))
        found.append(replace(disk, smart=health(disk.path, disk.transport)))
    return merge_paths(found), tuple(failures)


def _disk(tree: Tree, name: str, by_id: tuple[str, ...], by_path: tuple[str, ...]) -> Disk:
    base = f"{BLOCK}/{name}"
    who = identity(tree, base)
    where = tree.real(base)
    pci = PCI.findall(where)
    return Disk(
        path=f"/dev/{name}",
        size=who.size,
        serial=who.serial,
        wwn=who.wwn,
        model=who.model,
        vendor=tree.text(f"{base}/device/vendor"),
        firmware=tree.text(f"{base}/device/firmware_rev") or tree.text(f"{base}/device/rev"),
        transport=_transport(name, where),
        rotational=tree.text(f"{base}/queue/rotational") == "1",
        removable=tree.text(f"{base}/removable") == "1",
        read_only=tree.text(f"{base}/ro") == "1",
        logical_sector=tree.number(f"{base}/queue/logical_block_size", 512),
        physical_sector=tree.number(f"{base}/queue/physical_block_size", 512),
        bus_path=by_path[0] if by_path else (f"pci-{pci[-1]}" if pci else ""),
        paths=max(1, len(_nvme_paths(tree, name))),
        by_id=by_id,
    )


def _transport(name: str, where: str) -> str:
    if name.startswith("nvme"):
        return "nvme"
    return next((word for pattern, word in TRANSPORTS if pattern.search(f"/{where}")), "scsi")


def _nvme_paths(tree: Tree, name: str) -> list[str]:
    found = re.fullmatch(r"nvme(\d+)n(\d+)", name)
    if not found:
        return []
    pattern = re.compile(rf"nvme{found[1]}c\d+n{found[2]}")
    return [other for other in tree.names(BLOCK) if pattern.fullmatch(other)]


def _links(tree: Tree, folder: str) -> dict[str, tuple[str, ...]]:
    """Kernel name → udev's links to it, sorted."""
    found: dict[str, tuple[str, ...]] = {}
    for link in tree.names(folder):
        target = tree.real(f"{folder}/{link}").rpartition("/")[2]
        found[target] = (*found.get(target, ()), link)
    return found


def partition_names(tree: Tree, name: str) -> list[str]:
    """Kernel names of the partitions that the kernel knows on a disk."""
    base = f"{BLOCK}/{name}"
    return [child for child in tree.names(base) if tree.exists(f"{base}/{child}/partition")]


def _mounted(tree: Tree) -> frozenset[str]:
    """``major:minor`` of everything mounted; kernel names of mount sources (btrfs and bcachefs mount as ``0:47`` from
    ``/dev/sdc1:/dev/sdc2``) and of everything swapped to."""
    found: set[str] = set()
    for line in tree.text("proc/self/mountinfo").splitlines():
        place, _, source = line.partition(" - ")
        found.update(place.split()[2:3])
        for node in " ".join(source.split()[1:2]).split(":"):
            if node.startswith("/dev/"):
                found.add(node.rpartition("/")[2])
    for line in tree.text("proc/swaps").splitlines()[1:]:
        found.update(node.rpartition("/")[2] for node in line.split()[:1])
    return frozenset(found)


def _in_use(tree: Tree, name: str, busy: frozenset[str]) -> bool:
    base = f"{BLOCK}/{name}"
    for part in [base, *(f"{base}/{child}" for child in partition_names(tree, name))]:
        if tree.names(f"{part}/holders") or tree.text(f"{part}/dev") in busy or part.rpartition("/")[2] in busy:
            return True
    return False


def merge_paths(found: list[Disk]) -> tuple[Disk, ...]:
    """Two nodes with one WWN, serial, model, size *and* content are two ways to one disk.

    Same WWN but different content are two disks that lie (clones, sloppy firmware): they stay two, so that a grant that
    fits both is refused.
    """
    groups: dict[object, list[Disk]] = {}
    for disk in sorted(found, key=lambda item: item.path):
        shared = disk.wwn and disk.transport != "nvme" and disk.content.edges
        key = (
            (disk.wwn, disk.serial, disk.model, disk.size, disk.content.fingerprint())
            if shared
            else ("node", disk.path)
        )
        groups.setdefault(key, []).append(disk)
    return tuple(_merged(legs) for legs in groups.values())


def _merged(legs: list[Disk]) -> Disk:
    first = legs[0]
    if len(legs) == 1:
        return first
    in_use = any(leg.content.in_use for leg in legs)
    return replace(
        first,
        paths=len(legs),
        by_id=tuple(sorted({link for leg in legs for link in leg.by_id})),
        content=replace(first.content, in_use=in_use),
    )
