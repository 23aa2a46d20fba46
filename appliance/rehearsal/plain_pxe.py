"""Makes an ordinary PXE ROM of QEMU's: frames pass through here, and its DHCP packets lose what says "I am iPXE".

Every ROM that QEMU has is an iPXE, which a boot server may hand a script at once. Server hardware has Intel's or Broadcom's
ROM, which gets a loader by TFTP first. So until the machine has asked for a loader, options 77 (user class) and 175 (iPXE)
get private numbers (224, 225: RFC 3942) and the packet is else the ROM's own; the loader then speaks for itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import threading

from pyroute2 import netns

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
RENUMBERED = {77: 224, 175: 225}
ETHERNET, UDP, DHCP_SERVER, TFTP = 14, 17, 67, 69
OPTIONS_AT = 240
"""Length of a BOOTP packet up to and with the magic cookie (RFC 2131)."""


class PlainPxe:
    """Joins ``tap`` (on the rack's bridge) and QEMU's ``-netdev socket,udp=…`` on two ports of the namespace's loopback."""

    def __init__(self, namespace: str, tap: str) -> None:
        self.tap = tap
        self.ours = 0
        self.qemus = 0
        self._disguised = True
        self._stop, self._stopped = os.pipe()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(namespace, ready), name=f"pxe-{tap}", daemon=True)
        self._thread.start()
        ready.wait(timeout=10)

    def power_on(self) -> None:
        """The ROM speaks first again."""
        self._disguised = True

    def close(self) -> None:
        """Stop passing frames."""
        os.close(self._stopped)
        self._thread.join(timeout=5)
        os.close(self._stop)

    def _run(self, namespace: str, ready: threading.Event) -> None:
        netns.setns(namespace)
        tap = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", self.tap.encode(), IFF_TAP | IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire, socket.socket(type=socket.SOCK_DGRAM) as spare:
            wire.bind(("127.0.0.1", 0))
            spare.bind(("127.0.0.1", 0))
            self.ours, self.qemus = wire.getsockname()[1], spare.getsockname()[1]
            spare.close()
            ready.set()
            self._pass(tap, wire)
        os.close(tap)

    def _pass(self, tap: int, wire: socket.socket) -> None:
        while True:
            readable, _, _ = select.select([tap, wire.fileno(), self._stop], [], [])
            if self._stop in readable:
                return
            with contextlib.suppress(OSError):  # QEMU is switched off: frames are lost, as on an unplugged cable
                if tap in readable:
                    wire.sendto(os.read(tap, 65536), ("127.0.0.1", self.qemus))
                if wire.fileno() in readable:
                    os.write(tap, self._outgoing(wire.recv(65536)))

    def _outgoing(self, frame: bytes) -> bytes:
        port = udp_port(frame)
        if port == TFTP:
            self._disguised = False
        return renumber(frame) if port == DHCP_SERVER and self._disguised else frame


def udp_port(frame: bytes) -> int:
    """The UDP destination port of an Ethernet frame with IPv4, else 0."""
    if len(frame) < ETHERNET + 28 or frame[12:14] != b"\x08\x00" or frame[ETHERNET + 9] != UDP:
        return 0
    at = ETHERNET + (frame[ETHERNET] & 15) * 4
    return int.from_bytes(frame[at + 2 : at + 4], "big")


def renumber(frame: bytes) -> bytes:
    """The same DHCP frame with `RENUMBERED` options; its UDP checksum becomes 0, "none" (RFC 768)."""
    at = ETHERNET + (frame[ETHERNET] & 15) * 4
    changed = bytearray(frame)
    changed[at + 6 : at + 8] = b"\0\0"
    index = at + 8 + OPTIONS_AT
    while index + 1 < len(changed) and changed[index] != 255:
        if changed[index] == 0:
            index += 1
            continue
        changed[index] = RENUMBERED.get(changed[index], changed[index])
        index += 2 + changed[index + 1]
    return bytes(changed)
