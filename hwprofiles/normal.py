"""Text from firmware, made comparable: placeholders, vendor spellings, UUID byte orders, MACs and serials.

The lists come from 165 dumps of server boards and from bug reports of other tools; each constant was seen somewhere.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

PLACEHOLDERS = frozenset(
    {
        "",
        "--",
        "---",
        "n/a",
        "na",
        "none",
        "null",
        "empty",
        "sku",
        "family",
        "default",
        "default string",
        "$(default_string)",
        "not specified",
        "not applicable",
        "not available",
        "not present",
        "not settable",
        "not installed",
        "no enclosure",
        "no asset tag",
        "no asset information",
        "unknown",
        "unspecified",
        "undefined",
        "to be filled by o.e.m.",
        "to be filled by oem",
        "to be filled by o.e.m",
        "o.e.m.",
        "0100",
        "0001",
        "0123456789",
        "01234567890",
        "123456789",
        "1234567890",
        "012345678",
        "0123456789abcdef",
        "01234567890123456789ab",
        "fedcba9876543211fedcba9876543211",
        "enter serial",
        "serial",
        "serial number",
        "system serial number",
        "base board serial number",
        "chassis serial number",
        "system manufacturer",
        "system product name",
        "system version",
        "system sku",
        "base board product name",
        "chassis manufacturer",
        "asset-1234567890",
        "sku=notprovided",
    }
)
"""Case-folded texts that firmware vendors leave when they have nothing to say; they count as absent."""

_REPEATED = re.compile(r"(.)\1{3,}|[0\s.\-]+|[x\s.\-]+")
_MARKS = re.compile(r"\((?:r|tm|c)\)|[®™©]", re.IGNORECASE)
_BAD_UUIDS = frozenset(
    {
        "03000200-0400-0500-0006-000700080009",  # the template of AMI's firmware, left as it is on many boards
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789abc",
        "01020304-0506-0708-090a-0b0c0d0e0f10",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
    }
)
_COMPANY_WORDS = frozenset(
    {
        *("inc", "incorporated", "corp", "corporation", "co", "company", "ltd", "limited", "llc", "gmbh", "ag"),
        *("technology", "technologies", "computer", "computers", "international", "cloud", "systems"),
    }
)
_VENDORS = {
    "asustek": "asus",
    "hp": "hpe",
    "hewlettpackard": "hpe",
    "hewlettpackardenterprise": "hpe",
    "gigabytetechnology": "gigabyte",
    "gigabyte": "gigabyte",
    "supermicro": "supermicro",
    "supermicrosupermicro": "supermicro",
    "microstar": "msi",
    "quantaqct": "quanta",
    "qct": "quanta",
    "advancedmicrodevices": "amd",
    "authenticamd": "amd",
    "genuineintel": "intel",
    "amperer": "ampere",
}


_WORDS, _SERIALS = 1 << 12, 1 << 18
"""Bounds of the caches: texts that machines have in common, and serials of 10 000 machines with all their disks, which a
plan compares again and again."""
_LONGEST = 128
"""Longer texts are not kept: they are no serial or name, and who sends them may be anybody."""


class _Kept(dict[str, str]):
    """The last results of a function, for texts of reasonable length. A dictionary, so that what is known costs no call."""

    def __init__(self, function: Callable[[str], str], bound: int) -> None:
        super().__init__()
        self.function, self.bound = function, bound

    def __missing__(self, text: str) -> str:
        result = self.function(text)
        if len(text) <= _LONGEST:
            if len(self) >= self.bound:
                self.clear()
            self[text] = result
        return result


def clean(text: str) -> str:
    """Firmware text without padding and control characters, or ``""`` when it is a placeholder."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(text.split())
    folded = line.casefold()
    if folded in PLACEHOLDERS or folded.startswith("sku=notprovided;"):
        return ""
    return "" if _REPEATED.fullmatch(folded) else line


def _text_key(text: str) -> str:
    return " ".join(_MARKS.sub(" ", clean(text)).casefold().split())


text_key = _Kept(_text_key, _WORDS).__getitem__
"""`clean` text folded for comparison: case, trademark signs and runs of blanks do not matter."""


def _vendor_key(text: str) -> str:
    words = re.findall(r"[a-z0-9#]+", text_key(text))
    kept = [word for word in words if word not in _COMPANY_WORDS] or words
    key = "".join(kept)
    return _VENDORS.get(key, key)


vendor_key = _Kept(_vendor_key, _WORDS).__getitem__
"""One spelling per vendor: ``ASUSTeK COMPUTER INC.`` → ``asus``, ``Dell Inc.`` → ``dell``, ``HPE`` → ``hpe``."""


def _serial_key(text: str) -> str:
    if text.isascii() and text.isalnum() and text.lower() not in PLACEHOLDERS and text.strip(text[0]):
        return text.upper()  # what nearly every serial is: nothing to clean, and a large site has 120 000 of them
    return clean(text).upper()


serial_key = _Kept(_serial_key, _SERIALS).__getitem__
"""A serial number as it is compared and stored: no blanks around it, one blank inside, upper case; placeholders
become ``""``. Tools and kernels pad and case serials differently (SCSI INQUIRY pads, smartctl strips)."""


def uuid_pair(text: str) -> tuple[str, ...]:
    """An SMBIOS UUID in both byte orders: first as given, then with the first three fields swapped.

    Firmware before SMBIOS 2.6, some PXE ROMs and UEFI's option 97 disagree about the order, so both are compared.
    Empty when the text is no UUID.
    """
    digits = text.strip().strip("{}").removeprefix("urn:uuid:")
    try:
        value = uuid.UUID(digits)
    except ValueError:
        return ()
    return str(value), str(uuid.UUID(bytes=value.bytes_le))


def known_bad_uuid(text: str) -> bool:
    """True for what identifies no machine: no UUID at all, one repeated digit, and constants of firmware vendors."""
    pair = uuid_pair(text)
    if not pair:
        return True
    return len(set(pair[0].replace("-", ""))) == 1 or any(order in _BAD_UUIDS for order in pair)


def mac_key(text: str) -> str:
    """A MAC address as lower case with colons; ``""`` when it is none. Accepts ``:``, ``-``, Cisco's dots and none."""
    compact = text.strip().lower()
    for form in (r"([0-9a-f]{2}[:-]){5}[0-9a-f]{2}", r"([0-9a-f]{4}\.){2}[0-9a-f]{4}", r"[0-9a-f]{12}"):
        if re.fullmatch(form, compact):
            digits = re.sub(r"[^0-9a-f]", "", compact)
            return ":".join(digits[index : index + 2] for index in range(0, 12, 2))
    return ""


def identifying_mac(text: str) -> bool:
    """True when a MAC says which machine it is: globally administered unicast, and not a constant.

    Bit 0 of the first octet is group, bit 1 locally administered (IEEE 802-2014 §8.2): docks, BMC host interfaces,
    and virtual machines use the latter, and several machines can have the same one.
    """
    mac = mac_key(text)
    if not mac or mac in {"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"}:
        return False
    return not int(mac[:2], 16) & 3 and len(set(mac.replace(":", ""))) > 1
