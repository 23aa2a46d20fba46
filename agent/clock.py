"""Clock first: certificates are made and checked only after the time came from the appliance.

A machine whose battery died says 2000, or 1970. The time is asked over TLS with the site's CA verified and the dates of
the certificates ignored (`agent.tls.server_context`), and it is never set below the date of the agent image: an
appliance with a dead battery of its own must not bring us back there.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.client import EnrolmentClient

IMAGE_FACTS = Path("/etc/rackseed/image.json")
TOLERANCE = 1.0
"""Seconds by which a clock may be off before it is set, or called wrong."""

YEAR = 365.2425 * 86400
UNITS = ((YEAR, "year"), (YEAR / 12, "month"), (86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """``offset`` is appliance minus machine in seconds; ``target`` what the clock should say now (epoch seconds)."""

    offset: float
    target: float
    limited: bool = False

    @property
    def needed(self) -> bool:
        return abs(self.offset) > TOLERANCE

    def text(self) -> str:
        """One line for the console."""
        moment = datetime.fromtimestamp(self.target, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if not self.needed:
            return f"the clock is right: {moment}"
        direction = "behind" if self.offset > 0 else "ahead"
        why = " (the appliance's clock is older than the agent image: its clock is wrong too)" if self.limited else ""
        return f"the clock was off by {duration(self.offset)} ({direction}); now {moment}{why}"


def correction(*, appliance: float, machine: float, floor: float) -> Correction:
    """What to do about a machine's clock, given the appliance's. ``floor`` is the date of the agent image."""
    target = max(appliance, floor)
    return Correction(offset=target - machine, target=target, limited=appliance < floor)


def duration(seconds: float) -> str:
    """``26 years 10 months``: the two largest units, for people."""
    rest = abs(seconds)
    words: list[str] = []
    for size, name in UNITS:
        count = int(rest // size)
        if count:
            words.append(f"{count} {name}{'' if count == 1 else 's'}")
            rest -= count * size
        if len(words) == 2:
            break
    return " ".join(words) or f"{abs(seconds):.1f} seconds"


def ask(client: EnrolmentClient, floor: float = 0.0) -> Correction:
    """Ask the appliance; half of the round trip is added to its answer."""
    before = time.monotonic()
    answer = client.time()
    return correction(appliance=answer + (time.monotonic() - before) / 2, machine=time.time(), floor=floor)


def set_clock(target: float) -> None:
    """Set CLOCK_REALTIME (needs root). The hardware clock is left to the installed system."""
    time.clock_settime(time.CLOCK_REALTIME, target)


def image_date(path: Path = IMAGE_FACTS) -> float:
    """When the agent image was built (``created`` of image.json, epoch seconds), or 0 when it does not say."""
    try:
        created = json.loads(path.read_text(encoding="utf-8")).get("created", 0)
    except (OSError, ValueError, AttributeError):
        return 0.0
    return float(created) if isinstance(created, int | float) else 0.0
