"""Probes on dumps of real machines: sysfs of util-linux's tests, smartctl of ironlib's."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from agent.probe import processors, smart
from agent.probe.disks import disks
from agent.probe.tree import Tree
from agent.wire import Content, Disk


def unpack(archive: Path, target: Path) -> Tree:
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="tar")
    return Tree(target / archive.name.split(".", maxsplit=1)[0])


def found(tree: Tree) -> dict[str, Disk]:
    shown, failures = disks(
        tree, lambda _node, in_use: Content(in_use=in_use, edges="x"), lambda _node, _transport: None
    )
    assert failures == ()
    return {disk.path.removeprefix("/dev/"): disk for disk in shown}


@pytest.mark.parametrize("name", ["simple-nvme", "simple-lvm", "multi-devs-bcachefs"])
def test_disks_are_those_that_lsblk_shows(corpus: Path, tmp_path: Path, name: str) -> None:
    folder = corpus / "hardware/util-linux/lsblk"
    shown = found(unpack(folder / f"{name}.tar.xz", tmp_path))
    expected = (folder / f"expected/lsblk-{name}-vendor").read_text().splitlines()[1:]
    names = {line.split()[0] for line in expected if line[0].isalpha()}
    assert set(shown) == {item for item in names if not item.startswith(("loop", "sr", "dm-"))}
    for disk in shown.values():
        assert disk.content.in_use, "all of them are mounted in the dump"
        assert disk.serial and disk.size


def test_facts_of_three_kinds_of_disks(corpus: Path, tmp_path: Path) -> None:
    shown = found(unpack(corpus / "hardware/util-linux/lsblk/multi-devs-bcachefs.tar.xz", tmp_path))
    nvme, ssd, hdd, scsi = (shown[name] for name in ("nvme0n1", "sda", "sdb", "sdc"))
    assert (nvme.transport, nvme.wwn, nvme.serial, nvme.model) == (
        "nvme",
        "eui.00000000000000000026b7283b12b315",
        "50026B7283B12B31",
        "KINGSTON SFYR2S1T0",
    )
    assert (ssd.transport, ssd.wwn, ssd.rotational) == ("sata", "naa.50026b724b09a1ff", False)
    assert ssd.model == "KINGSTON SH103S3240G", "SCSI's model field cuts it to KINGSTON SH103S3"
    assert (hdd.wwn, hdd.rotational, hdd.bus_path) == ("", True, "pci-0000:00:1f.2")
    assert scsi.model == "scsi_debug"


@pytest.mark.parametrize(
    ("name", "vendor", "counts"),
    [
        ("x86_64-epyc_7451", "AuthenticAMD", (2, 48, 96)),
        ("x86_64-64cpu", "GenuineIntel", (4, 32, 64)),
        ("arm-A510-A710-A715-X3", "ARM", None),
    ],
)
def test_processors(corpus: Path, tmp_path: Path, name: str, vendor: str, counts: tuple[int, int, int] | None) -> None:
    cpu = processors.cpu(unpack(corpus / f"hardware/util-linux/lscpu/{name}.tar.gz", tmp_path))
    assert cpu.vendor == vendor
    if counts:
        assert (cpu.sockets, cpu.cores, cpu.threads) == counts
    else:
        assert cpu.threads == 8


def test_every_smartctl_dump_has_health(corpus: Path) -> None:
    dumps = [
        path for path in sorted((corpus / "hardware/ironlib").rglob("smartctl/*.json")) if path.name != "scan.json"
    ]
    assert len(dumps) > 10
    for path in dumps:
        health = smart.parse(json.loads(path.read_text()))
        assert health is not None and health.healthy is True, path
        assert health.temperature_celsius is None or 10 < health.temperature_celsius < 80
    worn = smart.parse(json.loads((corpus / "hardware/ironlib/dell/r6515/smartctl/nvme0.json").read_text()))
    spun = smart.parse(json.loads((corpus / "hardware/ironlib/supermicro/x11dph-t/smartctl/sda.json").read_text()))
    assert worn is not None and spun is not None
    assert spun.reallocated is not None and spun.power_on_hours is not None
