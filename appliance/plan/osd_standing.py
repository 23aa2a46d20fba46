"""Which OSDs of the accepted plan still stand: their disks are there, and carry what was planned or Ceph's own label.

They keep everything: number, sizes, DB device and slot. One that does not stand is dropped, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.wire import Disk
from appliance.model.ceph import DiskRef, OsdLayout
from appliance.model.plan import WaitReason
from appliance.plan.content import fingerprint, signatures
from appliance.plan.verdict import Identity, Verdict
from hwprofiles.normal import serial_key
from hwprofiles.values import show_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An OSD that does not stand, and why."""

    osd: OsdLayout
    reason: WaitReason
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An OSD that stands, and the positions of its disks (None: it has no such device)."""

    osd: OsdLayout
    data: int
    db: int | None
    wal: int | None

    @property
    def positions(self) -> Iterator[tuple[int, str]]:
        """Disks with their roles."""
        yield self.data, "osd"
        if self.db is not None:
            yield self.db, "db"
        if self.wal is not None:
            yield self.wal, "wal"


def stand(osds: Iterable[OsdLayout], verdicts: Sequence[Verdict]) -> tuple[list[Standing], list[Dropped]]:
    """OSDs of one machine against its disks (without the system disks)."""
    where: dict[Identity, list[int]] = {}
    for position, verdict in enumerate(verdicts):
        where.setdefault(verdict.identity, []).append(position)
    found: list[Standing] = []
    dropped: list[Dropped] = []
    for osd in osds:
        for what, ref in (("data disk", osd.data), ("DB device", osd.db), ("WAL device", osd.wal)):
            trouble = _trouble(what, ref, where, verdicts) if ref else None
            if trouble is not None:
                dropped.append(Dropped(osd=osd, reason=trouble[0], why=trouble[1]))
                break
        else:
            db, wal = (where[_key(ref)][0] if ref else None for ref in (osd.db, osd.wal))
            found.append(Standing(osd=osd, data=where[_key(osd.data)][0], db=db, wal=wal))
    return found, dropped


def formed(disk: Disk) -> bool:
    """Whether Ceph has written it: a BlueStore label, or LVM volumes that Ceph tagged (the agent reports both alike)."""
    return any(signature.kind == "ceph_bluestore" for signature in signatures(disk.content))


def _trouble(
    what: str, ref: DiskRef, where: Mapping[Identity, list[int]], verdicts: Sequence[Verdict]
) -> tuple[WaitReason, str] | None:
    shown = f"its {what} {ref.serial or ref.wwn} ({show_size(ref.size)}{' ' + ref.model if ref.model else ''})"
    found = where.get(_key(ref), [])
    if not found:
        return WaitReason.LAYOUT, f"{shown} is gone; put it back, or replace it"
    if len(found) > 1:
        return WaitReason.NOT_IDENTIFIABLE, f"{shown} is there twice; remove one"
    verdict = verdicts[found[0]]
    if fingerprint(verdict.disk.content) != ref.fingerprint:
        if formed(verdict.disk) or verdict.free:
            return None
        return WaitReason.FOREIGN_DATA, f"{shown} now {verdict.carries}; it was planned with other content"
    if verdict.protected:
        return WaitReason.PROTECTED_DISK, f"{shown} is now protected by the site file"
    if not verdict.free:
        return WaitReason.FOREIGN_DATA, f"{shown} {verdict.carries}, and its erasure is no longer granted"
    return None


def _key(ref: DiskRef) -> Identity:
    return serial_key(ref.serial), ref.wwn.lower(), ref.size
