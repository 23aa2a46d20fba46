"""What is answered to a DHCP client, and where the answer is sent. Pure: request, terms and decision in, packet out.

Rules: RFC 2131 §4.1 and §4.3, RFC 2132, RFC 3046 (option 82 is given back), RFC 4578 and the PXE specification 2.1 (options
60, 43 and 97), RFC 6842 (option 61 is given back). Comments name the firmware for which something is done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address

from pxe.codec import BROADCAST, ZERO, Code, MessageType, Packet, decode_suboptions, encode_suboptions
from pxe.ports import Action, Architecture, Client, Decision, Pool, Stage, Transport

SERVER_PORT = 67
CLIENT_PORT = 68
EVERYONE = IPv4Address("255.255.255.255")
FILE_FIELD = 128

#: PXE 2.1, tag 6, bit 3: take the boot file of this packet, ask no boot server. Without it Intel's ROMs go to port 4011.
PXE_NO_DISCOVERY = encode_suboptions({6: b"\x08"}, terminated=True)
#: A Raspberry Pi looks for its own name in the PXE menu (tags 9 and 10), and its firmware stumbled over padding here.
PI_MENU = b"Raspberry Pi Boot"
PI_VENDOR = encode_suboptions(
    {6: b"\x03", 10: b"\0PXE", 9: b"\0\0" + bytes((len(PI_MENU),)) + PI_MENU},
    terminated=True,
)
#: iPXE: do not wait for a proxyDHCP server (option 175, tag 0xb0); saves its first boot about two seconds.
IPXE_NO_PROXY = encode_suboptions({0xB0: b"\x01"}, terminated=True)
PXE_BOOT_ITEM = 71


class Route(StrEnum):
    """How the reply travels. ``frame``: to an address that the client does not answer ARP for yet."""

    RELAY = "relay"
    UNICAST = "unicast"
    BROADCAST = "broadcast"
    FRAME = "frame"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a reply goes. ``hardware`` is set for ``Route.FRAME``."""

    route: Route
    address: IPv4Address
    port: int
    hardware: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The address for a client and the subnet that it belongs to. ``server`` is our identifier (option 54)."""

    address: IPv4Address
    pool: Pool
    server: IPv4Address


def lease_reply(
    kind: MessageType, request: Packet, client: Client, terms: Terms, decision: Decision, *, proxies: bool = False
) -> Packet:
    """OFFER or ACK with an address (RFC 2131 §4.3.1, table 3). ``proxies`` is true when others may add boot information."""
    seconds = terms.pool.lease_seconds
    options = _head(kind, terms.server)
    options[Code.LEASE_TIME] = seconds.to_bytes(4, "big")
    options[Code.RENEWAL_TIME] = (seconds // 2).to_bytes(4, "big")
    options[Code.REBINDING_TIME] = (seconds * 7 // 8).to_bytes(4, "big")
    options.update(_subnet(terms.pool))
    boot = _boot(request, client, terms.server, decision, options, proxies=proxies)
    return _reply(request, kind, options, boot, yiaddr=terms.address)


def inform_reply(request: Packet, client: Client, pool: Pool, server: IPv4Address, decision: Decision) -> Packet:
    """ACK to an INFORM: settings, no address and no lease time (RFC 2131 §4.3.5)."""
    options = _head(MessageType.ACK, server)
    options.update(_subnet(pool))
    boot = _boot(request, client, server, decision, options)
    return _reply(request, MessageType.ACK, options, boot)


def refusal(request: Packet, server: IPv4Address, message: str) -> Packet:
    """NAK. Through a relay the broadcast bit is set, because the client's address is not valid there (RFC 2131 §4.3.2)."""
    options = _head(MessageType.NAK, server)
    options[Code.MESSAGE] = message.encode("ascii", "replace")[:255]
    flags = request.flags | BROADCAST if request.giaddr != ZERO else request.flags
    return replace(_reply(request, MessageType.NAK, options, _NO_BOOT), flags=flags)


def proxy_reply(kind: MessageType, request: Packet, client: Client, server: IPv4Address, decision: Decision) -> Packet:
    """Boot information without an address: an OFFER on port 67, an ACK on port 4011 (PXE 2.1 §2.2.3)."""
    options = _head(kind, server)
    boot = _boot(request, client, server, decision, options, proxies=True)
    if client.stage in (Stage.IPXE, Stage.IPXE_LIMITED):
        # iPXE takes an answer without an address only from a PXE server, and asks 4011 unless told not to.
        options[Code.VENDOR_CLASS] = b"PXEClient"
        options[Code.VENDOR] = PXE_NO_DISCOVERY
    item = _boot_item(request)
    if item and client.transport is Transport.BOOT_SERVER:
        # A boot server says which of the menu's items it serves (PXE 2.1, tag 71).
        options[Code.VENDOR] = encode_suboptions({PXE_BOOT_ITEM: item}, terminated=True)
    return _reply(request, kind, options, boot, ciaddr=request.ciaddr)


def offers_boot(decision: Decision) -> bool:
    """Whether a decision has something for a client that boots; a Raspberry Pi needs no file name."""
    return decision.action in (Action.LOADER, Action.SCRIPT) or (
        decision.action is Action.LOCAL and bool(decision.file)
    )


def destination(request: Packet, reply: Packet) -> Destination:
    """RFC 2131 §4.1 for replies of port 67."""
    if request.giaddr != ZERO:
        return Destination(route=Route.RELAY, address=request.giaddr, port=SERVER_PORT)
    everyone = Destination(route=Route.BROADCAST, address=EVERYONE, port=CLIENT_PORT)
    if reply.message_type is MessageType.NAK:
        return everyone
    if request.ciaddr != ZERO:
        return Destination(route=Route.UNICAST, address=request.ciaddr, port=CLIENT_PORT)
    # A proxy's OFFER has no address to send to; other hardware than Ethernet has no frame that we could build.
    if request.flags & BROADCAST or reply.yiaddr == ZERO or len(request.hardware) != 6 or request.htype != 1:
        return everyone
    return Destination(route=Route.FRAME, address=reply.yiaddr, port=CLIENT_PORT, hardware=request.hardware)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Boot:
    """The header fields that say where to boot from."""

    siaddr: IPv4Address = ZERO
    sname: bytes = b""
    file: bytes = b""


_NO_BOOT = _Boot()


def _head(kind: MessageType, server: IPv4Address) -> dict[int, bytes]:
    return {Code.MESSAGE_TYPE: bytes((kind,)), Code.SERVER_ID: server.packed}


def _reply(
    request: Packet,
    kind: MessageType,
    options: dict[int, bytes],
    boot: _Boot,
    *,
    yiaddr: IPv4Address = ZERO,
    ciaddr: IPv4Address | None = None,
) -> Packet:
    """The packet, with the options that the client or the relay gets back as it sent them."""
    for code in (Code.MACHINE_ID, Code.CLIENT_ID, Code.RELAY_AGENT):
        value = request.options.get(code)
        if value is not None:
            options[code] = value
    if ciaddr is None:
        ciaddr = request.ciaddr if kind == MessageType.ACK else ZERO
    return Packet(
        op=2,
        htype=request.htype,
        xid=request.xid,
        flags=request.flags,
        ciaddr=ciaddr,
        yiaddr=yiaddr,
        siaddr=boot.siaddr,
        giaddr=request.giaddr,
        hardware=request.hardware,
        sname=boot.sname,
        file=boot.file,
        options=options,
    )


@lru_cache(maxsize=64)
def _subnet(pool: Pool) -> dict[int, bytes]:
    """The options that are the same for all clients of a pool."""
    network = pool.subnet.network
    options: dict[int, bytes] = {
        Code.SUBNET_MASK: network.netmask.packed,
        Code.BROADCAST_ADDRESS: network.broadcast_address.packed,
    }
    if pool.router is not None:
        options[Code.ROUTER] = pool.router.packed
    if pool.dns:
        options[Code.DNS] = b"".join(address.packed for address in pool.dns)
    if pool.domain:
        options[Code.DOMAIN] = pool.domain.encode("ascii", "replace")
    if pool.time_servers:
        options[Code.NTP] = b"".join(address.packed for address in pool.time_servers)
    return options


def _boot(
    request: Packet,
    client: Client,
    server: IPv4Address,
    decision: Decision,
    options: dict[int, bytes],
    *,
    proxies: bool = False,
) -> _Boot:
    """Say where to boot from in the words of the client's firmware; options are added to ``options``."""
    if client.stage is Stage.OS or not offers_boot(decision):
        return _NO_BOOT
    is_firmware = client.stage is Stage.FIRMWARE
    parameters = request.options.get(Code.PARAMETERS, b"")
    if is_firmware:
        is_pi = client.architecture is Architecture.RASPBERRY_PI
        options[Code.VENDOR_CLASS] = b"PXEClient"
        options[Code.VENDOR] = PI_VENDOR if is_pi else PXE_NO_DISCOVERY
        if is_pi or Code.TFTP_SERVER in parameters:
            options[Code.TFTP_SERVER] = str(server).encode("ascii")
    elif client.stage is Stage.FIRMWARE_HTTP:
        # UEFI 2.10 §24.7.3: an offer without this class is not taken for HTTP Boot.
        options[Code.VENDOR_CLASS] = b"HTTPClient"
    elif not proxies:
        options[Code.IPXE] = IPXE_NO_PROXY
    file = decision.file.encode("utf-8")
    in_header = len(file) < FILE_FIELD
    if file and (not in_header or Code.BOOT_FILE in parameters):
        options[Code.BOOT_FILE] = file
    sname = str(server).encode("ascii") if is_firmware else b""
    return _Boot(siaddr=server, sname=sname, file=file if in_header else b"")


def _boot_item(request: Packet) -> bytes:
    """The item of a PXE menu that the client asks a boot server for: type and layer, four bytes."""
    return decode_suboptions(request.options.get(Code.VENDOR, b""), terminated=True).get(PXE_BOOT_ITEM, b"")[:4]
