"""The lamp of a disk's slot: set by the kernel's own means, and where there is none the place is said in words.

Where Linux has a lamp for a disk:

- SES enclosures and backplanes (driver ``ses``): the disk's SCSI device links to its slot,
  ``/sys/block/sda/device/enclosure_device:Slot 03``, whose ``locate`` is the lamp (drivers/misc/enclosure.c).
- NVMe behind a port with NPEM (Linux 6.13 and later): a LED of the PCI device or of the port above it, called
  ``…:enclosure:locate`` (drivers/pci/npem.c), whose ``brightness`` is the lamp.

Which lamp was lit for a disk is kept in a file: when it is to be put out, the disk may be gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.act.cepherrand import Errand
from agent.cephorder import DiskName
from agent.errors import CephError, OrderRefusedError
from agent.probe.nics import PCI
from agent.probe.tree import Tree
from agent.wire import Disk

NOTES = "var/lib/rackseed-agent/lamps"
LINK = "enclosure_device:"
NPEM = ":enclosure:locate"


def perform(errand: Errand, tree: Tree | None = None) -> str:
    """Carry out a ``locate``; the message says where the disk is. Raises `OrderRefusedError`, OSError."""
    lamp, where = errand.order.lamp, tree or Tree()
    if lamp is None:
        raise OrderRefusedError("the order to locate a disk names none")
    disks = errand.disks()
    if lamp.on:
        return light(where, lamp.disk, disks)
    return put_out(where, lamp.disk, [lamp.disk, *([lamp.other] if lamp.other else [])], disks)


def light(tree: Tree, wanted: DiskName, disks: Sequence[Disk]) -> str:
    """Light the lamp of one disk. That there is none, or no such disk, is no error: somebody finds it by the words."""
    disk = _find(wanted, disks)
    name = wanted.serial or wanted.wwn
    if disk is None:
        return f"disk {name} is not there any more: its slot is empty, or it is dead; look for the label"
    place = _place(tree, disk)
    found = lamp_of(tree, disk)
    if not found:
        return f"no lamp is known for disk {name}; it is {place}"
    _switch(tree, found, on=True)
    note = tree.path(f"{NOTES}/{_word(wanted)}")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(found + "\n", encoding="utf-8")
    return f"the lamp of disk {name} is on; it is {place}"


def put_out(tree: Tree, wanted: DiskName, names: Sequence[DiskName], disks: Sequence[Disk]) -> str:
    """Put out the lamp that was lit for a disk, and those of ``names`` that are there."""
    note = tree.path(f"{NOTES}/{_word(wanted)}")
    lit = {note.read_text(encoding="utf-8").strip()} if note.is_file() else set()
    there = [disk for disk in (_find(one, disks) for one in names) if disk is not None]
    lit |= {lamp_of(tree, disk) for disk in there}
    out = [found for found in sorted(lit - {""}) if tree.exists(found)]
    for found in out:
        _switch(tree, found, on=False)
    note.unlink(missing_ok=True)
    return "its lamp is off" if out else "there is no lamp to put out"


def lamp_of(tree: Tree, disk: Disk) -> str:
    """The file that switches the lamp of a disk, below the tree's root; empty when the kernel knows none."""
    name = disk.path.rpartition("/")[2]
    base = f"sys/block/{name}/device"
    for link in tree.names(base):
        if link.startswith(LINK) and tree.exists(f"{base}/{link}/locate"):
            return f"{tree.real(f'{base}/{link}')}/locate"
    return _npem(tree, name)


def _npem(tree: Tree, name: str) -> str:
    """A LED of one of the PCI devices above the disk, the nearest first."""
    found = tree.real(f"sys/block/{name}")
    if not name.startswith("nvme"):
        return ""
    parts = found.split("/")
    ports = [parts[: index + 1] for index, part in enumerate(parts) if PCI.fullmatch(part)]
    for path in reversed(ports[-2:]):
        folder = f"{'/'.join(path)}/leds"
        for led in tree.names(folder):
            if led.endswith(NPEM) and tree.exists(f"{folder}/{led}/brightness"):
                return f"{folder}/{led}/brightness"
    return ""


def _switch(tree: Tree, lamp: str, *, on: bool) -> None:
    """Looks first: a slot answers slowly, and an order may come twice."""
    if (tree.text(lamp) not in {"", "0"}) is on:
        return
    tree.path(lamp).write_text("1\n" if on else "0\n", encoding="ascii")
    if (tree.text(lamp) not in {"", "0"}) is not on:
        raise CephError(f"/{lamp} does not do what it is told: see whether its enclosure answers (sg_ses)")


def _find(wanted: DiskName, disks: Sequence[Disk]) -> Disk | None:
    """Exactly one disk of this name."""
    found = [
        d for d in disks if (d.serial, d.wwn, d.model, d.size) == (wanted.serial, wanted.wwn, wanted.model, wanted.size)
    ]
    return found[0] if len(found) == 1 else None


def _place(tree: Tree, disk: Disk) -> str:
    """Bus path, enclosure and slot, as far as the kernel knows them."""
    name = disk.path.rpartition("/")[2]
    words = [disk.path, *([f"at {disk.bus_path}"] if disk.bus_path else [])]
    base = f"sys/block/{name}/device"
    for link in tree.names(base):
        if link.startswith(LINK):
            enclosure = tree.real(f"{base}/{link}").split("/")[-2]
            words.append(f"in {link.removeprefix(LINK).strip()} of enclosure {enclosure}")
    words += [f"in PCI slot {slot}" for slot in _pci_slots(tree, name)]
    return ", ".join([*words, f"serial {disk.serial or '(none)'}"])


def _pci_slots(tree: Tree, name: str) -> list[str]:
    """Names of the hot-plug slots that the disk is in (``/sys/bus/pci/slots/7/address`` is ``0000:41:00``)."""
    devices = {part.rpartition(".")[0] for part in tree.real(f"sys/block/{name}").split("/") if PCI.fullmatch(part)}
    if not name.startswith("nvme"):
        return []
    return [
        slot for slot in tree.names("sys/bus/pci/slots") if tree.text(f"sys/bus/pci/slots/{slot}/address") in devices
    ]


def _word(disk: DiskName) -> str:
    """A file name for a disk: no letter of a serial leads out of the folder."""
    text = disk.wwn or disk.serial
    return Path("".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text) or "unnamed").name
