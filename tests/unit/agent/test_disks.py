"""Which block devices are disks, and what they are called; on fake sysfs trees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.probe.disks import disk_names, disks, identity, merge_paths
from agent.probe.tree import Tree
from agent.wire import Content, Disk

SECTORS = 2_097_152


def block(root: Path, name: str, where: str, **attributes: str | bytes) -> Path:
    """A block device at ``sys/devices/<where>/block/<name>``, linked from sys/block and sys/dev/block."""
    folder = root / "sys/devices" / where / "block" / name
    folder.mkdir(parents=True)
    facts: dict[str, str | bytes] = {"size": str(SECTORS), "ro": "0", "removable": "0", **attributes}
    for key, value in facts.items():
        path = folder / key.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value if isinstance(value, bytes) else f"{value}\n".encode())
    (root / "sys/block").mkdir(parents=True, exist_ok=True)
    (root / "sys/block" / name).symlink_to(Path("../devices") / where / "block" / name)
    return folder


def page80(serial: str) -> bytes:
    return b"\0\x80" + len(serial).to_bytes(2, "big") + serial.encode()


@pytest.fixture
def zoo(fake_root: Path) -> Tree:
    """What a storage server with everything in it shows."""
    nvme = {"device__model": "SAMSUNG MZ", "device__serial": "S6EJ", "wwid": "eui.0025384b21b0ab01"}
    pci = "pci0000:00/0000:00:01.1/0000:01:00.0"
    block(fake_root, "nvme0n1", f"{pci}/nvme/nvme0", **nvme)
    block(fake_root, "nvme0c0n1", f"{pci}/nvme/nvme0x", device__x="1")
    block(fake_root, "nvme0c1n1", f"{pci}/nvme/nvme0y", device__x="1")
    sata = "pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0"
    page = bytearray(600)
    page[1] = 0x89
    name = "HGST HUS728T8TALE6L4".ljust(40).encode()
    page[60 + 54 : 60 + 94] = bytes(name[index ^ 1] for index in range(40))
    block(
        fake_root, "sda", sata, device__vendor="ATA     ", device__model="HGST HUS728T8TAL",
        device__vpd_pg80=page80("VDJKG9LK".rjust(20)), device__vpd_pg89=bytes(page), device__wwid="naa.5000cca0bbe5f8c8",
    )  # fmt: skip
    sas = "pci0000:40/0000:40:01.1/0000:41:00.0/host0/port-0:{0}/end_device-0:{0}/target0:0:{0}/0:0:{0}:0"
    for index, leg in enumerate(("sdb", "sdc")):
        block(
            fake_root, leg, sas.format(index), device__vendor="SEAGATE", device__model="ST16000NM004J",
            device__vpd_pg80=page80("ZR50ABCD"), device__wwid="naa.5000c500d8a1b2c3",
        )  # fmt: skip
    usb = "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host9/target9:0:0/9:0:0:0"
    block(fake_root, "sdd", usb, device__vendor="Kingston", removable="1")
    (fake_root / "sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/serial").write_text("0781ABC\n")
    block(fake_root, "vda", "pci0000:00/0000:00:05.0/virtio2", serial="disk-1", device__vendor="0x1af4")
    for name in ("sr0", "fd0", "mmcblk0boot0"):
        block(fake_root, name, f"platform/{name}", device__x="1")
    for name in ("loop0", "ram0", "zram0", "dm-0", "md127", "zd0", "rbd0", "nbd0"):
        block(fake_root, name, f"virtual/{name}")
    block(fake_root, "sde", f"{usb}x", size="0", device__model="Card Reader")
    block(fake_root, "sdf", f"{usb}y", hidden="1", device__model="hidden")
    return Tree(fake_root)


def shown(tree: Tree, content: Content | None = None) -> dict[str, Disk]:
    found, _ = disks(tree, lambda _node, in_use: content or Content(edges="e", in_use=in_use), lambda _n, _t: None)
    return {disk.path.removeprefix("/dev/"): disk for disk in found}


def test_what_counts_as_a_disk(zoo: Tree) -> None:
    assert disk_names(zoo) == ["nvme0n1", "sda", "sdb", "sdc", "sdd", "vda"]
    assert set(shown(zoo)) == {"nvme0n1", "sda", "sdb", "sdd", "vda"}


def test_facts(zoo: Tree) -> None:
    found = shown(zoo)
    facts = {name: (disk.transport, disk.serial, disk.wwn, disk.model, disk.paths) for name, disk in found.items()}
    assert facts == {
        "nvme0n1": ("nvme", "S6EJ", "eui.0025384b21b0ab01", "SAMSUNG MZ", 2),
        "sda": ("sata", "VDJKG9LK", "naa.5000cca0bbe5f8c8", "HGST HUS728T8TALE6L4", 1),
        "sdb": ("sas", "ZR50ABCD", "naa.5000c500d8a1b2c3", "ST16000NM004J", 2),
        "sdd": ("usb", "0781ABC", "", "", 1),
        "vda": ("virtio", "disk-1", "", "", 1),
    }
    assert found["sdd"].removable
    assert found["sdb"].bus_path == "pci-0000:41:00.0"
    assert found["sda"].size == SECTORS * 512


def test_identity_by_device_number_is_the_same(zoo: Tree) -> None:
    (zoo.root / "sys/dev/block").mkdir(parents=True)
    (zoo.root / "sys/dev/block/8:0").symlink_to(zoo.root / "sys/block/sda")
    assert identity(zoo, "sys/dev/block/8:0") == identity(zoo, "sys/block/sda")


def test_udev_links(zoo: Tree) -> None:
    folder = zoo.root / "dev/disk/by-id"
    folder.mkdir(parents=True)
    for link in ("wwn-0x5000cca0bbe5f8c8", "ata-HGST_HUS728T8TALE6L4_VDJKG9LK"):
        (folder / link).symlink_to("../../sda")
    (folder / "wwn-0x5000cca0bbe5f8c8-part1").symlink_to("../../sda1")
    assert shown(zoo)["sda"].by_id == ("ata-HGST_HUS728T8TALE6L4_VDJKG9LK", "wwn-0x5000cca0bbe5f8c8")


def test_in_use_by_holder_mount_swap_and_multi_device_file_systems(zoo: Tree) -> None:
    for disk, number in (("sda", "8:1"), ("vda", "254:1"), ("sdb", "8:17"), ("nvme0n1", "259:1")):
        part = zoo.root / "sys/block" / disk / f"{disk}1"
        (part / "holders").mkdir(parents=True)
        (part / "partition").write_text("1\n")
        (part / "dev").write_text(f"{number}\n")
    assert not any(disk.content.in_use for disk in shown(zoo).values())
    (zoo.root / "sys/block/sda/sda1/holders/dm-0").mkdir()
    (zoo.root / "proc/self").mkdir(parents=True)
    (zoo.root / "proc/self/mountinfo").write_text(
        "90 86 254:1 / /data rw shared:35 - ext4 /dev/whatever rw\n"
        "91 86 0:47 / /btrfs rw - btrfs /dev/sdb1:/dev/sdz9 rw\n"
    )
    (zoo.root / "proc/swaps").write_text("Filename Type Size Used Priority\n/dev/nvme0n1p9 partition 1 0 -2\n")
    assert {name for name, disk in shown(zoo).items() if disk.content.in_use} == {"sda", "vda", "sdb"}
    (zoo.root / "proc/swaps").write_text("Filename Type Size Used Priority\n/dev/nvme0n11 partition 1 0 -2\n")
    assert "nvme0n1" in {name for name, disk in shown(zoo).items() if disk.content.in_use}


def test_unreadable_content_is_a_failure_not_a_blank_disk(zoo: Tree) -> None:
    def look(node: Path, in_use: bool) -> Content:
        if node.name == "sda":
            raise OSError(5, "Input/output error")
        return Content(edges="e")

    found, failures = disks(zoo, look, lambda _n, _t: None)
    broken = next(disk for disk in found if disk.path == "/dev/sda")
    assert (broken.content.blank, broken.content.edges) == (False, "")
    assert [failure.probe for failure in failures] == ["content of /dev/sda"]
    assert "Input/output error" in failures[0].message


def test_clones_with_one_wwn_stay_two() -> None:
    leg = Disk(path="/dev/sda", size=1, serial="S", wwn="naa.1", model="M", transport="sas", content=Content(edges="e"))
    other = replace(leg, path="/dev/sdb")
    assert [disk.paths for disk in merge_paths([other, leg])] == [2]
    assert len(merge_paths([leg, replace(other, content=Content(edges="f"))])) == 2
    assert len(merge_paths([leg, replace(other, serial="T")])) == 2
    assert len(merge_paths([replace(leg, wwn=""), replace(other, wwn="")])) == 2
    assert len(merge_paths([replace(leg, content=Content()), replace(other, content=Content())])) == 2
