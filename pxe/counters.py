"""Counters of a server, and a log that can't be flooded by one broken client."""

from __future__ import annotations

import logging
import threading
from collections import Counter

#: Reasons that are remembered; a flood of invented MACs starts the list anew.
LARGEST = 1000


class Counters:
    """Named counts, safe to read from another thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()

    def add(self, name: str, amount: int = 1) -> None:
        """Count."""
        with self.lock:
            self.counts[name] += amount

    def snapshot(self) -> dict[str, int]:
        """All counts now, sorted by name."""
        with self.lock:
            return dict(sorted(self.counts.items()))


class RateLimitedLog:
    """At most one line per reason and ``every`` seconds; the next line says how many were left out."""

    def __init__(self, log: logging.Logger, *, every: float = 10.0) -> None:
        self.log = log
        self.every = every
        self.last: dict[str, float] = {}
        self.left_out: Counter[str] = Counter()
        self.lock = threading.Lock()

    def warn(self, reason: str, text: str, now: float) -> None:
        """Write, or count as left out."""
        with self.lock:
            if now - self.last.get(reason, -self.every) < self.every:
                self.left_out[reason] += 1
                return
            if len(self.last) >= LARGEST:
                self.last.clear()
            self.last[reason] = now
            missed = self.left_out.pop(reason, 0)
        self.log.warning("%s%s", text, f" (and {missed} more like this)" if missed else "")
