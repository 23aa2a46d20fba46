"""The rack's IPv6 router: sends router advertisements (RFC 4861 §4.2), and routes nothing.

QEMU's ROM (iPXE of 2019) waits 15 s for one before it believes its DHCPv4 answer, and burns a processor meanwhile. Most
networks have a router; so has this rack.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from pyroute2 import netns

PREFIX = "fd77::"
EVERY_SECONDS = 1.5
ALL_NODES = "ff02::1"


class Router:
    """Advertises ``fd77::/64`` for address configuration on one interface of the namespace, until `close`."""

    def __init__(self, namespace: str, interface: str) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(namespace, interface), name="router", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send no more."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self, namespace: str, interface: str) -> None:
        netns.setns(namespace)
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as wire:
            wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
            index = socket.if_nametoindex(interface)
            wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            while not self._stop.wait(EVERY_SECONDS):
                with contextlib.suppress(OSError):  # while nothing is switched on there is no carrier and no address
                    wire.sendto(advertisement(), (ALL_NODES, 0, 0, index))


def advertisement() -> bytes:
    """Type 134: no default route (lifetime 0), no DHCPv6, one prefix for stateless address configuration. The kernel fills
    in the checksum."""
    header = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0)
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0x80 | 0x40, 3600, 1800, 0) + socket.inet_pton(socket.AF_INET6, PREFIX)
    return header + prefix
