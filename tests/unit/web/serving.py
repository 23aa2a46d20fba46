"""`rackseed serve` as real processes on loopback, for tests that need sockets, TLS and signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

START_SECONDS = 90.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody has at the moment."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


class Serving:
    """One appliance. ``http``, ``https`` and ``agents`` are its ports."""

    def __init__(self, folder: Path, site: Path | None = None) -> None:
        self.state = folder / "state"
        self.log = folder / "log"
        self.site = site
        self.http, self.https, self.agents = free_ports(3)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "RACKSEED_STATE": str(self.state),
            "RACKSEED_CACHE": str(self.state.parent / "cache"),
            "RACKSEED_ADDRESS": "127.0.0.1",
            "RACKSEED_HTTP_PORT": str(self.http),
            "RACKSEED_HTTPS_PORT": str(self.https),
            "RACKSEED_AGENT_PORT": str(self.agents),
        }

    def start(self, role: str = "all") -> None:
        argv = [sys.executable, "-m", "appliance.cli.main", "serve", role]
        argv += ["--site", str(self.site)] if self.site else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=Path.cwd()
            )

    def wait(self, *ports: int) -> None:
        """Until these ports are open."""
        for port in ports or (self.http, self.https, self.agents):
            until(lambda port=port: is_open(port), f"port {port}", self.log)

    def wait_ready(self) -> None:
        """Until all listeners are there and the command line is answered."""
        self.wait()
        until(lambda: self.command("machine", "list").returncode == 0, "the socket", self.log)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "appliance.cli.main", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(reached: Callable[[], bool], what: str, log: Path, seconds: float = START_SECONDS) -> None:
    """Wait; fails with the end of the log."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s:\n{log.read_text()[-3000:]}"
        time.sleep(0.05)
