"""The SMBIOS table as the kernel gives it (DMTF DSP0134), as far as sysfs does not already show it."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

TABLE = "sys/firmware/dmi/tables/DMI"
ENTRY_POINT = "sys/firmware/dmi/tables/smbios_entry_point"

SYSTEM = 1
MEMORY_DEVICE = 17
IPMI = 38
END = 127
IPMI_INTERFACES = {1: "kcs", 2: "smic", 3: "bt", 4: "ssif"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One structure: ``body`` is the formatted area including its four byte header."""

    type: int
    body: bytes

    def byte(self, offset: int) -> int | None:
        return self.body[offset] if offset < len(self.body) else None

    def word(self, offset: int) -> int | None:
        return struct.unpack_from("<H", self.body, offset)[0] if offset + 2 <= len(self.body) else None

    def double(self, offset: int) -> int | None:
        return struct.unpack_from("<I", self.body, offset)[0] if offset + 4 <= len(self.body) else None


def structures(table: bytes) -> Iterator[Structure]:
    """Structures in order; a table that is cut off or nonsense ends there."""
    at = 0
    while at + 4 <= len(table):
        kind, length = table[at], table[at + 1]
        if length < 4 or at + length > len(table):
            return
        yield Structure(type=kind, body=table[at : at + length])
        end = table.find(b"\0\0", at + length)
        if kind == END or end < 0:
            return
        at = end + 2


def installed_memory(table: bytes) -> int:
    """Sum of the memory devices (type 17) in bytes; 0 when there are none."""
    return sum(_device_size(item) for item in structures(table) if item.type == MEMORY_DEVICE)


def _device_size(item: Structure) -> int:
    size = item.word(0x0C)
    if size is None or size in {0, 0xFFFF}:
        return 0
    if size == 0x7FFF:
        return ((item.double(0x1C) or 0) & 0x7FFFFFFF) * 2**20
    return (size & 0x7FFF) * (2**10 if size & 0x8000 else 2**20)


def system_uuid(table: bytes, version: tuple[int, int]) -> str:
    """Type 1's UUID as the kernel prints it: the first three fields are little-endian from SMBIOS 2.6 on.

    All ones is "not present", all zeros "not settable": both are empty here, as the kernel hides them.
    """
    for item in structures(table):
        raw = item.body[8:24]
        if item.type == SYSTEM and len(raw) == 16:
            if raw in {b"\0" * 16, b"\xff" * 16}:
                return ""
            return str(uuid.UUID(bytes_le=raw) if version >= (2, 6) else uuid.UUID(bytes=raw))
    return ""


def version_of(entry_point: bytes) -> tuple[int, int]:
    """SMBIOS version of the entry point (``_SM3_`` or ``_SM_``); (0, 0) when there is none."""
    if entry_point.startswith(b"_SM3_") and len(entry_point) > 8:
        return entry_point[7], entry_point[8]
    if entry_point.startswith(b"_SM_") and len(entry_point) > 7:
        return entry_point[6], entry_point[7]
    return 0, 0


def ipmi_interface(table: bytes) -> str:
    """``kcs``, ``smic``, ``bt`` or ``ssif`` of type 38, or empty."""
    for item in structures(table):
        if item.type == IPMI:
            return IPMI_INTERFACES.get(item.byte(4) or 0, "unknown")
    return ""
