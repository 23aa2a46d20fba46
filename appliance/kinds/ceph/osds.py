"""Steps of OSDs: made of the planned disks, or of a new disk in the place of an old one; drained, freed, cleaned up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from appliance.kinds.ceph.draft import LONG, SPEED, Draft
from appliance.kinds.ceph.names import disk_word
from appliance.kinds.ceph.there import numbered
from appliance.model.ceph import CephVerb, DiskRef, OsdLayout
from appliance.model.plan import DiskChoice, DiskFate


def osds(draft: Draft, after: tuple[str, ...]) -> tuple[str, ...]:
    """OSDs of one machine one after the other (they may share a DB device), machines beside each other."""
    found: list[str] = []
    previous: dict[str, str] = {}
    for osd in draft.layout.osds:
        host = draft.hosts.get(osd.machine)
        if host is None or osd.replacing or draft.has(osd) or not (lives(draft, osd) or granted(draft, osd)):
            continue
        old = replaced(draft, osd)
        waits = (*draft.own(osd.machine), *after, *([previous[osd.machine]] if osd.machine in previous else []))
        if old is not None:
            waits = (*waits, *free(draft, old, waits))
        planned = numbering(draft, osd, old)
        key = f"ceph-osd/{host.name}/{disk_word(osd.data)}" + (f".{osd.part}" if osd.part else "")
        args = draft.args(CephVerb.OSD, host=host, daemon=str(planned.number), osd=planned, old=old)
        previous[osd.machine] = draft.add(key, osd.machine, args, waits, deadline=LONG, reversible=False)
        found.append(key)
        if old is not None and old.replacing:
            locate(draft, old, (key,), planned)
    return tuple(found)


def release(draft: Draft) -> None:
    """OSDs that leave a disk before the new one is there: drained, then destroyed, so that nothing waits for them; number
    and place stay. One that is down has nothing to drain: Ceph makes copies elsewhere by its own rules, and it is destroyed
    when its successor is made. Without a manager nobody knows what is empty, and without monitors nothing is done."""
    if draft.state is None or not draft.asker:
        return
    shown = {draft.uuid(osd) for osd in (draft.before.osds if draft.before else ()) if osd.replacing}
    for osd in draft.layout.osds:
        if not osd.replacing or osd.machine not in draft.hosts:
            continue
        found = draft.live(osd)
        freed: tuple[str, ...] = ()
        if found is not None and (found.up or not found.in_):
            freed = free(draft, osd, draft.last)
            draft.grown += [key for key in freed if key.startswith("ceph-destroy/")]
        if freed or draft.uuid(osd) not in shown:
            locate(draft, osd, freed or draft.last)


def locate(draft: Draft, old: OsdLayout, after: tuple[str, ...], new: OsdLayout | None = None) -> None:
    """The lamp of the old disk's slot: on while somebody has to find it, off when ``new`` has taken its place. Once for a
    disk that carries several OSDs."""
    host = draft.hosts.get(old.machine)
    if host is not None and old.part == 0:
        args = draft.args(CephVerb.LOCATE, host=host, daemon=str(old.number), old=old, osd=new)
        draft.add(f"ceph-locate/osd.{old.number}", old.machine, args, after)


def lives(draft: Draft, osd: OsdLayout) -> bool:
    """Its disk carries it already: nothing is written any more, so no choice has to allow it."""
    return draft.live(osd) is not None


def granted(draft: Draft, osd: OsdLayout) -> bool:
    """Whether the plan's choices give all of its disks to Ceph. With what content they may be erased is in the OSD's own
    references; the agent compares."""
    given = {_identity(one) for one in draft.choices if one.machine == osd.machine and one.fate is DiskFate.ASSIGN}
    return all(_identity(disk) in given for disk in (osd.data, osd.db, osd.wal) if disk is not None)


def replaced(draft: Draft, osd: OsdLayout) -> OsdLayout | None:
    """The OSD of an earlier plan whose number and place this one takes over; None when there is none, or when it stays."""
    return next((one for one in draft.formed if one.number == osd.number), None)


def free(draft: Draft, old: OsdLayout, after: Iterable[str]) -> tuple[str, ...]:
    """Drain (when it still works) and destroy an OSD whose number stays."""
    found = draft.live(old)
    if found is None:
        place = numbered(draft.state, old.number)
        return clean(draft, old, tuple(after)) if place is not None and place.destroyed else ()
    host = draft.hosts.get(old.machine)
    keys: tuple[str, ...] = ()
    if found.up:
        keys = (drain(draft, old, after),)
    args = draft.args(CephVerb.DESTROY, host=host, daemon=str(found.number), old=replace(old, number=found.number))
    key = f"ceph-destroy/osd.{found.number}"
    gone = draft.add(key, old.machine, args, (*after, *keys), deadline=LONG, reversible=False)
    return (*keys, gone, *clean(draft, replace(old, number=found.number), (gone,)))


def clean(draft: Draft, old: OsdLayout, after: tuple[str, ...]) -> tuple[str, ...]:
    """What is left of a destroyed OSD on its machine: the folder, then its slots on shared devices."""
    host = draft.hosts.get(old.machine)
    if host is None:
        return ()
    args = draft.args(CephVerb.LEAVE, host=host, daemon=str(old.number), daemons=("osd",), old=old)
    key = draft.add(f"ceph-clean/osd/{old.number}", old.machine, args, after, reversible=False)
    return (key, *zap(draft, old, (key,)))


def zap(draft: Draft, old: OsdLayout, after: tuple[str, ...]) -> tuple[str, ...]:
    """Free its slots on devices that planned OSDs of the machine still use."""
    host = draft.hosts.get(old.machine)
    used = {_identity(d) for o in draft.layout.osds if o.machine == old.machine for d in (o.db, o.wal) if d is not None}
    db, wal = (disk if disk is not None and _identity(disk) in used else None for disk in (old.db, old.wal))
    if host is None or (db is None and wal is None):
        return ()
    args = draft.args(CephVerb.ZAP, host=host, daemon=str(old.number), old=replace(old, db=db, wal=wal))
    return (draft.add(f"ceph-zap/osd.{old.number}", old.machine, args, after, deadline=LONG, reversible=False),)


def drain(draft: Draft, old: OsdLayout, after: Iterable[str]) -> str:
    """The deadline is by the size of its disk: a plan's hash must not change with every write."""
    found = draft.live(old)
    number = found.number if found else old.number
    args = draft.args(
        CephVerb.OUT,
        host=draft.hosts.get(old.machine),
        daemon=str(number),
        old=replace(old, number=number),
        daemons=draft.drained,
        rate=draft.rate,
    )
    deadline = max(LONG, old.data_size / SPEED)
    return draft.add(f"ceph-out/osd.{number}", old.machine, args, after, deadline=deadline)


def numbering(draft: Draft, osd: OsdLayout, old: OsdLayout | None) -> OsdLayout:
    """The planned number where it is free (or its own, or that of the one it replaces); else the lowest free one."""
    found = numbered(draft.state, osd.number)
    standing = draft.live(osd)
    if standing is not None:
        return replace(osd, number=standing.number)
    if found is None or found.destroyed or (old and found.uuid == draft.uuid(old)):
        return osd
    taken = {one.number for one in (draft.state.osds if draft.state else ())}
    taken |= {one.number for one in draft.layout.osds}
    taken |= {int(step.ceph.daemon) for step in draft.made if step.ceph and step.ceph.verb is CephVerb.OSD}
    return replace(osd, number=next(n for n in range(len(taken) + 1) if n not in taken))


def _identity(disk: DiskChoice | DiskRef) -> tuple[str, str, str, int]:
    return disk.serial, disk.wwn, disk.model, disk.size
