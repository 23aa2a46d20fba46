"""Before we are authoritative: does another DHCP server already answer on this interface?"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from pxe.codec import BROADCAST, ZERO, Code, MalformedPacketError, MessageType, Packet, decode, encode
from pxe.errors import ForeignServerError, PortError
from pxe.frame import ETHERTYPE_IPV4, EVERYBODY, parse_udp, udp_datagram
from pxe.link import Link
from pxe.offer import CLIENT_PORT, EVERYONE, SERVER_PORT

#: Questions are sent at these seconds. dnsmasq pings an address for up to 3 s before it offers it.
QUESTIONS = (0.0, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignServer:
    """A DHCP server that offered an address to our question."""

    interface: str
    server: IPv4Address
    offered: IPv4Address


def require_alone(links: Iterable[Link], *, seconds: float) -> None:
    """Raise `ForeignServerError` when another DHCP server answers on one of the interfaces. All are asked at once."""
    found = find_foreign(tuple(links), seconds=seconds)
    if found is not None:
        raise ForeignServerError(
            f"another DHCP server answers on {found.interface}: {found.server} offered {found.offered}. Two servers that "
            "both give addresses break each other's machines. Switch that one off for this network, use --mode proxy "
            "(it gives the addresses, we add the boot information), or name another interface."
        )


def find_foreign(links: tuple[Link, ...], *, seconds: float) -> ForeignServer | None:
    """The first foreign server that offers an address within ``seconds``. Proxies (no address) are not in our way."""
    own = {address.ip for link in links for address in link.addresses}
    opened = {_listen(link): link for link in links}
    try:
        return _ask_and_wait(opened, own, seconds)
    finally:
        for each in opened:
            each.close()


def _listen(link: Link) -> socket.socket:
    """A packet socket: it hears offers even while a DHCP client of this host owns port 68."""
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, socket.htons(ETHERTYPE_IPV4))
    except OSError as error:
        raise PortError(
            f"can't look for foreign DHCP servers on {link.name}: {error.strerror} (CAP_NET_RAW)"
        ) from error
    opened.bind((link.name, ETHERTYPE_IPV4))
    return opened


def _ask_and_wait(opened: dict[socket.socket, Link], own: set[IPv4Address], seconds: float) -> ForeignServer | None:
    xid = int.from_bytes(os.urandom(4), "big")
    start = time.monotonic()
    pending = [at for at in QUESTIONS if at <= seconds]
    while (now := time.monotonic() - start) < seconds:
        if pending and now >= pending[0]:
            pending.pop(0)
            for each, link in opened.items():
                each.sendto(_question(link, xid, int(now)), (link.name, ETHERTYPE_IPV4, 0, 0, EVERYBODY))
        for each, link in opened.items():
            found = _read(each, link, xid, own)
            if found is not None:
                return found
        time.sleep(0.02)
    return None


def _question(link: Link, xid: int, secs: int) -> bytes:
    """A DISCOVER of an ordinary client with this interface's MAC, answered by broadcast."""
    packet = Packet(
        op=1,
        xid=xid,
        secs=secs,
        flags=BROADCAST,
        hardware=link.hardware,
        options={
            Code.MESSAGE_TYPE: bytes((MessageType.DISCOVER,)),
            Code.PARAMETERS: bytes((Code.SUBNET_MASK, Code.ROUTER, Code.DNS)),
        },
    )
    return udp_datagram(ZERO, CLIENT_PORT, EVERYONE, SERVER_PORT, encode(packet))


def _read(opened: socket.socket, link: Link, xid: int, own: set[IPv4Address]) -> ForeignServer | None:
    while True:
        try:
            data = opened.recv(4096)
        except BlockingIOError:
            return None
        except OSError as error:
            raise PortError(f"can't listen on {link.name}: {error.strerror}") from error
        datagram = parse_udp(data)
        if datagram is None or datagram.target_port != CLIENT_PORT:
            continue
        try:
            packet = decode(datagram.payload)
        except MalformedPacketError:
            continue
        if packet.op != 2 or packet.xid != xid or packet.message_type is not MessageType.OFFER or packet.yiaddr == ZERO:
            continue
        server = packet.address(Code.SERVER_ID) or datagram.source
        if server not in own and datagram.source not in own:
            return ForeignServer(interface=link.name, server=server, offered=packet.yiaddr)
