"""Failure domains of a CRUSH tree with their weights, and what CRUSH can do with them.

Two facts decide whether copies can be spread over some domains (`ceph.md` §2, §3):

- Each of some copies on distinct domains fills at most the largest D with Σ min(cᵢ, D) ≥ copies · D: racks of 10, 10 and
  2 TB hold 2 TB in three copies, not 7.3.
- CRUSH draws domains by weight and draws again when it hits one that it has. With 5:5:1 the third copy hits the small one
  with 1/11 a draw; Ceph's 50 draws fail for 1 PG in 120 (measured: 28 of 4 096). Our rules allow `TRIES` draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from appliance.model.ceph import Bucket, OsdLayout
from appliance.model.place import Level
from appliance.plan.crush.crushmap import ROOT, ROOT_LEVEL

TRIES = 200
"""Draws for one copy in our rules (``set_choose_tries``; Ceph's own: 50, with erasure coding 100)."""
FINDABLE = 0.08
"""The least part of all weight that may be left to draw the last copy from: (1 - 0.08)^200 is 6 in 10⁸."""
EVEN = 2 / 3
"""The least part of the raw space that weights must let us use for a level to be a failure domain by our own choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A host with OSDs of one class: bytes of each OSD and of all, and the bucket that it hangs below, by level."""

    name: str
    osds: tuple[int, ...]
    weight: int
    above: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """All domains of one level below a root that hold OSDs of one class. ``inside`` are the bytes of what is chosen next in
    each: of its hosts, or of the OSDs of a host; ``weights`` their sums. ``strays`` are hosts that hang below no bucket of
    this level."""

    level: Level
    inside: Mapping[str, tuple[int, ...]]
    weights: Mapping[str, int]
    strays: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inside)


class Terrain:
    """The tree, seen from its hosts. Made once for a plan; what is asked twice is remembered."""

    def __init__(self, buckets: Sequence[Bucket], osds: Iterable[OsdLayout]) -> None:
        self._paths = _paths(buckets)
        homes = {item: bucket.name for bucket in buckets if bucket.level == Level.HOST for item in bucket.items}
        self._sizes: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for osd in sorted(osds, key=attrgetter("number")):
            self._sizes[osd.device_class][homes[f"osd.{osd.number}"]].append(osd.data_size)
        self._hosts: dict[tuple[str, str], tuple[Host, ...]] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._domains: dict[tuple[str, str, Level], Domains] = {}
        self.levels = frozenset(bucket.level for bucket in buckets)
        self.zones = tuple(bucket.name for bucket in buckets if bucket.level == Level.ZONE)

    def classes(self, root: str = ROOT) -> dict[str, int]:
        """Bytes of each device class below ``root``."""
        return {name: total for name in self._sizes if (total := sum(h.weight for h in self.hosts(root, name)))}

    def hosts(self, root: str, device_class: str) -> tuple[Host, ...]:
        """Hosts below ``root`` with OSDs of the class."""
        key = (root, device_class)
        if key not in self._hosts:
            self._hosts[key] = tuple(self._below(root, device_class))
        return self._hosts[key]

    def osds(self, root: str, device_class: str) -> int:
        """How many OSDs of the class are below ``root``."""
        key = (root, device_class)
        if key not in self._counts:
            self._counts[key] = sum(len(host.osds) for host in self.hosts(root, device_class))
        return self._counts[key]

    def _below(self, root: str, device_class: str) -> Iterator[Host]:
        if root != ROOT:
            yield from (host for host in self.hosts(ROOT, device_class) if root in host.above.values())
            return
        for name, sizes in self._sizes.get(device_class, {}).items():
            yield Host(name=name, osds=tuple(sizes), weight=sum(sizes), above=self._paths[name])

    def domains(self, root: str, device_class: str, level: Level) -> Domains:
        """The failure domains of a level."""
        key = (root, device_class, level)
        if key not in self._domains:
            self._domains[key] = _domains(self.hosts(root, device_class), level)
        return self._domains[key]


def _domains(hosts: Sequence[Host], level: Level) -> Domains:
    if level is Level.HOST:
        weights = {host.name: host.weight for host in hosts}
        return Domains(level=level, inside={host.name: host.osds for host in hosts}, weights=weights)
    inside: dict[str, list[int]] = defaultdict(list)
    strays = []
    for host in hosts:
        bucket = host.above.get(level.value)
        if bucket is None:
            strays.append(host.name)
        else:
            inside[bucket].append(host.weight)
    return Domains(
        level=level,
        inside={name: tuple(parts) for name, parts in inside.items()},
        weights={name: sum(parts) for name, parts in inside.items()},
        strays=tuple(strays),
    )


def _paths(buckets: Sequence[Bucket]) -> dict[str, dict[str, str]]:
    """For every host: level → bucket above it. Parents come before their children."""
    above: dict[str, dict[str, str]] = {ROOT: {}}
    for bucket in buckets:
        own = above[bucket.name]
        if bucket.level == Level.HOST:
            continue
        path = own if bucket.level == ROOT_LEVEL else {**own, bucket.level: bucket.name}
        for item in bucket.items:
            above[item] = path
    return {bucket.name: above[bucket.name] for bucket in buckets if bucket.level == Level.HOST}


def usable(weights: Iterable[int], copies: int) -> int:
    """The largest D with Σ min(cᵢ, D) ≥ copies · D: what each copy (or chunk) holds when they lie on distinct domains. 0
    when there are fewer domains than copies."""
    largest = sorted(weights, reverse=True)
    if len(largest) < copies:
        return 0
    rest = sum(largest)
    for full in range(copies):
        level = rest // (copies - full)
        if largest[full] <= level:
            return level
        rest -= largest[full]
    return 0  # not reached: with one copy left, the largest rest is at most the rest's sum


def findable(weights: Iterable[int], copies: int) -> bool:
    """Whether CRUSH finds ``copies`` distinct domains for every PG: what is left beside the largest ones can be hit."""
    largest = sorted(weights, reverse=True)
    total = sum(largest)
    return len(largest) >= copies and total > 0 and sum(largest[copies - 1 :]) >= FINDABLE * total


def even(weights: Iterable[int], copies: int) -> bool:
    """Whether the weights let at least `EVEN` of the raw space be used."""
    known = tuple(weights)
    return copies * usable(known, copies) >= EVEN * sum(known)


def healable(weights: Iterable[int], copies: int) -> bool:
    """Whether all copies are found again when the largest domain is lost. The lost one is still drawn (and refused)."""
    return findable(weights, copies + 1)
