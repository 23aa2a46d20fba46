"""A directory and a conflict probe in memory, for tests of the servers' logic without sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

import pytest

from pxe.codec import Packet
from pxe.exchange import Arrival, Exchange, Outcome
from pxe.leases import Table
from pxe.link import Link
from pxe.ports import Action, BootEvent, Client, Decision, DirectoryError, Lease, Pool, Stage

SERVER = IPv4Address("10.0.0.1")
LINK = Link(name="eth1", mac="02:00:00:00:00:ff", mtu=1500, addresses=(IPv4Interface("10.0.0.1/24"),))
POOL = Pool(
    subnet=IPv4Interface("10.0.0.1/24"),
    first=IPv4Address("10.0.0.10"),
    last=IPv4Address("10.0.0.13"),
    lease_seconds=600,
)
FAR = Pool(subnet=IPv4Interface("10.7.0.1/24"), first=IPv4Address("10.7.0.10"), last=IPv4Address("10.7.0.20"))


@dataclass
class MemoryDirectory:
    """Implements `pxe.ports.Directory`; tests look into it."""

    given: tuple[Pool, ...] = (POOL, FAR)
    fixed: dict[str, IPv4Address] = field(default_factory=dict)
    saved: list[tuple[Lease, ...]] = field(default_factory=list)
    forgotten: list[IPv4Address] = field(default_factory=list)
    seen: list[BootEvent] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    asked: list[Client] = field(default_factory=list)
    broken: bool = False

    def decide(self, client: Client) -> Decision:
        if self.broken:
            raise DirectoryError("the disk is full")
        self.asked.append(client)
        if client.stage is Stage.OS:
            return Decision(action=Action.IGNORE, reason="an os")
        if client.stage is Stage.IPXE:
            return Decision(action=Action.SCRIPT, reason="ipxe", file="http://10.0.0.1:8080/autoexec.ipxe")
        return Decision(action=Action.LOADER, reason="firmware", file="undionly.kpxe", machine="m1")

    def pools(self) -> tuple[Pool, ...]:
        return self.given

    def fixed_address(self, client: Client) -> IPv4Address | None:
        return self.fixed.get(client.mac)

    def leases(self) -> tuple[Lease, ...]:
        return tuple(lease for batch in self.saved for lease in batch)

    def save_leases(self, leases: tuple[Lease, ...]) -> None:
        if self.broken:
            raise DirectoryError("the disk is full")
        self.saved.append(leases)

    def forget_lease(self, address: IPv4Address, *, until: float) -> None:
        self.forgotten.append(address)

    def observe(self, events: tuple[BootEvent, ...]) -> None:
        self.seen += events

    def tftp_file(self, name: str, address: IPv4Address) -> str | None:
        return self.files.get(name)


@dataclass
class MemoryProber:
    """Knows who uses an address; notes what it was asked."""

    owners: dict[IPv4Address, str] = field(default_factory=dict)
    asked: list[tuple[IPv4Address, bool]] = field(default_factory=list)

    def ask(self, link: Link, address: IPv4Address, *, relayed: bool) -> None:
        self.asked.append((address, relayed))

    def taken_by(self, address: IPv4Address) -> str | None:
        return self.owners.get(address)


@dataclass
class Bench:
    """One exchange with its surroundings; ``ask`` sends a packet at a time."""

    directory: MemoryDirectory
    prober: MemoryProber
    exchange: Exchange
    now: float = 1000.0

    def ask(self, packet: Packet, *, port: int = 67, source: tuple[str, int] = ("0.0.0.0", 68)) -> Outcome:
        return self.exchange.answer(packet, Arrival(link=LINK, port=port, source=source, now=self.now))

    def ask_proxy(self, packet: Packet, *, port: int = 67, source: tuple[str, int] = ("10.0.0.50", 68)) -> Outcome:
        return self.exchange.proxy(packet, Arrival(link=LINK, port=port, source=source, now=self.now))


@pytest.fixture
def memory_directory() -> MemoryDirectory:
    return MemoryDirectory()


@pytest.fixture
def bench(memory_directory: MemoryDirectory) -> Bench:
    prober = MemoryProber()
    exchange = Exchange(memory_directory, Table(memory_directory.pools()), memory_directory.pools(), prober)
    return Bench(memory_directory, prober, exchange)


@pytest.fixture
def request_packet() -> Callable[..., Packet]:
    """``request_packet(kind, number, {options}, giaddr=…)``: a client's packet; ``number`` makes its MAC."""

    def build(kind: int, number: int = 1, options: dict[int, bytes] | None = None, **fields: IPv4Address) -> Packet:
        numbered = {53: bytes((kind,)), **(options or {})}
        hardware = bytes((2, 0, 0, 0, 0, number))
        return Packet(op=1, xid=number, hardware=hardware, options=numbered, **fields)  # type: ignore[arg-type]

    return build
