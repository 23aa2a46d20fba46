"""QEMU's iPXE ROM in the clothes of an ordinary one."""

from __future__ import annotations

from ipaddress import IPv4Address

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from appliance.rehearsal.plain_pxe import renumber, udp_port
from pxe.classify import classify
from pxe.codec import Code, Packet, decode, encode
from pxe.ports import Stage, Transport

OPTIONS = {
    Code.MESSAGE_TYPE: b"\x01",
    Code.ARCHITECTURE: b"\0\0",
    Code.VENDOR_CLASS: b"PXEClient:Arch:00000:UNDI:002001",
    Code.USER_CLASS: b"iPXE",
    Code.IPXE: b"\x13\x01\x01\x11\x01\x01",
}


def frame(port: int, payload: bytes) -> bytes:
    return bytes(Ether() / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=port) / payload)


def test_an_ipxe_rom_becomes_an_ordinary_rom() -> None:
    hello = encode(
        Packet(
            op=1,
            xid=7,
            hardware=bytes.fromhex("525400000001"),
            options={int(code): value for code, value in OPTIONS.items()},
        )
    )
    sent = frame(67, hello)
    changed = renumber(sent)
    assert udp_port(changed) == 67
    assert len(changed) == len(sent)
    parsed = Ether(changed)
    assert parsed[UDP].chksum == 0
    before, after = decode(bytes(Ether(sent)[UDP].payload)), decode(bytes(parsed[UDP].payload))
    server = IPv4Address("10.77.0.1")
    assert classify(before, transport=Transport.DHCP, server=server).stage is Stage.IPXE
    assert classify(after, transport=Transport.DHCP, server=server).stage is Stage.FIRMWARE


def test_other_frames_are_recognised() -> None:
    assert udp_port(frame(69, b"\0\1undionly.kpxe\0octet\0")) == 69
    assert udp_port(bytes(Ether(type=0x0806)) + bytes(40)) == 0
    assert udp_port(b"short") == 0
