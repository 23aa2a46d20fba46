"""One drive group on one machine: which free disks it takes, and where their DBs and WALs go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from appliance.model.ceph import DeviceClass, DiskRef, OsdLayout
from appliance.model.plan import WaitReason
from appliance.plan.batch import data_sizes, usable, volume
from appliance.plan.content import fingerprint
from appliance.plan.drivegroup import Selection, select, take
from appliance.plan.osd_rules import Answers, Group, Source
from appliance.plan.osd_slots import (
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
from appliance.plan.osd_standing import Standing
from appliance.plan.reject import SMALLEST
from appliance.plan.verdict import Verdict
from hwprofiles.values import show_size

DATA, WAL, DB = range(3)
ROLES = ("osd", "wal", "db")
"""Roles of disks in the plan, by the positions above."""
_SPEED = {DeviceClass.HDD: 0, DeviceClass.SSD: 1, DeviceClass.NVME: 2}


class NewOsd(NamedTuple):
    """An OSD that joins: one of ``parts`` of the disk at ``position``. ``db`` and ``wal`` are positions of disks, with into
    how many slots they are cut; None without."""

    position: int
    layout: OsdLayout
    group: Group
    rank: int
    parts: int
    db: int | None
    db_of: int
    wal: int | None
    wal_of: int


@dataclass(slots=True, kw_only=True)
class Host:
    """One machine while its plan grows. Lists are by the positions of its disks: ``roles`` and ``whys`` are empty while
    nothing is decided, ``offers`` is what is said of a disk that nobody decides about. ``foreign`` are the disks that would
    be taken if their erasure were granted, ``orphans`` DB and WAL devices whose drive group is no longer in the site file:
    the first group that means them goes on with them."""

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
        ranks = {position: host.answers[position][index][which].rank for position in free}
        own = self._own(which)
        fitting = [rank for rank in ranks.values() if rank >= 0]
        if not fitting:
            return []
        best = min([*fitting, *(rank for one in own if (rank := host.answers[one][index][which].rank) >= 0)])
        for position, rank in ranks.items():
            if rank > best:
                host.offers[position] = f"not needed: {label} takes {source.shown[best]} first"
        meant = [position for position in free if ranks[position] == best]
        if which != DATA:
            meant = [position for position in meant if not self._spins(position)]
        if source.count and meant and len(meant) + len(own) != source.count:
            return self._miscounted(which, source, meant, len(own))
        ready = [position for position in meant if host.verdicts[position].free]
        chosen = take(ready, lambda _: True, source.limit, len(own))
        if source.limit and len(chosen) + len(own) >= source.limit:
            for position in ready[len(chosen) :]:
                host.offers[position] = f"not needed: {label} takes {source.limit} {_NOUNS[which]} (limit)"
        else:
            self.blocked[which] = [position for position in meant if not host.verdicts[position].free]
            host.foreign.update(self.blocked[which])
        return chosen

    def _own(self, which: int) -> set[int]:
        """The disks that the standing OSDs of the group have."""
        found = {(one.data, one.wal, one.db)[which] for one in self.before}
        return {position for position in found if position is not None}

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
        if not group.db_size:
            got = {
                user.position: found
                for user in users
                if (found := got.get(user.position)) and all(place.size >= least(user.size) for place in found)
            }
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
        room = ", ".join(f"{self.host.show(one.position)} has room for {one.slots}" for one in shelves)
        text = f"WALs of {show_size(WAL_SIZE)}: {room or 'no disk fits as WAL device'}; add one, or leave wal away"
        return got, dict.fromkeys(lost, text)

    # ------------------------------------------------------------ what is taken

    def _join(self, user: _User, db: list[Place] | None, wal: list[Place] | None) -> None:
        host, group, position = self.host, self.group.group, user.position
        host.roles[position] = ROLES[DATA]
        for part in range(user.parts):
            db_place, wal_place = (db[part] if db else None), (wal[part] if wal else None)
            size = db_size(db_place, user.size, group) if db_place else 0
            layout = OsdLayout(
                number=-1,
                machine=host.machine,
                data=host.ref(position),
                part=part,
                data_size=user.size,
                device_class=group.device_class or user.kind.value,
                db=host.ref(db_place.shelf.position) if db_place else None,
                db_size=size,
                slot=self._slot(DB, db_place, size, user.size),
                wal=host.ref(wal_place.shelf.position) if wal_place else None,
                wal_size=wal_place.size if wal_place else 0,
                wal_slot=self._slot(WAL, wal_place, wal_place.size if wal_place else 0, user.size),
                encrypted=host.encrypted or group.encrypted,
                group=group.name,
            )
            rank = host.answers[position][self.index][DATA].rank
            host.new.append(NewOsd(position, layout, self.group, rank, user.parts, *_at(db_place), *_at(wal_place)))

    def _slot(self, which: int, place: Place | None, size: int, data_size: int) -> int:
        """Takes the next slot; its number."""
        if place is None:
            return 0
        one = place.shelf
        self.host.orphans.discard(one.position)
        if one.position not in self.host.shelves:
            self.host.shelves[one.position] = one
            self.host.roles[one.position] = ROLES[which]
        return one.give(size, data_size)

    def _spare(self, found: Selection[int]) -> None:
        """Devices that nobody needs yet stay with the group as long as it has data disks, also such that wait."""
        host = self.host
        keeps = self.before or found.data or self.blocked[DATA]
        for name, chosen in (("DB", found.db), ("WAL", found.wal)):
            for position in chosen:
                if not host.roles[position]:
                    table = host.whys if keeps else host.offers
                    table[position] = f"a spare {name} device of {self.group.label}; no OSD has a place on it yet"


def _at(place: Place | None) -> tuple[int | None, int]:
    """The device's position and into how many slots it is cut."""
    return (place.shelf.position, place.shelf.slots) if place else (None, 0)


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
