"""What is on a disk, read through one descriptor: by the probe that reports, and again before the disk is written."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from agent.probe import blkid, owners
from agent.probe.device import Device
from agent.probe.table import EXTENDED, Row, Table, read_table
from agent.wire import Content, Partition, Signature

MEBI = 2**20
OWNED_BY_LABEL = frozenset({"zfs_member", "linux_raid_member"})
"""Kinds whose label is the name of the pool or array."""


def content(device: Device, *, in_use: bool = False) -> Content:
    """Raises OSError when a part can't be read: half a look must not pass for a blank disk."""
    table = read_table(device)
    first, last = edges(device)
    whole = _signatures(device, 0, device.size)
    partitions = tuple(_partition(device, row) for row in table.rows)
    zeros = not any(first) and not any(last)
    return Content(
        table=table.kind,
        table_id=table.id,
        partitions=partitions,
        signatures=whole,
        blank=zeros and not table.kind and not whole,
        edges=hashlib.sha256(first + last).hexdigest(),
        boot=table.boot or _boot_sector(device, table),
        in_use=in_use,
    )


def edges(device: Device) -> tuple[bytes, bytes]:
    """First and last MiB; on a disk smaller than 2 MiB they overlap. Raises OSError on a short read."""
    size = min(MEBI, device.size)
    first, last = device.read(0, size), device.read(device.size - size, size)
    if len(first) != size or len(last) != size:
        raise OSError(f"the disk gave {len(first)} and {len(last)} of {size} bytes at its edges")
    return first, last


def _partition(device: Device, row: Row) -> Partition:
    container = len(row.type) == 2 and int(row.type, 16) in EXTENDED
    inside = row.start + row.size <= device.size
    return Partition(
        number=row.number,
        start=row.start,
        size=row.size,
        type=row.type,
        guid=row.guid,
        label=row.label,
        signatures=_signatures(device, row.start, row.size) if inside and not container else (),
    )


def _signatures(device: Device, start: int, size: int) -> tuple[Signature, ...]:
    """libblkid's, with their owners, and our own reading of BlueStore labels instead of its."""
    found: list[Signature] = []
    for item in blkid.signatures(device, start, size):
        if item.kind == "ceph_bluestore":
            continue
        if item.kind == "LVM2_member":
            group = owners.volume_group(device, start)
            found.append(replace(item, owner=group.name) if group else item)
            found.extend(group.osds if group else ())
        else:
            found.append(replace(item, owner=item.label) if item.kind in OWNED_BY_LABEL else item)
    label = owners.bluestore(device, start)
    return (*found, label) if label else tuple(found)


def _boot_sector(device: Device, table: Table) -> bool:
    """A disk without table whose first sector ends in 55AA: a boot sector of its own kind (a floppy image, an ISO)."""
    return not table.kind and device.read(510, 2) == b"\x55\xaa"
