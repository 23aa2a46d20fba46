"""Who asks, by the options of one packet; real packets of firmware are in test_firmware.py."""

from __future__ import annotations

import uuid
from ipaddress import IPv4Address

import pytest

from pxe.classify import classify, lease_key, user_class_of
from pxe.codec import Packet
from pxe.ports import Architecture, Client, Stage, Transport

MAC = bytes.fromhex("525400000001")
SERVER = IPv4Address("10.0.0.1")
IPXE_HTTP = bytes.fromhex("b105010000000013010112010122010131ff")[:-1]


def client(options: dict[int, bytes], **fields: object) -> Client:
    packet = Packet(op=1, xid=1, hardware=MAC, options={53: b"\x01", **options}, **fields)  # type: ignore[arg-type]
    return classify(packet, transport=Transport.DHCP, server=SERVER)


def pxe(number: int, kind: str = "PXEClient") -> dict[int, bytes]:
    return {60: f"{kind}:Arch:{number:05}:UNDI:003000".encode(), 93: number.to_bytes(2, "big")}


@pytest.mark.parametrize(
    ("number", "kind", "architecture", "stage"),
    [
        (0, "PXEClient", Architecture.X86_BIOS, Stage.FIRMWARE),
        (6, "PXEClient", Architecture.IA32_UEFI, Stage.FIRMWARE),
        (7, "PXEClient", Architecture.X86_64_UEFI, Stage.FIRMWARE),
        (9, "PXEClient", Architecture.X86_64_UEFI, Stage.FIRMWARE),
        (11, "PXEClient", Architecture.ARM64_UEFI, Stage.FIRMWARE),
        (15, "HTTPClient", Architecture.IA32_UEFI, Stage.FIRMWARE_HTTP),
        (16, "HTTPClient", Architecture.X86_64_UEFI, Stage.FIRMWARE_HTTP),
        (18, "HTTPClient", Architecture.UNKNOWN, Stage.FIRMWARE_HTTP),
        (19, "HTTPClient", Architecture.ARM64_UEFI, Stage.FIRMWARE_HTTP),
        (999, "PXEClient", Architecture.UNKNOWN, Stage.FIRMWARE),
    ],
)
def test_architectures(number: int, kind: str, architecture: Architecture, stage: Stage) -> None:
    found = client(pxe(number, kind))
    assert (found.architecture, found.stage) == (architecture, stage)


def test_the_first_known_of_several_architectures_counts() -> None:
    assert client({93: b"\x7f\xff\x00\x0b", 60: b"PXEClient"}).architecture is Architecture.ARM64_UEFI


def test_an_http_architecture_without_class_is_http() -> None:
    assert client({93: b"\x00\x10"}).stage is Stage.FIRMWARE_HTTP


@pytest.mark.parametrize("letters", [b"RPi5", b"RPi4"])
def test_a_raspberry_pi_is_not_what_it_says(letters: bytes) -> None:
    identifier = b"\0" + letters + bytes.fromhex("7041d000") + bytes.fromhex("44332211") + bytes.fromhex("efbeadde")
    found = client({**pxe(0), 97: identifier})
    assert found.architecture is Architecture.RASPBERRY_PI
    assert found.pi_serial == "deadbeef"
    assert found.uuids == (), "option 97 of a Pi is no UUID"
    without_class = client({97: identifier, 93: b"\0\0"})
    assert without_class.stage is Stage.FIRMWARE, "its REQUEST leaves option 60 out"


def test_ipxe_counts_by_what_it_can() -> None:
    assert client({**pxe(0), 77: b"iPXE", 175: IPXE_HTTP}).stage is Stage.IPXE
    assert client({**pxe(0), 77: b"\x04iPXE", 175: IPXE_HTTP}).stage is Stage.IPXE
    assert client({**pxe(0), 77: b"iPXE", 175: b"\x12\x01\x01"}).stage is Stage.IPXE_LIMITED
    assert client({**pxe(0), 77: b"iPXE", 175: b"\x13\x01\x00"}).stage is Stage.IPXE_LIMITED, "HTTP switched off"
    assert client({**pxe(0), 77: b"iPXE"}).stage is Stage.IPXE_LIMITED
    assert client({**pxe(0), 77: b"other"}).stage is Stage.FIRMWARE


def test_user_class_in_both_forms() -> None:
    assert user_class_of(b"iPXE") == "iPXE"
    assert user_class_of(b"\x04iPXE\x03foo") == "iPXE"
    assert user_class_of(b"\x04iPXE\x09foo") == "?iPXE?foo", "broken counts: the text as it is"
    assert user_class_of(b"") == ""


def test_an_operating_system_does_not_boot() -> None:
    found = client({60: b"dhcpcd-9.4.1:Linux", 12: b"host"})
    assert (found.stage, found.architecture) == (Stage.OS, Architecture.UNKNOWN)


def test_uuids_in_both_byte_orders() -> None:
    known = uuid.UUID("12345678-9abc-4def-8123-456789abcdef")
    assert client({97: b"\0" + known.bytes_le}).uuids == (str(known), "78563412-bc9a-ef4d-8123-456789abcdef")
    assert client({97: b"\0" + b"\xff" * 16}).uuids == ()
    assert client({97: b"\0" * 17}).uuids == ()
    assert client({97: b"\x01" + known.bytes_le}).uuids == ()
    assert client({97: b"short"}).uuids == ()


def test_relay_information() -> None:
    found = client({82: b"\x01\x04eth7\x02\x03\x00\x01\xff"}, giaddr=IPv4Address("10.1.0.1"))
    assert (found.relay, found.circuit_id, found.remote_id) == (IPv4Address("10.1.0.1"), "eth7", "0001ff")


def test_lease_key_is_the_mac_where_there_is_one() -> None:
    same = [{61: b"\x01" + MAC}, {61: b"\x00" + b"u" * 16}, {61: b"\xff\0\0\0\1duid"}, {}]
    assert {lease_key(Packet(op=1, xid=1, hardware=MAC, options=options)) for options in same} == {"52:54:00:00:00:01"}
    infiniband = Packet(op=1, xid=1, htype=32, hardware=b"", options={61: b"\xff\x01\x02"})
    assert lease_key(infiniband) == "id:ff0102"
