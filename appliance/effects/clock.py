"""The door to time. Nothing else in the appliance asks the operating system what time it is or waits."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """``now`` is seconds since the epoch (UTC); ``sleep`` waits so many seconds."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class FakeClock:
    """A clock that moves only when it is told to, or when somebody sleeps on it. Safe to share between threads."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._now += max(0.0, seconds)

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds; negative values turn the clock back, as NTP may do."""
        with self._lock:
            self._now += seconds
