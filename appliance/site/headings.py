"""Headings of packing lists: which column means which key of a machine."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

WORDS: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "hostname", "host name", "host", "machine", "machine name", "node", "node name", "server name"),
    "serial": (
        *(
            "serial",
            "serial number",
            "serialnumber",
            "serial no",
            "serial nr",
            "s n",
            "sn",
            "service tag",
            "servicetag",
        ),
        *("board serial", "chassis serial", "system serial", "product serial", "seriennummer"),
    ),
    "mac": (
        *("mac", "mac address", "macaddress", "mac addr", "mac 1", "mac1", "mac address 1", "primary mac", "boot mac"),
        *("pxe mac", "lan mac", "nic mac", "lan 1 mac", "nic 1 mac", "ethernet address"),
    ),
    "uuid": ("uuid", "system uuid", "smbios uuid", "guid"),
    "switch_port": ("switch port", "switchport", "lldp port", "lldp"),
    "profile": ("profile", "hardware profile", "hw profile"),
    "address": ("address", "ip", "ip address", "ipaddress", "ipv4", "ipv4 address", "host ip"),
    "rack": ("rack", "rack name", "cabinet"),
    "unit": ("unit", "rack unit", "rackunit", "ru", "u", "u position", "rack position", "height unit"),
    "bmc": (
        *("bmc", "bmc address", "bmc ip", "bmc host", "ipmi", "ipmi address", "ipmi ip", "ilo", "ilo ip", "idrac"),
        *("idrac ip", "oob address", "oob ip"),
    ),
}
"""Words for a key, folded by `fold`: lower case, one blank for everything that is no letter or digit."""
KEYS = tuple(WORDS)
IDENTIFYING = frozenset({"serial", "mac", "uuid", "switch_port"})
_BY_WORD = {word: key for key, words in WORDS.items() for word in words}
_NEAR = 0.88


def fold(text: str) -> str:
    """``S/N`` → ``s n``, ``MAC-Address`` → ``mac address``."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def key(text: str) -> str:
    """The key that a heading means, or empty."""
    return _BY_WORD.get(fold(text), "")


def meant(text: str) -> str:
    """The heading that was probably meant by one that means nothing; empty when none is near. ``MAC 2`` is another MAC,
    not a slip."""
    folded = fold(text)
    if len(folded) < 4 or folded[-1].isdigit():
        return ""
    near = difflib.get_close_matches(folded, _BY_WORD, n=1, cutoff=_NEAR)
    return near[0] if near else ""


def known(cells: Sequence[str]) -> int:
    """How many headings of a row are known."""
    return sum(1 for cell in cells if key(cell))
