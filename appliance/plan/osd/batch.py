"""How devices are cut into data and DB volumes: the arithmetic of ``ceph-volume lvm batch`` (18.2.7), with sizes that
are always said explicitly. Bytes everywhere; `volume` rounds down to what LVM can really make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXTENT = 4 << 20
"""LVM's physical extent."""


class DoesNotFitError(Exception):
    """A DB (or WAL) size was asked for that a slot does not have. ``has`` is the slot's size in bytes."""

    def __init__(self, wanted: int, has: int) -> None:
        self.wanted, self.has = wanted, has
        super().__init__(f"{wanted} bytes were asked for, but a slot has {has}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FastDevice:
    """A device for DBs or WALs. ``slots`` is into how many parts it is cut, ``free`` how many bytes nobody has yet,
    ``taken`` how many volumes are on it, ``most`` how many there may be in this call."""

    size: int
    free: int
    taken: int
    slots: int
    most: int


def volume(size: int) -> int:
    """The largest volume of at most ``size`` bytes: whole extents."""
    return size // EXTENT * EXTENT


def usable(size: int) -> int:
    """What of a device of ``size`` bytes volumes can have: LVM keeps its metadata and alignment in the first MiB."""
    return max(0, volume(size - (1 << 20)))


def data_sizes(size: int, parts: int, fraction: float = 1.0) -> tuple[int, ...]:
    """Data volumes of one device of ``size`` usable bytes, cut for ``parts`` OSDs (``osds_per_device``)."""
    return (int(size * (fraction / parts)),) * parts


def fast_sizes(devices: Sequence[FastDevice], wanted: int, size: int = 0) -> list[tuple[int, int]]:
    """Volumes for ``wanted`` OSDs as pairs of device (its position) and bytes; fewer when there is no more room.

    ``size`` 0 means a whole slot. Devices are filled one after the other up to ``most``, as lvm batch does; a device that
    is cut into fewer slots than ``most`` is cut into ``most``. Raises `DoesNotFitError` when ``size`` is larger than a slot.
    """
    found: list[tuple[int, int]] = []
    for position, device in enumerate(devices):
        slot = int(device.size / max(device.slots, device.most, 1))
        if size > slot:
            raise DoesNotFitError(size, slot)
        take, free, taken = size or slot, device.free, device.taken
        while take <= free and taken < device.most and len(found) < wanted:
            free, taken = free - take, taken + 1
            found.append((position, take))
    return found
