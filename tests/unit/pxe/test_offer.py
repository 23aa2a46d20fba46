"""What is said to which client, and where it is sent."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest

from pxe.classify import classify
from pxe.codec import BROADCAST, ZERO, Code, MessageType, Packet, decode, encode
from pxe.offer import (
    PI_VENDOR,
    Destination,
    Route,
    Terms,
    destination,
    inform_reply,
    lease_reply,
    proxy_reply,
    refusal,
)
from pxe.ports import Action, Client, Decision, Pool, Transport

MAC = bytes.fromhex("525400000001")
SERVER = IPv4Address("10.0.0.1")
POOL = Pool(
    subnet=IPv4Interface("10.0.0.1/24"),
    first=IPv4Address("10.0.0.100"),
    last=IPv4Address("10.0.0.199"),
    router=IPv4Address("10.0.0.254"),
    dns=(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")),
    time_servers=(SERVER,),
    domain="lab.example",
    lease_seconds=1000,
)
TERMS = Terms(address=IPv4Address("10.0.0.100"), pool=POOL, server=SERVER)
LOADER = Decision(action=Action.LOADER, reason="r", file="undionly.kpxe")
MACHINE_ID = b"\0" + bytes(range(16))


def asked(options: dict[int, bytes], transport: Transport = Transport.DHCP, **fields: object) -> tuple[Packet, Client]:
    packet = Packet(op=1, xid=9, hardware=MAC, options={53: b"\x01", **options}, **fields)  # type: ignore[arg-type]
    return packet, classify(packet, transport=transport, server=SERVER)


BIOS = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 97: MACHINE_ID, 55: bytes((1, 3, 43, 60, 66, 67))}


def test_an_offer_to_a_bios_rom() -> None:
    request, client = asked({**BIOS, 61: b"\0id", 82: b"\x01\x01x"}, flags=BROADCAST)
    reply = decode(encode(lease_reply(MessageType.OFFER, request, client, TERMS, LOADER), limit=1472))
    assert (reply.op, reply.xid, reply.yiaddr, reply.siaddr) == (2, 9, TERMS.address, SERVER)
    assert (reply.file, reply.sname, reply.flags) == (b"undionly.kpxe", b"10.0.0.1", BROADCAST)
    options = reply.options
    assert options[60] == b"PXEClient"
    assert options[43] == b"\x06\x01\x08\xff", "no discovery: Intel ROMs go to port 4011 otherwise"
    assert options[97] == MACHINE_ID
    assert (options[61], options[82]) == (b"\0id", b"\x01\x01x")
    assert (options[66], options[67]) == (b"10.0.0.1", b"undionly.kpxe")
    assert options[1] == bytes((255, 255, 255, 0))
    assert options[3] == POOL.router.packed if POOL.router else False
    assert options[6] == bytes((10, 0, 0, 1, 10, 0, 0, 2))
    assert options[42] == SERVER.packed
    assert options[15] == b"lab.example"
    assert [int.from_bytes(options[code], "big") for code in (51, 58, 59)] == [1000, 500, 875]


def test_an_operating_system_gets_no_boot_file() -> None:
    request, client = asked({12: b"host"})
    reply = lease_reply(MessageType.ACK, request, client, TERMS, LOADER)
    assert (reply.file, reply.siaddr) == (b"", ZERO)
    assert not {43, 60, 66, 67} & set(reply.options)


@pytest.mark.parametrize("action", [Action.IGNORE, Action.LOCAL])
def test_nothing_to_boot_means_a_lease_only(action: Action) -> None:
    request, client = asked(BIOS)
    reply = lease_reply(MessageType.OFFER, request, client, TERMS, Decision(action=action, reason="r"))
    assert reply.yiaddr == TERMS.address
    assert (reply.file, reply.siaddr) == (b"", ZERO)
    assert not {43, 60, 66, 67} & set(reply.options)


def test_http_boot_gets_its_class_back_and_a_url() -> None:
    request, client = asked({60: b"HTTPClient:Arch:00016:UNDI:003000", 93: b"\0\x10"})
    url = "http://10.0.0.1:8080/loaders/ipxe.efi"
    reply = lease_reply(MessageType.OFFER, request, client, TERMS, Decision(action=Action.LOADER, reason="r", file=url))
    assert reply.options[60] == b"HTTPClient"
    assert reply.file == url.encode()
    assert 43 not in reply.options


def test_a_long_url_travels_in_option_67_only() -> None:
    request, client = asked({60: b"PXEClient", 93: b"\0\7", 77: b"iPXE", 175: b"\x13\x01\x01"})
    url = "http://10.0.0.1:8080/" + "x" * 150
    reply = lease_reply(MessageType.OFFER, request, client, TERMS, Decision(action=Action.SCRIPT, reason="r", file=url))
    assert reply.file == b""
    assert reply.options[67] == url.encode()
    assert reply.options[175] == b"\xb0\x01\x01\xff", "iPXE need not wait for a proxy"
    assert 43 not in reply.options


def test_a_raspberry_pi_gets_its_menu_and_no_file() -> None:
    request, client = asked({**BIOS, 97: b"\0RPi5" + bytes(12)})
    reply = lease_reply(MessageType.OFFER, request, client, TERMS, Decision(action=Action.LOADER, reason="r"))
    recipe = "0601030a040050584509140000115261737062657272792050692042 6f6f74ff".replace(" ", "")
    assert reply.options[43] == PI_VENDOR == bytes.fromhex(recipe)
    assert (reply.options[60], reply.options[66], reply.siaddr) == (b"PXEClient", b"10.0.0.1", SERVER)
    assert reply.options[97] == b"\0RPi5" + bytes(12)


def test_a_proxy_offers_no_address() -> None:
    request, client = asked(BIOS, Transport.PROXY)
    reply = proxy_reply(MessageType.OFFER, request, client, SERVER, LOADER)
    assert (reply.yiaddr, reply.siaddr, reply.file) == (ZERO, SERVER, b"undionly.kpxe")
    assert reply.options[60] == b"PXEClient"
    assert not {1, 3, 51} & set(reply.options)
    ipxe, client = asked({60: b"PXEClient", 93: b"\0\0", 77: b"iPXE", 175: b"\x13\x01\x01"}, Transport.PROXY)
    script = proxy_reply(
        MessageType.OFFER, ipxe, client, SERVER, Decision(action=Action.SCRIPT, reason="r", file="http://x/")
    )
    assert script.options[60] == b"PXEClient"
    assert 175 not in script.options


def test_the_boot_server_names_the_item_that_was_asked() -> None:
    request, client = asked({**BIOS, 43: b"\x47\x04\x80\x00\x00\x00\xff"}, Transport.BOOT_SERVER)
    reply = proxy_reply(MessageType.ACK, request, client, SERVER, LOADER)
    assert reply.options[43] == b"\x47\x04\x80\x00\x00\x00\xff"


def test_inform_has_settings_but_no_lease() -> None:
    request, client = asked({}, ciaddr=IPv4Address("10.0.0.50"))
    reply = inform_reply(request, client, POOL, SERVER, Decision(action=Action.IGNORE, reason="r"))
    assert reply.message_type is MessageType.ACK
    assert (reply.yiaddr, reply.ciaddr) == (ZERO, IPv4Address("10.0.0.50"))
    assert 51 not in reply.options
    assert reply.options[3] == bytes((10, 0, 0, 254))


RELAY = IPv4Address("10.9.0.1")
HELD = IPv4Address("10.0.0.50")


@pytest.mark.parametrize(
    ("fields", "kind", "wanted"),
    [
        ({"giaddr": RELAY}, 2, (Route.RELAY, RELAY, 67)),
        ({"giaddr": RELAY, "ciaddr": HELD}, 5, (Route.RELAY, RELAY, 67)),
        ({"giaddr": RELAY}, 6, (Route.RELAY, RELAY, 67)),
        ({"ciaddr": HELD}, 5, (Route.UNICAST, HELD, 68)),
        ({"ciaddr": HELD}, 6, (Route.BROADCAST, IPv4Address("255.255.255.255"), 68)),
        ({"flags": BROADCAST}, 2, (Route.BROADCAST, IPv4Address("255.255.255.255"), 68)),
        ({}, 2, (Route.FRAME, IPv4Address("10.0.0.100"), 68)),
        ({}, 6, (Route.BROADCAST, IPv4Address("255.255.255.255"), 68)),
    ],
)
def test_routes_of_rfc_2131(fields: dict[str, object], kind: int, wanted: tuple[Route, IPv4Address, int]) -> None:
    request, client = asked({}, **fields)
    if kind == MessageType.NAK:
        reply = refusal(request, SERVER, "no")
        assert bool(reply.flags & BROADCAST) == ("giaddr" in fields), "a relay must broadcast a NAK"
    else:
        reply = lease_reply(MessageType(kind), request, client, TERMS, LOADER)
    found = destination(request, reply)
    assert (found.route, found.address, found.port) == wanted


def test_no_frame_without_an_ethernet_address() -> None:
    request, client = asked({})
    other = replace(request, htype=32, hardware=b"")
    reply = lease_reply(MessageType.OFFER, other, client, TERMS, LOADER)
    assert destination(other, reply).route is Route.BROADCAST
    assert isinstance(destination(request, reply), Destination)
    assert Code.SERVER_ID in reply.options
