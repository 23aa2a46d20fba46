"""The availability report: what every service survives, which tier the site reaches, and what the next one lacks.

The rules are the table in docs/placement.md. They look at the layout only, take the worst bucket, and count what is not
known (a rack, a switch, the appliance's place) against the site.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from appliance.model.availability import TIERS, Availability, Gap, ServiceAvailability, Tier
from appliance.model.ceph import CephLayout, PoolLayout, Service
from appliance.model.cluster import ClusterLayout
from appliance.model.place import Level, Place
from appliance.model.plan import Desired, NodeLayout
from appliance.model.site import Site
from appliance.plan.availability.infrastructure import Infrastructure
from appliance.plan.availability.survival import (
    RANKS,
    Ground,
    Seat,
    known_levels,
    rank,
    survives_daemons,
    survives_votes,
    worst_seats,
)
from appliance.plan.candidate import Candidate
from appliance.plan.naming import listed, plural
from appliance.plan.order import natural
from appliance.plan.placement import quorum

APPLIANCE = "appliance"
HOST = Level.HOST.value
DAEMONS = {"mgr": "manager", "mds": "metadata server", "rgw": "object gateway"}
_ABOVE_RACK = (Level.ZONE, Level.DATACENTER, Level.ROW)


def availability(site: Site, desired: Desired, candidates: Sequence[Candidate]) -> Availability:
    """The report on one layout. The order of candidates does not matter."""
    report = _Report(site, desired, {candidate.id: candidate for candidate in candidates})
    report.clusters()
    report.ceph()
    report.infrastructure()
    report.appliance()
    report.above_the_rack()
    lacking = {gap.tier for gap in report.gaps}
    reached = Tier.I
    for tier in TIERS:
        if tier in lacking:
            break
        reached = tier
    following = TIERS[min(TIERS.index(reached) + 1, len(TIERS) - 1)]
    upto = max(following, site.availability or Tier.I, key=TIERS.index)
    shown = [gap for gap in report.gaps if TIERS.index(gap.tier) <= TIERS.index(upto)]
    return Availability(
        wanted=site.availability,
        reached=reached,
        services=tuple(sorted(report.services, key=lambda row: natural(row.service))),
        gaps=tuple(sorted(shown, key=lambda gap: (TIERS.index(gap.tier), natural(gap.about), gap.text))),
    )


@dataclass(slots=True)
class _Report:
    site: Site
    desired: Desired
    candidates: dict[str, Candidate]
    services: list[ServiceAvailability] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    nodes: dict[str, NodeLayout] = field(init=False)
    places: dict[str, Place] = field(init=False)
    serving: list[NodeLayout] = field(init=False)
    """Nodes that are members of a cluster or of Ceph, in natural order."""

    def __post_init__(self) -> None:
        desired = self.desired
        self.nodes = {node.machine: node for node in desired.nodes}
        self.places = {candidate.id: candidate.place for candidate in self.candidates.values()}
        self.places |= {node.machine: node.place for node in desired.nodes}
        members = {member for layout in desired.clusters for member in layout.members}
        members |= set(desired.ceph.members) if desired.ceph else set()
        serving = [node for node in desired.nodes if node.machine in members]
        self.serving = sorted(serving, key=lambda node: (natural(node.name), node.machine))

    def row(self, service: str, survives: str, text: str, *, heals: bool) -> None:
        self.services.append(ServiceAvailability(service=service, survives=survives, heals=heals, text=text))

    def gap(self, tier: Tier, about: str, text: str) -> None:
        self.gaps.append(Gap(tier=tier, about=about, text=text))

    def _seats(self, machines: Iterable[str]) -> list[Seat]:
        return [Seat(machine=who, place=self.places.get(who, Place())) for who in machines]

    # ------------------------------------------------------------ clusters

    def clusters(self) -> None:
        planned = {layout.spec for layout in self.desired.clusters}
        for spec in self.site.clusters:
            if spec.name not in planned:
                self.gap(Tier.II, f"cluster {spec.name}", f"cluster {spec.name} is not planned yet: see why it waits")
        for layout in self.desired.clusters:
            self._cluster(layout)
        if self.desired.clusters and not self._shared():
            names = listed(layout.name for layout in self.desired.clusters)
            text = f"no Ceph holds the disks of guests in {names}: those of a lost node stay down; plan 'ceph'"
            self.gap(Tier.II, "clusters", text)
        if not self.site.clusters and not self.desired.clusters and self.desired.ceph is None:
            text = "the site file has no cluster and no Ceph: what runs on a machine stops with it"
            self.gap(Tier.II, "site", text)

    def _shared(self) -> bool:
        """Whether guests' disks are on storage that outlives their node."""
        return self.desired.ceph is not None and bool(self.desired.ceph.pools)

    def _cluster(self, layout: ClusterLayout) -> None:
        about, nodes = f"cluster {layout.name}", self._seats(layout.members)
        arbiter = self._seats([layout.arbiter])[0] if layout.arbiter else None
        levels = known_levels(seat.place for seat in nodes if seat.place is not None)
        quorate = survives_votes(nodes, arbiter, layout.quorum, levels)
        shared = self._shared()
        who = plural(len(nodes), "node") + (" and an arbiter" if arbiter else "")
        votes = f"{who}, quorum {layout.quorum} of {layout.votes}"
        if not quorate:
            self.row(about, "", f"{votes}: the loss of one node stops it", heals=False)
            self.gap(Tier.II, about, _quorum_gap(layout))
            return
        voters = [*nodes, *([arbiter] if arbiter else [])]
        left = len(voters) - worst_seats(voters, Level(quorate))
        heals = shared and left - 1 >= layout.quorum
        text = f"{votes}: it stays quorate after the loss of a {quorate}"
        if shared:
            self.row(about, quorate, f"{text}{', and of one more node' if heals else ''}", heals=heals)
            return
        self.row(about, "", f"{text}, but its guests' disks are on the lost node", heals=False)

    # ------------------------------------------------------------ Ceph

    def ceph(self) -> None:
        layout, spec = self.desired.ceph, self.site.ceph
        if layout is None:
            if spec is not None:
                self.gap(Tier.II, "ceph", "Ceph is not planned yet: see why it waits")
            return
        if spec is not None and spec.pools and not layout.pools:
            self.gap(Tier.II, "ceph", "no pool of Ceph is planned yet: see why it waits")
        self._monitors(layout)
        wanted = {"mgr"} | {kind for pool in layout.pools for kind in _daemons_of(pool)}
        for kind in sorted(wanted | {service.kind for service in layout.services if service.kind in DAEMONS}):
            self._daemons(layout, kind)
        root = next((bucket.name for bucket in layout.buckets if bucket.level == "root"), "default")
        ground = Ground(layout.osds, self.places, root)
        for pool in layout.pools:
            self._pool(pool, ground.survives(pool), stretch=layout.stretch)

    def _monitors(self, layout: CephLayout) -> None:
        machines = [service.machine for service in layout.services if service.kind == "mon"]
        outside = {APPLIANCE} if layout.stretch else set()
        seats = [Seat(machine=who, place=None if who in outside else self.places.get(who, Place())) for who in machines]
        levels = known_levels(seat.place for seat in seats if seat.place is not None)
        needed = len(seats) // 2 + 1
        survives = survives_votes(seats, None, needed, levels)
        votes = f"{plural(len(seats), 'monitor')}, quorum {needed}"
        if not survives:
            self.row("monitors", "", f"{votes}: the loss of one stops Ceph", heals=False)
            text = f"Ceph has {plural(len(seats), 'monitor')} and stops with the loss of one; three hosts would carry three"
            self.gap(Tier.II, "monitors", text)
            return
        heals = len(seats) - worst_seats(seats, Level(survives)) - 1 >= needed
        more = ", and of one more monitor" if heals else ""
        self.row("monitors", survives, f"{votes}: the loss of a {survives} leaves a quorum{more}", heals=heals)

    def _daemons(self, layout: CephLayout, kind: str) -> None:
        seats = self._seats(service.machine for service in layout.services if service.kind == kind)
        name, number = f"{DAEMONS[kind]}s", plural(len(seats), DAEMONS[kind])
        levels = known_levels(seat.place for seat in seats if seat.place is not None)
        survives = survives_daemons(seats, levels)
        if not survives:
            self.row(name, "", f"{number}: nobody takes over", heals=False)
            self.gap(Tier.II, name, f"Ceph has {number}; two on different hosts would take over for each other")
            return
        left = len(seats) - worst_seats(seats, Level(survives))
        self.row(name, survives, f"{number}: the loss of a {survives} leaves {left}", heals=left > 1)

    def _pool(self, pool: PoolLayout, survives: str, *, stretch: bool) -> None:
        about = f"pool {pool.name}"
        copies = f"{pool.erasure.k}+{pool.erasure.m} chunks" if pool.erasure else plural(pool.size, "copy", "copies")
        spread = f"{copies} on {plural(pool.domains, pool.domain.value)}, min_size {pool.min_size}"
        loss = f"the loss of a {survives}" if survives else "the loss of nothing"
        healing = (
            "and copies itself anew" if pool.heals else f"but a lost {pool.domain} can't be replaced by the others"
        )
        self.row(about, survives, f"{spread}: it survives {loss}, {healing}", heals=pool.heals)
        if rank(survives) < rank(HOST):
            text = f"{about}: {spread}, survives {loss} and not of a host; spread its copies over at least {pool.size} hosts"
            self.gap(Tier.II, about, text)
        if not pool.heals:
            self.gap(Tier.IV, about, _healing_gap(pool, about, stretch=stretch))

    # ------------------------------------------------------------ what all services stand on

    def infrastructure(self) -> None:
        found = Infrastructure(self.site, self.desired, self.candidates, self.serving)
        self.services += found.rows()
        self.gaps += found.gaps()

    def appliance(self) -> None:
        arbitrated = [layout for layout in self.desired.clusters if layout.arbiter == APPLIANCE]
        text = "one machine: while it is off nothing is installed; what is installed goes on without it"
        if arbitrated:
            names = listed(layout.name for layout in arbitrated)
            fewest = min(quorum.count(len(layout.members), arbiter=False).tolerates for layout in arbitrated)
            text += f"; it is the arbiter of {names}: meanwhile {plural(fewest, 'node')} may fail, not {fewest + 1}"
        ceph = self.desired.ceph
        if ceph is not None and any(service.machine == APPLIANCE for service in ceph.services):
            text += f"; it has the tiebreaker of {ceph.name}: meanwhile the loss of either site stops that"
        self.row("appliance", "", text, heals=False)

    def above_the_rack(self) -> None:
        """Tier IV: every service survives the loss of one bucket of the largest level that the site has."""
        if not self.serving:
            self.gap(Tier.IV, "site", "no machine is a member of a cluster or of Ceph")
            return
        counts = {level: {node.place.bucket(level) for node in self.serving} - {""} for level in _ABOVE_RACK}
        top = next((level for level in _ABOVE_RACK if len(counts[level]) >= 2), None)
        if top is None:
            text = "no two rows, datacenters or zones hold members: the loss of what is above the rack stops everything"
            self.gap(Tier.IV, "site", text)
        target = top or Level.RACK
        short: dict[tuple[str, str], list[str]] = {}
        for row in self.services:
            if row.survives in LEVEL_WORDS and rank(row.survives) < rank(target.value):
                kind, _, name = row.service.partition(" ")
                key = ("clusters", row.survives) if kind == "cluster" else (row.service, row.survives)
                short.setdefault(key, []).append(name if kind == "cluster" else row.service)
        for (about, survives), names in short.items():
            self.gap(Tier.IV, about, f"{listed(names)}: a {survives} may be lost, but not a {target}")


LEVEL_WORDS = frozenset(RANKS) - {""}


def _daemons_of(pool: PoolLayout) -> tuple[str, ...]:
    return {Service.FILE: ("mds",), Service.OBJECT: ("rgw",), Service.BLOCK: ()}[pool.service]


def _quorum_gap(layout: ClusterLayout) -> str:
    number = len(layout.members)
    if number == 1:
        return (
            f"cluster {layout.name} has one node; a second one and an arbiter, or three nodes, tolerate the loss of one"
        )
    return (
        f"cluster {layout.name} has {number} nodes and no arbiter, so the loss of one stops it; "
        f"'arbiter: appliance' would tolerate {quorum.count(number, arbiter=True).tolerates}"
    )


def _healing_gap(pool: PoolLayout, about: str, *, stretch: bool) -> str:
    """Why the copies of a lost domain can't be made anew on the others, and what would help."""
    level = pool.domain.value
    if stretch:
        return f"{about}: in stretch mode the copies of a lost {level} come back only with it"
    missing = -(-pool.size // pool.per_domain) + 1 - pool.domains
    if missing > 0:
        more = f"a {_ordinal(pool.domains + 1)} would" if missing == 1 else f"{missing} more would"
        return f"{about}: {plural(pool.domains, level)}: the loss of one can't heal; {more}"
    return (
        f"{about}: {plural(pool.domains, level)}: what the largest holds has no room on the others; add disks to these"
    )


def _ordinal(number: int) -> str:
    words = {2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth"}
    return words.get(number, f"{number}th")
