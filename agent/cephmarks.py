"""What an order leaves on a disk of an OSD before the OSD's own label is there. Pure, and known on both sides: the machine
goes on by it after a power cut, and the planner knows a disk again that is just being made.

In this order: a partition table with the mark as its GUID while the disk is erased, a physical volume whose UUID is the
mark, a volume group that is named by it. From the first tagged volume on the disk tells itself whose it is.
"""

from __future__ import annotations

import itertools
import uuid

from agent.cephorder import DeviceGrant
from agent.inventory import Content

PHYSICAL_VOLUME = "LVM2_member"


def mark(grant: DeviceGrant, fsid: str, osd: str, use: str) -> uuid.UUID:
    """The mark of one disk: of the OSD (its uuid) and what the disk is for (``data``, ``db``, ``wal``); of a device that
    several share, of the cluster and the disk."""
    if grant.shared:
        return uuid.uuid5(uuid.UUID(fsid), f"{grant.serial}/{grant.wwn}/{grant.model}/{grant.size}")
    return uuid.uuid5(uuid.UUID(osd), use)


def group_name(marked: uuid.UUID) -> str:
    """The volume group."""
    return f"ceph-{marked}"


def volume_uuid(marked: uuid.UUID) -> str:
    """UUID of the physical volume, as LVM writes it: 32 digits in seven groups."""
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(marked.hex[start:end] for start, end in itertools.pairwise(cuts))


def found(content: Content) -> tuple[str, ...]:
    """What could be a mark on the disk itself, in lower case: GUID of an empty table, a group's name, a volume's UUID while
    it has no group."""
    tables = [content.table_id] if content.table == "gpt" and not content.partitions else []
    volumes = [item for item in content.signatures if item.kind == PHYSICAL_VOLUME and not content.table]
    return tuple(text.lower() for text in (*tables, *(item.owner or item.uuid for item in volumes)) if text)


def texts(marked: uuid.UUID) -> tuple[str, str, str]:
    """A mark as `found` finds it."""
    return str(marked), group_name(marked), volume_uuid(marked)
