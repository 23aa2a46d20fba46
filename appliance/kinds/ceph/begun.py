"""Disks on which an OSD is just being made: they carry what its order leaves there, and no label that names it yet.

A plan that is made meanwhile must know them as what they are, neither as somebody's data nor, as they are in use, as a
system disk.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent import cephmarks
from agent.wire import Content
from appliance.kinds.ceph.orders import osd_order
from appliance.model.ceph import OsdLayout

LABEL = "ceph_bluestore"


def may_be_begun(content: Content) -> bool:
    """Whether there is anything on the disk that could be such a mark, and no OSD yet. Nearly no disk has; so `marks` is
    rarely asked."""
    labelled = any(item.kind == LABEL for item in content.signatures)
    return not content.blank and not labelled and bool(cephmarks.found(content))


def marks(fsid: str, osds: Iterable[OsdLayout]) -> frozenset[str]:
    """Every mark that orders for these OSDs of a cluster leave."""
    found: set[str] = set()
    for osd in osds:
        order = osd_order(fsid, osd)
        for use, grant in (("data", order.data), ("db", order.db), ("wal", order.wal)):
            if grant is not None:
                found.update(cephmarks.texts(cephmarks.mark(grant, fsid, order.uuid, use)))
    return frozenset(found)


def begun(content: Content, known: frozenset[str]) -> bool:
    """Whether the disk carries one of these `marks`."""
    return not content.blank and not known.isdisjoint(cephmarks.found(content))
