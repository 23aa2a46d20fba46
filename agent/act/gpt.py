"""Writing a GPT (UEFI specification 2.10, chapter 5), marker first.

The disk GUID is the install permit. The first sector that is written is the primary header, which carries it: from then
on the disk is recognised as an install of this permit, whatever else of the table is there yet.
"""

from __future__ import annotations

import os
import struct
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from agent.errors import InstallError
from agent.probe.device import Device
from agent.probe.table import BIOS_BOOT, ESP, GPT_ENTRY, GPT_HEADER, GPT_SIGNATURE, MBR_ENTRY, gpt_header, read_table
from agent.wire import PartitionSpec

MEBI = 2**20
ENTRIES = 128
ENTRY_SIZE = 128
TABLE_SIZE = ENTRIES * ENTRY_SIZE
REVISION = 0x00010000
HEADER_SIZE = 92
LINUX_FILESYSTEM = "0fc63daf-8483-4772-8e79-3d69d8477de4"
TYPES = {"bios-boot": BIOS_BOOT, "esp": ESP, "root": LINUX_FILESYSTEM}
"""Root is the generic Linux type on purpose: systemd would mount a "root x86-64" partition by itself, on any machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A partition with its place. ``start`` and ``size`` in bytes."""

    spec: PartitionSpec
    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A table for one disk. ``size`` and ``sector`` are the disk's, in bytes."""

    guid: str
    size: int
    sector: int
    partitions: tuple[Placed, ...]

    @property
    def table_sectors(self) -> int:
        return -(-TABLE_SIZE // self.sector)

    @property
    def last(self) -> int:
        """The last LBA of the disk: the place of the backup header."""
        return self.size // self.sector - 1

    @property
    def last_usable(self) -> int:
        return self.last - self.table_sectors - 1


def lay_out(permit: str, specs: Sequence[PartitionSpec], *, size: int, sector: int) -> Layout:
    """Places partitions in order, aligned to 1 MiB. Raises `InstallError` when they don't fit or make no sense."""
    empty = Layout(guid=str(uuid.UUID(permit)), size=size, sector=sector, partitions=())
    end = (empty.last_usable + 1) * sector // MEBI * MEBI
    at, placed = MEBI, list[Placed]()
    for spec in specs:
        _check(spec, placed)
        room = end - at
        wanted = -(-spec.size // MEBI) * MEBI or room
        if room < MEBI or wanted > room:
            raise InstallError(
                f"partition {spec.number} ({spec.role}) of {wanted} bytes does not fit: of {size} bytes, "
                f"{max(room, 0)} are left"
            )
        placed.append(Placed(spec=spec, start=at, size=wanted))
        at += wanted
    return Layout(guid=empty.guid, size=size, sector=sector, partitions=tuple(placed))


def _check(spec: PartitionSpec, placed: Sequence[Placed]) -> None:
    if spec.role not in TYPES:
        raise InstallError(f"partition {spec.number} has the unknown role {spec.role!r}")
    if not 1 <= spec.number <= ENTRIES or spec.size < 0:
        raise InstallError(f"partition {spec.number} has a number or size that GPT does not know")
    if any(other.spec.number == spec.number or other.spec.guid == spec.guid for other in placed):
        raise InstallError(f"partition {spec.number}: its number or GUID is used twice")
    try:
        uuid.UUID(spec.guid)
    except ValueError as error:
        raise InstallError(f"partition {spec.number} has no GUID") from error


def entries(layout: Layout) -> bytes:
    """The partition entry array."""
    table = bytearray(TABLE_SIZE)
    for part in layout.partitions:
        label = (part.spec.label or part.spec.role).encode("utf-16-le")[:72]
        GPT_ENTRY.pack_into(
            table,
            (part.spec.number - 1) * ENTRY_SIZE,
            uuid.UUID(TYPES[part.spec.role]).bytes_le,
            uuid.UUID(part.spec.guid).bytes_le,
            part.start // layout.sector,
            (part.start + part.size) // layout.sector - 1,
            0,
            label,
        )
    return bytes(table)


def header(layout: Layout, *, backup: bool) -> bytes:
    """One sector: the primary header, or the backup one."""
    own, other = (layout.last, 1) if backup else (1, layout.last)
    table_at = layout.last - layout.table_sectors if backup else 2
    fields = (
        own,
        other,
        2 + layout.table_sectors,
        layout.last_usable,
        uuid.UUID(layout.guid).bytes_le,
        table_at,
        ENTRIES,
        ENTRY_SIZE,
        zlib.crc32(entries(layout)),
    )
    bare = GPT_HEADER.pack(GPT_SIGNATURE, REVISION, HEADER_SIZE, 0, 0, *fields)
    full = GPT_HEADER.pack(GPT_SIGNATURE, REVISION, HEADER_SIZE, zlib.crc32(bare), 0, *fields)
    return full.ljust(layout.sector, b"\0")


def protective_mbr(layout: Layout) -> bytes:
    """One entry of type EE over the whole disk (at most 2^32-1 sectors); no boot code."""
    sectors = min(layout.last, 0xFFFFFFFF)
    entry = MBR_ENTRY.pack(0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, sectors)
    sector = b"\0" * 446 + entry + b"\0" * 48 + struct.pack("<H", 0xAA55)
    return sector.ljust(layout.sector, b"\0")


def write(device: Device, layout: Layout) -> None:
    """Marker, then wipe old edges, then the rest of the table. ``device`` must be open for writing.

    Wiped are the first and last MiB of the disk and of every partition: there live the signatures of RAID, ZFS and LVM
    that would otherwise be found again inside the new partitions. Raises OSError.
    """
    _put(device.fd, layout.sector, header(layout, backup=False))
    os.fsync(device.fd)
    blank = b"\0" * MEBI
    _put(device.fd, 0, blank[: layout.sector])
    _put(device.fd, 2 * layout.sector, blank[2 * layout.sector :])
    _put(device.fd, device.size - MEBI, blank)
    for part in layout.partitions:
        edge = min(MEBI, part.size)
        _put(device.fd, part.start, blank[:edge])
        _put(device.fd, part.start + part.size - edge, blank[:edge])
    table = entries(layout)
    _put(device.fd, 2 * layout.sector, table)
    _put(device.fd, (layout.last - layout.table_sectors) * layout.sector, table)
    _put(device.fd, layout.last * layout.sector, header(layout, backup=True))
    _put(device.fd, 0, protective_mbr(layout))
    os.fsync(device.fd)


def _put(fd: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        offset += written
        view = view[written:]


def check(device: Device, layout: Layout) -> None:
    """Read both headers and the rows back. Raises `InstallError` when the disk does not hold what was written."""
    for lba in (1, layout.last):
        found = gpt_header(device, lba)
        if found is None or found.disk_guid != layout.guid:
            raise InstallError(f"the disk did not keep the GPT header at LBA {lba}: replace the disk")
    rows = {(row.number, row.start, row.size, row.guid) for row in read_table(device).rows}
    wanted = {(part.spec.number, part.start, part.size, str(uuid.UUID(part.spec.guid))) for part in layout.partitions}
    if rows != wanted:
        raise InstallError("the disk did not keep the partition entries: replace the disk")
