"""Waiting: how long until the next try, and stopping in between."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field

SHORTEST, LONGEST = 1.0, 30.0
INTERVAL_LIMITS = (0.2, 600.0)


class StopRequest(Exception):
    """The agent was asked to end."""


@dataclass(slots=True, kw_only=True)
class Patience:
    """Pauses with jitter (a rack that was switched on at once must not ask in step), ended early by ``stop``.

    ``scale`` makes tests fast; it is 1 on machines.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    scale: float = 1.0
    failures: int = 0

    def sleep(self, seconds: float) -> None:
        """Raises `StopRequest` when the agent is to end."""
        if self.stop.wait(seconds * self.scale):
            raise StopRequest

    def interval(self, seconds: float) -> None:
        """The pause that the appliance asked for, within reason, give or take a tenth."""
        low, high = INTERVAL_LIMITS
        self.sleep(min(max(seconds, low), high) * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    def back_off(self) -> None:
        """After a failure: 1, 2, 4 … 30 seconds, between half and all of it."""
        self.failures += 1
        longest = min(LONGEST, SHORTEST * 2 ** min(self.failures - 1, 10))
        self.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def reset(self) -> None:
        """After a success."""
        self.failures = 0
