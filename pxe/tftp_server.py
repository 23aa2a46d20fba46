"""The TFTP server on its sockets: all transfers in one thread and one epoll.

A window leaves with one system call where the kernel can cut it into datagrams (UDP_SEGMENT, Linux 4.18); files are read
ahead in pieces of 256 KiB. Each transfer has its own socket, connected to the client, so that strangers can't disturb it
(RFC 1350 §4).
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from pxe import tftp
from pxe.counters import Counters, RateLimitedLog
from pxe.journal import Journal
from pxe.link import Link, open_udp
from pxe.ports import BootEvent, Directory, DirectoryError, EventKind

log = logging.getLogger("pxe.tftp")
PORT = 69
READ_AHEAD = 256 << 10
MOST_TRANSFERS = 512
TRIES = 6
LONGEST_WAIT = 16.0
UDP_SEGMENT = 103
#: A datagram that the kernel shall cut has at most this many bytes (65535 less the headers).
LARGEST_BURST = 65_000
IP_PKTINFO = 8
#: Plain numbers for the path that every block takes.
ACK, ERROR = int(tftp.Opcode.ACK), int(tftp.Opcode.ERROR)
TICK_SECONDS = 0.25


class _Session:
    """One transfer on its socket."""

    __slots__ = (
        "ahead", "ahead_at", "ahead_step", "client", "deadline", "descriptor", "name", "request", "size",
        "started", "transfer", "tries", "udp", "use_segments",
    )  # fmt: skip

    def __init__(self, udp: socket.socket, name: str, file: tuple[int, int], terms: tftp.Terms) -> None:
        self.udp = udp
        self.client: tuple[str, int] = udp.getpeername()
        self.name = name
        self.descriptor, self.size = file
        self.transfer = tftp.Transfer(self.size, terms)
        self.request = b""
        self.tries = 0
        self.started = time.monotonic()
        self.deadline = 0.0
        self.ahead = b""
        self.ahead_at = 0
        self.ahead_step = max(READ_AHEAD // terms.block, 1) * terms.block
        self.use_segments = terms.window > 1

    def block(self, number: int) -> bytes:
        """The content of block ``number`` (1 …)."""
        size = self.transfer.terms.block
        start = (number - 1) * size - self.ahead_at
        if start < 0 or start >= len(self.ahead):
            self.ahead_at = (number - 1) * size
            self.ahead = os.pread(self.descriptor, self.ahead_step, self.ahead_at)
            start = 0
        return self.ahead[start : start + size]

    def push(self, now: float) -> None:
        """Send the OACK, or the blocks that the window allows. Raises `OSError` when the client is gone."""
        transfer = self.transfer
        wait = transfer.terms.timeout
        self.deadline = now + (wait if self.tries < 2 else min(wait * 2.0 ** (self.tries - 1), LONGEST_WAIT))
        if transfer.acked < 0:
            self.udp.send(tftp.oack(transfer.terms))
            return
        blocks = transfer.upcoming()
        if self.use_segments and len(blocks) > 1:
            self._burst(blocks)
        else:
            for number in blocks:
                self.udp.send(_HEADERS[number & 0xFFFF] + self.block(number))
        if blocks:
            transfer.advance(blocks[-1])

    def _burst(self, blocks: range) -> None:
        """Several blocks with one call; every datagram but the last has the same size, as UDP_SEGMENT asks for."""
        segment = self.transfer.terms.block + 4
        most = max(LARGEST_BURST // segment, 1)
        for start in range(0, len(blocks), most):
            parts = [_HEADERS[number & 0xFFFF] + self.block(number) for number in blocks[start : start + most]]
            try:
                self.udp.sendmsg(parts, [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", segment))])
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.EMSGSIZE, errno.EIO, errno.ENOPROTOOPT):
                    raise
                # No segmentation here (an old kernel, a strange device): one by one from now on.
                self.use_segments = False
                for part in parts:
                    self.udp.send(part)

    def close(self) -> None:
        self.udp.close()
        os.close(self.descriptor)


#: DATA headers by block number modulo 65536: made once, four bytes each.
_HEADERS = tuple(struct.pack("!HH", tftp.Opcode.DATA, number) for number in range(65536))


class TftpServer:
    """Opens port 69 on the links when made; `serve` runs until `stop`."""

    def __init__(self, directory: Directory, links: Sequence[Link], journal: Journal, counters: Counters) -> None:
        self.directory = directory
        self.journal = journal
        self.counters = counters
        self.complaints = RateLimitedLog(log)
        self.sessions: dict[int, _Session] = {}
        self.listeners: dict[int, tuple[socket.socket, Link]] = {}
        self.wake_out, self.wake_in = socket.socketpair()
        self.running = True
        self.poll = select.epoll()
        self.poll.register(self.wake_out.fileno(), select.EPOLLIN)
        for link in links:
            udp = open_udp(link, PORT)
            udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            self.listeners[udp.fileno()] = (udp, link)
            self.poll.register(udp.fileno(), select.EPOLLIN)

    def serve(self) -> None:
        """Answer until `stop`."""
        next_tick = 0.0
        while self.running:
            ready = self.poll.poll(TICK_SECONDS if self.sessions else 5.0)
            now = time.monotonic()
            for number, _ in ready:
                session = self.sessions.get(number)
                if session is not None:
                    self._continue(session, now)
                elif number in self.listeners:
                    self._listen(*self.listeners[number])
            if now >= next_tick:
                next_tick = now + TICK_SECONDS
                self._tick(now)
        self._end_all()

    def stop(self) -> None:
        """End `serve`."""
        self.running = False
        self.wake_in.send(b"s")

    def close(self) -> None:
        """Close all sockets."""
        self._end_all()
        for udp, _ in self.listeners.values():
            udp.close()
        self.poll.close()
        self.wake_in.close()
        self.wake_out.close()

    # -- new transfers

    def _listen(self, listener: socket.socket, link: Link) -> None:
        for _ in range(64):
            try:
                data, control, _, client = listener.recvmsg(2048, 64)
            except OSError:
                return
            own = _own_address(control) or link.addresses[0].ip
            try:
                self._start(data, client, own, link)
            except tftp.RefusedRequestError as refused:
                self.counters.add(f"refused.{refused.counter}")
                reason = f"machine=? address={client[0]} step=tftp-refused why={refused}"
                self.complaints.warn(f"{refused.counter}/{client[0]}", reason, time.monotonic())
                _reply(own, link, client, tftp.error(refused.code, str(refused)))
            except Exception:
                # A fault of ours with one client must not end the transfers of all others.
                self.counters.add("failed")
                log.exception("address=%s step=tftp why=a fault of the server; packet=%s", client[0], data.hex())

    def _start(self, data: bytes, client: tuple[str, int], own: IPv4Address, link: Link) -> None:
        request = tftp.parse_request(data)
        if self._is_repeated(client, data):
            return
        if len(self.sessions) >= MOST_TRANSFERS:
            raise tftp.RefusedRequestError(tftp.ErrorCode.UNDEFINED, "busy", "too many transfers, try again")
        descriptor, size = self._open(request.name, IPv4Address(client[0]))
        try:
            udp = _session_socket(own, link, client)
        except OSError as failed:
            os.close(descriptor)
            raise tftp.RefusedRequestError(tftp.ErrorCode.UNDEFINED, "socket", f"no socket: {failed}") from failed
        terms = tftp.negotiate(request.options, size=size, mtu=link.mtu)
        session = _Session(udp, request.name, (descriptor, size), terms)
        session.request = data
        self.sessions[udp.fileno()] = session
        self.poll.register(udp.fileno(), select.EPOLLIN)
        self.counters.add("transfers")
        detail = f"{request.name} {size} bytes, blocks of {terms.block}, window {terms.window}"
        log.info("machine=? address=%s step=tftp-start why=%s", client[0], detail)
        self._event(EventKind.TFTP_START, session, detail)
        self._push(session, session.started)

    def _is_repeated(self, client: tuple[str, int], data: bytes) -> bool:
        """Whether the same request was sent again before our answer came: then that is repeated. Another request from the
        same port means that the client began anew (ROMs with a fixed port): its old transfer ends."""
        for session in self.sessions.values():
            if session.client == client:
                if session.request == data and session.transfer.acked <= 0:
                    session.transfer.rewind()
                    self._push(session, time.monotonic())
                    return True
                self._abort(session, "the client began anew")
                return False
        return False

    def _open(self, name: str, address: IPv4Address) -> tuple[int, int]:
        try:
            path = self.directory.tftp_file(name, address)
        except DirectoryError as failed:
            raise tftp.RefusedRequestError(
                tftp.ErrorCode.UNDEFINED, "directory", "the store can't be asked"
            ) from failed
        try:
            if path is None or not Path(path).is_file():
                raise tftp.RefusedRequestError(tftp.ErrorCode.NOT_FOUND, "not-found", f"no file {name}")
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as failed:
            raise tftp.RefusedRequestError(
                tftp.ErrorCode.ACCESS, "unreadable", f"{name}: {failed.strerror}"
            ) from failed
        return descriptor, os.fstat(descriptor).st_size

    # -- running transfers

    def _continue(self, session: _Session, now: float) -> None:
        try:
            data = session.udp.recv(1024)
        except BlockingIOError:
            return
        except OSError as gone:
            self._abort(session, f"the client is gone ({gone.strerror})")
            return
        if len(data) < 4 or data[0] != 0:
            return
        if data[1] == ACK:
            if session.transfer.acknowledge(data[2] << 8 | data[3]):
                session.tries = 0
                self._push(session, now)
            elif session.transfer.done:
                self._finish(session)
        elif data[1] == ERROR:
            text = data[4:].split(b"\0")[0].decode("ascii", "replace")
            self._abort(session, f"the client ended it: {data[2] << 8 | data[3]} {text}".rstrip())

    def _push(self, session: _Session, now: float) -> None:
        try:
            session.push(now)
        except BlockingIOError:
            pass  # the send buffer is full; the deadline sends the rest
        except OSError as gone:
            self._abort(session, f"can't send ({gone.strerror})")

    def _tick(self, now: float) -> None:
        for session in list(self.sessions.values()):
            if session.deadline > now:
                continue
            session.tries += 1
            if session.tries >= TRIES:
                self._abort(session, f"no answer after block {session.transfer.acked}", is_failure=True)
                continue
            self.counters.add("timeouts")
            session.transfer.rewind()
            self._push(session, now)

    def _finish(self, session: _Session) -> None:
        seconds = time.monotonic() - session.started
        self.counters.add("done")
        self.counters.add("bytes", session.size)
        detail = f"{session.name} {session.size} bytes in {seconds:.2f} s"
        log.info("machine=? address=%s step=tftp-done why=%s", session.client[0], detail)
        self._event(EventKind.TFTP_DONE, session, detail)
        self._close(session)

    def _abort(self, session: _Session, why: str, *, is_failure: bool = False) -> None:
        """ROMs ask for the size and go away: an end before the first block was taken is a probe, not an error."""
        if session.transfer.sent >= session.transfer.blocks and not is_failure:
            self._finish(session)  # everything was sent, and the client left without the last ACK
            return
        is_probe = session.transfer.acked <= 0 and not is_failure
        self.counters.add("probes" if is_probe else "aborts")
        detail = f"{session.name}: {'size probe; ' if is_probe else ''}{why}"
        log.info("machine=? address=%s step=tftp-abort why=%s", session.client[0], detail)
        if not is_probe:
            self._event(EventKind.TFTP_ABORT, session, detail)
        self._close(session)

    def _close(self, session: _Session) -> None:
        number = session.udp.fileno()
        self.poll.unregister(number)
        del self.sessions[number]
        session.close()

    def _end_all(self) -> None:
        for session in list(self.sessions.values()):
            self._close(session)

    def _event(self, kind: EventKind, session: _Session, detail: str) -> None:
        address = IPv4Address(session.client[0])
        self.journal.add(BootEvent(kind=kind, at=time.time(), address=address, detail=detail))


def _own_address(control: list[tuple[int, int, bytes]]) -> IPv4Address | None:
    """Which of our addresses the client sent to: the answer must come from there (RFC 1123 §4.2.3.2)."""
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) >= 12:
            address = IPv4Address(data[4:8])
            if not address.is_multicast and int(address) not in (0, 0xFFFFFFFF):
                return address
    return None


def _session_socket(own: IPv4Address, link: Link, client: tuple[str, int]) -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        udp.bind((str(own), 0))
        udp.connect(client)
    except OSError:
        udp.close()
        raise
    return udp


def _reply(own: IPv4Address, link: Link, client: tuple[str, int], data: bytes) -> None:
    try:
        with _session_socket(own, link, client) as udp:
            udp.send(data)
    except OSError as failed:
        log.info("machine=? address=%s step=tftp why=error not sent: %s", client[0], failed)
