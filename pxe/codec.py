"""DHCPv4 packets as bytes and as data (RFC 2131 §2, RFC 2132, RFC 3396, RFC 3046, RFC 4578). Pure.

`decode` never raises anything but `MalformedPacketError`; `encode` writes what `decode` reads back.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address

COOKIE = b"\x63\x82\x53\x63"
HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
BROADCAST = 0x8000
ZERO = IPv4Address(0)
#: The smallest BOOTP message (RFC 1542 §2.1); some relays and ROMs drop anything shorter.
MINIMUM_SIZE = 300
#: What every client must take: a datagram of 576 bytes (RFC 2131 §2), less IPv4 and UDP headers.
DATAGRAM_HEADERS = 28
MINIMUM_MAXIMUM = 576
ETHERNET_MTU = 1500


class MessageType(IntEnum):
    """Option 53 (RFC 2132 §9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Code:
    """The options that we read or write. Plain numbers: a member of an enum costs a call at each use, per packet."""

    PAD = 0
    SUBNET_MASK = 1
    ROUTER = 3
    DNS = 6
    HOST_NAME = 12
    DOMAIN = 15
    BROADCAST_ADDRESS = 28
    NTP = 42
    VENDOR = 43
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    PARAMETERS = 55
    MESSAGE = 56
    MAXIMUM_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    VENDOR_CLASS = 60
    CLIENT_ID = 61
    TFTP_SERVER = 66
    BOOT_FILE = 67
    USER_CLASS = 77
    RELAY_AGENT = 82
    ARCHITECTURE = 93
    NETWORK_INTERFACE = 94
    MACHINE_ID = 97
    IPXE = 175
    END = 255


class Fault(StrEnum):
    """Why a packet was refused; the names of the counters."""

    SHORT = "short"
    OPERATION = "operation"
    HARDWARE_LENGTH = "hardware-length"
    NO_COOKIE = "no-cookie"
    OPTION_TRUNCATED = "option-truncated"
    OPTION_LENGTH = "option-length"
    OVERLOAD = "overload"
    NO_MESSAGE_TYPE = "no-message-type"
    MESSAGE_TYPE = "message-type"


class MalformedPacketError(ValueError):
    """A packet that breaks the format. ``reason`` is for the counter, the message for the log."""

    def __init__(self, reason: Fault, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


class PacketTooLargeError(ValueError):
    """The options do not fit the client's maximum message size, even with ``file`` and ``sname`` overloaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One message. ``hardware`` is ``chaddr`` cut to hlen; ``sname`` and ``file`` are without padding, empty when they
    were overloaded; ``options`` are whole (RFC 3396 joined), without pad, end and overload."""

    op: int
    xid: int
    htype: int = 1
    hops: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = ZERO
    yiaddr: IPv4Address = ZERO
    siaddr: IPv4Address = ZERO
    giaddr: IPv4Address = ZERO
    hardware: bytes = b""
    sname: bytes = b""
    file: bytes = b""
    options: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def message_type(self) -> MessageType:
        """Option 53; `decode` has checked that it is there."""
        return MessageType(self.options[Code.MESSAGE_TYPE][0])

    def address(self, code: int) -> IPv4Address | None:
        """An option that holds one IPv4 address, or None."""
        data = self.options.get(code, b"")
        return IPv4Address(data) if len(data) == 4 else None


#: Lengths that a server relies on, per option: exact, or (minimum,). RFC 2132, RFC 4578.
_EXACT = {
    Code.REQUESTED_ADDRESS: 4,
    Code.LEASE_TIME: 4,
    Code.MESSAGE_TYPE: 1,
    Code.SERVER_ID: 4,
    Code.MAXIMUM_SIZE: 2,
}


def decode(data: bytes) -> Packet:
    """One UDP payload of port 67, 68 or 4011. Raises `MalformedPacketError`; an absent end option is tolerated."""
    if len(data) < HEADER.size:
        raise MalformedPacketError(Fault.SHORT, f"{len(data)} bytes, at least {HEADER.size} are needed")
    op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, cookie = (
        HEADER.unpack_from(data)
    )
    if op not in (1, 2):
        raise MalformedPacketError(Fault.OPERATION, f"op is {op}, not 1 or 2")
    if hlen > len(chaddr):
        raise MalformedPacketError(Fault.HARDWARE_LENGTH, f"hlen is {hlen}, more than the 16 bytes of chaddr")
    if cookie != COOKIE:
        raise MalformedPacketError(Fault.NO_COOKIE, "plain BOOTP: the magic cookie of DHCP is absent")
    options: dict[int, bytes] = {}
    _read_options(data[HEADER.size :], options)
    sname, file = _read_overloaded(options, sname, file)
    _check(options)
    return Packet(
        op=op,
        htype=htype,
        hops=hops,
        xid=xid,
        secs=secs,
        flags=flags,
        ciaddr=_address(ciaddr),
        yiaddr=_address(yiaddr),
        siaddr=_address(siaddr),
        giaddr=_address(giaddr),
        hardware=chaddr[:hlen],
        sname=sname.split(b"\0", 1)[0],
        file=file.split(b"\0", 1)[0],
        options=options,
    )


def _read_overloaded(options: dict[int, bytes], sname: bytes, file: bytes) -> tuple[bytes, bytes]:
    """Add the options of the fields that option 52 names (RFC 2132 §9.3); what is left of ``sname`` and ``file``."""
    overload = options.pop(Code.OVERLOAD, None)
    if overload is None:
        return sname, file
    if len(overload) != 1 or overload[0] not in (1, 2, 3):
        raise MalformedPacketError(Fault.OVERLOAD, f"option 52 is {overload.hex()}")
    if overload[0] & 1:
        _read_options(file, options)
        file = b""
    if overload[0] & 2:
        _read_options(sname, options)
        sname = b""
    if Code.OVERLOAD in options:
        raise MalformedPacketError(Fault.OVERLOAD, "option 52 inside an overloaded field")
    return sname, file


def _address(data: bytes) -> IPv4Address:
    return ZERO if data == b"\0\0\0\0" else IPv4Address(data)


def _read_options(data: bytes, options: dict[int, bytes]) -> None:
    """Add the options of one field; parts of one option are joined in order (RFC 3396 §7)."""
    index, size = 0, len(data)
    while index < size:
        code = data[index]
        if code == Code.END:
            return
        if code == Code.PAD:
            index += 1
            continue
        if index + 1 >= size:
            raise MalformedPacketError(Fault.OPTION_TRUNCATED, f"option {code} has no length")
        end = index + 2 + data[index + 1]
        if end > size:
            raise MalformedPacketError(
                Fault.OPTION_TRUNCATED, f"option {code} ends {end - size} bytes behind the packet"
            )
        value = data[index + 2 : end]
        options[code] = options[code] + value if code in options else value
        index = end


def _check(options: dict[int, bytes]) -> None:
    kind = options.get(Code.MESSAGE_TYPE)
    if kind is None:
        raise MalformedPacketError(Fault.NO_MESSAGE_TYPE, "option 53 is absent")
    for code, length in _EXACT.items():
        value = options.get(code)
        if value is not None and len(value) != length:
            raise MalformedPacketError(Fault.OPTION_LENGTH, f"option {code} has {len(value)} bytes instead of {length}")
    if not 1 <= kind[0] <= 8:
        raise MalformedPacketError(Fault.MESSAGE_TYPE, f"option 53 is {kind[0]}")


def size_limit(request: Packet) -> int:
    """Bytes of UDP payload that this client takes (option 57 counts the IP datagram), never more than Ethernet carries."""
    asked = int.from_bytes(request.options.get(Code.MAXIMUM_SIZE, b""), "big")
    return min(max(asked, MINIMUM_MAXIMUM), ETHERNET_MTU) - DATAGRAM_HEADERS


def encode(packet: Packet, *, limit: int = MINIMUM_MAXIMUM - DATAGRAM_HEADERS) -> bytes:
    """The bytes of a message, at least 300. Option 53 goes first, option 82 last (RFC 3046 §2.1), long ones are split
    (RFC 3396), and ``file`` and ``sname`` carry options when they are free and needed. Raises `PacketTooLargeError`."""
    chunks = _chunks(packet.options)
    room = limit - HEADER.size - 1
    body = b"".join(chunk for _, chunk in chunks)
    file, sname = packet.file, packet.sname
    if len(file) > 128 or len(sname) > 64:
        raise PacketTooLargeError("the boot file or the server name does not fit its header field")
    if len(body) > room:
        body, file, sname = _overload(chunks, room, file, sname)
    head = HEADER.pack(
        packet.op,
        packet.htype,
        len(packet.hardware),
        packet.hops,
        packet.xid,
        packet.secs,
        packet.flags,
        packet.ciaddr.packed,
        packet.yiaddr.packed,
        packet.siaddr.packed,
        packet.giaddr.packed,
        packet.hardware,
        sname,
        file,
        COOKIE,
    )
    return (head + body + b"\xff").ljust(MINIMUM_SIZE, b"\0")


def _chunks(options: Mapping[int, bytes]) -> list[tuple[int, bytes]]:
    """Each option as code, length, value; in pieces of 255 bytes."""
    chunks: list[tuple[int, bytes]] = []
    last: list[tuple[int, bytes]] = []
    for code, value in options.items():
        if len(value) <= 255:
            written = [(code, bytes((code, len(value))) + value)]
        else:
            pieces = [value[at : at + 255] for at in range(0, len(value), 255)]
            written = [(code, bytes((code, len(piece))) + piece) for piece in pieces]
        if code == Code.MESSAGE_TYPE:
            chunks[:0] = written
        elif code == Code.RELAY_AGENT:
            last = written
        else:
            chunks += written
    return chunks + last


def _overload(chunks: list[tuple[int, bytes]], room: int, file: bytes, sname: bytes) -> tuple[bytes, bytes, bytes]:
    """Spread the chunks over options, file, sname in the order in which they are joined again (RFC 3396 §5)."""
    room -= 3  # option 52 itself
    spaces = [room, 0 if file else 127, 0 if sname else 63]
    areas: list[list[bytes]] = [[], [], []]
    lowest: dict[int, int] = {}
    for code, chunk in chunks:
        for area in range(lowest.get(code, 0), 3):
            if len(chunk) <= spaces[area]:
                areas[area].append(chunk)
                spaces[area] -= len(chunk)
                lowest[code] = area
                break
        else:
            raise PacketTooLargeError(
                f"option {code} ({len(chunk)} bytes) does not fit the client's maximum message size"
            )
    used = (1 if areas[1] else 0) | (2 if areas[2] else 0)
    body = b"".join(areas[0])
    if used:
        body = (
            body[:3] + bytes((Code.OVERLOAD, 1, used)) + body[3:]
            if body[:1] == b"\x35"
            else (bytes((Code.OVERLOAD, 1, used)) + body)
        )
    if areas[1]:
        file = b"".join(areas[1]) + b"\xff"
    if areas[2]:
        sname = b"".join(areas[2]) + b"\xff"
    return body, file, sname


def decode_suboptions(data: bytes, *, terminated: bool) -> dict[int, bytes]:
    """Options inside options 43 and 175 (``terminated``: 0 pads and 255 ends) or 82 (neither). What is cut off is left
    out: a client's vendor field is no reason to drop its packet."""
    found: dict[int, bytes] = {}
    index, size = 0, len(data)
    while index < size:
        code = data[index]
        if terminated and code == Code.END:
            break
        if terminated and code == Code.PAD:
            index += 1
            continue
        if index + 1 >= size or index + 2 + data[index + 1] > size:
            break
        end = index + 2 + data[index + 1]
        found[code] = found.get(code, b"") + data[index + 2 : end]
        index = end
    return found


def encode_suboptions(options: Mapping[int, bytes], *, terminated: bool) -> bytes:
    """The reverse of `decode_suboptions`; each value has at most 255 bytes."""
    body = b"".join(bytes((code, len(value))) + value for code, value in options.items())
    return body + b"\xff" if terminated else body
