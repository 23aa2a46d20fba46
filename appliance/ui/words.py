"""Numbers, times and disks in words, for the templates. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from agent.wire import Content, Signature
from appliance.model.machine import Phase

WAY = (Phase.SEEN, Phase.ENROLLED, Phase.APPROVED, Phase.INSPECTED, Phase.READY, Phase.DEPLOYING, Phase.DEPLOYED)
"""The phases of an installation, in their order, for the line of steps above a machine."""


def size(count: int) -> str:
    """Bytes for people, in powers of ten as disks are sold: ``1.92 TB`` (with a blank that does not break)."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if amount < 1000 or unit == "PB":
            break
        amount /= 1000
    return f"{amount:.0f}\N{NO-BREAK SPACE}{unit}" if unit == "B" else f"{amount:.3g}\N{NO-BREAK SPACE}{unit}"


def memory(count: int) -> str:
    """Bytes of memory, in powers of two as it is built: ``126 GiB``."""
    return f"{count / 2**30:.3g}\N{NO-BREAK SPACE}GiB"


def count(number: int, noun: str) -> str:
    """``1 socket``, ``2 sockets``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def moment(seconds: float) -> str:
    """A date and time in UTC; ``never`` for 0."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds else "never"


def clock(seconds: float) -> str:
    """The time of day in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")


def day(seconds: float) -> str:
    """The date in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%A, %d %B %Y")


def span(seconds: float) -> str:
    """A duration in its two largest units: ``3 min 20 s``."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= length or (name == "s" and not parts):
            parts.append(f"{left // length} {name}")
            left %= length
    return " ".join(parts[:2])


def ago(seconds: float, now: float) -> str:
    """How long since: ``20 s ago``; ``never`` for 0."""
    return f"{span(now - seconds)} ago" if seconds else "never"


def content(found: Content) -> str:
    """What is on a disk."""
    if found.blank:
        return "blank"
    words = [f"{found.table.upper()} table, {len(found.partitions)} partitions"] if found.table else []
    words += [signature(item) for item in found.signatures]
    words += [f"{row.number}: {signature(item)}" for row in found.partitions for item in row.signatures]
    return "; ".join(words) or "data that nobody recognises"


def signature(item: Signature) -> str:
    """One thing that was recognised: its kind, label and owner."""
    return " ".join(filter(None, [item.kind, item.label, f"of {item.owner}" if item.owner else ""]))


def capitalize_first(text: str) -> str:
    """A sentence's first letter."""
    return text[:1].upper() + text[1:]


FILTERS: dict[str, Callable[..., str]] = {
    "size": size,
    "memory": memory,
    "count_of": count,
    "moment": moment,
    "clock": clock,
    "day": day,
    "span": span,
    "ago": ago,
    "content": content,
    "capitalize_first": capitalize_first,
}
