"""Names and numbers in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from appliance.plan.order import natural


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names in natural order, the rest as a number: ``n1, n2 and 3 more``."""
    return ordered(sorted(names, key=natural), most)


def ordered(names: Sequence[str], most: int = 5) -> str:
    """The same of names that are in their order already (ten thousand are not sorted for five)."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def plural(number: int, word: str, many: str = "") -> str:
    """``1 host``, ``3 hosts``."""
    return f"{number} {word if number == 1 else many or word + 's'}"
