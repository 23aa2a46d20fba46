"""Which OSDs of the accepted plan still stand: their disks are there, and carry what was planned or Ceph's own label.

They keep everything: number, sizes, DB device and slot. So does one that is just being made. One that does not stand is
dropped, and named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agent.wire import Disk
from appliance.kinds.ceph import begun
from appliance.model.ceph import DiskRef, OsdLayout
from appliance.model.plan import WaitReason
from appliance.plan.candidate import Candidate
from appliance.plan.disks.content import fingerprint, signatures
from appliance.plan.disks.key import label
from appliance.plan.disks.verdict import Identity, Verdict
from hwprofiles.normal import serial_key
from hwprofiles.values import show_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An OSD that does not stand, and why."""

    osd: OsdLayout
    reason: WaitReason
    why: str


class Standing(NamedTuple):
    """An OSD that stands, and the positions of its disks (None: it has no such device)."""

    osd: OsdLayout
    data: int
    db: int | None
    wal: int | None


def stand(
    osds: Iterable[OsdLayout], verdicts: Sequence[Verdict], marks: frozenset[str] = frozenset()
) -> tuple[list[Standing], list[Dropped]]:
    """OSDs of one machine against its disks (without the system disks). ``marks`` are those of `Candidate`."""
    finder = _Finder(verdicts, marks)
    found: list[Standing] = []
    dropped: list[Dropped] = []
    for osd in osds:
        data = finder.find(osd.data, "data disk")
        db = finder.find(osd.db, "DB device") if osd.db else None
        wal = finder.find(osd.wal, "WAL device") if osd.wal else None
        gone = next((one for one in (data, db, wal) if isinstance(one, Missing)), None)
        if gone is not None:
            dropped.append(Dropped(osd=osd, reason=gone.reason, why=gone.why))
        elif isinstance(data, int) and not isinstance(db, Missing) and not isinstance(wal, Missing):
            found.append(Standing(osd, data, db, wal))
    return found, dropped


class SharedPlace(NamedTuple):
    """A slot on a DB or WAL device of an OSD that gives up its data disk; ``kept`` for it while no new disk is there."""

    position: int
    role: str
    slot: int
    size: int
    data_size: int
    group: str
    kept: bool


def shared_places(
    verdicts: Sequence[Verdict], osds: Iterable[OsdLayout], kept: Collection[int], marks: frozenset[str] = frozenset()
) -> list[SharedPlace]:
    """Where the DBs and WALs of OSDs that give up their data disk are; ``kept`` are numbers of those that wait. A
    device that is not there any more keeps no place."""
    finder = _Finder(verdicts, marks)
    places: list[SharedPlace] = []
    for osd in osds:
        db, wal = (osd.db, "db", osd.slot, osd.db_size), (osd.wal, "wal", osd.wal_slot, osd.wal_size)
        for ref, role, slot, size in (db, wal):
            found = finder.find(ref, role) if ref is not None else None
            if isinstance(found, int):
                places.append(SharedPlace(found, role, slot, size, osd.data_size, osd.group, osd.number in kept))
    return places


def formed(disk: Disk) -> bool:
    """Whether Ceph has written it: a BlueStore label, or LVM volumes that Ceph tagged (the agent reports both alike)."""
    return not disk.content.blank and any(one.kind == "ceph_bluestore" for one in signatures(disk.content))


def system_disks(candidate: Candidate) -> tuple[Disk, ...]:
    """The system disks. Of a machine in service those are what is in use, and so may be disks that Ceph has written."""
    if not candidate.standing:
        return candidate.system
    return tuple(disk for disk in candidate.system if not (disk.content.in_use and formed(disk)))


class Missing(NamedTuple):
    """Why a disk of an OSD is not there as it was planned."""

    reason: WaitReason
    why: str


class _Finder:
    """Finds disks by what does not change; each is looked at once."""

    def __init__(self, verdicts: Sequence[Verdict], marks: frozenset[str]) -> None:
        self.verdicts, self.marks = verdicts, marks
        self.where: dict[Identity, list[int]] = {}
        for position, verdict in enumerate(verdicts):
            self.where.setdefault(verdict.identity, []).append(position)
        self.known: dict[tuple[str, str, int, str], int | Missing] = {}

    def find(self, ref: DiskRef, what: str) -> int | Missing:
        """The position of the disk, or what is wrong with it."""
        key = ref.serial, ref.wwn, ref.size, ref.fingerprint
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._look(ref, what)
        return found

    def _look(self, ref: DiskRef, what: str) -> int | Missing:
        found = self.where.get((*label(ref), ref.size), [])
        if not found:
            return Missing(WaitReason.LAYOUT, f"{_show(ref, what)} is gone; put it back, or replace it")
        if len(found) > 1:
            return Missing(WaitReason.NOT_IDENTIFIABLE, f"{_show(ref, what)} is there twice; remove one")
        verdict = self.verdicts[found[0]]
        if fingerprint(verdict.disk.content) != ref.fingerprint:
            if formed(verdict.disk) or begun(verdict.disk.content, self.marks) or verdict.free:
                return found[0]
            text = f"{_show(ref, what)} now {verdict.carries}; it was planned with other content"
            return Missing(WaitReason.FOREIGN_DATA, text)
        if verdict.protected:
            return Missing(WaitReason.PROTECTED_DISK, f"{_show(ref, what)} is now protected by the site file")
        if not verdict.free:
            text = f"{_show(ref, what)} {verdict.carries}, and its erasure is no longer granted"
            return Missing(WaitReason.FOREIGN_DATA, text)
        return found[0]


def _show(ref: DiskRef, what: str) -> str:
    model = f" {ref.model}" if ref.model else ""
    return f"its {what} {serial_key(ref.serial) or ref.wwn} ({show_size(ref.size)}{model})"
