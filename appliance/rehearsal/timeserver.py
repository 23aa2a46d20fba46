"""The rack's time server (SNTP, RFC 4330): tells this computer's time, as a site's own servers would.

Clocks of emulated machines start up to a second apart, and Ceph's monitors call 50 ms a skew.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

from pyroute2 import netns

PORT = 123
EPOCH = 2208988800
"""Seconds from 1900, where NTP begins to count, to 1970."""
SERVER = 4 << 3 | 4
"""Version 4, mode server, no leap second ahead."""
SIZE = 48


class TimeServer:
    """Answers on ``address`` inside the namespace, until `close`."""

    def __init__(self, namespace: str, address: str) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(namespace, address), name="time", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self, namespace: str, address: str) -> None:
        netns.setns(namespace)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.bind((address, PORT))
            wire.settimeout(1.0)
            while not self._stop.is_set():
                with contextlib.suppress(OSError):  # nobody asked within a second, or who asked is gone
                    question, who = wire.recvfrom(1024)
                    came = time.time()
                    if len(question) >= SIZE:
                        wire.sendto(answer(question, came, time.time()), who)


def answer(question: bytes, came: float, goes: float) -> bytes:
    """Stratum 1, precise to a millisecond. The asker's own time of sending comes back in it, so that it knows its answer."""
    head = struct.pack("!BBBb", SERVER, 1, question[2], -10)
    roots = struct.pack("!II4s", 0, 0, b"LOCL")
    return head + roots + _stamp(came) + question[40:48] + _stamp(came) + _stamp(goes)


def _stamp(moment: float) -> bytes:
    seconds = int(moment)
    return struct.pack("!II", (seconds + EPOCH) & 0xFFFFFFFF, int((moment - seconds) * (1 << 32)))
