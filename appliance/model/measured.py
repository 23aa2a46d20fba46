"""What was measured of pools, beside what the plan had said of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.model.ceph import Throughput

TOLERANCE = 1.05
"""A measured rate counts as above its bound from here on: clocks, and what shapers and buffers let through at first."""
LOW = 0.5
"""Of what is expected; less is worth a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Large objects in one direction: ``bytes`` of users' data in ``seconds``."""

    bytes: int
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


class Verdict(StrEnum):
    """``above``: faster than the bound, which is wrong then. ``low``: less than half of what is expected."""

    ABOVE = "above"
    FINE = "fine"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One pool, measured at ``at`` (seconds since the epoch) from ``machine`` (its id). ``promise`` is what the plan with
    the hash ``plan``, which held then, says of the pool."""

    fsid: str
    plan: str
    pool: str
    machine: str
    at: float
    write: Flow
    read: Flow
    promise: Throughput

    @property
    def write_verdict(self) -> Verdict:
        return verdict(self.write.rate, self.promise.write_bound, self.promise.write_expected)

    @property
    def read_verdict(self) -> Verdict:
        return verdict(self.read.rate, self.promise.read_bound, self.promise.read_expected)


def verdict(rate: float, bound: int, expected: int) -> Verdict:
    """Of one rate, all bytes per second."""
    if rate > bound * TOLERANCE:
        return Verdict.ABOVE
    return Verdict.LOW if rate < expected * LOW else Verdict.FINE
