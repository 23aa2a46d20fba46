"""ARP, IPv4, UDP and ICMP as bytes, for what an ordinary UDP socket can't send: an address that nobody answers ARP for yet.

RFC 826 and 5227 (ARP), 791 (IPv4), 768 (UDP), 792 (ICMP echo).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
EVERYBODY = b"\xff" * 6
ARP = struct.Struct("!HHBBH6s4s6s4s")
IPV4 = struct.Struct("!BBHHHBBH4s4s")
UDP = struct.Struct("!HHHH")
ICMP = struct.Struct("!BBHHH")
PROTOCOL_UDP = 17
ECHO_REPLY, ECHO_REQUEST = 0, 8


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_datagram(source: IPv4Address, source_port: int, target: IPv4Address, target_port: int, payload: bytes) -> bytes:
    """A whole IPv4 datagram, not to be fragmented, TTL 64."""
    length = UDP.size + len(payload)
    pseudo = source.packed + target.packed + struct.pack("!BBH", 0, PROTOCOL_UDP, length)
    sum_ = checksum(pseudo + UDP.pack(source_port, target_port, length, 0) + payload) or 0xFFFF
    head = IPV4.pack(0x45, 0, IPV4.size + length, 0, 0x4000, 64, PROTOCOL_UDP, 0, source.packed, target.packed)
    head = head[:10] + checksum(head).to_bytes(2, "big") + head[12:]
    return head + UDP.pack(source_port, target_port, length, sum_) + payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """What `parse_udp` found."""

    source: IPv4Address
    source_port: int
    target: IPv4Address
    target_port: int
    payload: bytes


def parse_udp(data: bytes) -> Datagram | None:
    """The UDP datagram in an unfragmented IPv4 packet, or None."""
    if len(data) < IPV4.size or data[0] >> 4 != 4:
        return None
    size = (data[0] & 0x0F) * 4
    if data[9] != PROTOCOL_UDP or len(data) < size + UDP.size or int.from_bytes(data[6:8], "big") & 0x3FFF:
        return None
    source_port, target_port, length, _ = UDP.unpack_from(data, size)
    return Datagram(
        source=IPv4Address(data[12:16]),
        source_port=source_port,
        target=IPv4Address(data[16:20]),
        target_port=target_port,
        payload=data[size + UDP.size : size + max(length, UDP.size)],
    )


def arp_probe(hardware: bytes, address: IPv4Address) -> bytes:
    """Who has this address? With an empty sender address, so that no cache is filled wrongly (RFC 5227 §2.1.1)."""
    return ARP.pack(1, ETHERTYPE_IPV4, 6, 4, 1, hardware, b"\0" * 4, b"\0" * 6, address.packed)


def arp_sender(data: bytes) -> tuple[IPv4Address, str] | None:
    """The address that the sender of an ARP packet uses, and its MAC; None for a probe or another format."""
    if len(data) < ARP.size:
        return None
    kind, protocol, hardware_size, address_size, _, hardware, address, _, _ = ARP.unpack_from(data)
    if (kind, protocol, hardware_size, address_size) != (1, ETHERTYPE_IPV4, 6, 4) or address == b"\0" * 4:
        return None
    return IPv4Address(address), hardware.hex(":")


def echo_request(identifier: int, sequence: int) -> bytes:
    """An ICMP echo request without data."""
    head = ICMP.pack(ECHO_REQUEST, 0, 0, identifier, sequence)
    return ICMP.pack(ECHO_REQUEST, 0, checksum(head), identifier, sequence)


def echo_reply_from(data: bytes, identifier: int) -> IPv4Address | None:
    """Who answered our echo request; ``data`` is what a raw ICMP socket receives, with the IPv4 header."""
    size = (data[0] & 0x0F) * 4 if data else 0
    if len(data) < size + ICMP.size or size < IPV4.size:
        return None
    kind, _, _, found, _ = ICMP.unpack_from(data, size)
    return IPv4Address(data[12:16]) if kind == ECHO_REPLY and found == identifier else None
