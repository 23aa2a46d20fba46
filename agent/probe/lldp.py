"""Listening for LLDP (IEEE 802.1AB): which switch port each cable ends in."""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence

from agent.wire import Neighbour

ETHERTYPE = 0x88CC
GROUP = bytes.fromhex("0180c200000e")
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_MULTICAST = 263, 1, 0
WINDOW = 65.0
"""Seconds to listen: switches send every 30 s, and links take some seconds to come up."""

END, CHASSIS, PORT, TTL, PORT_DESCRIPTION, SYSTEM_NAME, MANAGEMENT = 0, 1, 2, 3, 4, 5, 8
CHASSIS_MAC, CHASSIS_ADDRESS = 4, 5
PORT_MAC, PORT_ADDRESS = 3, 4
MAXIMUM_NEIGHBOURS = 16


def parse(frame: bytes) -> Neighbour | None:
    """One Ethernet frame. None when it is not LLDP, is cut off, lacks a mandatory TLV, or says goodbye (TTL 0)."""
    if len(frame) < 14 or struct.unpack_from("!H", frame, 12)[0] != ETHERTYPE:
        return None
    values: dict[int, bytes] = {}
    at = 14
    while at + 2 <= len(frame):
        (head,) = struct.unpack_from("!H", frame, at)
        kind, length = head >> 9, head & 0x1FF
        value = frame[at + 2 : at + 2 + length]
        if len(value) != length:
            return None
        at += 2 + length
        if kind == END:
            break
        values.setdefault(kind, value)
    if not all(len(values.get(kind, b"")) >= 2 for kind in (CHASSIS, PORT, TTL)) or values[TTL][:2] == b"\0\0":
        return None
    return Neighbour(
        chassis=_identifier(values[CHASSIS], CHASSIS_MAC, CHASSIS_ADDRESS),
        port=_identifier(values[PORT], PORT_MAC, PORT_ADDRESS),
        system=_text(values.get(SYSTEM_NAME, b"")),
        port_description=_text(values.get(PORT_DESCRIPTION, b"")),
        management=_address(values.get(MANAGEMENT, b"\0")[1:]),
    )


def _identifier(value: bytes, mac: int, address: int) -> str:
    """First byte: subtype; 802.1AB tables 8-2 and 8-3."""
    subtype, rest = value[0], value[1:]
    if subtype == mac and len(rest) == 6:
        return rest.hex(":")
    if subtype == address:
        return _address(rest) or rest.hex()
    return _text(rest)


def _address(value: bytes) -> str:
    """IANA address family, then the address. The management TLV's length byte is already gone."""
    if len(value) >= 5 and value[0] == 1:
        return str(ipaddress.IPv4Address(value[1:5]))
    if len(value) >= 17 and value[0] == 2:
        return str(ipaddress.IPv6Address(value[1:17]))
    return ""


def _text(value: bytes) -> str:
    decoded = value.decode("utf-8", "replace").replace("\0", "").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in decoded)


class Listener:
    """Listens on ports in a thread of its own; `neighbours` may be asked at any time, `settled` says the window is over."""

    def __init__(self, ports: Sequence[str], window: float = WINDOW) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._heard: dict[str, dict[tuple[str, str], Neighbour]] = {}
        self._sockets: dict[socket.socket, str] = {}
        for name in ports:
            with contextlib.suppress(OSError):  # a port that vanished, or no permission: then nothing is heard there
                self._sockets[_socket(name)] = name
        self._thread = threading.Thread(target=self._listen, name="lldp", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def settled(self) -> bool:
        return not self._thread.is_alive()

    def neighbours(self) -> dict[str, tuple[Neighbour, ...]]:
        """Port → who was heard there so far, sorted."""
        with self._lock:
            return {
                name: tuple(sorted(found.values(), key=lambda item: (item.chassis, item.port)))
                for name, found in self._heard.items()
            }

    def _listen(self) -> None:
        end = time.monotonic() + self._window
        while self._sockets and (left := end - time.monotonic()) > 0:
            for ready in select.select(list(self._sockets), [], [], min(left, 1.0))[0]:
                try:
                    frame, address = ready.recvfrom(2048)
                except OSError:
                    del self._sockets[ready]
                    ready.close()
                    continue
                if address[2] != socket.PACKET_OUTGOING:
                    self._take(self._sockets[ready], frame)
        for sock in self._sockets:
            sock.close()

    def _take(self, port: str, frame: bytes) -> None:
        neighbour = parse(frame)
        if neighbour is None:
            return
        with self._lock:
            heard = self._heard.setdefault(port, {})
            if len(heard) < MAXIMUM_NEIGHBOURS:
                heard[neighbour.chassis, neighbour.port] = neighbour


def _socket(name: str) -> socket.socket:
    """A packet socket for LLDP on one port. Without joining the group, a real NIC drops the frames."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.bind((name, ETHERTYPE))
        membership = struct.pack("iHH8s", socket.if_nametoindex(name), PACKET_MR_MULTICAST, len(GROUP), GROUP)
        sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
    except OSError:
        sock.close()
        raise
    return sock
