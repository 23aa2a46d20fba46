"""The DHCP server's answers: one packet in, at most one packet out, with what must be stored first and what to tell.

No sockets here. The directory decides what a client boots, `Table` which address it gets, `offer` how that is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from pxe.classify import classify, lease_key, relay_of
from pxe.codec import ZERO, Code, MessageType, Packet
from pxe.leases import Holder, Table
from pxe.link import Link, local_pool
from pxe.offer import (
    CLIENT_PORT,
    Destination,
    Route,
    Terms,
    destination,
    inform_reply,
    lease_reply,
    offers_boot,
    proxy_reply,
    refusal,
)
from pxe.ports import BootEvent, Client, Directory, EventKind, Lease, Pool, Stage, Transport

#: How long an address that somebody else uses stays out of the pool.
DECLINED_SECONDS = 3600.0
BOOT_SERVER_PORT = 4011


class Prober(Protocol):
    """What the exchange asks the conflict probe."""

    def ask(self, link: Link, address: IPv4Address, *, relayed: bool) -> None:
        """Find out in the background whether somebody uses this address."""

    def taken_by(self, address: IPv4Address) -> str | None:
        """Who answered: a MAC, ``?`` when only an echo came back, None when nobody did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """Where and when a packet came in. ``source`` is the sender's address and port."""

    link: Link
    port: int
    source: tuple[str, int]
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``lease`` must be stored before ``reply`` is sent to ``to``. ``why`` is the line for the log; ``counter`` names it."""

    counter: str
    why: str
    mac: str = ""
    machine: str = ""
    reply: Packet | None = None
    to: Destination | None = None
    lease: Lease | None = None
    events: tuple[BootEvent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """A request with what was found out about it."""

    packet: Packet
    client: Client
    key: str
    pool: Pool
    server: IPv4Address
    arrival: Arrival


class Exchange:
    """The state of the DHCP server of one process: pools, leases, the mode."""

    def __init__(self, directory: Directory, table: Table, pools: tuple[Pool, ...], prober: Prober) -> None:
        self.directory = directory
        self.table = table
        self.pools = pools
        self.prober = prober
        self.handlers: dict[MessageType, Callable[[_Query], Outcome]] = {
            MessageType.DISCOVER: self._discover,
            MessageType.REQUEST: self._request,
            MessageType.DECLINE: self._decline,
            MessageType.RELEASE: self._release,
            MessageType.INFORM: self._inform,
        }

    def answer(self, packet: Packet, arrival: Arrival) -> Outcome:
        """Authoritative mode. Raises `DirectoryError` when the store can't be asked: then nothing is sent."""
        if packet.op != 1:
            return Outcome(counter="not-a-request", why="a reply came to the server's port")
        if arrival.port == BOOT_SERVER_PORT:
            return self.boot_server(packet, arrival)
        pool = self._pool(packet, arrival.link)
        client = classify(packet, transport=Transport.DHCP, server=self._server(pool, arrival.link))
        if pool is None:
            via = f"relay {packet.giaddr}" if packet.giaddr != ZERO else f"interface {arrival.link.name}"
            return Outcome(counter="no-pool", why=f"no pool for {via}", mac=client.mac)
        handler = self.handlers.get(packet.message_type)
        if handler is None:
            return Outcome(
                counter="not-a-request", why=f"{packet.message_type.name} came to the server", mac=client.mac
            )
        return handler(
            _Query(
                packet=packet, client=client, key=lease_key(packet), pool=pool, server=client.server, arrival=arrival
            )
        )

    def proxy(self, packet: Packet, arrival: Arrival) -> Outcome:
        """Proxy mode on port 67: an OFFER without an address to clients that boot, silence to everything else."""
        if arrival.port == BOOT_SERVER_PORT:
            return self.boot_server(packet, arrival)
        server = self._server(None, arrival.link)
        client = classify(packet, transport=Transport.PROXY, server=server)
        if packet.op != 1 or packet.message_type is not MessageType.DISCOVER or client.stage is Stage.OS:
            return Outcome(counter="proxy-silent", why="not a booting client's DISCOVER", mac=client.mac)
        return self._boot_only(MessageType.OFFER, packet, client, arrival.now, destination)

    def boot_server(self, packet: Packet, arrival: Arrival) -> Outcome:
        """Port 4011: the ACK of a PXE boot server, to where the question came from (PXE 2.1 §2.2.3)."""
        server = self._server(None, arrival.link)
        client = classify(packet, transport=Transport.BOOT_SERVER, server=server)
        asks = packet.op == 1 and packet.message_type in (MessageType.REQUEST, MessageType.INFORM)
        if not asks or client.stage is Stage.OS:
            return Outcome(counter="boot-server-silent", why="not a PXE client's REQUEST", mac=client.mac)
        address, port = arrival.source
        to = Destination(route=Route.UNICAST, address=IPv4Address(address), port=port)
        if to.address == ZERO:
            to = Destination(route=Route.BROADCAST, address=IPv4Address("255.255.255.255"), port=CLIENT_PORT)
        return self._boot_only(MessageType.ACK, packet, client, arrival.now, lambda _request, _reply: to)

    def _boot_only(
        self,
        kind: MessageType,
        packet: Packet,
        client: Client,
        now: float,
        route: Callable[[Packet, Packet], Destination],
    ) -> Outcome:
        decision = self.directory.decide(client)
        if not offers_boot(decision):
            return Outcome(counter="boot-ignored", why=decision.reason, mac=client.mac, machine=decision.machine)
        reply = proxy_reply(kind, packet, client, client.server, decision)
        return Outcome(
            counter="proxy-offer" if kind is MessageType.OFFER else "boot-server-ack",
            why=f"{decision.reason}; {decision.file or 'menu'}",
            mac=client.mac,
            machine=decision.machine,
            reply=reply,
            to=route(packet, reply),
            events=(_event(EventKind.PROXY_OFFER, now, client, client.address, decision.file),),
        )

    # -- where a packet belongs

    def _pool(self, packet: Packet, link: Link) -> Pool | None:
        """RFC 3527 link selection, else the relay's address; a renewal by unicast belongs to the address it names."""
        if packet.giaddr != ZERO:
            return self.table.pool_of(relay_of(packet).link or packet.giaddr)
        if packet.ciaddr != ZERO:
            found = self.table.pool_of(packet.ciaddr)
            if found is not None:
                return found
        return local_pool(link, self.pools)

    @staticmethod
    def _server(pool: Pool | None, link: Link) -> IPv4Address:
        """Our address as the client reaches us: the pool's on a local subnet, else the interface's first."""
        return pool.subnet.ip if pool is not None and link.has(pool.subnet.ip) else link.addresses[0].ip

    # -- the messages

    def _discover(self, query: _Query) -> Outcome:
        address = self._reserve(query)
        if address is None:
            why = f"no free address in {query.pool.first}-{query.pool.last}"
            return Outcome(counter="exhausted", why=why, mac=query.client.mac)
        client = query.client
        decision = self.directory.decide(client)
        terms = Terms(address=address, pool=query.pool, server=query.server)
        reply = lease_reply(MessageType.OFFER, query.packet, client, terms, decision)
        return Outcome(
            counter="offer",
            why=f"{decision.reason}; {address} {decision.file}".rstrip(),
            mac=client.mac,
            machine=decision.machine,
            reply=reply,
            to=destination(query.packet, reply),
            events=(
                _event(
                    EventKind.DHCP_DISCOVER, query.arrival.now, client, address, f"{client.architecture} {client.stage}"
                ),
                _event(EventKind.DHCP_OFFER, query.arrival.now, client, address, decision.file),
            ),
        )

    def _reserve(self, query: _Query) -> IPv4Address | None:
        """An address that nobody is known to use; an unknown one is asked about while the client makes up its mind."""
        fixed = self.directory.fixed_address(query.client)
        now, packet = query.arrival.now, query.packet
        wanted = packet.address(Code.REQUESTED_ADDRESS)
        for _ in range(8):
            held = self.table.held(query.pool, query.key)
            renewed = held is not None and held.confirmed and held.until > now
            client = Holder(key=query.key, mac=query.client.mac)
            address = self.table.reserve(query.pool, client, now, fixed=fixed, wanted=wanted)
            if address is None:
                return None
            if not self._conflict(query, address):
                if not renewed:
                    self.prober.ask(query.arrival.link, address, relayed=packet.giaddr != ZERO)
                return address
        return None

    def _conflict(self, query: _Query, address: IPv4Address) -> bool:
        """Whether a stranger answered for this address; then it leaves the pool for a while."""
        owner = self.prober.taken_by(address)
        if owner is None or owner == query.client.mac:
            return False
        until = query.arrival.now + DECLINED_SECONDS
        self.table.block(address, until)
        self.directory.forget_lease(address, until=until)
        return True

    def _request(self, query: _Query) -> Outcome:
        packet = query.packet
        chosen = packet.address(Code.SERVER_ID)
        if chosen is not None and chosen != query.server and not query.arrival.link.has(chosen):
            self.table.drop_reservation(query.pool, query.key, query.arrival.now)
            return Outcome(counter="not-chosen", why=f"the client took the offer of {chosen}", mac=query.client.mac)
        wanted = packet.address(Code.REQUESTED_ADDRESS) or (packet.ciaddr if packet.ciaddr != ZERO else None)
        if wanted is None:
            return Outcome(counter="no-address", why="a REQUEST that names no address", mac=query.client.mac)
        problem = self._objection(query, wanted)
        if problem:
            return self._refuse(query, wanted, problem)
        client = Holder(key=query.key, mac=query.client.mac, hostname=_hostname(packet))
        lease = self.table.confirm(query.pool, client, wanted, query.arrival.now)
        if lease is None:
            return self._refuse(query, wanted, "another client has this address")
        return self._acknowledge(query, lease)

    def _objection(self, query: _Query, wanted: IPv4Address) -> str:
        """Why an address may not be confirmed; empty when it may, as far as the pools know."""
        if wanted not in query.pool.subnet.network:
            return f"{wanted} does not belong to {query.pool.subnet.network}"
        if not self.table.in_range(query.pool, wanted) and self.directory.fixed_address(query.client) != wanted:
            return f"{wanted} is not given to this client"
        if self._conflict(query, wanted):
            return f"{wanted} is used by another device"
        return ""

    def _acknowledge(self, query: _Query, lease: Lease) -> Outcome:
        client = query.client
        decision = self.directory.decide(client)
        terms = Terms(address=lease.address, pool=query.pool, server=query.server)
        reply = lease_reply(MessageType.ACK, query.packet, client, terms, decision)
        return Outcome(
            counter="ack",
            why=f"{decision.reason}; {lease.address} {decision.file}".rstrip(),
            mac=client.mac,
            machine=decision.machine,
            reply=reply,
            to=destination(query.packet, reply),
            lease=lease,
            events=(_event(EventKind.DHCP_ACK, query.arrival.now, client, lease.address, decision.file),),
        )

    def _refuse(self, query: _Query, wanted: IPv4Address, why: str) -> Outcome:
        reply = refusal(query.packet, query.server, why)
        return Outcome(
            counter="nak",
            why=why,
            mac=query.client.mac,
            reply=reply,
            to=destination(query.packet, reply),
            events=(_event(EventKind.DHCP_NAK, query.arrival.now, query.client, wanted, why),),
        )

    def _decline(self, query: _Query) -> Outcome:
        address = query.packet.address(Code.REQUESTED_ADDRESS)
        holder = self.table.holder(address) if address is not None else None
        if address is None or holder is None or holder.client.key != query.key:
            return Outcome(
                counter="decline-ignored", why="a DECLINE of an address it does not have", mac=query.client.mac
            )
        until = query.arrival.now + DECLINED_SECONDS
        self.table.block(address, until)
        self.directory.forget_lease(address, until=until)
        event = _event(EventKind.DHCP_DECLINE, query.arrival.now, query.client, address)
        why = f"the client found {address} in use; kept out of the pool for {DECLINED_SECONDS / 60:.0f} minutes"
        return Outcome(counter="decline", why=why, mac=query.client.mac, events=(event,))

    def _release(self, query: _Query) -> Outcome:
        lease = self.table.release(query.pool, query.key, query.packet.ciaddr, query.arrival.now)
        why = f"{query.packet.ciaddr} given back" if lease else "a RELEASE of an address it does not have"
        return Outcome(counter="release", why=why, mac=query.client.mac, lease=lease)

    def _inform(self, query: _Query) -> Outcome:
        decision = self.directory.decide(query.client)
        reply = inform_reply(query.packet, query.client, query.pool, query.server, decision)
        return Outcome(
            counter="inform",
            why=decision.reason,
            mac=query.client.mac,
            machine=decision.machine,
            reply=reply,
            to=destination(query.packet, reply),
        )


def _hostname(packet: Packet) -> str:
    """Option 12, if it is a name that may be shown."""
    name = packet.options.get(Code.HOST_NAME, b"").rstrip(b"\0")[:64]
    return name.decode("ascii") if name and all(0x21 <= byte < 0x7F for byte in name) else ""


def _event(kind: EventKind, at: float, client: Client, address: IPv4Address | None, detail: str = "") -> BootEvent:
    return BootEvent(kind=kind, at=at, mac=client.mac, address=address, uuids=client.uuids, detail=detail)
