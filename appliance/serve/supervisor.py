"""Runs the processes of the appliance: starts them again with growing pauses, ends them together.

The children are forks of this process, which has imported everything by then: they start in milliseconds and share its
memory. It has no threads, so forking is safe. Each asks the kernel to be killed when this process dies (`lifeline`), so
`kill -9` of it leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

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
    """One role and, while it lives, its process id (else 0). Times are of the monotonic clock."""

    role: str
    run: Callable[[], None]
    pid: int = 0
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """``children`` are started in their order. ``run`` returns when it was told to stop and all of them ended."""

    children: Sequence[Child]
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
            if child.pid and child.role == "netboot":
                _send(child.pid, number)

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if not child.pid and child.start_at <= now and not self.stopping:
                child.pid, child.started = self._fork(child), now
                log.info("process=%s pid=%d why=started", child.role, child.pid)

    def _fork(self, child: Child) -> int:
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become(child, parent)
        return pid

    def _become(self, child: Child, parent: int) -> NoReturn:
        """In the new process: nothing of the supervisor may go on here, whatever happens."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for descriptor in self._wake:
                os.close(descriptor)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            lifeline.die_with(parent)
            lifeline.name_process(f"rackseed-{child.role}")
            child.run()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if not pid:
                continue
            child.failures = 0 if now - child.started >= STEADY_SECONDS else child.failures + 1
            pause = pause_after(child.failures)
            child.pid, child.start_at = 0, now + pause
            code = os.waitstatus_to_exitcode(status)
            if not self.stopping:
                log.error("process=%s status=%d why=ended; starts again in %.1f s", child.role, code, pause)

    def _until_next_start(self) -> float | None:
        waiting = [child.start_at for child in self.children if not child.pid]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _sleep(self, seconds: float | None) -> None:
        """Until a signal, or at most so long. SIGCHLD that comes before this call is in the pipe already."""
        ready, _, _ = select.select([self._wake[0]], [], [], seconds)
        if ready:
            os.read(self._wake[0], 4096)

    def _end(self) -> None:
        for child in self.children:
            if child.pid:
                _send(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._running():
            left = deadline - time.monotonic()
            if left <= 0 or self.hurry:
                break
            self._sleep(left)
        for child in self.children:
            if child.pid:
                _send(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                child.pid = 0

    def _running(self) -> bool:
        self._reap()
        return any(child.pid for child in self.children)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
