"""Real packets (tests/golden/packets): what each firmware asks, how it is classified, and what it is answered."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from pxe.classify import classify, ipxe_features
from pxe.codec import Code, MessageType, Packet, decode, encode, size_limit
from pxe.ports import Architecture, Stage, Transport
from pxe.tftp import negotiate, parse_request

FOLDER = Path(__file__).resolve().parents[2] / "golden" / "packets"
SCENARIOS = ("bios-rom", "bios-undionly", "uefi-pxe", "uefi-http")
SERVER = IPv4Address("10.0.0.1")


def packets(name: str) -> list[tuple[int, bytes]]:
    document = json.loads((FOLDER / f"{name}.json").read_text())
    return [(each["to"], bytes.fromhex(each["hex"])) for each in document["packets"]]


def dhcp(name: str) -> list[Packet]:
    return [decode(data) for port, data in packets(name) if port == 67]


def stages(name: str) -> list[tuple[MessageType, Architecture, Stage]]:
    found = []
    for packet in dhcp(name):
        client = classify(packet, transport=Transport.DHCP, server=SERVER)
        found.append((packet.message_type, client.architecture, client.stage))
    return found


def both(architecture: Architecture, stage: Stage) -> list[tuple[MessageType, Architecture, Stage]]:
    return [(kind, architecture, stage) for kind in (MessageType.DISCOVER, MessageType.REQUEST)]


BIOS, UEFI = Architecture.X86_BIOS, Architecture.X86_64_UEFI


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bios-rom", both(BIOS, Stage.IPXE)),
        ("bios-undionly", both(BIOS, Stage.IPXE) * 2),
        ("uefi-pxe", both(UEFI, Stage.FIRMWARE) + both(UEFI, Stage.IPXE)),
        ("uefi-http", both(UEFI, Stage.FIRMWARE_HTTP) + both(UEFI, Stage.IPXE)),
    ],
)
def test_what_each_firmware_is(name: str, expected: list[Any]) -> None:
    assert stages(name) == expected


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_firmware_says_its_uuid_and_mac(name: str) -> None:
    for packet in dhcp(name):
        client = classify(packet, transport=Transport.DHCP, server=SERVER)
        assert "12345678-9abc-4def-8123-456789abcdef" in client.uuids
        assert client.mac.startswith("52:54:00:00:00:0")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_answers(name: str, bench: Any, golden: Any) -> None:
    """One exchange per captured packet; the answers as text, as they leave for the wire."""
    lines = []
    for packet in dhcp(name):
        asked = packet
        if packet.message_type is MessageType.REQUEST:  # in the capture another subnet was served
            options = {**packet.options, 50: bench_address(bench, packet).packed, 54: SERVER.packed}
            asked = replace(packet, options=options)
        outcome = bench.ask(asked)
        assert outcome.reply is not None, outcome.why
        data = encode(outcome.reply, limit=size_limit(asked))
        reply = decode(data)
        assert reply.message_type is (
            MessageType.OFFER if packet.message_type is MessageType.DISCOVER else MessageType.ACK
        )
        lines.append(f"{packet.message_type.name} {outcome.why}")
        lines.append(f"  {reply.message_type.name} {outcome.to.route} {len(data)} bytes yiaddr={reply.yiaddr}")
        lines.append(f"  siaddr={reply.siaddr} sname={reply.sname.decode()} file={reply.file.decode()}")
        lines += [f"  {code}: {value.hex()}" for code, value in sorted(reply.options.items())]
    golden.check(f"packets/{name}.answers", "\n".join(lines) + "\n")


def bench_address(bench: Any, packet: Packet) -> IPv4Address:
    held = bench.exchange.table.held(bench.exchange.pools[0], packet.hardware.hex(":"))
    return IPv4Address(held.address)


def test_captured_packets_survive_the_codec() -> None:
    for name in SCENARIOS:
        for packet in dhcp(name):
            assert decode(encode(packet, limit=1472)) == packet


def test_tftp_requests_of_real_firmware() -> None:
    seen = [parse_request(data) for name in SCENARIOS for port, data in packets(name) if port == 69]
    names = [request.name for request in seen]
    assert names.count("snponly.efi") == 2, "OVMF asks for the size, goes away, and asks again"
    assert "undionly.kpxe" in names
    assert "autoexec.ipxe" in names, "snponly.efi looks beside itself"
    for request in seen:
        terms = negotiate(request.options, size=284672, mtu=1500)
        assert terms.block >= 1432
        assert (("tsize", "284672") in terms.accepted) == ("tsize" in request.options)


def test_every_ipxe_lists_http() -> None:
    for name in SCENARIOS:
        assert 0x13 in ipxe_features(dhcp(name)[-1].options[Code.IPXE])
