"""One drive group on one machine: which free disks it takes, and where their DBs and WALs go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from appliance.model.ceph import DeviceClass, DiskRef, OsdLayout
from appliance.model.plan import WaitReason
from appliance.plan.disks.content import fingerprint
from appliance.plan.disks.reject import SMALLEST
from appliance.plan.disks.verdict import Verdict
from appliance.plan.osd.batch import data_sizes, usable, volume
from appliance.plan.osd.drivegroup import Selection, select, take
from appliance.plan.osd.rules import Answers, Group, Source
from appliance.plan.osd.slots import (
    LEAST_PERCENT,
    WAL_SIZE,
    Place,
    Shelf,
    assign,
    db_size,
    db_slots,
    device_class,
    least,
    shelf,
    wal_slots,
)
from appliance.plan.osd.standing import SharedPlace, Standing
from hwprofiles.values import show_size

DATA, WAL, DB = range(3)
ROLES = ("osd", "wal", "db")
"""Roles of disks in the plan, by the positions above."""
_SPEED = {DeviceClass.HDD: 0, DeviceClass.SSD: 1, DeviceClass.NVME: 2}


class Slot(NamedTuple):
    """Where a DB or WAL is: the device's position (None: there is none), its slot ``number`` of ``of``, bytes."""

    position: int | None
    number: int
    of: int
    size: int
    ref: DiskRef | None


NO_SLOT = Slot(None, 0, 0, 0, None)
WORDS = {kind: kind.value for kind in DeviceClass}


class NewOsd(NamedTuple):
    """An OSD that joins: one of ``parts`` of the disk at ``position``."""

    position: int
    layout: OsdLayout
    group: Group
    rank: int
    parts: int
    db: Slot
    wal: Slot


@dataclass(slots=True, kw_only=True)
class Host:
    """One machine while its plan grows. Lists are by the positions of its disks: ``roles`` and ``whys`` are empty while
    nothing is decided, ``offers`` is what is said of a disk that nobody decides about. ``foreign`` are the disks that would
    be taken if their erasure were granted, ``orphans`` DB and WAL devices whose drive group is no longer in the site file:
    the first group that means them goes on with them. ``shared`` are slots of OSDs that wait for a new data disk."""

    machine: str
    encrypted: bool
    verdicts: list[Verdict]
    answers: list[Answers]
    standing: list[Standing]
    roles: list[str]
    whys: list[str]
    offers: list[str]
    shelves: dict[int, Shelf] = field(default_factory=dict)
    new: list[NewOsd] = field(default_factory=list)
    foreign: set[int] = field(default_factory=set)
    orphans: set[int] = field(default_factory=set)
    waits: list[tuple[WaitReason, str]] = field(default_factory=list)
    refs: dict[int, DiskRef] = field(default_factory=dict)
    shared: Sequence[SharedPlace] = ()

    def ref(self, position: int) -> DiskRef:
        """A disk by what does not change."""
        found = self.refs.get(position)
        if found is None:
            disk = self.verdicts[position].disk
            found = self.refs[position] = DiskRef(
                serial=disk.serial,
                wwn=disk.wwn,
                model=disk.model,
                size=disk.size,
                fingerprint=fingerprint(disk.content),
            )
        return found

    def name(self, position: int) -> str:
        """A disk by its serial, or what there is instead."""
        verdict = self.verdicts[position]
        return verdict.identity[0] or verdict.disk.wwn or verdict.disk.path

    def show(self, position: int) -> str:
        """A disk by its serial, size and model."""
        disk = self.verdicts[position].disk
        return f"{self.name(position)} ({show_size(disk.size)}{' ' + disk.model if disk.model else ''})"


class _User(NamedTuple):
    """A data disk that becomes ``parts`` OSDs of ``size`` bytes each."""

    position: int
    parts: int
    size: int
    kind: DeviceClass


@lru_cache(maxsize=4096)
def _cut(size: int, kind: DeviceClass, osds_per_device: int) -> tuple[int, int]:
    """Into how many OSDs a disk is cut, and the data size of each. Only NVMe is split (`ceph.md` §4)."""
    parts = osds_per_device if kind is DeviceClass.NVME else 1
    parts = max(1, min(parts, usable(size) // SMALLEST))
    return parts, volume(data_sizes(usable(size), parts)[0])


def plan_group(host: Host, index: int, group: Group) -> None:
    """Lets one group take its disks; everything is written into ``host``."""
    _GroupPlan(host, index, group).run()


class _GroupPlan:
    def __init__(self, host: Host, index: int, group: Group) -> None:
        self.host, self.index, self.group = host, index, group
        self.blocked: dict[int, list[int]] = {DATA: [], WAL: [], DB: []}
        name = group.group.name
        self.before = [one for one in host.standing if one.osd.group == name]
        self.shared = {one.position for one in host.shared if one.group == name}

    def run(self) -> None:
        host = self.host
        free = [
            position
            for position, verdict in enumerate(host.verdicts)
            if not host.whys[position] and not host.roles[position] and verdict.out is None
        ]
        found = select(free, data=self._source(DATA), wal=self._source(WAL), db=self._source(DB))
        users = [self._user(position) for position in found.data]
        walls, shelves = self._pool(WAL, found.wal), self._pool(DB, found.db)
        refused: dict[int, str] = {}
        waiting = users
        while waiting:
            # once more for those that got no place: what was given meanwhile is what the next plan would begin with
            refused = self._seat(waiting, walls, shelves)
            if not refused or len(refused) == len(waiting):
                break
            waiting = [user for user in waiting if user.position in refused]
        self._refuse(refused, len(users))
        self._spare(found)

    def _seat(self, users: list[_User], walls: list[Shelf], shelves: list[Shelf]) -> dict[int, str]:
        """Lets disks join that have a place for everything; the others, with the reason."""
        db, refused = self._dbs(users, shelves)
        wal, refused_wal = self._wals([user for user in users if user.position not in refused], walls)
        refused |= refused_wal
        for user in users:
            if user.position not in refused:
                self._join(user, db.get(user.position), wal.get(user.position))
        return refused

    def _refuse(self, refused: dict[int, str], total: int) -> None:
        host = self.host
        for text in dict.fromkeys(refused.values()):
            lost = [position for position, why in refused.items() if why == text]
            shown = ", ".join(host.show(position) for position in lost)
            wait = f"{len(lost)} of {total} data disks of {self.group.label} wait ({shown}): {text}"
            host.waits.append((WaitReason.LAYOUT, wait))
            for position in lost:
                host.whys[position] = f"it would be an OSD, but {text}"

    # ------------------------------------------------------------ which disks

    def _source(self, which: int) -> Callable[[Sequence[int]], list[int]]:
        source = (self.group.data, self.group.wal, self.group.db)[which]
        return lambda free: self._choose(which, source, free) if source.exists else []

    def _choose(self, which: int, source: Source, free: Sequence[int]) -> list[int]:
        """Positions of the first selector that fits any, also one that stands; foreign data is noted, not taken."""
        host, index, label = self.host, self.index, self.group.label
        answers = host.answers
        ranks = [answers[position][index][which].rank for position in free]
        own = self._own(which)
        kinds = {rank for rank in ranks if rank >= 0}
        if not kinds:
            return []
        best = min(kinds.union(rank for one in own if (rank := answers[one][index][which].rank) >= 0))
        if max(kinds) > best:
            for position, rank in zip(free, ranks, strict=True):
                if rank > best:
                    host.offers[position] = f"not needed: {label} takes {source.shown[best]} first"
        meant = [position for position, rank in zip(free, ranks, strict=True) if rank == best]
        if which != DATA:
            meant = [position for position in meant if not self._spins(position)]
        if source.count and meant and len(meant) + len(own) != source.count:
            return self._miscounted(which, source, meant, len(own))
        ready = [position for position in meant if host.verdicts[position].free_because]
        chosen = take(ready, lambda _: True, source.limit, len(own)) if source.limit else ready
        if source.limit and len(chosen) + len(own) >= source.limit:
            for position in ready[len(chosen) :]:
                host.offers[position] = f"not needed: {label} takes {source.limit} {_NOUNS[which]} (limit)"
        elif len(ready) < len(meant):
            self.blocked[which] = [position for position in meant if not host.verdicts[position].free]
            host.foreign.update(self.blocked[which])
        return chosen

    def _own(self, which: int) -> set[int]:
        """The disks that the standing OSDs of the group have."""
        if not self.before and not self.shared:
            return set()
        own = {position for one in self.before if (position := (one.data, one.wal, one.db)[which]) is not None}
        return own if which == DATA else own | {at for at in self.shared if self.host.roles[at] == ROLES[which]}

    def _spins(self, position: int) -> bool:
        if device_class(self.host.verdicts[position].disk) is not DeviceClass.HDD:
            return False
        self.host.offers[position] = "it spins; DBs and WALs belong on flash"
        return True

    def _miscounted(self, which: int, source: Source, meant: list[int], already: int) -> list[int]:
        host, label = self.host, self.group.label
        shown = ", ".join(host.show(position) for position in meant)
        stand = f" beside {already} that stand" if already else ""
        text = f"{label} wants exactly {source.count} {_NOUNS[which]}, but {len(meant)} fit{stand}: {shown or 'none'}"
        host.waits.append((WaitReason.LAYOUT, text))
        for position in meant:
            host.whys[position] = f"{label} wants exactly {source.count} {_NOUNS[which]}; {len(meant)} fit"
        return []

    # ------------------------------------------------------------ where DBs and WALs go

    def _user(self, position: int) -> _User:
        disk = self.host.verdicts[position].disk
        kind = device_class(disk)
        return _User(position, *_cut(disk.size, kind, self.group.group.osds_per_device), kind)

    def _pool(self, which: int, chosen: list[int]) -> list[Shelf]:
        """Devices of the group's standing OSDs, and new ones."""
        host = self.host
        own = self._own(which)
        old = [
            one
            for position, one in sorted(host.shelves.items())
            if host.roles[position] == ROLES[which]
            and not host.verdicts[position].protected
            and (position in own or (position in host.orphans and host.answers[position][self.index][which].rank >= 0))
        ]
        return old + [shelf(position, host.verdicts[position].disk) for position in chosen]

    def _dbs(self, users: list[_User], shelves: list[Shelf]) -> tuple[dict[int, list[Place]], dict[int, str]]:
        """Places by position of the data disk, and who is refused with the reason."""
        places: dict[int, list[Place]] = {}
        refused: dict[int, str] = {}
        if not (users and self.group.db.exists):
            return places, refused
        blocked = [shelf(position, self.host.verdicts[position].disk) for position in self.blocked[DB]]
        explicit = self.group.db.wanted is not None
        for speed in (-1,) if explicit else tuple(_SPEED.values()):
            some = users if explicit else [user for user in users if _SPEED[user.kind] == speed]
            faster = [one for one in shelves if _SPEED[one.kind] > speed]
            waiting = [one for one in blocked if _SPEED[one.kind] > speed]
            if some and (explicit or faster or waiting):
                got, lost = self._divide(some, faster, waiting)
                places |= got
                refused |= lost
        return places, refused

    def _divide(
        self, users: list[_User], shelves: list[Shelf], waiting: list[Shelf]
    ) -> tuple[dict[int, list[Place]], dict[int, str]]:
        group = self.group.group
        users = sorted(users, key=lambda user: -user.size)
        for one in shelves:
            one.slots = db_slots(one, group, max(users[0].size, one.largest))
        enough = group.db_size or least(users[-1].size)
        large = sorted((one for one in shelves if one.slot >= enough), key=lambda one: -one.slot)
        wanted = sum(user.parts for user in users)
        places = assign(large, wanted, wanted + sum(len(one.used) for one in large), group.db_size)
        got = _hand_out(users, places)
        for user in () if group.db_size else users:
            if any(place.size < least(user.size) for place in got.get(user.position, ())):
                del got[user.position]
        lost = [user.position for user in users if user.position not in got]
        return got, dict.fromkeys(lost, self._shortage(shelves, waiting, users[0].size)) if lost else {}

    def _shortage(self, shelves: list[Shelf], waiting: list[Shelf], largest: int) -> str:
        """What there is, what it takes, and what to do."""
        group = self.group.group
        smallest = group.db_size or least(largest)
        advice = "lower db_size or db_slots" if group.db_size else "set db_size in a drive group"
        share = "" if group.db_size else f", {LEAST_PERCENT} % of {show_size(largest)}"
        words = [f"a DB needs {show_size(smallest)}{share}"]
        for one in shelves:
            cut = f"{one.slots} of {show_size(one.slot)}" if one.slots else "none"
            taken = f", {len(one.used)} taken" if one.used else ""
            words.append(f"{self.host.show(one.position)} carries {cut}{taken}")
        if waiting:
            shown = ", ".join(self.host.show(one.position) for one in waiting)
            words.append(f"{shown} would help if its erasure were granted")
        if not shelves and not waiting:
            return "; ".join([*words, "no disk fits as DB device: add one, or leave db away"])
        return "; ".join([*words, f"add a DB device, or {advice}"])

    def _wals(self, users: list[_User], shelves: list[Shelf]) -> tuple[dict[int, list[Place]], dict[int, str]]:
        if not (self.group.wal.exists and users):
            return {}, {}
        for one in shelves:
            one.slots = wal_slots(one)
        wanted = sum(user.parts for user in users)
        got = _hand_out(users, assign(shelves, wanted, wanted + sum(len(one.used) for one in shelves), WAL_SIZE))
        lost = [user.position for user in users if user.position not in got]
        if not lost:
            return got, {}
        room = ", ".join(f"{self.host.show(one.position)} has room for {one.slots}" for one in shelves)
        text = f"WALs of {show_size(WAL_SIZE)}: {room or 'no disk fits as WAL device'}; add one, or leave wal away"
        return got, dict.fromkeys(lost, text)

    # ------------------------------------------------------------ what is taken

    def _join(self, user: _User, db: list[Place] | None, wal: list[Place] | None) -> None:
        host, group, position = self.host, self.group.group, user.position
        host.roles[position] = ROLES[DATA]
        rank = host.answers[position][self.index][DATA].rank
        for part in range(user.parts):
            db_slot = self._slot(DB, db[part], db_size(db[part], user.size, group), user.size) if db else NO_SLOT
            wal_slot = self._slot(WAL, wal[part], wal[part].size, user.size) if wal else NO_SLOT
            layout = OsdLayout(
                number=-1,
                machine=host.machine,
                data=host.ref(position),
                part=part,
                data_size=user.size,
                device_class=group.device_class or WORDS[user.kind],
                db=db_slot.ref,
                db_size=db_slot.size,
                slot=db_slot.number,
                wal=wal_slot.ref,
                wal_size=wal_slot.size,
                wal_slot=wal_slot.number,
                encrypted=host.encrypted or group.encrypted,
                group=group.name,
            )
            host.new.append(NewOsd(position, layout, self.group, rank, user.parts, db_slot, wal_slot))

    def _slot(self, which: int, place: Place, size: int, data_size: int) -> Slot:
        """Takes the next slot of a device."""
        host, one = self.host, place.shelf
        position = one.position
        if position not in host.shelves:
            host.shelves[position] = one
            host.roles[position] = ROLES[which]
        if host.orphans:
            host.orphans.discard(position)
        return Slot(position, one.give(size, data_size), one.slots, size, host.ref(position))

    def _spare(self, found: Selection[int]) -> None:
        """Devices that nobody needs yet stay with the group as long as it has data disks, also such that wait."""
        host = self.host
        keeps = self.before or found.data or self.blocked[DATA]
        for name, chosen in (("DB", found.db), ("WAL", found.wal)):
            for position in chosen:
                if not host.roles[position]:
                    table = host.whys if keeps else host.offers
                    table[position] = f"a spare {name} device of {self.group.label}; no OSD has a place on it yet"


_NOUNS = {DATA: "data disks", WAL: "WAL devices", DB: "DB devices"}


def _hand_out(users: list[_User], places: list[Place]) -> dict[int, list[Place]]:
    """Places to data disks in their order; a disk gets one for each of its parts, or none."""
    found: dict[int, list[Place]] = {}
    at = 0
    for user in users:
        if at + user.parts <= len(places):
            found[user.position] = places[at : at + user.parts]
            at += user.parts
    return found
