"""The DHCP servers on their sockets: port 67 and 4011 of the named interfaces.

One thread answers everything that waits in the sockets; offers leave at once, ACKs when `pxe.commit` has stored their lease.
"""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pxe.codec import Code, Fault, MalformedPacketError, PacketTooLargeError, decode, encode, size_limit
from pxe.commit import GroupCommit, Pending
from pxe.conflict import ConflictProbe
from pxe.counters import Counters, RateLimitedLog
from pxe.errors import InterfaceError, PortError
from pxe.exchange import BOOT_SERVER_PORT, Arrival, Exchange, Outcome
from pxe.frame import ETHERTYPE_IPV4, udp_datagram
from pxe.journal import Journal
from pxe.leases import Table
from pxe.link import Link, local_pool, open_udp
from pxe.offer import SERVER_PORT, Route
from pxe.ports import Directory, DirectoryError, Pool

log = logging.getLogger("pxe.dhcp")
LARGEST_BATCH = 16
#: How many addresses of each pool are asked about before they are needed, and how often.
AHEAD = 32
AHEAD_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Port:
    link: Link
    number: int
    udp: socket.socket
    frames: socket.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """A reply that waits for its lease to be stored."""

    port: _Port
    outcome: Outcome
    data: bytes


class DhcpServer:
    """Opens the sockets when made; `serve` runs until `stop`. ``proxy`` switches to boot information only."""

    def __init__(
        self, directory: Directory, links: Sequence[Link], journal: Journal, counters: Counters, *, proxy: bool
    ) -> None:
        self.directory = directory
        self.links = tuple(links)
        self.journal = journal
        self.counters = counters
        self.is_proxy = proxy
        self.complaints = RateLimitedLog(log)
        pools = () if proxy else directory.pools()
        _require_pools(self.links, pools, proxy=proxy)
        self.conflicts = ConflictProbe(self.links)
        self.commit = GroupCommit(directory, failed=self._withheld, counted=partial(counters.add, "commits"))
        self.exchange = Exchange(directory, Table(pools, directory.leases()), pools, self.conflicts)
        self.ports: dict[int, _Port] = {}
        self.wake_out, self.wake_in = socket.socketpair()
        self.running = True
        self.reload_wanted = False
        self.looked_ahead = 0.0
        try:
            for link in self.links:
                for number in (SERVER_PORT, BOOT_SERVER_PORT):
                    self._open(link, number)
        except PortError:
            self.close()
            raise

    def _open(self, link: Link, number: int) -> None:
        udp = open_udp(link, number)
        # Protocol 0: this socket only sends; the kernel puts the Ethernet header on.
        frames = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        self.ports[udp.fileno()] = _Port(link=link, number=number, udp=udp, frames=frames)

    def serve(self) -> None:
        """Answer until `stop` is called from another thread or a signal handler."""
        poll = select.epoll()
        for number in (*self.ports, self.wake_out.fileno()):
            poll.register(number, select.EPOLLIN)
        probes = {opened.fileno(): opened for opened in self.conflicts.sockets()}
        for number in probes:
            poll.register(number, select.EPOLLIN)
        try:
            while self.running:
                ready = poll.poll(1.0)
                self.conflicts.tick(time.time())
                for number, _ in ready:
                    if number in probes:
                        self.conflicts.receive(probes[number])
                self._answer_all([self.ports[number] for number, _ in ready if number in self.ports])
                if any(number == self.wake_out.fileno() for number, _ in ready):
                    self.wake_out.recv(64)
                self._idle_work()
        finally:
            poll.close()

    def stop(self) -> None:
        """End `serve`; what was received is still answered."""
        self.running = False
        self.wake_in.send(b"s")

    def alive(self) -> bool:
        """Whether leases can still be stored."""
        return self.commit.alive()

    def reload(self) -> None:
        """Read the pools again, soon, in the server's thread."""
        self.reload_wanted = True
        self.wake_in.send(b"r")

    def close(self) -> None:
        """Store the leases that wait, send their ACKs, close all sockets."""
        self.commit.close()
        for port in self.ports.values():
            port.udp.close()
            port.frames.close()
        self.conflicts.close()
        self.wake_in.close()
        self.wake_out.close()

    # -- answers

    def _answer_all(self, ready: list[_Port]) -> None:
        waiting: list[Pending] = []
        for port in ready:
            for _ in range(LARGEST_BATCH):
                try:
                    data, source = port.udp.recvfrom(4096)
                except BlockingIOError:
                    break
                except OSError as error:
                    self.complaints.warn("receive", f"step=receive why={error}", time.time())
                    break
                answer = self._answer(port, data, source)
                if answer is None:
                    continue
                if answer.outcome.lease is None:
                    self._send(answer)
                else:
                    waiting.append(Pending(lease=answer.outcome.lease, stored=partial(self._send, answer)))
        if waiting:
            self.commit.add(waiting)

    def _answer(self, port: _Port, data: bytes, source: tuple[str, int]) -> _Answer | None:
        now = time.time()
        try:
            packet = decode(data)
            arrival = Arrival(link=port.link, port=port.number, source=source, now=now)
            answer: Callable[..., Outcome] = self.exchange.proxy if self.is_proxy else self.exchange.answer
            outcome = answer(packet, arrival)
            reply = encode(outcome.reply, limit=size_limit(packet)) if outcome.reply is not None else b""
        except MalformedPacketError as error:
            self._malformed(error.reason, f"{error}; from {source[0]} on {port.link.name}", now)
            return None
        except PacketTooLargeError as error:
            self.counters.add("too-large")
            self.complaints.warn("too-large", f"machine=? step=dhcp why={error}", now)
            return None
        except DirectoryError as error:
            self.counters.add("directory-failed")
            self.complaints.warn("directory", f"step=dhcp why=the store could not be asked: {error}; silent", now)
            return None
        except Exception:
            # A fault of ours with one client must not silence the network for all others.
            self.counters.add("failed")
            log.exception("step=dhcp why=a fault of the server; packet=%s", data.hex())
            return None
        self.counters.add(outcome.counter)
        if outcome.reply is None and outcome.lease is None:
            self.complaints.warn(f"{outcome.counter}/{outcome.mac}", _line(outcome), now)
            self.journal.add(*outcome.events)
            return None
        return _Answer(port=port, outcome=outcome, data=reply)

    def _malformed(self, reason: Fault, text: str, now: float) -> None:
        self.counters.add("malformed")
        self.counters.add(f"malformed.{reason}")
        self.complaints.warn(f"malformed.{reason}", f"step=dhcp why=malformed packet: {text}", now)

    def _withheld(self, count: int, why: str) -> None:
        self.counters.add("directory-failed")
        text = f"machine=? step=dhcp-ack why=leases not stored, {count} ACKs withheld: {why}"
        self.complaints.warn("save", text, time.time())

    def _send(self, answer: _Answer) -> None:
        outcome, port = answer.outcome, answer.port
        if log.isEnabledFor(logging.INFO):
            log.info("%s", _line(outcome))
        self.journal.add(*outcome.events)
        to = outcome.to
        if to is None:
            return
        try:
            if to.route is Route.FRAME:
                server = outcome.reply.address(Code.SERVER_ID) if outcome.reply is not None else None
                source = server or port.link.addresses[0].ip
                datagram = udp_datagram(source, port.number, to.address, to.port, answer.data)
                port.frames.sendto(datagram, (port.link.name, ETHERTYPE_IPV4, 0, 0, to.hardware))
            else:
                port.udp.sendto(answer.data, (str(to.address), to.port))
        except OSError as error:
            self.counters.add("send-failed")
            self.complaints.warn(
                "send", f"machine={outcome.mac} step={outcome.counter} why=not sent: {error}", time.time()
            )

    # -- between packets

    def _idle_work(self) -> None:
        now = time.time()
        try:
            if self.reload_wanted and not self.is_proxy:
                self.reload_wanted = False
                pools = self.directory.pools()
                self.exchange.table.configure(pools)
                self.exchange.pools = pools
                log.info("step=reload why=asked to pools=%d", len(pools))
        except DirectoryError as error:
            self.complaints.warn("reload", f"step=reload why={error}", now)
        if now - self.looked_ahead < AHEAD_SECONDS or self.is_proxy:
            return
        self.looked_ahead = now
        for pool in self.exchange.pools:
            link = next((link for link in self.links if link.has(pool.subnet.ip)), None)
            if link is not None:
                for address in self.exchange.table.upcoming(pool, AHEAD, now):
                    self.conflicts.ask(link, address, relayed=False)


def _require_pools(links: Sequence[Link], pools: Sequence[Pool], *, proxy: bool) -> None:
    """An interface without a pool and without relays would be silent for ever: say so at the start."""
    for link in links:
        relayed = any(not any(other.has(pool.subnet.ip) for other in links) for pool in pools)
        if not proxy and local_pool(link, pools) is None and not relayed:
            have = ", ".join(str(address) for address in link.addresses)
            raise InterfaceError(
                f"no pool for {link.name} ({have}): no network of the site has this address as its own"
            )


def _line(outcome: Outcome) -> str:
    mac = outcome.mac or "?"
    return f"machine={outcome.machine or mac} mac={mac} step={outcome.counter} why={outcome.why}"
