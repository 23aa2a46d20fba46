"""Numbers and addresses of machines: the ladder of `network.md` §3. Allocated once, stored with the allocation, and never
computed again from the order of a list.

A machine has one number in the site. It is the host part of its address in every network (node 7 is ``10.1.4.7`` in
``10.1.4.0/24`` and ``fd00:…:4::7`` in a /64), the last part of its loopback, and what is added to the base of the AS
numbers. Where a number does not fit (it is the gateway's, or larger than the network), the machine gets the highest
address that is free: low ones belong to the numbers that come next.

Names in `Allocation.addresses` are the network's name for IPv4, and ``NAME/6`` for IPv6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from appliance.model.network import Network, Plane
from appliance.model.plan import Allocation, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.order import natural

IPV6 = "/6"
"""What follows a network's name where its IPv6 address is meant."""

_READABLE = 0xFFFF
"""The highest host part that is given in IPv6 without a number that asks for it: one group of digits."""
_WITHOUT = frozenset({Plane.PROVISIONING, Plane.TENANT})
"""Planes in which this module gives no addresses: `place.Places` does in the first, guests bring their own in the other."""


def has_addresses(network: Network) -> bool:
    """Whether machines get addresses of their own in this network."""
    return network.plane not in _WITHOUT and (network.cidr is not None or network.cidr6 is not None)


@dataclass(slots=True, kw_only=True)
class _Range:
    """Addresses of one network and family as integers. ``held`` is machine → address, ``taken`` everything that nobody
    else may get; all above ``free`` are taken."""

    key: str
    cidr: IPv4Network | IPv6Network
    base: int
    first: int
    last: int
    free: int
    reserved: frozenset[int]
    held: dict[str, int] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)

    def fits(self, value: int) -> bool:
        return self.first <= value <= self.last and value not in self.taken

    def keep(self, machine: str, text: str) -> None:
        """What the machine has, unless it lies elsewhere now, or is somebody else's."""
        address = _parsed(text)
        if address is not None and address.version == self.cidr.version and self.fits(int(address)):
            self.hold(machine, int(address))

    def hold(self, machine: str, value: int) -> None:
        self.held[machine] = value
        self.taken.add(value)

    def choose(self, machine: str, number: int) -> int | None:
        """The address for a machine: what it has, its number's, or the highest free one. None: all are taken."""
        if machine in self.held:
            return self.held[machine]
        if self.fits(self.base + number):
            return self.base + number
        while self.free >= self.first:
            if self.fits(self.free):
                return self.free
            self.free -= 1
        return None

    def text(self, value: int) -> str:
        return str(IPv4Address(value) if self.cidr.version == 4 else IPv6Address(value))

    @property
    def size(self) -> int:
        """How many machines find room."""
        return self.last - self.first + 1 - len(self.reserved)


class Ladder:
    """Hands out numbers and addresses. ``kept`` is what machines have already, also those that are not planned now: it
    stays theirs. Each answer costs about the same however many machines there are."""

    def __init__(self, site: Site, kept: Mapping[str, Allocation]) -> None:
        self._numbers: dict[str, int] = {}
        self._used: set[int] = set()
        self._next = 1
        self._names = {machine: allocation.name for machine, allocation in kept.items()}
        self._ranges = _ranges(site)
        by_key = {entry.key: entry for entry in self._ranges}
        for machine in sorted(kept):
            allocation = kept[machine]
            if allocation.number > 0 and allocation.number not in self._used:
                self._hold(machine, allocation.number)
            for key, text in allocation.addresses:
                if key in by_key:
                    by_key[key].keep(machine, text)

    def number(self, machine: str) -> int:
        """The number that the machine has, else the lowest that nobody has, from 1."""
        if machine not in self._numbers:
            while self._next in self._used:
                self._next += 1
            self._hold(machine, self._next)
        return self._numbers[machine]

    def addresses(self, machine: str, number: int) -> tuple[tuple[str, str], ...] | Wait:
        """Pairs of name and address (without prefix length) in every network that machines have addresses in, or which
        network is full; then nothing is taken."""
        chosen = []
        for entry in self._ranges:
            value = entry.choose(machine, number)
            if value is None:
                return self._full(machine, entry)
            chosen.append(value)
        for entry, value in zip(self._ranges, chosen, strict=True):
            entry.hold(machine, value)
        return tuple((entry.key, entry.text(value)) for entry, value in zip(self._ranges, chosen, strict=True))

    def _hold(self, machine: str, number: int) -> None:
        self._numbers[machine] = number
        self._used.add(number)

    def _full(self, machine: str, entry: _Range) -> Wait:
        text = (
            f"network '{entry.key.removesuffix(IPV6)}' ({entry.cidr}) has {entry.size} addresses for machines and all "
            "are taken; give it a larger cidr that contains this one, or retire machines"
        )
        return Wait(about=self._names.get(machine) or machine, reason=WaitReason.NO_ADDRESS, text=text)


def _ranges(site: Site) -> tuple[_Range, ...]:
    special = [*_special(site)]
    found = []
    for network in site.networks:
        if has_addresses(network):
            gateway = _parsed(network.gateway)
            others = [*special, gateway] if gateway is not None else special
            found += [_range(key, cidr, others) for key, cidr in _families(network)]
    return tuple(sorted(found, key=lambda entry: natural(entry.key)))


def _families(network: Network) -> Iterator[tuple[str, IPv4Network | IPv6Network]]:
    if network.cidr is not None:
        yield network.name, network.cidr
    if network.cidr6 is not None:
        yield network.name + IPV6, network.cidr6


def _range(key: str, cidr: IPv4Network | IPv6Network, special: list[IPv4Address | IPv6Address]) -> _Range:
    """Without network and broadcast address (IPv6: the subnet-router anycast, RFC 4291 §2.6.1), except in a network of
    one or two addresses (RFC 3021, RFC 6164)."""
    base, end = int(cidr.network_address), int(cidr.broadcast_address)
    ends = 1 if cidr.max_prefixlen - cidr.prefixlen > 1 else 0
    first, last = base + ends, end - ends
    reserved = frozenset(int(a) for a in special if a.version == cidr.version and first <= int(a) <= last)
    free = min(last, base + _READABLE) if cidr.version == 6 else last
    return _Range(
        key=key, cidr=cidr, base=base, first=first, last=last, free=free, reserved=reserved, taken=set(reserved)
    )


def _special(site: Site) -> Iterator[IPv4Address | IPv6Address]:
    """Addresses that are somebody's already: the appliance, routers, servers and BMCs that the site file names."""
    network = site.provisioning
    yield network.appliance
    if network.gateway is not None:
        yield network.gateway
    yield from network.dns
    named = (*site.dns_servers, *site.time_servers, *(machine.bmc for machine in site.machines if machine.bmc))
    for text in named:
        address = _parsed(text)
        if address is not None:
            yield address


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address written as such; None for names and URLs."""
    try:
        return ip_address(text) if text else None
    except ValueError:
        return None
