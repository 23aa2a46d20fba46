"""Orders that people expect: ``n2`` before ``n10``, ``0000:3:00.0`` before ``0000:41:00.0``."""

from __future__ import annotations

import re
from functools import lru_cache

_PARTS = re.compile(r"(\d+)")
_PCI = re.compile(r"(?:pci-)?([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])(.*)")
_BOUND = 1 << 16
"""Keys that are kept: names and serials of 10 000 machines several times over, and all bus paths that there are."""


@lru_cache(maxsize=_BOUND)
def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key that compares runs of digits as numbers."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in _PARTS.split(text) if part)


@lru_cache(maxsize=_BOUND)
def pci(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key for bus paths: PCI numbers are hexadecimal (``0000:c1:00.0``), everything else as `natural`."""
    found = _PCI.fullmatch(text.lower())
    if found is None:
        return ((2, 0, ""), *natural(text))
    return (*((0, int(number, 16), "") for number in found.groups()[:4]), *natural(found[5]))
