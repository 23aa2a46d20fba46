"""Readers of leaves: sizes, durations and file names as people write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hwprofiles.profile import Bytes, LoaderFile, Seconds

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTP]i?)?B?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|sec|min|m|h|d)?")
_UNITS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def size(text: str) -> Bytes:
    """``480GB`` → 480·10⁹, ``512MiB`` → 512·2²⁰, ``1024`` → 1024."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a size such as 480GB or 512MiB, got '{text}'")
    unit = (found[2] or "").lower()
    power = "kmgtp".index(unit[0]) + 1 if unit else 0
    return Bytes(int(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** power))


def duration(text: str) -> Seconds:
    """``90s`` → 90, ``15min`` → 900, ``2h`` → 7200; a number alone is seconds."""
    found = _DURATION.fullmatch(text)
    if found is None or float(found[1]) <= 0:
        raise ValueError(f"expected a time such as 90s, 15min or 2h, got '{text}'")
    return Seconds(float(found[1]) * _UNITS[found[2] or "s"])


def loader_file(text: str) -> LoaderFile:
    """A file name without folders."""
    if not _FILE.fullmatch(text):
        raise ValueError(f"expected a file name such as snponly.efi, got '{text}'")
    return LoaderFile(text)


SCALARS: dict[Any, Callable[[str], Any]] = {Bytes: size, Seconds: duration, LoaderFile: loader_file}


def show_size(count: int) -> str:
    """Bytes in the unit that disks are sold in: ``480 GB``, ``7.68 TB``."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
