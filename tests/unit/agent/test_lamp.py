"""The lamp of a disk's slot, on fake sysfs trees: a SAS shelf, a server with NPEM, a machine with no lamp at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.act import lamp
from agent.act.ceph import perform
from agent.act.cepherrand import Errand
from agent.cephorder import CephAction, CephOrder, DiskName, Lamp
from agent.errors import CephError, OrderRefusedError
from agent.probe.tree import Tree
from agent.wire import Disk
from tests.unit.agent.test_disks import block

FSID = "7d0f3a52-0c52-5a53-8a3e-1b0a34f3c0de"
SIZE = 1 << 40
SAS = "pci0000:40/0000:40:01.1/0000:41:00.0/host0/port-0:{0}/end_device-0:{0}/target0:0:{0}/0:0:{0}:0"
SHELF = "sys/devices/pci0000:40/0000:40:01.1/0000:41:00.0/host0/port-0:9/target0:0:9/0:0:9:0/enclosure/0:0:9:0"
NVME = "pci0000:60/0000:60:01.1/0000:61:00.0/nvme/nvme{0}"


def disk(name: str, serial: str, **facts: str) -> Disk:
    return Disk(path=f"/dev/{name}", size=SIZE, serial=serial, wwn=f"naa.5{serial.lower()}", model="ST1", **facts)  # type: ignore[arg-type]


def name_of(one: Disk) -> DiskName:
    return DiskName(serial=one.serial, wwn=one.wwn, model=one.model, size=one.size)


def slot(root: Path, number: int, device: str) -> Path:
    """A slot of the shelf with its lamp off, and the link of the disk in it (as the kernel's ``enclosure`` class makes)."""
    folder = root / SHELF / f"Slot {number:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "locate").write_text("0\n")
    if device:
        link = root / "sys/devices" / SAS.format(number) / "block" / device / "device"
        link.mkdir(parents=True, exist_ok=True)
        (link / f"enclosure_device:Slot {number:02d}").symlink_to(folder)
    return folder / "locate"


OLD = disk("sda", "OLD1", bus_path="pci-0000:41:00.0-sas-phy3")
OTHER = disk("sdb", "OTHER")
NEW = disk("sdc", "NEW1")


@pytest.fixture
def shelf(fake_root: Path) -> Tree:
    block(fake_root, "sda", SAS.format(3))
    block(fake_root, "sdb", SAS.format(4))
    slot(fake_root, 3, "sda")
    slot(fake_root, 4, "sdb")
    return Tree(fake_root)


def lit(tree: Tree) -> list[str]:
    return [name for name in tree.names(SHELF) if tree.text(f"{SHELF}/{name}/locate") == "1"]


def errand(order: CephOrder, disks: Sequence[Disk]) -> Errand:
    return Errand(
        order=order,
        machine="m-1",
        plan="p",
        disks=lambda: disks,
        secrets=lambda name: name,
        daemons=None,  # type: ignore[arg-type]
        tell=lambda *_: None,
    )


def order(on: bool, other: Disk | None = None) -> CephOrder:
    wanted = Lamp(on=on, disk=name_of(OLD), other=name_of(other) if other else None)
    return CephOrder(action=CephAction.LOCATE, fsid=FSID, daemon="3", lamp=wanted)


def test_the_lamp_of_the_disks_own_slot_is_lit(shelf: Tree) -> None:
    said = lamp.perform(errand(order(on=True), [OLD, OTHER]), shelf)
    assert lit(shelf) == ["Slot 03"]
    assert said == (
        "the lamp of disk OLD1 is on; it is /dev/sda, at pci-0000:41:00.0-sas-phy3, in Slot 03 of enclosure 0:0:9:0, "
        "serial OLD1"
    )
    assert lamp.perform(errand(order(on=True), [OLD, OTHER]), shelf) == said, "the same order again changes nothing"


def test_it_is_put_out_although_the_disk_is_gone(shelf: Tree) -> None:
    lamp.perform(errand(order(on=True), [OLD, OTHER]), shelf)
    link = shelf.path(f"sys/devices/{SAS.format(3)}/block/sda/device/enclosure_device:Slot 03")
    link.unlink()
    assert lamp.perform(errand(order(on=False), [OTHER]), shelf) == "its lamp is off"
    assert lit(shelf) == []
    assert lamp.perform(errand(order(on=False), [OTHER]), shelf) == "there is no lamp to put out"


def test_it_is_put_out_by_the_disk_that_took_its_slot(shelf: Tree) -> None:
    """The agent's note is lost (the system was installed anew): the new disk is in the slot."""
    lamp.perform(errand(order(on=True), [OLD, OTHER]), shelf)
    for note in shelf.path(lamp.NOTES).iterdir():
        note.unlink()
    shelf.path(f"sys/devices/{SAS.format(3)}/block/sda").rename(shelf.path(f"sys/devices/{SAS.format(3)}/block/sdc"))
    shelf.path("sys/block/sda").unlink()
    shelf.path("sys/block/sdc").symlink_to(Path("../devices") / SAS.format(3) / "block/sdc")
    assert lamp.perform(errand(order(on=False, other=NEW), [NEW, OTHER]), shelf) == "its lamp is off"
    assert lit(shelf) == []


def test_npem_of_the_port_above_an_nvme_disk(fake_root: Path) -> None:
    block(fake_root, "nvme0n1", NVME.format(0))
    block(fake_root, "nvme1n1", NVME.format(1).replace("0000:61", "0000:62").replace("60:01.1", "60:01.2"))
    led = fake_root / "sys/devices/pci0000:60/0000:60:01.1/leds/0000:60:01.1:enclosure:locate"
    led.mkdir(parents=True)
    (led / "brightness").write_text("0\n")
    slots = fake_root / "sys/bus/pci/slots/7"
    slots.mkdir(parents=True)
    (slots / "address").write_text("0000:61:00\n")
    tree = Tree(fake_root)
    one, other = disk("nvme0n1", "OLD1"), disk("nvme1n1", "N2")
    said = lamp.light(tree, name_of(one), [one, other])
    assert (led / "brightness").read_text() == "1\n"
    assert said == "the lamp of disk OLD1 is on; it is /dev/nvme0n1, in PCI slot 7, serial OLD1"
    assert "no lamp is known" in lamp.light(tree, name_of(other), [one, other])
    assert lamp.put_out(tree, name_of(one), [], []) == "its lamp is off"
    assert (led / "brightness").read_text() == "0\n"


def test_without_a_lamp_the_place_is_said(fake_root: Path) -> None:
    block(fake_root, "sda", "pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0")
    said = lamp.light(Tree(fake_root), name_of(OLD), [OLD])
    assert said == "no lamp is known for disk OLD1; it is /dev/sda, at pci-0000:41:00.0-sas-phy3, serial OLD1"
    assert not (fake_root / lamp.NOTES).exists()


def test_a_disk_that_is_gone_or_not_unique_lights_nothing(shelf: Tree) -> None:
    assert "is not there any more" in lamp.light(shelf, name_of(OLD), [OTHER])
    assert "is not there any more" in lamp.light(shelf, name_of(OLD), [OLD, OLD])
    assert lit(shelf) == []


def test_an_enclosure_that_does_not_obey_is_an_error(shelf: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", lambda *_args, **_more: 0)
    with pytest.raises(CephError, match="does not do what it is told"):
        lamp.light(shelf, name_of(OLD), [OLD])


def test_serials_lead_nowhere_else(shelf: Tree) -> None:
    odd = Disk(path="/dev/sda", size=SIZE, serial="../../etc/x", wwn="", model="ST1")
    lamp.light(shelf, name_of(odd), [odd])
    assert [path.name for path in shelf.path(lamp.NOTES).iterdir()] == ["______etc_x"]


def test_the_order_goes_through_the_agents_one_gate(fake_root: Path) -> None:
    """By the table of actions, as an order of the appliance; one that names no disk is refused."""
    asked = errand(CephOrder(action=CephAction.LOCATE, fsid=FSID), [])
    with pytest.raises(OrderRefusedError, match="names none"):
        perform(asked.order, "m-1", "p", asked.disks, asked.secrets, asked.daemons, asked.tell)
