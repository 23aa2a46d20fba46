"""The OSDs of one new machine as a pattern for all that look like it: positions of disks instead of disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from agent.wire import Disk
from appliance.model.ceph import DiskRef, OsdBudget, OsdLayout
from appliance.model.plan import DiskChoice, DiskFate
from appliance.plan.candidate import Candidate
from hwprofiles.normal import serial_key

Why = tuple[str | int, ...]
"""A why-line: texts, and positions of disks that are named there by their serial."""


class Use(NamedTuple):
    """What happens to the disk at one position."""

    role: str
    fate: DiskFate
    now: str
    why: Why
    fingerprint: str


class Cut(NamedTuple):
    """One OSD, and the positions of its disks."""

    osd: OsdLayout
    data: int
    db: int | None
    wal: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """``uses`` has every disk that is no system disk, in order; ``cuts`` are in the order of `OsdPlan.osds`."""

    uses: tuple[Use, ...]
    cuts: tuple[Cut, ...]
    budget: OsdBudget | None

    def osds(self, candidate: Candidate, disks: Sequence[Disk]) -> tuple[OsdLayout, ...]:
        """The OSDs of another machine; ``disks`` are its own that are no system disks, in order."""
        who = candidate.id
        refs = {
            cut_at: self._ref(cut_at, disks[cut_at]) for cut in self.cuts for cut_at in cut[1:] if cut_at is not None
        }
        return tuple(
            OsdLayout(
                number=-1,
                machine=who,
                data=refs[data],
                part=osd.part,
                data_size=osd.data_size,
                device_class=osd.device_class,
                db=refs[db] if db is not None else None,
                db_size=osd.db_size,
                slot=osd.slot,
                wal=refs[wal] if wal is not None else None,
                wal_size=osd.wal_size,
                wal_slot=osd.wal_slot,
                encrypted=osd.encrypted,
                group=osd.group,
            )
            for osd, data, db, wal in self.cuts
        )

    def _ref(self, position: int, disk: Disk) -> DiskRef:
        return DiskRef(
            serial=disk.serial,
            wwn=disk.wwn,
            model=disk.model,
            size=disk.size,
            fingerprint=self.uses[position].fingerprint,
        )

    def choices(self, candidate: Candidate, disks: Sequence[Disk]) -> tuple[DiskChoice, ...]:
        """What is said about the disks of another machine."""
        who = candidate.id
        return tuple(
            DiskChoice(
                machine=who,
                serial=disk.serial,
                wwn=disk.wwn,
                model=disk.model,
                size=disk.size,
                path=disk.path,
                role=use.role,
                fate=use.fate,
                now=use.now,
                why=said(use.why, disks),
                fingerprint=use.fingerprint,
            )
            for use, disk in zip(self.uses, disks, strict=True)
        )

    def memory(self, candidate: Candidate) -> OsdBudget | None:
        """What another machine has for its OSDs."""
        return replace(self.budget, machine=candidate.id) if self.budget else None


def said(why: Why, disks: Sequence[Disk]) -> str:
    """A why-line in words."""
    if len(why) == 1 and isinstance(why[0], str):
        return why[0]
    return "".join(part if isinstance(part, str) else serial_key(disks[part].serial) for part in why)
