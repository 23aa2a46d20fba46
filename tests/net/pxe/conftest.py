"""Our boot servers in one namespace, real clients in another."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.namespaces import Pair, joined, running

TOP = Path(__file__).resolve().parents[3]
POOL = "10.98.0.1/16,10.98.1.10,10.98.1.250,10.98.0.1"
SCRIPT = """#!/bin/sh
case "$1" in bound | renew) env > {out} ;; esac
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.net)


@dataclass
class Lab:
    """A pair of namespaces and a work folder. ``root`` is what TFTP serves."""

    pair: Pair
    work: Path

    @property
    def root(self) -> Path:
        return self.work / "root"

    @property
    def log(self) -> str:
        return (self.work / "server.log").read_text(errors="replace")

    @contextmanager
    def server(self, *options: str, pools: tuple[str, ...] = (POOL,)) -> Iterator[psutil.Process]:
        """Our servers; options as of ``python -m bench.boot_server``."""
        argv = ["-m", "bench.boot_server", "eth0", "--database", str(self.work / "lease.db"), "--root", str(self.root)]
        argv += [word for pool in pools for word in ("--pool", pool)]
        with running(
            self.pair.in_server(sys.executable, *argv, *options), self.work / "server.log", ready=0
        ) as process:
            self.wait_until_ready(process)
            yield process

    def wait_until_ready(self, process: psutil.Process) -> None:
        import time  # noqa: PLC0415

        end = time.monotonic() + 30
        while "ready\n" not in self.log:
            assert process.is_running(), self.log
            assert process.status() != psutil.STATUS_ZOMBIE, self.log
            assert time.monotonic() < end, self.log
            time.sleep(0.05)

    def client(self, *argv: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """A command in the client's namespace."""
        return subprocess.run(
            self.pair.in_client(*argv), capture_output=True, text=True, timeout=timeout, check=False, cwd=self.work
        )

    def ip(self, namespace: str, *arguments: str) -> None:
        subprocess.run(["ip", "-n", namespace, *arguments], check=True, capture_output=True)

    def python(self, source: str, *arguments: str, timeout: float = 30) -> str:
        """A Python program in the client's namespace; its standard output."""
        argv = self.pair.in_client(sys.executable, "-c", source, *arguments)
        environment = {**os.environ, "PYTHONPATH": str(TOP)}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, env=environment)
        assert done.returncode == 0, done.stderr + self.log
        return done.stdout

    def udhcpc(self, *options: str, namespace: str = "") -> dict[str, str]:
        """busybox udhcpc: what it was given, as its script sees it; empty when it got nothing."""
        out = self.work / "udhcpc.env"
        out.unlink(missing_ok=True)
        script = self.work / "udhcpc.sh"
        script.write_text(SCRIPT.format(out=out))
        script.chmod(0o755)
        inside = ["ip", "netns", "exec", namespace or self.pair.client]
        argv = [*inside, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "3", "-T", "1", "-s", str(script), *options]
        subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        if not out.exists():
            return {}
        return dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)

    def ask(self, packet: str, *, port: int = 67, seconds: float = 3.0) -> list[dict[str, object]]:
        """Send a packet (hex) from port 68 and return the replies, decoded, with their delay in seconds."""
        found: list[dict[str, object]] = json.loads(self.python(ASK, packet, str(port), str(seconds)))
        return found


ASK = """
import json, select, socket, sys, time
from pxe.codec import decode
packet, port, seconds = bytes.fromhex(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
s.bind(("", 68))
start = time.monotonic()
s.sendto(packet, ("255.255.255.255" if port == 67 else "10.98.0.1", port))
found = []
while not found and select.select([s], [], [], max(seconds - (time.monotonic() - start), 0))[0]:
    p = decode(s.recv(4096))
    found.append({"kind": p.message_type.name, "yiaddr": str(p.yiaddr), "siaddr": str(p.siaddr), "file": p.file.decode(),
                  "delay": time.monotonic() - start, "options": {k: v.hex() for k, v in p.options.items()}})
print(json.dumps(found))
"""


def require(*tools: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (tests/packages.sh net)")


@pytest.fixture
def needs() -> Callable[..., None]:
    """Skip unless these tools are installed."""
    return require


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    require("ip", "udhcpc")
    (tmp_path / "root").mkdir()
    with joined("net") as pair:
        yield Lab(pair, tmp_path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a running server and files of several sizes, shared by the tests of a module."""
    require("ip", "udhcpc")
    work = tmp_path_factory.mktemp("served")
    (work / "root").mkdir()
    for name, size in {"empty": 0, "block": 512, "small": 1000, "big": 3_000_000, "rolls": 600_000}.items():
        (work / "root" / name).write_bytes(os.urandom(size))
    with joined("net") as pair:
        shared = Lab(pair, work)
        with shared.server():
            yield shared


@pytest.fixture
def background() -> Callable[..., AbstractContextManager[psutil.Process]]:
    """`bench.namespaces.running`."""
    return running


def kill_hard(process: psutil.Process) -> None:
    """SIGKILL the server, not the ``ip netns exec`` before it (which has become it)."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(5)


@pytest.fixture
def killer() -> Callable[[psutil.Process], None]:
    return kill_hard
