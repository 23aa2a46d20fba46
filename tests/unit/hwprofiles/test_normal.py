"""Text of firmware made comparable; the examples are from real dumps and bug reports."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprofiles.normal import (
    clean,
    identifying_mac,
    known_bad_uuid,
    mac_key,
    serial_key,
    text_key,
    uuid_pair,
    vendor_key,
)


@pytest.mark.parametrize(
    "text",
    [
        "To be filled by O.E.M.",
        "To Be Filled By O.E.M.",
        "Default string",
        "Not Specified",
        "empty",
        "SKU",
        "Family",
        "0123456789",
        "0100",
        "01234567890123456789AB",
        "FEDCBA9876543211FEDCBA9876543211",
        "None",
        "---",
        "   ",
        "",
        "SKU=NotProvided;ModelName=PowerEdge R6515",
        "123456789",
        "Enter Serial",
        "System Serial Number",
        "\x00\x00",
        "00000000",
        "0000-0000",
        "XXXXXXXXXX",
        "....",
    ],
)
def test_placeholders_are_absent(text: str) -> None:
    assert clean(text) == ""
    assert serial_key(text) == ""


@pytest.mark.parametrize("text", ["H12SSW-NT", "OEM", "0R4CNN", "S3Z8NB0K", "A401031X0502795", "MSI", "S5HF MB", "01"])
def test_real_values_stay(text: str) -> None:
    assert clean(f"  {text}\t") == text


@pytest.mark.parametrize(
    ("spellings", "key"),
    [
        (("Dell Inc.", "Dell", "DELL INC"), "dell"),
        (("ASUSTeK COMPUTER INC.", "ASUSTeK Computer Inc."), "asus"),
        (("HPE", "HP", "Hewlett Packard Enterprise", "Hewlett-Packard"), "hpe"),
        (("GIGABYTE", "Gigabyte Technology Co., Ltd.", "Giga-Byte Technology Co., Ltd."), "gigabyte"),
        (("ASRockRack", "AsrockRack", "ASRock Rack"), "asrockrack"),
        (("Supermicro", "Super Micro Computer, Inc.", "SuperMicro"), "supermicro"),
        (("Quanta Cloud Technology Inc.", "Quanta"), "quanta"),
        (("To Be Filled By O.E.M.", " "), ""),
    ],
)
def test_vendor_spellings(spellings: tuple[str, ...], key: str) -> None:
    assert {vendor_key(text) for text in spellings} == {key}


def test_trademarks_do_not_matter() -> None:
    assert text_key("Ampere(R)  Altra(R) Processor") == "ampere altra processor"
    assert text_key("Intel® Xeon™") == "intel xeon"


def test_uuid_in_both_orders() -> None:
    """siderolabs/go-smbios#8: the same box as printed by a PXE ROM and by iPXE."""
    rom, ipxe = "9402DE03-8004-0605-F806-D50700080009", "03DE0294-0480-0506-F806-D50700080009"
    assert set(uuid_pair(rom)) == set(uuid_pair(ipxe))
    assert uuid_pair(rom)[0] == rom.lower()
    assert uuid_pair("no uuid") == ()
    assert not known_bad_uuid(rom), "three bytes of the template vary: it is weak, but not constant"


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.uuids())
def test_the_pair_is_the_same_from_both_sides(value: uuid.UUID) -> None:
    first, second = uuid_pair(str(value))
    assert uuid_pair(second) == (second, first)


@pytest.mark.parametrize(
    "text",
    [
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "00000000-0000-0000-0000-000000000000",
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "Not Settable",
        "",
    ],
)
def test_constants_identify_nothing(text: str) -> None:
    assert known_bad_uuid(text)


def test_macs() -> None:
    spellings = ("3C:EC:EF:12:34:56", "3c-ec-ef-12-34-56", "3cec.ef12.3456", "3CECEF123456")
    assert {mac_key(text) for text in spellings} == {"3c:ec:ef:12:34:56"}
    assert mac_key("3c:ec:ef:12:34") == mac_key("hello") == ""
    assert identifying_mac("3c:ec:ef:12:34:56")
    for bad in (
        "52:54:00:12:34:56",
        "01:00:5e:00:00:01",
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
        "",
        "be:3a:f2:b6:05:9f",
    ):
        assert not identifying_mac(bad), bad
