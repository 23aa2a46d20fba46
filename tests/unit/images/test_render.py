"""Files of installed systems: goldens, and values that must never reach a file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agent.wire import FileSpec, PartitionSpec
from appliance.model.plan import HostConfig, NicConfig
from images.errors import RenderError
from images.recipe import os_names
from images.render import render

PARTITIONS = (
    PartitionSpec(number=1, role="bios-boot", size=2**20, guid="11111111-0000-4000-8000-000000000001"),
    PartitionSpec(
        number=2,
        role="esp",
        size=2**28,
        guid="11111111-0000-4000-8000-000000000002",
        filesystem="vfat",
        uuid="ABCD-0123",
        label="ESP",
    ),
    PartitionSpec(
        number=3,
        role="root",
        size=0,
        guid="11111111-0000-4000-8000-000000000003",
        filesystem="ext4",
        uuid="11111111-0000-4000-8000-0000000000aa",
        label="root",
    ),
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJr5jVyHwAyEsGr6Jm2B1sVhq6bW5d3pYfSzq6b8u0Qx admin@example"
PORT = NicConfig(
    mac="52:54:00:12:34:56", name="lan0", address="192.0.2.11/24", gateway="192.0.2.1", dns=("192.0.2.53",)
)
STATIC = HostConfig(
    hostname="n1",
    domain="rack.example.org",
    nics=(PORT, NicConfig(mac="52:54:00:12:34:57", name="lan1")),
    ssh_keys=(KEY,),
    time_servers=("192.0.2.1", "ntp.example.org"),
    console="ttyS1,115200n8",
    kernel_arguments=("no_timer_check", "iommu=pt"),
)
DHCP = HostConfig(hostname="n2", domain="", nics=(NicConfig(mac="52:54:00:12:34:58", name="lan0"),))


def as_text(files: tuple[FileSpec, ...]) -> str:
    return "".join(f"==== {file.path} {file.mode:04o}\n{file.content}" for file in files)


@pytest.mark.parametrize(("name", "host"), [("static", STATIC), ("dhcp", DHCP)])
@pytest.mark.parametrize("os_name", os_names())
def test_files(golden: Any, os_name: str, name: str, host: HostConfig) -> None:
    golden.check(f"images/{os_name}-{name}.txt", as_text(render(os_name, host, PARTITIONS)))


def test_keys_are_for_root_only() -> None:
    files = {file.path: file for file in render("debian-13", STATIC, PARTITIONS)}
    assert files["/root/.ssh/authorized_keys"].mode == 0o600
    assert files["/root/.ssh/authorized_keys"].content == KEY + "\n"


def nic(**changes: Any) -> dict[str, Any]:
    return {"nics": (dataclasses.replace(PORT, **changes),)}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"hostname": "n1\nroot::0:0"}, "hostname"),
    ({"hostname": "n1\n"}, "hostname"),
    ({"hostname": ""}, "hostname"),
    ({"hostname": "-n1"}, "hostname"),
    ({"hostname": "n" * 64}, "hostname"),
    ({"hostname": "N1"}, "hostname"),
    ({"domain": "a..b"}, "domain"),
    ({"domain": "a b"}, "domain"),
    ({"ssh_keys": (KEY, KEY + "\nssh-rsa AAAA")}, "ssh_keys[1]"),
    ({"ssh_keys": ('command="x" ' + KEY,)}, "ssh_keys[0]"),
    ({"ssh_keys": ("-----BEGIN OPENSSH PRIVATE KEY-----",)}, "ssh_keys[0]"),
    ({"time_servers": ("a b",)}, "time_servers[0]"),
    ({"time_servers": ("a\nb",)}, "time_servers[0]"),
    ({"console": "ttyS0 init=/bin/sh"}, "console"),
    ({"console": 'ttyS0"'}, "console"),
    ({"kernel_arguments": ('a"; rm -rf /',)}, "kernel_arguments[0]"),
    ({"kernel_arguments": ("$(id)",)}, "kernel_arguments[0]"),
    ({"kernel_arguments": ("a`id`",)}, "kernel_arguments[0]"),
    ({"kernel_arguments": ("a\\",)}, "kernel_arguments[0]"),
    ({"kernel_arguments": ("",)}, "kernel_arguments[0]"),
    (nic(mac="52:54:00:12:34:5G"), "nics[0].mac"),
    (nic(name="../lan0"), "nics[0].name"),
    (nic(name="lan0\n"), "nics[0].name"),
    (nic(name="n" * 16), "nics[0].name"),
    (nic(address="192.0.2.11"), "nics[0].address"),
    (nic(address="192.0.2.300/24"), "nics[0].address"),
    (nic(gateway="192.0.2.1\nDNS=1"), "nics[0].gateway"),
    (nic(address=""), "nics[0].gateway"),
    (nic(dns=("fe80::1%eth0",)), "nics[0].dns[0]"),
    ({"nics": (PORT, PORT)}, "nics"),
]


@pytest.mark.parametrize(("changes", "where"), BAD)
def test_refuses(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(RenderError) as caught:
        render("debian-13", dataclasses.replace(STATIC, **changes), PARTITIONS)
    assert caught.value.where == where


def test_refuses_partitions_without_root_or_uuid() -> None:
    with pytest.raises(RenderError, match="no root partition"):
        render("debian-13", STATIC, PARTITIONS[:2])
    broken = dataclasses.replace(PARTITIONS[2], uuid="x / ext4\n")
    with pytest.raises(RenderError, match=r"partitions\[2\].uuid"):
        render("debian-13", STATIC, (*PARTITIONS[:2], broken))


@pytest.mark.parametrize("name", ["plan9", "../debian-13", ""])
def test_refuses_an_unknown_system(name: str) -> None:
    with pytest.raises(RenderError, match="no templates"):
        render(name, STATIC, PARTITIONS)
