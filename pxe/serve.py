"""The boot servers as one process: DHCP on 67, boot server on 4011, TFTP on 69, on the named interfaces only."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from types import FrameType

from pxe.counters import Counters
from pxe.dhcp import DhcpServer
from pxe.errors import ServerEndedError
from pxe.journal import Journal
from pxe.link import find_links
from pxe.ports import Directory
from pxe.probe import require_alone
from pxe.tftp_server import TftpServer

log = logging.getLogger("pxe.serve")
#: How often the counters are written to the log.
REPORT_SECONDS = 300.0


class Mode(StrEnum):
    """``authoritative``: we give addresses. ``proxy``: another server does, we add the boot information."""

    AUTHORITATIVE = "authoritative"
    PROXY = "proxy"


def run(
    directory: Directory,
    interfaces: Sequence[str],
    mode: Mode = Mode.AUTHORITATIVE,
    *,
    probe_seconds: float = 4.0,
    on_ready: Callable[[], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or ``stop``; SIGHUP reads the pools again. ``on_ready`` is called when packets are
    answered. ``probe_seconds`` is how long the start waits for a foreign DHCP server (authoritative mode only).

    Raises `InterfaceError`, `PortError` or `ForeignServerError` (all `PxeError`) when it can't start, and `DirectoryError`
    when the pools and leases can't be read.
    """
    links = find_links(interfaces)
    if mode is Mode.AUTHORITATIVE and probe_seconds > 0:
        require_alone(links, seconds=probe_seconds)
    stop = stop or threading.Event()
    servers = Servers(directory, interfaces, mode)
    previous = _handle_signals(stop, servers.dhcp.reload)
    try:
        servers.start()
        names = ",".join(link.name for link in links)
        log.info("step=serve why=started mode=%s interfaces=%s", mode, names)
        if on_ready is not None:
            on_ready()
        reported = time.monotonic()
        while not stop.wait(1.0):
            if not servers.alive():
                raise ServerEndedError("a server thread ended; the log above says why")
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                log.info("step=counters why=regular %s", _counts(servers.counters))
    finally:
        servers.stop()
        log.info("step=counters why=stopped %s", _counts(servers.counters))
        for number, handler in previous.items():
            signal.signal(number, handler)


class Servers:
    """DHCP and TFTP, a thread each, sharing counters and journal. For callers that have a main loop of their own."""

    def __init__(self, directory: Directory, interfaces: Sequence[str], mode: Mode) -> None:
        links = find_links(interfaces)
        self.counters = Counters()
        self.journal = Journal(directory)
        self.dhcp = DhcpServer(directory, links, self.journal, self.counters, proxy=mode is Mode.PROXY)
        try:
            self.tftp = TftpServer(directory, links, self.journal, self.counters)
        except BaseException:
            self.dhcp.close()
            raise
        self.threads = [
            threading.Thread(target=self.dhcp.serve, name="pxe-dhcp", daemon=True),
            threading.Thread(target=self.tftp.serve, name="pxe-tftp", daemon=True),
        ]

    def start(self) -> None:
        """Begin to answer."""
        for thread in self.threads:
            thread.start()

    def alive(self) -> bool:
        """Whether both threads still run."""
        return all(thread.is_alive() for thread in self.threads) and self.dhcp.alive()

    def stop(self) -> None:
        """End both threads, write what the journal holds, close the sockets."""
        self.dhcp.stop()
        self.tftp.stop()
        for thread in self.threads:
            if thread.ident is not None:
                thread.join(timeout=10)
        self.dhcp.close()
        self.tftp.close()
        self.journal.close()


def _handle_signals(stop: threading.Event, reload: Callable[[], None]) -> dict[int, signal._HANDLER]:
    """Only the main thread may; elsewhere ``stop`` is the way to end."""
    if threading.current_thread() is not threading.main_thread():
        return {}

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    def again(_number: int, _frame: FrameType | None) -> None:
        reload()

    return {
        signal.SIGTERM: signal.signal(signal.SIGTERM, end),
        signal.SIGINT: signal.signal(signal.SIGINT, end),
        signal.SIGHUP: signal.signal(signal.SIGHUP, again),
    }


def _counts(counters: Counters) -> str:
    return " ".join(f"{name}={count}" for name, count in counters.snapshot().items()) or "none"
