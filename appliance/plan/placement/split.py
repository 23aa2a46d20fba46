"""How machines that are too many for one cluster are divided: along failure domains, into clusters of about equal size.

Zones and datacenters are never mixed when each has enough machines for a cluster of its own: a cluster that spans two of
them stops as a whole when the larger one is lost. Rows and racks are whole parts that are put together, so that the
clusters are as few as possible and about equal. Without usable domains the machines are cut by place and name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

from appliance.model.place import LEVELS, Level
from appliance.plan.candidate import Candidate
from appliance.plan.order import natural

OWN_CLUSTER = 3
"""Machines that a zone or datacenter needs for a cluster of its own: fewer can't have a quorum without help."""
JOINER = "+"
"""Between the buckets in `ClusterLayout.domain`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The machines of one cluster in the order in which they join, and the buckets that the division followed."""

    members: tuple[Candidate, ...]
    domain: str = ""


def split(members: Sequence[Candidate], maximum: int) -> list[Part]:
    """Parts of at most ``maximum`` machines; one part when all fit. The order of ``members`` does not matter."""
    ordered = sorted(members, key=by_name)
    rank = {member.id: index for index, member in enumerate(ordered)}
    parts = _Splitter(maximum, rank).split(ordered, "")
    return sorted(parts, key=lambda part: (natural(part.domain), rank[part.members[0].id]))


def by_name(candidate: Candidate) -> tuple[object, str]:
    """The order in which machines join."""
    return natural(candidate.name), candidate.id


@dataclass(frozen=True, slots=True)
class _Splitter:
    """``rank`` is the order of machines by name, as numbers: names are compared once."""

    maximum: int
    rank: dict[str, int]

    def split(self, members: list[Candidate], domain: str) -> list[Part]:
        """``members`` in their order."""
        if len(members) <= self.maximum:
            return [Part(members=tuple(members), domain=domain)]
        for level in (Level.ZONE, Level.DATACENTER):
            groups = self._groups(members, level)
            if groups is not None and min(len(found) for found in groups.values()) >= OWN_CLUSTER:
                return [part for bucket in groups for part in self.split(groups[bucket], bucket)]
        for level in (Level.ROW, Level.RACK):
            groups = self._groups(members, level)
            parts = self._whole(groups, -(-len(members) // self.maximum)) if groups is not None else []
            if parts:
                return parts
        return self._cut(members, domain)

    def _groups(self, members: Sequence[Candidate], level: Level) -> dict[str, list[Candidate]] | None:
        """Machines by bucket, those whose bucket is not known filled in where fewest are. None when the level does not
        divide them: fewer than two buckets, or most places unknown."""
        groups: dict[str, list[Candidate]] = {}
        for member in members:
            groups.setdefault(member.place.bucket(level), []).append(member)
        unknown = groups.pop("", [])
        if len(groups) < 2 or 2 * len(unknown) > len(members):
            return None
        groups = {bucket: groups[bucket] for bucket in sorted(groups, key=natural)}
        for member in unknown:
            min(groups.values(), key=len).append(member)
        return {bucket: self._ordered(found) for bucket, found in groups.items()}

    def _whole(self, groups: dict[str, list[Candidate]], fewest: int) -> list[Part]:
        """Whole domains put together: the fewest parts that hold them with the smallest at least half as large as the
        largest; nothing when no number of parts does."""
        largest_first = sorted(groups, key=lambda bucket: -len(groups[bucket]))
        for number in range(fewest, min(len(groups), 2 * fewest) + 1):
            bins: list[list[str]] = [[] for _ in range(number)]
            sizes = [(0, index) for index in range(number)]
            for bucket in largest_first:
                size, index = heappop(sizes)
                bins[index].append(bucket)
                heappush(sizes, (size + len(groups[bucket]), index))
            if max(sizes)[0] <= self.maximum and 2 * min(sizes)[0] >= max(sizes)[0]:
                return [self._part(groups, sorted(buckets, key=natural)) for buckets in bins]
        return []

    def _part(self, groups: dict[str, list[Candidate]], buckets: list[str]) -> Part:
        members = self._ordered(member for bucket in buckets for member in groups[bucket])
        return Part(members=tuple(members), domain=JOINER.join(buckets))

    def _cut(self, members: list[Candidate], domain: str) -> list[Part]:
        """Neighbours stay together; sizes differ by at most one."""
        buckets = {bucket for member in members for bucket in _path(member)}
        order = {bucket: index for index, bucket in enumerate(sorted(buckets, key=natural))}
        places = sorted(members, key=lambda m: (*(order[bucket] for bucket in _path(m)), self.rank[m.id]))
        number = -(-len(places) // self.maximum)
        ends = [len(places) * index // number for index in range(number + 1)]
        chunks = [places[start:end] for start, end in pairwise(ends)]
        return [Part(members=tuple(self._ordered(chunk)), domain=domain) for chunk in chunks]

    def _ordered(self, members: Iterable[Candidate]) -> list[Candidate]:
        return sorted(members, key=lambda member: self.rank[member.id])


def _path(member: Candidate) -> tuple[str, ...]:
    """Its buckets from the top down."""
    return tuple(member.place.bucket(level) for level in reversed(LEVELS[1:]))
