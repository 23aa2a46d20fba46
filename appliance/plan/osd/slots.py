"""DB and WAL slots on faster devices: how many a device has, how large they are, and which OSD gets which.

`ceph.md` §4: a DB has 1-4 % of its data device, as much as the slots allow; 4-5 spinning disks per SATA SSD, at most 10 per
NVMe; never one volume group over several devices. What is given stays; free slots are for disks that come later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from agent.wire import Disk
from appliance.model.ceph import DeviceClass, DriveGroup
from appliance.plan.osd.batch import FastDevice, fast_sizes, usable, volume
from hwprofiles.values import show_size

SLOTS = {DeviceClass.NVME: 10, DeviceClass.SSD: 5, DeviceClass.HDD: 0}
"""The most DBs that one device carries; none on a device that spins."""
LEAST_PERCENT = 1
MOST_PERCENT = 4
WAL_SIZE = 2 << 30
"""A WAL needs what RocksDB's write buffers need (1 GiB by default), not a share of the data."""


size_text = lru_cache(maxsize=4096)(show_size)
"""Sizes in words; a site has few different ones."""


def device_class(disk: Disk) -> DeviceClass:
    """What Ceph calls the device: by its transport, then by whether it spins."""
    if disk.transport == "nvme":
        return DeviceClass.NVME
    return DeviceClass.HDD if disk.rotational else DeviceClass.SSD


@dataclass(slots=True, kw_only=True)
class Shelf:
    """A device for DBs or WALs while the plan grows. ``position`` is that of its disk in the machine; ``used`` are the
    numbers of its taken slots, ``bytes`` what they have together, ``largest`` the largest data size of their OSDs."""

    position: int
    size: int
    kind: DeviceClass
    used: set[int] = field(default_factory=set)
    bytes: int = 0
    largest: int = 0
    slots: int = 0

    @property
    def slot(self) -> int:
        """Bytes of one slot."""
        return self.size // self.slots if self.slots else 0

    def keep(self, slot: int, size: int, data_size: int) -> None:
        """A slot that is taken already."""
        self.used.add(slot)
        self.bytes += size
        self.largest = max(self.largest, data_size)

    def give(self, size: int, data_size: int) -> int:
        """Takes the first free slot; its number."""
        slot = len(self.used)
        if slot in self.used:
            slot = next(number for number in range(slot) if number not in self.used)
        self.keep(slot, size, data_size)
        return slot


def shelf(position: int, disk: Disk) -> Shelf:
    """An empty one."""
    return Shelf(position=position, size=usable(disk.size), kind=device_class(disk))


class Place(NamedTuple):
    """Where the DB (or WAL) of one OSD goes."""

    shelf: Shelf
    size: int


def least(data_size: int) -> int:
    """The smallest DB of an OSD with this data size, in bytes."""
    return -(-data_size * LEAST_PERCENT // 100)


def db_slots(one: Shelf, group: DriveGroup, largest: int) -> int:
    """Into how many DBs a device is cut when the largest OSD has ``largest`` bytes of data: what the group says, or as many
    as its kind carries and as leave each at least 1 % (0: not even one)."""
    if group.db_slots:
        return group.db_slots
    smallest = group.db_size or least(largest)
    return min(SLOTS[one.kind], one.size // smallest) if smallest else SLOTS[one.kind]


def wal_slots(one: Shelf) -> int:
    """Into how many WALs a device is cut."""
    return min(SLOTS[one.kind], one.size // WAL_SIZE)


def assign(shelves: Sequence[Shelf], wanted: int, users: int, size: int) -> list[Place]:
    """Places for ``wanted`` new OSDs, spread evenly: no device gets more than its share of all ``users`` (old and new)
    while another has a free slot. ``size`` 0 means a whole slot; no slot may be smaller."""
    usual = [one for one in shelves if one.slots]
    if not usual:
        return []
    share = -(-users // len(usual))
    found: list[tuple[int, int]] = []
    for most in range(share, max(share, *(one.slots for one in usual)) + 1):
        devices = [
            FastDevice(
                size=one.size,
                free=one.size - one.bytes,
                taken=len(one.used),
                slots=one.slots,
                most=min(most, one.slots),
            )
            for one in usual
        ]
        found = fast_sizes(devices, wanted, size)
        if len(found) == wanted:
            break
    return [Place(usual[position], volume(size)) for position, size in found]


def db_size(place: Place, data_size: int, group: DriveGroup) -> int:
    """What of its slot the DB of an OSD takes: at most 4 % of the data, unless the group says a size."""
    return place.size if group.db_size else min(place.size, volume(data_size * MOST_PERCENT // 100))
