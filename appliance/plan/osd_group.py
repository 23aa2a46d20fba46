"""One drive group on one machine: which free disks it takes, and where their DBs and WALs go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from appliance.model.ceph import DeviceClass, DiskRef, OsdLayout
from appliance.model.plan import WaitReason
from appliance.plan.batch import DoesNotFitError, data_sizes, usable, volume
from appliance.plan.content import fingerprint
from appliance.plan.drivegroup import select, take
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
    be taken if their erasure were granted."""

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
        walls = self._pool(WAL, found.wal)
        shelves = self._pool(DB, found.db)
        db, refused = self._dbs(users, shelves)
        wal, refused_wal = self._wals([user for user in users if user.position not in refused], walls)
        refused |= refused_wal
        for user in users:
            if user.position in refused:
                host.whys[user.position] = refused[user.position]
            else:
                self._join(user, db.get(user.position), wal.get(user.position))
        self._spare(found.db, found.wal)

    # ------------------------------------------------------------ which disks

    def _source(self, which: int) -> Callable[[Sequence[int]], list[int]]:
        source = (self.group.data, self.group.wal, self.group.db)[which]
        return lambda free: self._choose(which, source, free) if source.exists else []

    def _choose(self, which: int, source: Source, free: Sequence[int]) -> list[int]:
        """Positions of the first selector that fits any; those with foreign data are noted, not taken."""
        host, index = self.host, self.index
        ranks = {position: host.answers[position][index][which].rank for position in free}
        fitting = [rank for rank in ranks.values() if rank >= 0]
        if not fitting:
            return []
        best = min(fitting)
        meant = [position for position in free if ranks[position] == best]
        for position in free:
            if ranks[position] > best:
                host.offers[position] = f"not needed: {self.group.label} takes {source.shown[best]} first"
        if which != DATA:
            meant = [position for position in meant if not self._spins(position)]
        already = self._already(which)
        if source.count and len(meant) + already != source.count:
            return self._miscounted(which, source, meant, already)
        ready = [position for position in meant if host.verdicts[position].free]
        chosen = take(ready, lambda _: True, source.limit, already)
        if source.limit and len(chosen) + already >= source.limit:
            for position in ready[len(chosen) :]:
                host.whys[position] = f"not needed: {self.group.label} takes {source.limit} {_NOUNS[which]} (limit)"
        else:
            self.blocked[which] = [position for position in meant if not host.verdicts[position].free]
            host.foreign.update(self.blocked[which])
        return chosen

    def _already(self, which: int) -> int:
        """How many disks the standing OSDs of the group have."""
        return len({(one.data, one.wal, one.db)[which] for one in self.before} - {None}) if self.before else 0

    def _spins(self, position: int) -> bool:
        if device_class(self.host.verdicts[position].disk) is not DeviceClass.HDD:
            return False
        self.host.whys[position] = "it spins; DBs and WALs belong on flash"
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
        """Devices of standing OSDs that the group may use, too, and new ones."""
        host = self.host
        own = {(one.data, one.wal, one.db)[which] for one in self.before}
        old = [
            one
            for position, one in sorted(host.shelves.items())
            if host.roles[position] == ROLES[which]
            and not host.verdicts[position].protected
            and (position in own or host.answers[position][self.index][which].rank >= 0)
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
        largest = max(user.size for user in users)
        for one in shelves:
            one.slots = db_slots(one, group, largest)
        wanted = sum(user.parts for user in users)
        try:
            places = assign(shelves, wanted, wanted + sum(len(one.used) for one in shelves), group.db_size)
        except DoesNotFitError as error:
            text = f"a DB of {show_size(error.wanted)} is larger than a slot ({show_size(error.has)}); lower db_slots"
            return {}, self._refuse(users, users, f"{text} or db_size of {self.group.label}")
        got = _hand_out(users, places)
        if not group.db_size:
            small = {
                user.position
                for user in users
                if any(place.size < least(user.size) for place in got.get(user.position, ()))
            }
            got = {position: found for position, found in got.items() if position not in small}
        lost = [user for user in users if user.position not in got]
        return got, self._refuse(lost, users, self._shortage(shelves, waiting, largest)) if lost else {}

    def _shortage(self, shelves: list[Shelf], waiting: list[Shelf], largest: int) -> str:
        """What there is, what it takes, and what to do."""
        group = self.group.group
        smallest = group.db_size or least(largest)
        share = "" if group.db_size else f", {LEAST_PERCENT} % of {show_size(largest)}"
        words = [f"a DB needs {show_size(smallest)}{share}"]
        for one in shelves:
            cut = f"{one.slots} of {show_size(one.size // one.slots)}" if one.slots else "none"
            stand = f" ({len(one.used)} of them stand)" if one.used else ""
            words.append(f"{self.host.show(one.position)} carries {cut}{stand}")
        if waiting:
            shown = ", ".join(self.host.show(one.position) for one in waiting)
            words.append(f"{shown} would help if its erasure were granted")
        if not shelves and not waiting:
            return "; ".join([*words, "no disk fits as DB device: add one, or leave db away"])
        return "; ".join([*words, "add a DB device, or set db_size in a drive group"])

    def _wals(self, users: list[_User], shelves: list[Shelf]) -> tuple[dict[int, list[Place]], dict[int, str]]:
        if not (self.group.wal.exists and users):
            return {}, {}
        for one in shelves:
            one.slots = wal_slots(one)
        wanted = sum(user.parts for user in users)
        got = _hand_out(users, assign(shelves, wanted, wanted + sum(len(one.used) for one in shelves), WAL_SIZE))
        lost = [user for user in users if user.position not in got]
        room = ", ".join(f"{self.host.show(one.position)} has room for {one.slots}" for one in shelves)
        text = f"WALs of {show_size(WAL_SIZE)}: {room or 'no disk fits as WAL device'}; add one, or leave wal away"
        return got, self._refuse(lost, users, text) if lost else {}

    def _refuse(self, lost: list[_User], users: list[_User], text: str) -> dict[int, str]:
        shown = ", ".join(self.host.show(user.position) for user in lost)
        self.host.waits.append(
            (WaitReason.LAYOUT, f"{len(lost)} of {len(users)} data disks of {self.group.label} wait ({shown}): {text}")
        )
        return {user.position: f"it would be an OSD, but {text}" for user in lost}

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
                slot=self._slot(DB, db_place, size),
                wal=host.ref(wal_place.shelf.position) if wal_place else None,
                wal_size=wal_place.size if wal_place else 0,
                wal_slot=self._slot(WAL, wal_place, wal_place.size if wal_place else 0),
                encrypted=host.encrypted or group.encrypted,
                group=group.name,
            )
            rank = host.answers[position][self.index][DATA].rank
            host.new.append(NewOsd(position, layout, self.group, rank, user.parts, *_at(db_place), *_at(wal_place)))

    def _slot(self, which: int, place: Place | None, size: int) -> int:
        """Takes the next slot; its number."""
        if place is None:
            return 0
        one = place.shelf
        if one.position not in self.host.shelves:
            self.host.shelves[one.position] = one
            self.host.roles[one.position] = ROLES[which]
        return one.give(size)

    def _spare(self, db: list[int], wal: list[int]) -> None:
        """Devices that nobody needs yet stay with the group, unless the group has no OSD at all."""
        host = self.host
        keeps = self.before or any(osd.group is self.group for osd in host.new)
        for name, chosen in (("DB", db), ("WAL", wal)):
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
