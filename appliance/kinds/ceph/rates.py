"""How fast disks and drains are: the figures that planner and steps share. Rates are bytes per second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.kinds.ceph.names import disk_word
from appliance.model.ceph import CephLayout, DeviceClass, OsdLayout

MB = 1_000_000
EXPECTED = 0.6
"""Of a bound, what real clusters reach (`ceph.md` §5: measured 0.54 to 0.68)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRate:
    """Large sequential transfers of one disk, bytes per second: what good ones of a kind do, since this is for a bound."""

    read: int
    write: int


DISKS = {
    DeviceClass.HDD.value: DiskRate(read=270 * MB, write=270 * MB),
    DeviceClass.SSD.value: DiskRate(read=550 * MB, write=530 * MB),
    DeviceClass.NVME.value: DiskRate(read=7000 * MB, write=4000 * MB),
}
"""Interfaces and data sheets of 2024: outer tracks of 20 TB disks, SATA's wire, PCIe 4 x4 data centre drives. Another class
counts as NVMe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRate:
    """``bound`` is never passed; ``limit`` says what it comes from; ``ports`` whether the network could be counted."""

    bound: int
    limit: str
    ports: bool

    @property
    def expected(self) -> int:
        return int(self.bound * EXPECTED)


def drain_rate(layout: CephLayout, before: CephLayout | None, leaving: Iterable[OsdLayout]) -> DrainRate | None:
    """How fast what is on the ``leaving`` OSDs goes to those of ``layout`` that stay: bound by the disks that are read, the
    ports that it leaves through, the ports that it comes in by, and the disks that are written. None when nothing leaves
    or nothing stays."""
    gone = {(osd.machine, disk_word(osd.data)): osd for osd in leaving}
    classes = {osd.device_class for osd in gone.values()}
    stays = {
        key: osd
        for osd in layout.osds
        if osd.device_class in classes and (key := (osd.machine, disk_word(osd.data))) not in gone
    }
    if not gone or not stays:
        return None
    limits = {
        "the disks that leave": sum(_rate(osd).read for osd in gone.values()),
        "the disks that stay": sum(_rate(osd).write for osd in stays.values()),
    }
    rates = {**dict(before.ports if before else ()), **dict(layout.ports)}
    sides = (("the ports of hosts that are drained", gone), ("the ports of hosts that stay", stays))
    known = all(rates.get(machine) for side in (gone, stays) for machine, _ in side)
    for words, side in sides if known else ():
        limits[words] = sum(rates[machine] for machine in {machine for machine, _ in side})
    limit = min(limits, key=lambda name: limits[name])
    return DrainRate(bound=limits[limit], limit=limit, ports=known)


def _rate(osd: OsdLayout) -> DiskRate:
    return DISKS.get(osd.device_class, DISKS[DeviceClass.NVME.value])
