"""A network interface as the boot servers see it."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

import psutil

from pxe.errors import InterfaceError, PortError
from pxe.ports import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """``mac`` is lower case with colons, ``mtu`` bytes of IP datagram."""

    name: str
    mac: str
    mtu: int
    addresses: tuple[IPv4Interface, ...]

    @property
    def hardware(self) -> bytes:
        """The MAC as six bytes."""
        return bytes.fromhex(self.mac.replace(":", ""))

    def has(self, address: IPv4Address) -> bool:
        """Whether an address is ours on this interface."""
        return any(own.ip == address for own in self.addresses)


def find_links(names: Sequence[str]) -> tuple[Link, ...]:
    """The named interfaces. Raises `InterfaceError` for one that is absent, down or without an IPv4 address."""
    if not names:
        raise InterfaceError("no interface is named: DHCP answers only where it was told to (--interface NAME)")
    present = psutil.net_if_addrs()
    state = psutil.net_if_stats()
    links = []
    for name in names:
        if name not in present or name not in state:
            raise InterfaceError(f"interface {name} is absent; there are: {', '.join(sorted(present))}")
        # Without a cable an interface is up but not running: that is no reason not to start.
        if "up" not in state[name].flags.split(","):
            raise InterfaceError(f"interface {name} is down: ip link set {name} up")
        addresses = tuple(
            IPv4Interface(f"{entry.address}/{entry.netmask or '255.255.255.255'}")
            for entry in present[name]
            if entry.family == socket.AF_INET
        )
        if not addresses:
            raise InterfaceError(f"interface {name} has no IPv4 address: ip address add ADDRESS/PREFIX dev {name}")
        macs = [entry.address.lower() for entry in present[name] if entry.family == socket.AF_PACKET]
        mac = macs[0] if macs else "00:00:00:00:00:00"
        links.append(Link(name=name, mac=mac, mtu=state[name].mtu or 1500, addresses=addresses))
    return tuple(links)


def local_pool(link: Link, pools: Iterable[Pool]) -> Pool | None:
    """The pool that this interface serves without a relay: the one whose ``subnet`` is an address of the interface."""
    for pool in pools:
        if link.has(pool.subnet.ip):
            return pool
    return None


def open_udp(link: Link, port: int) -> socket.socket:
    """A UDP socket on one interface only, non-blocking, allowed to broadcast. Raises `PortError`."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.bind(("0.0.0.0", port))
    except OSError as error:
        opened.close()
        raise PortError(
            f"can't open UDP port {port} on {link.name}: {error.strerror}. "
            f"Is another server using it (ss -lunp 'sport = :{port}'), and do we have the right to (root, or "
            "CAP_NET_BIND_SERVICE and CAP_NET_RAW)?"
        ) from error
    return opened
