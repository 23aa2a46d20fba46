"""Who is asking: from the options of a DHCP packet to a `Client`. Pure.

Clients lie: a Raspberry Pi says architecture 0 (x86 BIOS), a network card's ROM says it is iPXE, some x86-64 firmware says
EFI byte code. So option 97's four letters win over option 93, and what an iPXE can do (option 175) over what it is called.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from ipaddress import IPv4Address

from pxe.codec import ZERO, Code, Packet, decode_suboptions
from pxe.ports import Architecture, Client, Stage, Transport

#: RFC 5970 registry, with what the field really means by it: 9 is EFI byte code by the book and x86-64 in machines
#: (ipxe commit af9afd0), 15 is x86 UEFI HTTP, 16 x86-64 UEFI HTTP, 18 is 32-bit ARM HTTP, 19 is arm64 HTTP.
ARCHITECTURES = {
    0: Architecture.X86_BIOS,
    6: Architecture.IA32_UEFI,
    7: Architecture.X86_64_UEFI,
    9: Architecture.X86_64_UEFI,
    11: Architecture.ARM64_UEFI,
    15: Architecture.IA32_UEFI,
    16: Architecture.X86_64_UEFI,
    19: Architecture.ARM64_UEFI,
    41: Architecture.RASPBERRY_PI,
}
HTTP_ARCHITECTURES = frozenset({15, 16, 18, 19, 20})
#: Option 97 of a Raspberry Pi begins, after the type byte, with these letters (rpi-eeprom, DHCP_OPTION97).
PI_LETTERS = (b"RPi5", b"RPi4")
#: Encapsulated option numbers in iPXE's option 175 (ipxe: src/include/ipxe/features.h).
IPXE_HTTP = 0x13


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Option 82 (RFC 3046): where the relay saw the client. ``link`` is RFC 3527's link selection."""

    circuit_id: str = ""
    remote_id: str = ""
    link: IPv4Address | None = None


def classify(packet: Packet, *, transport: Transport, server: IPv4Address) -> Client:
    """The client of one packet. ``server`` is our address as this client reaches us. Never raises."""
    options = packet.options
    architecture = architecture_of(packet)
    relay = relay_of(packet)
    machine_id = options.get(Code.MACHINE_ID, b"")
    is_pi = architecture is Architecture.RASPBERRY_PI
    return Client(
        mac=mac_of(packet),
        architecture=architecture,
        stage=stage_of(packet),
        transport=transport,
        server=server,
        uuids=() if is_pi else uuids_of(machine_id),
        pi_serial=pi_serial_of(machine_id) if is_pi else "",
        address=packet.ciaddr if packet.ciaddr != ZERO else None,
        vendor_class=text(options.get(Code.VENDOR_CLASS, b"")),
        user_class=user_class_of(options.get(Code.USER_CLASS, b"")),
        relay=packet.giaddr if packet.giaddr != ZERO else None,
        circuit_id=relay.circuit_id,
        remote_id=relay.remote_id,
    )


def mac_of(packet: Packet) -> str:
    """Lower case with colons; empty when the hardware address is not an Ethernet one."""
    hardware = packet.hardware
    return hardware.hex(":") if packet.htype == 1 and len(hardware) == 6 and any(hardware) else ""


def lease_key(packet: Packet) -> str:
    """What a lease is held by. A machine shows several client identifiers while it boots (UEFI its UUID, iPXE its MAC, an
    installed system a DUID) on one MAC, and shall keep one address; so the identifier counts only without a MAC."""
    mac = mac_of(packet)
    if mac:
        return mac
    identifier = packet.options.get(Code.CLIENT_ID, b"")
    return f"id:{(identifier or packet.hardware).hex()}"


def architecture_of(packet: Packet) -> Architecture:
    """Option 97's letters first, then option 93 (several numbers may be listed: the first known one counts)."""
    options = packet.options
    if options.get(Code.MACHINE_ID, b"")[1:5] in PI_LETTERS:
        return Architecture.RASPBERRY_PI
    numbers = options.get(Code.ARCHITECTURE, b"")
    for index in range(0, len(numbers) - 1, 2):
        known = ARCHITECTURES.get(int.from_bytes(numbers[index : index + 2], "big"))
        if known is not None:
            return known
    return Architecture.UNKNOWN


def stage_of(packet: Packet) -> Stage:
    """Which program asks. A ROM may call itself iPXE: what counts is whether it can fetch HTTP."""
    options = packet.options
    vendor = options.get(Code.VENDOR_CLASS, b"")
    features = ipxe_features(options.get(Code.IPXE, b""))
    if user_class_of(options.get(Code.USER_CLASS, b"")) == "iPXE" or features:
        return Stage.IPXE if IPXE_HTTP in features else Stage.IPXE_LIMITED
    if vendor.startswith(b"HTTPClient"):
        return Stage.FIRMWARE_HTTP
    # A Raspberry Pi leaves option 60 out of its REQUEST (rpi-eeprom issue 87); option 93 is still there.
    if vendor.startswith(b"PXEClient") or Code.ARCHITECTURE in options:
        numbers = options.get(Code.ARCHITECTURE, b"")
        is_http = not vendor and int.from_bytes(numbers[:2], "big") in HTTP_ARCHITECTURES
        return Stage.FIRMWARE_HTTP if is_http else Stage.FIRMWARE
    if architecture_of(packet) is Architecture.RASPBERRY_PI:
        return Stage.FIRMWARE
    return Stage.OS


def ipxe_features(data: bytes) -> frozenset[int]:
    """The features that iPXE lists in option 175: numbers 0x10–0x3f with a value that is not 0."""
    found = decode_suboptions(data, terminated=True)
    return frozenset(code for code, value in found.items() if 0x10 <= code < 0x40 and any(value))


def user_class_of(data: bytes) -> str:
    """Option 77: a list of counted strings (RFC 3004), of which the first is taken, or, as iPXE sends it, plain text."""
    index, parts = 0, []
    while index < len(data):
        end = index + 1 + data[index]
        if data[index] == 0 or end > len(data):
            return text(data)
        parts.append(data[index + 1 : end])
        index = end
    return text(parts[0]) if parts else ""


def uuids_of(data: bytes) -> tuple[str, ...]:
    """Option 97 (RFC 4578 §2.3) as UUIDs in both byte orders: UEFI sends SMBIOS bytes, some ROMs swap the first three
    fields. Blank ones (all equal bytes) name no machine and are left out."""
    if len(data) != 17 or data[0] != 0 or len(set(data[1:])) == 1:
        return ()
    little, big = str(uuid.UUID(bytes_le=data[1:])), str(uuid.UUID(bytes=data[1:]))
    return (little,) if little == big else (little, big)


def pi_serial_of(data: bytes) -> str:
    """Option 97 of a Pi: 00, letters, revision, end of the MAC, low 32 bits of the serial, each little-endian."""
    return data[13:17][::-1].hex() if len(data) == 17 else ""


def relay_of(packet: Packet) -> Relay:
    """Circuit (1) and remote (2) identifiers as text, or as hex when they are not text; link selection (5)."""
    data = packet.options.get(Code.RELAY_AGENT)
    if data is None:
        return Relay()
    found = decode_suboptions(data, terminated=False)
    link = found.get(5, b"")
    return Relay(
        circuit_id=_identifier(found.get(1, b"")),
        remote_id=_identifier(found.get(2, b"")),
        link=IPv4Address(link) if len(link) == 4 and any(link) else None,
    )


def _identifier(data: bytes) -> str:
    return data.decode("ascii") if data and not data.translate(None, _PRINTABLE) else data.hex()


def text(data: bytes) -> str:
    """Printable ASCII of an option, without the NUL that some clients add; anything else becomes ``?``."""
    return data.rstrip(b"\0").translate(_AS_TEXT).decode("ascii")


_PRINTABLE = bytes(range(0x20, 0x7F))
_AS_TEXT = bytes(byte if 0x20 <= byte < 0x7F else ord("?") for byte in range(256))
