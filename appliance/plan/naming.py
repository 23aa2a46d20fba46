"""Names and numbers in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.plan.order import natural


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names in natural order, the rest as a number: ``n1, n2 and 3 more``."""
    ordered = sorted(names, key=natural)
    rest = len(ordered) - most
    return ", ".join(ordered[:most]) + (f" and {rest} more" if rest > 0 else "")


def plural(number: int, word: str, many: str = "") -> str:
    """``1 host``, ``3 hosts``."""
    return f"{number} {word if number == 1 else many or word + 's'}"
