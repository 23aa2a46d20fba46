"""Readers of addresses and networks: text → value, or ``ValueError`` with what is expected."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, NetmaskValueError
from typing import NewType

Ip = NewType("Ip", str)
"""An IPv4 or IPv6 address, in its shortest spelling."""
_SHOWN = 40
MAX_PREFIX6 = 124


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRange:
    """``first-last``, ends included."""

    first: IPv4Address
    last: IPv4Address


def address(text: str) -> IPv4Address:
    """IPv4: machines boot with DHCPv4."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        pass
    try:
        IPv6Address(text)
    except AddressValueError:
        raise ValueError(f"expected an IPv4 address, got '{text[:_SHOWN]}'") from None
    raise ValueError(f"'{text}' is IPv6; machines are provisioned with IPv4 only")


def network(text: str) -> IPv4Network:
    """CIDR notation without host bits, at most a /30 small."""
    if "/" not in text:
        raise ValueError(f"expected a network such as 192.168.90.0/24, got '{text[:_SHOWN]}' (the prefix is missing)")
    if ":" in text:
        raise ValueError(f"'{text[:_SHOWN]}' is IPv6; 'cidr6' is for that, and machines are provisioned with IPv4 only")
    try:
        loose = IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise ValueError(f"expected a network such as 192.168.90.0/24, got '{text[:_SHOWN]}'") from None
    if str(loose.network_address) != text.split("/", maxsplit=1)[0]:
        raise ValueError(f"'{text}' has host bits set; did you mean '{loose}'?")
    if loose.prefixlen > 30 or loose.prefixlen < 8:
        raise ValueError(f"a network between /8 and /30 is expected, got /{loose.prefixlen}")
    return loose


def address_range(text: str) -> AddressRange:
    """``192.168.90.100-192.168.90.199``, or with only the last number after the hyphen: ``192.168.90.100-199``."""
    begin, hyphen, end = (part.strip() for part in text.partition("-"))
    if not hyphen:
        raise ValueError(f"expected a range such as 192.168.90.100-192.168.90.199, got '{text[:_SHOWN]}'")
    first = address(begin)
    last = address(f"{begin.rpartition('.')[0]}.{end}" if end.isdigit() else end)
    if last < first:
        raise ValueError(f"the range ends ({last}) before it begins ({first}); did you mean '{last}-{first}'?")
    return AddressRange(first=first, last=last)


def network6(text: str) -> IPv6Network:
    """CIDR notation of IPv6 without host bits."""
    if "/" not in text or ":" not in text:
        raise ValueError(f"expected an IPv6 network such as fd00:1:2::/64, got '{text[:_SHOWN]}'")
    try:
        loose = IPv6Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise ValueError(f"expected an IPv6 network such as fd00:1:2::/64, got '{text[:_SHOWN]}'") from None
    if loose.network_address != IPv6Address(text.split("/", maxsplit=1)[0]):
        raise ValueError(f"'{text}' has host bits set; did you mean '{loose}'?")
    if not 16 <= loose.prefixlen <= MAX_PREFIX6:
        raise ValueError(f"a network between /16 and /{MAX_PREFIX6} is expected, got /{loose.prefixlen}")
    return loose


def ip(text: str) -> Ip:
    """An address of either kind."""
    for kind in (IPv4Address, IPv6Address):
        try:
            return Ip(str(kind(text)))
        except AddressValueError:
            continue
    raise ValueError(f"expected an IPv4 or IPv6 address, got '{text[:_SHOWN]}'")
