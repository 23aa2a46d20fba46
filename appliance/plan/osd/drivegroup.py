"""Which disks a drive group means: cephadm's semantics (18.2.7, ``drive_selection`` and ``drive_group``).

Conditions join by AND or OR; ``all`` is a condition that always holds; ``limit`` counts what is taken already; a disk that
one filter takes is gone for the next: data first, then WAL, then DB. Sizes are as on the box: ``4TB`` is 4·10¹² bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from agent.wire import Disk
from appliance.model.ceph import DeviceFilter, DriveGroup, FilterLogic
from hwprofiles.normal import serial_key, text_key
from hwprofiles.values import show_size, size

TOLERANCE = 0.01
"""An exact size means the size on the box: a disk of ``480GB`` has 480 103 981 056 bytes (IDEMA LBA1-03)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeRange:
    """Ends in bytes that count as inside; ``high`` None is no end."""

    low: int = 0
    high: int | None = None

    def __contains__(self, size: int) -> bool:
        return self.low <= size and (self.high is None or size <= self.high)


@lru_cache(maxsize=256)
def size_range(text: str) -> SizeRange:
    """``4TB`` (as on the box), ``1TB:4TB``, ``1TB:``, ``:4TB``. Raises ValueError with what was expected."""
    low, colon, high = (part.strip() for part in text.partition(":"))
    if not colon:
        exact = size(low)
        return SizeRange(low=int(exact * (1 - TOLERANCE)), high=int(exact * (1 + TOLERANCE)))
    if not (low or high):
        raise ValueError(f"expected a size such as 4TB, 1TB:4TB, 1TB: or :4TB, got '{text}'")
    found = SizeRange(low=size(low) if low else 0, high=size(high) if high else None)
    if found.high is not None and found.high < found.low:
        raise ValueError(f"'{text}' ends before it begins; write the smaller size first")
    return found


def problems(group: DriveGroup) -> tuple[str, ...]:
    """What is wrong with a drive group by itself, in words; empty when it can be used."""
    return tuple(_problems(group))


def _problems(group: DriveGroup) -> Iterator[str]:
    for name, wanted in (("data", group.data), ("db", group.db), ("wal", group.wal)):
        if wanted.limit < 0:
            yield f"{name}: limit is {wanted.limit}; 0 means no limit"
        if wanted.empty and wanted.limit:
            yield f"{name}: a limit alone chooses nothing; add all: true, or a condition"
        if wanted.all and _conditions(wanted):
            yield f"{name}: all: true and {', '.join(_conditions(wanted))} exclude each other"
        if wanted.size:
            try:
                size_range(wanted.size)
            except ValueError as error:
                yield f"{name}: {error}"
    if group.osds_per_device < 1:
        yield f"osds_per_device is {group.osds_per_device}; at least 1"
    if group.db_slots < 0 or group.db_size < 0:
        yield "db_slots and db_size are not negative; 0 means by kind of device"


def _conditions(wanted: DeviceFilter) -> list[str]:
    given = {
        "model": wanted.model,
        "vendor": wanted.vendor,
        "size": wanted.size,
        "serials": wanted.serials,
        "rotational": wanted.rotational is not None,
    }
    return [name for name, value in given.items() if value]


def misfit(wanted: DeviceFilter, logic: FilterLogic, disk: Disk) -> str:
    """Why the filter does not mean the disk; empty when it does. A filter without conditions means none."""
    if wanted.empty:
        return "nothing is asked for"
    why = list(_misfits(wanted, disk))
    if logic is FilterLogic.OR:
        count = len(_conditions(wanted)) + wanted.all
        return "" if len(why) < count else " and ".join(why)
    return why[0] if why else ""


def _misfits(wanted: DeviceFilter, disk: Disk) -> Iterator[str]:
    """One text for each condition that does not hold."""
    if wanted.rotational is not None and disk.rotational != wanted.rotational:
        yield "spins" if disk.rotational else "does not spin"
    if wanted.size and disk.size not in size_range(wanted.size):
        yield f"{show_size(disk.size)} is not {wanted.size}"
    if wanted.model and text_key(wanted.model) not in text_key(disk.model):
        yield f"model '{disk.model}' has no '{wanted.model}'"
    if wanted.vendor and text_key(wanted.vendor) not in text_key(disk.vendor):
        yield f"vendor '{disk.vendor}' has no '{wanted.vendor}'"
    if wanted.serials and serial_key(disk.serial) not in {serial_key(serial) for serial in wanted.serials}:
        yield "its serial is not listed"


Item = TypeVar("Item")
Source = Callable[[Sequence[Item]], list[Item]]
"""Chooses from the disks that nobody has yet, and keeps their order."""


def take(free: Sequence[Item], fits: Callable[[Item], bool], limit: int = 0, already: int = 0) -> list[Item]:
    """Those of ``free`` that fit, in their order, until with the ``already`` taken ones the limit is reached."""
    found: list[Item] = []
    for item in free:
        if limit and len(found) + already >= limit:
            break
        if fits(item):
            found.append(item)
    return found


def select(free: Sequence[Item], *, data: Source[Item], wal: Source[Item], db: Source[Item]) -> Selection[Item]:
    """The disks of one group. What one source takes, the next does not see."""
    found: list[list[Item]] = []
    for source in (data, wal, db):
        chosen = source(free)
        found.append(chosen)
        free = [item for item in free if item not in chosen]
    return Selection(data=found[0], wal=found[1], db=found[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection(Generic[Item]):
    """The disks of one group, each list in the order in which the disks were given."""

    data: list[Item]
    wal: list[Item]
    db: list[Item]
