"""Two network namespaces joined by a veth pair, and processes inside them whose CPU time is counted."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

SERVER, CLIENT = "10.98.0.1", "10.98.0.2"
_NUMBERS = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Names of the namespaces. The server has 10.98.0.1/16 on ``eth0``, the client 10.98.0.2/16."""

    server: str
    client: str

    def in_server(self, *argv: str) -> list[str]:
        """The command that runs in the server's namespace."""
        return ["ip", "netns", "exec", self.server, *argv]

    def in_client(self, *argv: str) -> list[str]:
        """The command that runs in the client's namespace."""
        return ["ip", "netns", "exec", self.client, *argv]


@contextmanager
def joined(name: str) -> Iterator[Pair]:
    """Make the pair, and remove it whatever happens. Needs root."""
    if os.geteuid() != 0:
        raise PermissionError("the bench makes network namespaces and must be run as root")
    unique = f"{os.getpid()}-{next(_NUMBERS)}"
    pair = Pair(server=f"rs-{name}-s{unique}", client=f"rs-{name}-c{unique}")
    try:
        for namespace in (pair.server, pair.client):
            _ip("netns", "add", namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", pair.server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", pair.client)
        for namespace, address in ((pair.server, SERVER), (pair.client, CLIENT)):
            _ip("-n", namespace, "address", "add", f"{address}/16", "dev", "eth0")
            _ip("-n", namespace, "link", "set", "eth0", "up")
        yield pair
    finally:
        for namespace in (pair.server, pair.client):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


@contextmanager
def running(argv: Sequence[str], log: Path, *, ready: float = 1.5, cwd: Path | None = None) -> Iterator[psutil.Process]:
    """A server process for the time of the block; ends by SIGTERM, then SIGKILL."""
    top = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": str(top)}
    with log.open("wb") as out:
        started = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, cwd=cwd)
    try:
        time.sleep(ready)
        if started.poll() is not None:
            raise RuntimeError(f"{' '.join(argv)} ended:\n{log.read_text(errors='replace')[-2000:]}")
        yield psutil.Process(started.pid)
    finally:
        started.terminate()
        try:
            started.wait(5)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process, its children and those that it already collected."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
