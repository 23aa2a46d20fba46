"""Does somebody already use an address that we are about to give? Asked in the background, so that no OFFER waits.

On a local subnet by ARP (RFC 5227), behind a relay by ICMP echo (RFC 2131 §2.2). The next addresses of a pool are asked
about before anybody needs them; one that was not is asked about with its OFFER, and the answer counts at the REQUEST.
"""

from __future__ import annotations

import os
import socket
from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Address

from pxe.frame import ETHERTYPE_ARP, EVERYBODY, arp_probe, arp_sender, echo_reply_from, echo_request
from pxe.link import Link

#: An answer older than this is asked for again; one twice as old counts no more.
FRESH_SECONDS = 60.0
REMEMBERED = 4096


class ConflictProbe:
    """Raw sockets for ARP (one per interface) and ICMP. ``fileno`` numbers for the event loop come from `sockets`."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.arp: dict[str, socket.socket] = {}
        self.hardware: dict[str, bytes] = {}
        self.asked: OrderedDict[int, float] = OrderedDict()
        self.owners: dict[int, str] = {}
        self.identifier = os.getpid() & 0xFFFF
        self.icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_ICMP)
        for link in links:
            opened = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(ETHERTYPE_ARP)
            )
            opened.bind((link.name, ETHERTYPE_ARP))
            self.arp[link.name] = opened
            self.hardware[link.name] = link.hardware
        self.now = 0.0

    def sockets(self) -> tuple[socket.socket, ...]:
        """What to wait on; `receive` reads them."""
        return (self.icmp, *self.arp.values())

    def tick(self, now: float) -> None:
        """The time of the event loop."""
        self.now = now

    def ask(self, link: Link, address: IPv4Address, *, relayed: bool) -> None:
        """Send one question, unless it was asked lately. A failure to send is no conflict."""
        number = int(address)
        if self.asked.get(number, -FRESH_SECONDS) > self.now - FRESH_SECONDS:
            return
        self.asked[number] = self.now
        self.asked.move_to_end(number)
        self.owners.pop(number, None)
        while len(self.asked) > REMEMBERED:
            oldest, _ = self.asked.popitem(last=False)
            self.owners.pop(oldest, None)
        try:
            if relayed:
                self.icmp.sendto(echo_request(self.identifier, 1), (str(address), 0))
            else:
                question = arp_probe(self.hardware[link.name], address)
                self.arp[link.name].sendto(question, (link.name, ETHERTYPE_ARP, 0, 0, EVERYBODY))
        except OSError:
            del self.asked[number]

    def taken_by(self, address: IPv4Address) -> str | None:
        """Who answered lately: a MAC, ``?`` for an echo, None when nobody did."""
        number = int(address)
        if self.asked.get(number, 0.0) < self.now - 2 * FRESH_SECONDS:
            return None
        return self.owners.get(number)

    def receive(self, ready: socket.socket) -> None:
        """Read what came in on one of our sockets."""
        for _ in range(64):
            try:
                data = ready.recv(2048)
            except OSError:
                return
            if ready is self.icmp:
                source = echo_reply_from(data, self.identifier)
                found = (source, "?") if source is not None else None
            else:
                found = arp_sender(data)
            if found is not None and int(found[0]) in self.asked:
                self.owners[int(found[0])] = found[1]

    def close(self) -> None:
        """Close all sockets."""
        for opened in self.sockets():
            opened.close()
