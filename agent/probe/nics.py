"""Physical network ports."""

from __future__ import annotations

import re
from typing import Protocol

from agent.probe.tree import Tree
from agent.wire import Nic

NET = "sys/class/net"
PCI = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
"""Never assume domain 0000: an ALTRAD8UD-1L2T has ports at 000c:01:00.0, and VMD makes domains of five digits."""

ETHERNET, INFINIBAND = 1, 32  # ARPHRD_…


class Driver(Protocol):
    """What sysfs does not say; `agent.probe.ethtool.Ethtool` on a real machine."""

    def permanent(self, name: str) -> bytes: ...

    def firmware(self, name: str) -> str: ...

    def fastest(self, name: str) -> int | None: ...


def physical(tree: Tree) -> list[str]:
    """Ports that have a device behind them: no bridges, bonds, VLANs; no virtual functions of another port."""
    return [
        name
        for name in tree.names(NET)
        if tree.exists(f"{NET}/{name}/device")
        and not tree.exists(f"{NET}/{name}/device/physfn")
        and not tree.exists(f"{NET}/{name}/phy80211")
        and tree.number(f"{NET}/{name}/type", ETHERNET) in {ETHERNET, INFINIBAND}
    ]


def nics(tree: Tree, driver: Driver) -> tuple[Nic, ...]:
    """All physical ports, sorted by bus path, then name: the order in which a person counts them."""
    found = [_nic(tree, driver, name) for name in physical(tree)]
    return tuple(sorted(found, key=lambda nic: (nic.bus_path, nic.name)))


def _nic(tree: Tree, driver: Driver, name: str) -> Nic:
    base = f"{NET}/{name}"
    device = tree.real(f"{base}/device")
    mac = _permanent(tree, driver, name)
    speed = tree.number(f"{base}/speed", -1)
    try:
        firmware = driver.firmware(name)
    except OSError:
        firmware = ""
    try:
        fastest = driver.fastest(name)
    except OSError:
        fastest = None
    return Nic(
        name=name,
        mac=mac,
        driver=tree.real(f"{base}/device/driver").rpartition("/")[2] if tree.exists(f"{base}/device/driver") else "",
        bus_path=_bus_path(device, tree.number(f"{base}/dev_port")),
        speed=speed if speed > 0 else None,
        max_speed=fastest,
        carrier=tree.text(f"{base}/carrier") == "1",
        identifying=identifying(mac, device),
        firmware=firmware,
    )


def _permanent(tree: Tree, driver: Driver, name: str) -> str:
    try:
        raw = driver.permanent(name)
    except OSError:
        raw = b""
    if len(raw) >= 6 and any(raw):
        return raw.hex(":")
    return tree.text(f"{NET}/{name}/address").lower()


def identifying(mac: str, device: str) -> bool:
    """Whether the address says something about the machine: six bytes, globally administered, soldered or slotted in.

    USB and CDC ports (also the ones that a BMC pretends to be) go with the adapter, not with the machine.
    """
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", mac):
        return False
    first = int(mac[:2], 16)
    return not first & 0b11 and mac != "00:00:00:00:00:00" and "/usb" not in device


def _bus_path(device: str, port: int) -> str:
    """The PCI function nearest to the port, or the platform device's name; ports after the first get a suffix."""
    found = PCI.findall(device)
    path = found[-1] if found else device.rpartition("/")[2]
    return f"{path}-{port}" if port else path
