"""To whom data belonged: the Ceph cluster of a BlueStore label, the volume group of an LVM member.

A BlueStore label also holds the OSD's secret key (``osd_key``): only the named fields leave this module.
"""

from __future__ import annotations

import re
import struct
import uuid
from dataclasses import dataclass

from agent.probe.device import Device
from agent.wire import Signature

BLUESTORE = b"bluestore block device\n"
BLUESTORE_HEADER = len(BLUESTORE) + 37
LABEL_SIZE = 4096

LVM_SECTOR = 512
LVM_LABEL = b"LABELONE"
LVM_AREA = b" LVM2 x[5A%r0N*>"
MAXIMUM_METADATA = 16 * 2**20


def bluestore(device: Device, start: int) -> Signature | None:
    """Ceph's ``bluestore_bdev_label_t`` (src/os/bluestore/bluestore_types.cc): a text line, the OSD's UUID as text, then
    an encoded struct whose last member is a map with ``ceph_fsid`` and ``whoami``."""
    raw = device.read(start, LABEL_SIZE)
    if not raw.startswith(BLUESTORE):
        return None
    osd = raw[len(BLUESTORE) : BLUESTORE_HEADER - 1].decode("ascii", "replace")
    try:
        meta = _label_map(raw)
    except (struct.error, ValueError):
        meta = {}
    whoami = meta.get("whoami", "")
    return Signature(
        kind="ceph_bluestore",
        uuid=osd if _is_uuid(osd) else "",
        label=f"osd.{whoami}" if whoami.isdigit() else "",
        owner=meta.get("ceph_fsid", ""),
    )


def _label_map(raw: bytes) -> dict[str, str]:
    """Version 2 of the struct: version, compat, length, uuid, u64 size, utime, string description, map."""
    version = raw[BLUESTORE_HEADER]
    at = BLUESTORE_HEADER + 6 + 16 + 8 + 8
    _, at = _string(raw, at)
    if version < 2:
        return {}
    (count,) = struct.unpack_from("<I", raw, at)
    at += 4
    meta: dict[str, str] = {}
    for _ in range(min(count, 64)):
        name, at = _string(raw, at)
        value, at = _string(raw, at)
        if name in {"ceph_fsid", "whoami"}:
            meta[name] = value
    return meta


def _string(raw: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", raw, at)
    end = at + 4 + length
    if end > len(raw):
        raise ValueError("a string runs out of the label")
    return raw[at + 4 : end].decode("utf-8", "replace"), end


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeGroup:
    """``osds`` are BlueStore volumes inside, by the tags that ceph-volume puts on them."""

    name: str
    osds: tuple[Signature, ...] = ()


def volume_group(device: Device, start: int) -> VolumeGroup | None:
    """The volume group of an LVM2 member: label in one of the first four sectors → metadata area → its current text."""
    for sector in range(4):
        raw = device.read(start + sector * LVM_SECTOR, LVM_SECTOR)
        if raw.startswith(LVM_LABEL) and raw[24:32] == b"LVM2 001":
            text = _lvm_text(device, start, raw)
            found = re.match(r"\s*([A-Za-z0-9+_.-]+)\s*\{", text)
            return VolumeGroup(name=found[1], osds=_tagged_osds(text)) if found else None
    return None


def _lvm_text(device: Device, start: int, label: bytes) -> str:
    """pv_header: 32 bytes uuid, u64 size, data areas until a zero one, then metadata areas. An area is a ring."""
    at = struct.unpack_from("<I", label, 20)[0] + 40
    areas: list[tuple[int, int]] = []
    lists = 0
    while lists < 2 and at + 16 <= len(label):
        offset, size = struct.unpack_from("<QQ", label, at)
        at += 16
        if offset == 0:
            lists += 1
        elif lists == 1:
            areas.append((offset, size))
    for offset, size in areas:
        head = device.read(start + offset, LVM_SECTOR)
        if len(head) == LVM_SECTOR and head[4:20] == LVM_AREA:
            text_at, length = struct.unpack_from("<QQ", head, 40)
            if 0 < length <= min(size, MAXIMUM_METADATA):
                return _ring(device, start + offset, size, text_at, length).decode("utf-8", "replace")
    return ""


def _ring(device: Device, area: int, size: int, at: int, length: int) -> bytes:
    """The text wraps around to right after the area's header sector."""
    before_end = min(length, size - at)
    return device.read(area + at, before_end) + device.read(area + LVM_SECTOR, length - before_end)


def _tagged_osds(text: str) -> tuple[Signature, ...]:
    found: set[Signature] = set()
    for tags in re.findall(r"tags\s*=\s*\[(.*?)\]", text, re.DOTALL):
        facts = dict(re.findall(r'"ceph\.([a-z_]+)=([^"]*)"', tags))
        if facts.get("type") in {"block", "db", "wal"} and facts.get("cluster_fsid"):
            found.add(
                Signature(
                    kind="ceph_bluestore",
                    uuid=facts.get("osd_fsid", ""),
                    label=f"osd.{facts.get('osd_id', '?')}",
                    owner=facts["cluster_fsid"],
                )
            )
    return tuple(sorted(found, key=lambda item: (item.uuid, item.label)))
