"""Machines to clusters. What stands is never moved: a member of a planned cluster stays in it, a new machine joins the
cluster of its own failure domain when there is room, else a new one is made. A cluster that does not stand yet waits until
everybody who was declared for it is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from appliance.model.ceph import CephSpec
from appliance.model.cluster import MAX_NAME, MAX_NODES, Arbiter, ClusterLayout, ClusterSpec
from appliance.model.expected import Shortage, shortages
from appliance.model.machine import Phase, Policy
from appliance.model.network import Plane
from appliance.model.place import LEVELS, Level, Place
from appliance.model.plan import Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.naming import listed
from appliance.plan.order import natural
from appliance.plan.osd.standing import system_disks
from appliance.plan.placement import quorum
from appliance.plan.placement.membership import Membership, Referees, usable
from appliance.plan.placement.split import JOINER, Part, by_name, split
from hwprofiles.profile import DiskRoleName

APPLIANCE = Arbiter.APPLIANCE.value
MAX_LINKS = 8
"""Links that corosync takes (`proxmox.md` §2)."""
FORMED = frozenset({Phase.MEMBER, Phase.LEAVING})
SMALLEST_OSD = 5 << 30
"""Bytes (`ceph.md` §4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """``member_of`` is machine id → `ClusterLayout.name`."""

    clusters: tuple[ClusterLayout, ...] = ()
    member_of: Mapping[str, str] = field(default_factory=dict)
    waits: tuple[Wait, ...] = ()


def plan_clusters(
    site: Site,
    candidates: Sequence[Candidate],
    standing: Sequence[ClusterLayout],
    unplaced: Sequence[str] = (),
) -> ClusterPlan:
    """The clusters of a site. ``standing`` are those of the accepted plan. ``unplaced`` are names of expected machines that
    were not seen, and ids of machines that are there but no candidates now (held, in trouble): a standing member stays
    while it is a candidate or named here, else it has left."""
    former = _Former(site, candidates, standing, frozenset(unplaced))
    for spec in former.membership.specs:
        former.form(spec)
    former.keep_orphans()
    clusters = tuple(sorted(former.clusters, key=lambda layout: natural(layout.name)))
    member_of = {member: layout.name for layout in clusters for member in layout.members}
    return ClusterPlan(
        clusters=clusters,
        member_of=member_of,
        waits=tuple(sorted(former.waits, key=lambda wait: (natural(wait.about), wait.reason, wait.text))),
    )


@dataclass(slots=True)
class _Open:
    """A cluster that may grow. ``level`` is that of the domains which it follows, None when it follows none; ``homes`` are
    the buckets of its members at each level (and at ``level`` also those that it was made for)."""

    layout: ClusterLayout
    members: list[str]
    level: Level | None
    homes: dict[Level, set[str]]

    def owns(self, place: Place) -> bool:
        """Whether the machine's own domain is one of this cluster's."""
        return self.level is not None and place.bucket(self.level) in self.homes[self.level]

    def near(self, place: Place) -> tuple[bool, ...] | None:
        """An order for how much of its place the machine shares with members, rack first; None when the cluster follows
        domains and nobody of it is in the machine's zone or datacenter."""
        buckets = {level: place.bucket(level) for level in LEVELS[1:]}
        foreign = [level for level in (Level.ZONE, Level.DATACENTER) if buckets[level] not in {"", *self.homes[level]}]
        if self.level is not None and foreign:
            return None
        return tuple(buckets[level] not in self.homes[level] for level in LEVELS[1:])

    def take(self, candidate: Candidate) -> None:
        self.members.append(candidate.id)
        for level, buckets in self.homes.items():
            buckets.update({candidate.place.bucket(level)} - {""})


class _Former:
    """Clusters while they are planned, one spec after the other."""

    def __init__(
        self, site: Site, candidates: Sequence[Candidate], standing: Sequence[ClusterLayout], there: frozenset[str]
    ) -> None:
        self.site, self.there = site, there
        self.standing = sorted(standing, key=lambda layout: natural(layout.name))
        self.membership = Membership(site, candidates, self.standing)
        self.by_id = {candidate.id: candidate for candidate in candidates}
        self.short = shortages(site, (candidate.profile.name for candidate in candidates))
        self.clusters: list[ClusterLayout] = []
        self.waits: list[Wait] = []
        self.members: dict[str, list[str]] = {}
        self._seat()
        self.taken = {spec.name for spec in self.membership.specs} | {
            name for name, found in self.members.items() if found
        }
        seated = {member for found in self.members.values() for member in found}
        self.fresh: dict[str, list[Candidate]] = {}
        for candidate in candidates:
            spec = self.membership.of(candidate) if candidate.id not in seated else None
            if spec is not None and candidate.machine.machine.policy is not Policy.HOLD:
                self.fresh.setdefault(spec.name, []).append(candidate)

    def _seat(self) -> None:
        """Members of standing clusters that stay, by cluster name, in their order."""
        specs = {spec.name: spec for spec in self.membership.specs}
        seated: set[str] = set()
        for layout in self.standing:
            spec = specs.get(layout.spec)
            stay = [m for m in layout.members if m not in seated and self._stays(m, spec)]
            seated |= set(stay)
            self.members[layout.name] = stay

    def _stays(self, member: str, spec: ClusterSpec | None) -> bool:
        candidate = self.by_id.get(member)
        if candidate is None:
            return member in self.there
        if not usable(candidate):
            return False
        return candidate.machine.machine.phase in FORMED or (spec is not None and self.membership.of(candidate) is spec)

    def form(self, spec: ClusterSpec) -> None:
        """All clusters of one spec."""
        newcomers = self.fresh.get(spec.name, [])
        maximum = min(spec.maximum, MAX_NODES)
        before = [layout for layout in self.standing if layout.spec == spec.name and self.members[layout.name]]
        if not before:
            parts = split(newcomers, maximum) if self._complete(spec, newcomers) else []
            self._add(spec, parts, first=0 if len(parts) == 1 else 1)
            return
        opened = [self._open(layout) for layout in before]
        left = [candidate for candidate in sorted(newcomers, key=by_name) if not _join(opened, candidate, maximum)]
        for one in opened:
            self._put(spec, one.layout.name, one.members, one.layout.domain, before=one.layout)
        levels = [one.level for one in opened if one.level is not None]
        parts = list(_overflow(left, maximum, max(levels, key=LEVELS.index, default=None)))
        self._add(spec, parts, first=len(before) + 1)

    def _open(self, layout: ClusterLayout) -> _Open:
        places = {self.by_id[member].place for member in self.members[layout.name] if member in self.by_id}
        homes = {level: {place.bucket(level) for place in places} - {""} for level in LEVELS[1:]}
        names = set(layout.domain.split(JOINER)) - {""}
        level = next((level for level in reversed(LEVELS[1:]) if names & homes[level]), None)
        if level is not None:
            homes[level] |= names
        return _Open(layout=layout, members=list(self.members[layout.name]), level=level, homes=homes)

    def _complete(self, spec: ClusterSpec, found: Sequence[Candidate]) -> bool:
        """Whether a cluster that does not stand yet may be formed; else it waits, and why."""
        here, ids = self.membership.referees.by_name, {candidate.id for candidate in found}
        declared = dict.fromkeys([*(entry.name for entry in self.membership.awaited[spec.name]), *spec.machines])
        missing = [name for name in declared if name not in here]
        outside = [name for name in spec.machines if name in here and here[name].id not in ids]
        short = [self.short[profile] for profile in self.membership.counted(spec) if profile in self.short]
        if missing or outside or short:
            self._wait(spec, WaitReason.MEMBERS_MISSING, _missing_text(len(found), missing, outside, short))
        elif not found:
            self._wait(spec, WaitReason.TOO_FEW_MEMBERS, f"no machine is there for it; it takes {_takes(spec)}")
        elif len(found) == 2 and self._arbiter_missing(spec):
            text = (
                f"two nodes without an arbiter stop when either fails, and the arbiter '{spec.arbiter}' is not there yet; "
                "switch it on, or say 'arbiter: appliance', or 'arbiter: none' to form it all the same"
            )
            self._wait(spec, WaitReason.NO_QUORUM, text)
        else:
            return True
        return False

    def _arbiter_missing(self, spec: ClusterSpec) -> bool:
        words = {word.value for word in Arbiter}
        return spec.arbiter not in words and spec.name not in self.membership.arbiters

    def _add(self, spec: ClusterSpec, parts: Sequence[Part], first: int) -> None:
        """New clusters; ``first`` 0 gives the only one the spec's own name."""
        number = first
        for part in parts:
            name = shortened(spec.name, f"-{number}" if number else "")
            while name in self.taken - ({spec.name} if not number else set()):
                number += 1
                name = shortened(spec.name, f"-{number}")
            self.taken.add(name)
            number += 1
            self._put(spec, name, [member.id for member in part.members], part.domain)

    def _put(
        self, spec: ClusterSpec, name: str, members: list[str], domain: str, before: ClusterLayout | None = None
    ) -> None:
        arbiter = self._arbiter(spec, name, members, before)
        votes = quorum.count(len(members), arbiter=bool(arbiter))
        self.clusters.append(
            ClusterLayout(
                name=name,
                spec=spec.name,
                kind=spec.kind,
                members=tuple(members),
                arbiter=arbiter,
                votes=votes.votes,
                quorum=votes.quorum,
                tolerates=votes.tolerates,
                links=links(self.site, spec),
                domain=domain,
                frozen=spec.frozen,
            )
        )

    def _arbiter(self, spec: ClusterSpec, name: str, members: list[str], before: ClusterLayout | None) -> str:
        if spec.arbiter == Arbiter.NONE.value or not quorum.wants_arbiter(len(members)):
            return ""
        if spec.arbiter in (Arbiter.AUTO.value, APPLIANCE):
            return APPLIANCE
        found = self.membership.arbiters.get(spec.name)
        if found is not None:
            return found.id
        if before is not None and before.arbiter in self.there:
            return before.arbiter
        with_one = quorum.count(len(members), arbiter=True).tolerates
        without = quorum.count(len(members), arbiter=False).tolerates
        text = (
            f"its arbiter '{spec.arbiter}' is not there yet: {len(members)} nodes tolerate the loss of {without} "
            f"without it, {with_one} with it"
        )
        self.waits.append(Wait(about=name, reason=WaitReason.NO_QUORUM, text=text))
        return ""

    def keep_orphans(self) -> None:
        """Clusters that were formed and that the site file no longer has: leaving one out dissolves nothing."""
        known = {spec.name for spec in self.membership.specs}
        for layout in self.standing:
            members = self.members[layout.name]
            if layout.spec in known or not any(self._formed(member) for member in members):
                continue
            votes = quorum.count(len(members), arbiter=bool(layout.arbiter))
            kept = replace(layout, members=tuple(members), votes=votes.votes, quorum=votes.quorum)
            self.clusters.append(replace(kept, tolerates=votes.tolerates))
            text = (
                f"the site file no longer has the cluster '{layout.spec}', but it stands with {len(members)} members; "
                "nothing is dissolved: put it back, or drain its machines (rackseed machine policy NAME drain)"
            )
            self.waits.append(Wait(about=layout.name, reason=WaitReason.HELD, text=text))

    def _formed(self, member: str) -> bool:
        candidate = self.by_id.get(member)
        return candidate is None or candidate.machine.machine.phase in FORMED

    def _wait(self, spec: ClusterSpec, reason: WaitReason, text: str) -> None:
        self.waits.append(Wait(about=spec.name, reason=reason, text=text))


def _join(opened: Sequence[_Open], candidate: Candidate, maximum: int) -> bool:
    """Put a new machine into a cluster that stands: one of its own domain, or (nobody owns its domain) the nearest."""
    place = candidate.place
    owners = [one for one in opened if one.owns(place)]
    found = []
    for one in owners or opened:
        near = one.near(place)
        if near is not None and len(one.members) < maximum:
            found.append((near, len(one.members), natural(one.layout.name), one))
    if not found:
        return False
    min(found, key=lambda item: item[:3])[3].take(candidate)
    return True


def _overflow(left: Sequence[Candidate], maximum: int, level: Level | None) -> Iterator[Part]:
    """Clusters for machines that no standing one has room for. Where the standing ones follow zones or datacenters, so do
    the new ones."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in left:
        apart = level in (Level.ZONE, Level.DATACENTER)
        groups.setdefault(candidate.place.bucket(level) if level and apart else "", []).append(candidate)
    for bucket in sorted(groups, key=natural):
        for part in split(groups[bucket], maximum):
            buckets = {member.place.bucket(level) for member in part.members} - {""} if level else set()
            yield replace(part, domain=part.domain or JOINER.join(sorted(buckets, key=natural)))


def shortened(name: str, suffix: str = "") -> str:
    """A cluster's name with its suffix in `MAX_NAME` letters; what is cut away leaves three hex digits of its hash, so that
    two long names stay two."""
    room = MAX_NAME - len(suffix)
    if len(name) <= room:
        return name + suffix
    return f"{name[: room - 4].rstrip('-')}-{sha256(name.encode()).hexdigest()[:3]}{suffix}"


def links(site: Site, spec: ClusterSpec) -> tuple[str, ...]:
    """Networks of corosync's links, link0 first: those that the site file lists, else all of plane corosync by link number,
    else management, else provisioning. A storage plane only carries corosync when it is listed (`network.md` §2)."""
    if spec.links:
        return spec.links
    corosync = [network for network in site.networks if network.plane is Plane.COROSYNC]
    corosync.sort(key=lambda network: (network.link is None, network.link or 0, natural(network.name)))
    if corosync:
        return tuple(network.name for network in corosync[:MAX_LINKS])
    management = sorted((n.name for n in site.networks if n.plane is Plane.MANAGEMENT), key=natural)
    return (management[0],) if management else (Plane.PROVISIONING.value,)


def ceph_members(
    site: Site,
    spec: CephSpec,
    candidates: Sequence[Candidate],
    clusters: Sequence[ClusterLayout],
    standing: Collection[str] = (),
) -> tuple[Candidate, ...]:
    """Machines of the Ceph cluster in natural order: those that ``spec`` names or whose profile it names; else all members
    of Proxmox clusters, also while those wait; and on a site that wants none, every machine with a disk for it, and the
    ``standing`` members: what was seen of their disks last does not take them out."""
    found: Iterable[Candidate]
    if spec.machines or spec.profiles:
        named, profiles = set(spec.machines), set(spec.profiles)
        found = (c for c in candidates if {c.name, c.machine.expected} & named or c.profile.name in profiles)
    elif site.clusters:
        members = {member for layout in clusters for member in layout.members}
        found = (candidate for candidate in candidates if candidate.id in members)
    else:
        before = frozenset(standing)
        found = (candidate for candidate in candidates if candidate.id in before or _has_disk(candidate, spec))
    referee = Referees(candidates).find(spec.tiebreaker) if spec.stretch else None
    outside = referee.id if referee else ""
    return tuple(sorted((one for one in found if usable(one) and one.id != outside), key=by_name))


def _has_disk(candidate: Candidate, spec: CephSpec) -> bool:
    """Whether a rule chooses OSDs of this machine (its profile's role, or a drive group with conditions of its own), and it
    has a disk beside its system disks that could be one."""
    profile = candidate.profile
    ruled = profile.disk_role(DiskRoleName.OSD) is not None or any(
        not group.data.empty and (not group.profiles or profile.name in group.profiles) for group in spec.groups
    )
    system = {disk.path for disk in system_disks(candidate)}
    disks = (disk for disk in candidate.inventory.disks if disk.path not in system)
    return ruled and any(not disk.removable and not disk.read_only and disk.size >= SMALLEST_OSD for disk in disks)


def _missing_text(there: int, missing: list[str], outside: list[str], short: list[Shortage]) -> str:
    parts = []
    if missing:
        total = there + len(missing) + len(outside)
        parts.append(f"{there} of {total} members are there; missing: {listed(missing)} (see why they wait)")
    if outside:
        parts.append(
            f"{listed(outside)} can't be a member although it names them: on hold or leaving, its arbiter, outside its "
            "racks and zones, or neither x86_64 nor aarch64"
        )
    parts += [f"{one.have} of {one.wanted} machines of profile {one.profile} are there" for one in short]
    return "; ".join(parts)


def _takes(spec: ClusterSpec) -> str:
    if spec.profiles:
        who = f"machines of profile {listed(spec.profiles)}"
    else:
        who = "every server (x86_64 or aarch64, at least 2 GB of memory, no Raspberry Pi)"
    where = [f"racks {listed(spec.racks)}"] if spec.racks else []
    where += [f"zones {listed(spec.zones)}"] if spec.zones else []
    return f"{who} in {' and '.join(where)}" if where else who
