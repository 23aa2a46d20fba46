"""Runs the processes of the appliance: starts them again with growing pauses, ends them together.

Nothing is passed to a child but its role and the environment, so a child is the same as a unit that systemd starts. The
children ask the kernel to be killed when this process dies (`lifeline`), so `kill -9` of it leaves nothing behind.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from appliance.serve import lifeline

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_SECONDS = 60.0
"""A child that lived so long starts again after `FIRST_PAUSE`."""
STOP_SECONDS = 10.0
"""Time between SIGTERM and SIGKILL."""

log = logging.getLogger(__name__)


def pause_after(failures: int) -> float:
    """Seconds to wait before the next start: doubles with every early death in a row."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 16)))


@dataclass(slots=True, kw_only=True)
class Child:
    """One role and, while it runs, its process. Times are of the monotonic clock."""

    role: str
    argv: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """``children`` are started in their order. ``run`` returns when it was told to stop and all of them ended."""

    children: Sequence[Child]
    environment: Mapping[str, str]
    stopping: bool = False
    hurry: bool = False
    _wake: tuple[int, int] = field(default=(-1, -1))

    def run(self) -> None:
        """Until SIGTERM or SIGINT. A second one does not wait for anybody."""
        self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._forward)
        try:
            while not self.stopping:
                self._reap()
                self._start_due()
                self._sleep(self._until_next_start())
            self._end()
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            for descriptor in self._wake:
                os.close(descriptor)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.hurry = self.stopping
        self.stopping = True

    def _forward(self, number: int, _frame: FrameType | None) -> None:
        """SIGHUP: the boot servers read their pools again; the listeners have nothing to read again."""
        for child in self.children:
            if child.process is not None and child.role == "netboot":
                child.process.send_signal(number)

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is None and child.start_at <= now and not self.stopping:
                environment = {**self.environment, lifeline.SUPERVISOR: str(os.getpid())}
                child.process = subprocess.Popen(child.argv, env=environment, stdin=subprocess.DEVNULL)
                child.started = now
                log.info("process=%s pid=%d why=started", child.role, child.process.pid)

    def _reap(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is None or (code := child.process.poll()) is None:
                continue
            child.failures = 0 if now - child.started >= STEADY_SECONDS else child.failures + 1
            pause = pause_after(child.failures)
            child.process, child.start_at = None, now + pause
            log.error("process=%s status=%d why=ended; starts again in %.1f s", child.role, code, pause)

    def _until_next_start(self) -> float | None:
        waiting = [child.start_at for child in self.children if child.process is None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _sleep(self, seconds: float | None) -> None:
        """Until a signal, or at most so long. SIGCHLD that comes before this call is in the pipe already."""
        ready, _, _ = select.select([self._wake[0]], [], [], seconds)
        if ready:
            os.read(self._wake[0], 4096)

    def _end(self) -> None:
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        while any(process.poll() is None for process in running):
            left = deadline - time.monotonic()
            if left <= 0 or self.hurry:
                break
            self._sleep(left)
        for process in running:
            if process.poll() is None:
                process.kill()
            process.wait()


def children_of(roles: Sequence[str]) -> tuple[Child, ...]:
    """One child per role: this program again, with `serve ROLE`."""
    return tuple(Child(role=role, argv=(sys.executable, "-m", "appliance.cli.main", "serve", role)) for role in roles)
