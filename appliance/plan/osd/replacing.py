"""Disks that people want replaced: which OSDs let go of their disk now, and which have to stay for the time being."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.kinds import ceph as kind
from appliance.model.ceph import CephLayout, DiskRef, OsdLayout
from appliance.model.cephstate import CephState
from appliance.model.observed import Replacement
from appliance.plan.disks.key import label
from appliance.plan.disks.verdict import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacing:
    """``wanted`` are the disks by machine. ``refused`` says for the number of an OSD why it can't be drained now: it stays
    as it is until that changes. ``running`` are numbers of OSDs that run: a new disk takes none of theirs."""

    wanted: frozenset[tuple[str, Identity]] = frozenset()
    refused: Mapping[int, str] = field(default_factory=dict)
    running: frozenset[int] = frozenset()

    def meant(self, osd: OsdLayout) -> bool:
        """Whether somebody wants its disk replaced."""
        return bool(self.wanted) and (osd.machine, ref_identity(osd.data)) in self.wanted

    def lets_go(self, osd: OsdLayout) -> bool:
        """Whether it leaves its disk now."""
        return self.meant(osd) and osd.number not in self.refused


NOTHING = Replacing()


def ref_identity(disk: DiskRef) -> Identity:
    """A planned disk as `verdict.identity` gives a seen one."""
    return *label(disk), disk.size


def replacing(found: Iterable[Replacement], standing: CephLayout | None, state: CephState | None) -> Replacing:
    """What holds for OSDs of the accepted layout. Disks are taken in the order of their OSDs' numbers: each may leave only
    when it may together with those before it."""
    wanted = frozenset((one.machine, (*label(one), one.size)) for one in found if not one.done)
    if not wanted or standing is None:
        return NOTHING
    known = state if state is not None and state.fsid == standing.fsid else None
    live = ((osd.number, kind.live(known, kind.osd_uuid(standing.fsid, osd))) for osd in standing.osds)
    running = frozenset(number for number, one in live if one is not None and one.up)
    return Replacing(wanted=wanted, refused=dict(_refused(wanted, standing, known)), running=running)


def as_wanted(standing: CephLayout | None, now: Replacing) -> CephLayout | None:
    """The accepted layout without what was taken back since: those OSDs keep their disks."""
    if standing is None or all(now.lets_go(osd) for osd in standing.osds if osd.replacing):
        return standing
    osds = (osd if now.lets_go(osd) else replace(osd, replacing=False) for osd in standing.osds)
    return replace(standing, osds=tuple(osds))


def _refused(
    wanted: frozenset[tuple[str, Identity]], standing: CephLayout, known: CephState | None
) -> Iterator[tuple[int, str]]:
    disks: dict[tuple[str, Identity], list[OsdLayout]] = {}
    for osd in sorted(standing.osds, key=lambda one: one.number):
        key = (osd.machine, ref_identity(osd.data))
        if key in wanted:
            disks.setdefault(key, []).append(osd)
    leaving: set[int] = set()
    for osds in disks.values():
        serving = kind.serving(standing.fsid, osds, known)
        why = kind.may_leave(standing, known, leaving | serving) if known is not None and serving else ""
        if why:
            yield from ((osd.number, why) for osd in osds)
        else:
            leaving |= serving


def stay(osds: Iterable[OsdLayout]) -> list[OsdLayout]:
    """OSDs as they are when nobody wants their disk replaced: that may have been taken back."""
    return [replace(osd, replacing=False) if osd.replacing else osd for osd in osds]


def without_a_disk(
    pending: Sequence[OsdLayout], held: Sequence[OsdLayout], lost: Iterable[OsdLayout], new: Iterable[OsdLayout]
) -> tuple[OsdLayout, ...]:
    """Those of ``pending`` for which no ``new`` OSD of their class is there, and those that are ``held`` already. New ones
    take numbers as `appliance.plan.ceph.layout` gives them: the lowest first, also those of OSDs that are ``lost``."""
    free: dict[str, int] = {}
    for osd in new:
        free[osd.device_class] = free.get(osd.device_class, 0) + 1
    kept = {osd.number for osd in held}
    open_ = sorted((*lost, *(osd for osd in pending if osd.number not in kept)), key=lambda one: one.number)
    for osd in open_:
        if free.get(osd.device_class, 0) > 0:
            free[osd.device_class] -= 1
        else:
            kept.add(osd.number)
    return tuple(osd for osd in pending if osd.number in kept)
