"""A load of DHCP clients in one process: ``python -m bench.dhcp_load SECONDS CLIENTS`` prints full exchanges per second.

A fixed number of clients is under way at any time, each doing DISCOVER, OFFER, REQUEST, ACK with a MAC of its own; a new one
starts when one is done. Packets are built by copying templates, so that the load costs less than the servers.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time

COOKIE = b"\x63\x82\x53\x63"
BOOT = b"\x3c\x20PXEClient:Arch:00007:UNDI:003016" + b"\x5d\x02\x00\x07" + b"\x37\x06\x01\x03\x06\x0c\x42\x43"
DISCOVER = b"\x35\x01\x01" + BOOT + b"\xff"
REQUEST = b"\x35\x01\x03" + BOOT
SO_BINDTODEVICE = 25
RETRY_SECONDS = 0.5


class Load:
    """``under_way`` clients at once, answered on port 68 by broadcast."""

    def __init__(self, under_way: int) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.udp.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, b"eth0\0")
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.udp.bind(("", 68))
        self.wanted = under_way
        self.next = int.from_bytes(os.urandom(2), "big") << 8
        self.sent: dict[int, tuple[float, bytes]] = {}
        self.done = self.retries = self.refused = 0
        self.addresses: set[bytes] = set()

    def packet(self, xid: int, options: bytes) -> bytes:
        mac = b"\x02\x10" + struct.pack("!I", xid)
        return struct.pack("!BBBBIHH", 1, 1, 6, 0, xid, 0, 0x8000) + bytes(16) + mac + bytes(202) + COOKIE + options

    def send(self, xid: int, data: bytes) -> None:
        self.sent[xid] = (time.monotonic(), data)
        self.udp.sendto(data, ("255.255.255.255", 67))

    def start(self) -> None:
        self.next += 1
        self.send(self.next, self.packet(self.next, DISCOVER))

    def receive(self, data: bytes) -> None:
        xid = struct.unpack_from("!I", data, 4)[0]
        if xid not in self.sent:
            return
        options = data[240:]
        kind = options[options.index(b"\x35\x01") + 2]
        if kind == 2:
            server = options[options.index(b"\x36\x04") + 2 :][:4]
            chosen = b"\x32\x04" + data[16:20] + b"\x36\x04" + server + b"\xff"
            self.send(xid, self.packet(xid, REQUEST + chosen))
        elif kind in (5, 6):
            del self.sent[xid]
            if kind == 5:
                self.done += 1
                self.addresses.add(data[16:20])
            else:
                self.refused += 1
            self.start()

    def run(self, seconds: float) -> dict[str, float]:
        start = time.monotonic()
        for _ in range(self.wanted):
            self.start()
        swept = start
        while (now := time.monotonic()) - start < seconds:
            if select.select([self.udp], [], [], 0.05)[0]:
                try:
                    while True:
                        self.receive(self.udp.recv(2048))
                except BlockingIOError:
                    pass
            if now - swept > 0.1:
                swept = now
                for xid, (at, data) in list(self.sent.items()):
                    if now - at > RETRY_SECONDS:
                        self.retries += 1
                        self.send(xid, data)
        took = time.monotonic() - start
        return {
            "rate": self.done / took,
            "done": self.done,
            "retries": self.retries,
            "refused": self.refused,
            "addresses": len(self.addresses),
        }


if __name__ == "__main__":
    print(json.dumps(Load(int(sys.argv[2])).run(float(sys.argv[1]))))
