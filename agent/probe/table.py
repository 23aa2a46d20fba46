"""Partition tables: GPT (UEFI specification 2.10, chapter 5) and MBR with its chain of extended ones."""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

from agent.probe.device import Device

GPT_SIGNATURE = b"EFI PART"
GPT_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
GPT_ENTRY = struct.Struct("<16s16sQQQ72s")
MAXIMUM_ENTRIES = 1024

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"

MBR_ENTRIES = 446
MBR_ENTRY = struct.Struct("<B3sB3sII")
MBR_SECTOR = 512
EXTENDED = frozenset({0x05, 0x0F, 0x85})
MAXIMUM_LOGICAL = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``start`` and ``size`` in bytes; ``type`` is a GUID, or two hex digits in an MBR."""

    number: int
    start: int
    size: int
    type: str
    guid: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``kind`` is ``gpt``, ``mbr`` or empty. ``boot``: something of it can be booted from, as far as the table shows."""

    kind: str = ""
    id: str = ""
    rows: tuple[Row, ...] = ()
    boot: bool = False


def read_table(device: Device) -> Table:
    """The primary GPT, else its backup, else an MBR, else nothing.

    A header with a right checksum counts even when its entries don't (then there are no rows): the disk GUID is the
    marker of an interrupted install, and the header is the first sector that an install writes.
    """
    first = device.read(0, MBR_SECTOR)
    loader = len(first) == MBR_SECTOR and first[510:] == b"\x55\xaa" and any(first[:440])
    header = gpt_header(device, 1) or gpt_header(device, device.size // device.sector - 1)
    if header is not None:
        rows = _gpt_rows(device, header)
        return Table(
            kind="gpt",
            id=header.disk_guid,
            rows=rows,
            boot=loader or any(row.type in {ESP, BIOS_BOOT} for row in rows),
        )
    return _mbr(device, first)


@dataclass(frozen=True, slots=True, kw_only=True)
class GptHeader:
    """A header whose own checksum is right. LBAs are in sectors of the device."""

    lba: int
    alternate: int
    first_usable: int
    last_usable: int
    disk_guid: str
    entries: int
    count: int
    entry_size: int
    entries_crc: int


def gpt_header(device: Device, lba: int) -> GptHeader | None:
    """The header at ``lba``, or None when there is none or its checksum is wrong."""
    if lba < 1 or (lba + 1) * device.sector > device.size:
        return None
    raw = device.read(lba * device.sector, device.sector)
    if len(raw) < GPT_HEADER.size or not raw.startswith(GPT_SIGNATURE):
        return None
    _, _, size, crc, _, own, alternate, first, last, guid, entries, count, entry_size, entries_crc = (
        GPT_HEADER.unpack_from(raw)
    )
    if not GPT_HEADER.size <= size <= len(raw) or own != lba:
        return None
    if zlib.crc32(raw[:16] + b"\0\0\0\0" + raw[20:size]) != crc:
        return None
    if entry_size < GPT_ENTRY.size or count > MAXIMUM_ENTRIES:
        return None
    return GptHeader(
        lba=lba,
        alternate=alternate,
        first_usable=first,
        last_usable=last,
        disk_guid=str(uuid.UUID(bytes_le=guid)),
        entries=entries,
        count=count,
        entry_size=entry_size,
        entries_crc=entries_crc,
    )


def _gpt_rows(device: Device, header: GptHeader) -> tuple[Row, ...]:
    raw = device.read(header.entries * device.sector, header.count * header.entry_size)
    if zlib.crc32(raw) != header.entries_crc:
        return ()
    rows: list[Row] = []
    for index in range(header.count):
        kind, guid, first, last, _, name = GPT_ENTRY.unpack_from(raw, index * header.entry_size)
        if not any(kind):
            continue
        rows.append(
            Row(
                number=index + 1,
                start=first * device.sector,
                size=max(0, last - first + 1) * device.sector,
                type=str(uuid.UUID(bytes_le=kind)),
                guid=str(uuid.UUID(bytes_le=guid)),
                label=name.decode("utf-16-le", "replace").split("\0")[0],
            )
        )
    return tuple(rows)


def _mbr(device: Device, first: bytes) -> Table:
    """An MBR. The boot sector of a file system on the whole disk ends in 55AA too: its "entries" make no sense."""
    entries = _mbr_entries(first)
    sectors = device.size // device.sector
    if not entries or any(flag not in {0, 0x80} or start >= sectors for flag, _, start, _ in entries.values()):
        return Table()
    rows: list[Row] = []
    for number, (_, kind, start, count) in entries.items():
        rows.append(_mbr_row(device, number, kind, start, count))
        if kind in EXTENDED:
            rows.extend(_logical(device, start))
    boot = any(first[:440]) or any(flag == 0x80 for flag, _, _, _ in entries.values())
    return Table(kind="mbr", id=f"{struct.unpack_from('<I', first, 440)[0]:08x}", rows=tuple(rows), boot=boot)


def _mbr_entries(sector: bytes) -> dict[int, tuple[int, int, int, int]]:
    """Number → (flag, type, start, count) of the used ones, in sectors."""
    if len(sector) < MBR_SECTOR or sector[510:512] != b"\x55\xaa":
        return {}
    found: dict[int, tuple[int, int, int, int]] = {}
    for index in range(4):
        flag, _, kind, _, start, count = MBR_ENTRY.unpack_from(sector, MBR_ENTRIES + index * MBR_ENTRY.size)
        if kind and count:
            found[index + 1] = (flag, kind, start, count)
    return found


def _mbr_row(device: Device, number: int, kind: int, start: int, count: int) -> Row:
    return Row(number=number, start=start * device.sector, size=count * device.sector, type=f"{kind:02x}")


def _logical(device: Device, extended: int) -> list[Row]:
    """The chain of EBRs: entry 1 is the logical partition (relative to its EBR), entry 2 the next (to the first)."""
    rows: list[Row] = []
    at, seen = extended, set[int]()
    while at not in seen and len(rows) < MAXIMUM_LOGICAL:
        seen.add(at)
        entries = _mbr_entries(device.read(at * device.sector, MBR_SECTOR))
        if 1 in entries:
            _, kind, start, count = entries[1]
            rows.append(_mbr_row(device, 5 + len(rows), kind, at + start, count))
        if 2 not in entries:
            break
        at = extended + entries[2][2]
    return rows
