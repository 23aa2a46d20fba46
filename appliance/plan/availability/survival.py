"""What may be lost: of machines with votes, of daemons of which one must live, of copies in a pool.

Everything is counted for the worst bucket. Machines whose place is not known at a level may stand in any bucket of it, so
they count as lost with the worst one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.model.ceph import OsdLayout, PoolLayout
from appliance.model.place import LEVELS, Level, Place

DISK = "disk"
RANKS = ("", DISK, *(level.value for level in LEVELS))
"""Words of `ServiceAvailability.survives` from nothing to everything."""


def rank(survives: str) -> int:
    """Position in `RANKS`."""
    return RANKS.index(survives)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where one voter or daemon is: ``place`` is None for what stands outside all buckets by the site file's word."""

    machine: str
    place: Place | None


def known_levels(places: Iterable[Place]) -> tuple[Level, ...]:
    """The host and the levels above it that somebody's place names, upwards."""
    found = list(places)
    return (Level.HOST, *(level for level in LEVELS[1:] if any(place.bucket(level) for place in found)))


def largest(levels: Sequence[Level], holds: Callable[[Level], bool]) -> str:
    """The largest of ``levels`` (upwards) up to which everything holds."""
    reached = ""
    for level in levels:
        if not holds(level):
            return reached
        reached = level.value
    return reached


def worst_seats(seats: Sequence[Seat], level: Level) -> int:
    """How many seats the loss of one bucket of ``level`` can take."""
    if level is Level.HOST:
        return max(Counter(seat.machine for seat in seats).values(), default=0)
    buckets = Counter(seat.place.bucket(level) for seat in seats if seat.place is not None)
    unknown = buckets.pop("", 0)
    return max(buckets.values(), default=0) + unknown


def survives_votes(nodes: Sequence[Seat], arbiter: Seat | None, quorum: int, levels: Sequence[Level]) -> str:
    """The largest level of which one bucket may be lost while ``quorum`` votes are left. An arbiter is lost alone, with its
    bucket, or (its place is unknown) with the worst rack or larger."""
    voters = [*nodes, *([arbiter] if arbiter else [])]
    return largest(levels, lambda level: len(voters) - worst_seats(voters, level) >= quorum)


def survives_daemons(seats: Sequence[Seat], levels: Sequence[Level]) -> str:
    """The largest level of which one bucket may be lost while one daemon is left."""
    return largest(levels, lambda level: len(seats) > worst_seats(seats, level))


class Ground:
    """The hosts of a Ceph cluster by device class, counted once for all pools. ``root`` is the topmost bucket."""

    def __init__(self, osds: Iterable[OsdLayout], places: Mapping[str, Place], root: str) -> None:
        self.places, self.root = places, root
        self.by_class: dict[str, dict[str, list[OsdLayout]]] = defaultdict(lambda: defaultdict(list))
        for osd in osds:
            self.by_class[osd.device_class][osd.machine].append(osd)
        self._known: dict[tuple[object, ...], str] = {}

    def survives(self, pool: PoolLayout) -> str:
        """The largest of disk, host … of which one may be lost with at least ``min_size`` copies left, for every PG."""
        key = (pool.root, pool.device_class, pool.domain, pool.per_domain, pool.size, pool.min_size)
        if key not in self._known:
            self._known[key] = _PoolHosts(pool, self).survives()
        return self._known[key]


class _PoolHosts:
    """The hosts of one pool: those below its root that have OSDs of its device class."""

    def __init__(self, pool: PoolLayout, ground: Ground) -> None:
        self.pool = pool
        hosts = ground.by_class.get(pool.device_class, {})
        everywhere = pool.root == ground.root
        places = {who: ground.places[who] for who in hosts if who in ground.places}
        self.places = {who: place for who, place in places.items() if everywhere or pool.root in _buckets(place)}
        self.osds = {who: hosts[who] for who in self.places}

    def survives(self) -> str:
        """See `Ground.survives`."""
        if not self.osds or not self._holds(self._worst_disk()):
            return ""
        reached = largest(known_levels(self.places.values()), lambda level: self._holds(self.worst(level)))
        return reached or DISK

    def _holds(self, lost: int) -> bool:
        return self.pool.size - lost >= self.pool.min_size

    def _worst_disk(self) -> int:
        """Copies are on distinct hosts, or on distinct OSDs of one host: then a disk takes as many as it has OSDs on it,
        or behind it as their DB device."""
        pool = self.pool
        if pool.domain is not Level.HOST or pool.per_domain == 1:
            return 1
        every = (osd for found in self.osds.values() for osd in found)
        shared = Counter((osd.machine, disk.serial, disk.wwn) for osd in every for disk in (osd.data, osd.db) if disk)
        return min(pool.per_domain, pool.size, max(shared.values(), default=1))

    def worst(self, level: Level) -> int:
        """How many copies of one PG the loss of one bucket of ``level`` can take. A domain holds at most ``per_domain``
        copies, each on a host of its own (above the host)."""
        pool = self.pool
        if level is Level.HOST:
            return pool.per_domain if pool.domain is Level.HOST else 1
        inside: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for who, place in self.places.items():
            domain = who if pool.domain is Level.HOST else place.bucket(pool.domain) or who
            inside[place.bucket(level)][domain] += 1
        unknown = inside.pop("", {})
        most = max((self._copies(domains) for domains in inside.values()), default=0)
        return min(pool.size, most + self._copies(unknown))

    def _copies(self, domains: dict[str, int]) -> int:
        pool = self.pool
        if pool.domain is Level.HOST:
            return len(domains) * pool.per_domain
        return sum(min(pool.per_domain, hosts) for hosts in domains.values())


def _buckets(place: Place) -> tuple[str, ...]:
    return tuple(place.bucket(level) for level in LEVELS[1:])
