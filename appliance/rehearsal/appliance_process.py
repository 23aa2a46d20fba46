"""The rack's appliance: `rackseed serve` in the namespace, and `rackseed` commands as a person would type them.

Both are the real programs. The commands run outside of the namespace: a Unix socket's path does not care.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from appliance.rehearsal.description import NETWORK
from appliance.rehearsal.errors import ApplianceError
from appliance.rehearsal.namespace import BRIDGE, Namespace
from appliance.rehearsal.scenario import LAB_KERNEL_ARGUMENTS

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a `rackseed` command said. ``code`` 0 ok, 1 failure, 2 wrong input."""

    code: int
    output: str
    errors: str


class Appliance:
    """``state`` holds its database, keys and sockets; ``cache`` the built images; ``log_file`` what it says."""

    def __init__(self, namespace: Namespace, *, state: Path, cache: Path, site: Path, log_file: Path) -> None:
        self.state = state
        self.cache = cache
        self.site = site
        self.log_file = log_file
        self.starts = 0
        self.socket = state / "run" / "api.sock"
        self._namespace = namespace
        self._process: subprocess.Popen[bytes] | None = None
        self._spent = 0.0

    def start(self) -> None:
        """Start every server and the worker; returns at once. See `wait_ready`."""
        argv = [*rackseed(), "serve", "--address", str(NETWORK.ip), "--interface", BRIDGE, "--site", str(self.site)]
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                self._namespace.command(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
            )
        self.starts += 1

    def wait_ready(self, timeout: float = 90.0) -> None:
        """Wait until it answers a command. `ApplianceError` with the end of its log when it does not."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise ApplianceError(f"the appliance ended by itself; its log is {self.log_file}:\n{self.log_tail()}")
            if self.socket.exists() and self.command("machine", "list", check=False).code == 0:
                return
            time.sleep(0.5)
        raise ApplianceError(f"the appliance did not answer within {timeout:.0f} s:\n{self.log_tail()}")

    def kill(self) -> None:
        """SIGKILL to every process of it at once."""
        processes = self._processes()
        self._spent += _cpu_seconds(processes)
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._reap(processes)
        log.info("machine=- step=appliance-kill why=asked processes=%d", len(processes))

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what is left after 20 s."""
        processes = self._processes()
        self._spent += _cpu_seconds(processes)
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=20)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._reap(processes)

    def command(self, *words: str, check: bool = True, timeout: float = 120.0) -> Answer:
        """Run ``rackseed WORDS`` as a person. `ApplianceError` when it exits with 1 or 2, unless ``check`` is false."""
        try:
            done = subprocess.run(
                [*rackseed(), *words],
                capture_output=True,
                text=True,
                env=self._environment(),
                timeout=timeout,
                check=False,
                cwd=self.state,
            )
        except subprocess.TimeoutExpired as error:
            raise ApplianceError(f"rackseed {' '.join(words)} did not end within {timeout:.0f} s") from error
        if check and done.returncode in (1, 2):
            raise ApplianceError(f"rackseed {' '.join(words)} failed:\n{done.stderr.strip() or done.stdout.strip()}")
        return Answer(code=done.returncode, output=done.stdout, errors=done.stderr)

    def query(self, *words: str) -> Any:
        """The JSON that ``rackseed WORDS --format json`` prints."""
        answer = self.command(*words, "--format", "json")
        try:
            return json.loads(answer.output)
        except ValueError as error:
            raise ApplianceError(f"rackseed {' '.join(words)} printed no JSON: {answer.output[:200]!r}") from error

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        return self._spent + _cpu_seconds(self._processes())

    def log_tail(self, count: int = 25) -> str:
        """The last lines of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
        return ""

    def _processes(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        return []

    def _reap(self, processes: list[psutil.Process]) -> None:
        if self._process is not None:
            self._process.wait(timeout=10)
        psutil.wait_procs(processes, timeout=10)
        self._process = None

    def _environment(self) -> dict[str, str]:
        arguments = {"RACKSEED_KERNEL_ARGUMENTS": " ".join(LAB_KERNEL_ARGUMENTS)}
        return {**command_environment(cache=self.cache), **arguments, "RACKSEED_STATE": str(self.state)}


def command_environment(*, cache: Path) -> dict[str, str]:
    """The environment of a `rackseed` command that runs this very code."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "RACKSEED_CACHE": str(cache)}


def rackseed() -> list[str]:
    """The `rackseed` command of this very code, whether it is installed or run from a checkout."""
    return [sys.executable, "-m", "appliance.cli.main"]


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
