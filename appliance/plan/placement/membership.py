"""Which machine belongs to which cluster of the site file, and who breaks ties.

A machine that a cluster names belongs to it; else one whose profile a cluster names; else the clusters that take whatever
can run Proxmox. Among equals the one that is narrowed to racks or zones goes first, then the first by name. An arbiter, and
Ceph's tiebreaker, are outside: they are never members of a cluster that does not name them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from appliance.model.cluster import Arbiter, ClusterLayout, ClusterSpec
from appliance.model.machine import Policy
from appliance.model.place import Place
from appliance.model.site import ExpectedMachine, Site
from appliance.plan.candidate import Candidate
from appliance.plan.order import natural
from appliance.plan.placement.split import by_name

ARCHITECTURES = frozenset({"x86_64", "aarch64"})
"""What Proxmox VE exists for (`proxmox.md` §1)."""
MINIMUM_MEMORY = 1_800_000_000
"""Bytes: the 2 GB that Proxmox asks for, less what firmware and kernel keep."""
PI_PROFILES = "raspberry-pi"
LEAVING = frozenset({Policy.DRAIN, Policy.EXPUNGE})
NOBODY = frozenset({Arbiter.NONE.value, Arbiter.APPLIANCE.value, Arbiter.AUTO.value, ""})
"""Words of an arbiter or tiebreaker that mean no machine."""


def is_pi(candidate: Candidate) -> bool:
    """A Raspberry Pi is an arbiter, not a server."""
    board = candidate.inventory.board
    return (
        candidate.profile.name.startswith(PI_PROFILES)
        or any(word.startswith("raspberrypi,") for word in board.compatible)
        or "raspberry pi" in board.system_product.casefold()
    )


def runs_proxmox(candidate: Candidate) -> bool:
    """Whether a cluster that names nobody takes this machine."""
    memory = candidate.inventory.memory
    enough = max(memory.total, memory.installed) >= MINIMUM_MEMORY
    return candidate.inventory.architecture in ARCHITECTURES and enough and not is_pi(candidate)


def usable(candidate: Candidate) -> bool:
    """Whether the operator wants the machine to be part of anything."""
    return candidate.machine.machine.policy not in LEAVING


def inside(spec: ClusterSpec, place: Place) -> bool:
    """Whether a place is in the racks and zones that the cluster is narrowed to."""
    return (not spec.racks or place.rack in spec.racks) and (not spec.zones or place.zone in spec.zones)


def names(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """Candidates by their host name and by their name in the site file (which goes first)."""
    table = {candidate.name: candidate for candidate in candidates}
    return table | {one.machine.expected: one for one in candidates if one.machine.expected}


@dataclass(slots=True)
class Referees:
    """Machines that break ties from outside: the arbiters of clusters, and Ceph's tiebreaker."""

    candidates: Sequence[Candidate]
    by_name: dict[str, Candidate] = field(init=False)
    _by_profile: dict[str, list[Candidate]] = field(init=False)

    def __post_init__(self) -> None:
        self.by_name = names(self.candidates)
        self._by_profile = {}
        for candidate in self.candidates:
            self._by_profile.setdefault(candidate.profile.name, []).append(candidate)

    def find(self, word: str, before: str = "", members: Collection[str] = frozenset()) -> Candidate | None:
        """The machine that a name or a profile means: of a profile the one that it is already (``before``), else the first
        by name that is not among ``members``."""
        if word in NOBODY:
            return None
        named = self.by_name.get(word)
        if named is not None:
            return named if usable(named) else None
        found = [one for one in self._by_profile.get(word, ()) if usable(one) and one.id not in members]
        kept = next((one for one in found if one.id == before), None)
        return kept or min(found, key=by_name, default=None)


@dataclass(slots=True)
class Membership:
    """Who belongs where, for one site and its candidates. ``arbiters`` is spec name → candidate; ``outside`` are the ids of
    all arbiters and of Ceph's tiebreaker."""

    site: Site
    candidates: Sequence[Candidate]
    standing: Sequence[ClusterLayout] = ()
    specs: tuple[ClusterSpec, ...] = field(init=False)
    referees: Referees = field(init=False)
    arbiters: dict[str, Candidate] = field(init=False)
    outside: frozenset[str] = field(init=False)
    awaited: dict[str, list[ExpectedMachine]] = field(init=False)
    """Spec name → entries of the site file that are, or may be, members. An entry that names no profile or no rack may
    belong to several; it is waited for until it is seen what it is."""
    _named: dict[str, ClusterSpec] = field(init=False)
    _profiled: dict[str, list[ClusterSpec]] = field(init=False)
    _open: list[ClusterSpec] = field(init=False)
    _memo: dict[tuple[str, str, str, bool, bool], ClusterSpec | None] = field(init=False)

    def __post_init__(self) -> None:
        self.specs = tuple(sorted(self.site.clusters, key=lambda spec: natural(spec.name)))
        self.referees = Referees(self.candidates)
        self._named, self._profiled, self._memo = {}, {}, {}
        first = sorted(self.specs, key=lambda spec: not (spec.racks or spec.zones))
        for spec in first:
            for name in spec.machines:
                self._named.setdefault(name, spec)
            for profile in spec.profiles:
                self._profiled.setdefault(profile, []).append(spec)
        self._open = [spec for spec in first if not spec.machines and not spec.profiles]
        self._appoint()
        self._await()

    def _appoint(self) -> None:
        members = {member for layout in self.standing for member in layout.members}
        kept = {layout.spec: layout.arbiter for layout in self.standing if layout.arbiter}
        found = {spec.name: self.referees.find(spec.arbiter, kept.get(spec.name, ""), members) for spec in self.specs}
        self.arbiters = {name: candidate for name, candidate in found.items() if candidate is not None}
        ceph = self.site.ceph
        tiebreaker = self.referees.find(ceph.tiebreaker, "", members) if ceph and ceph.stretch else None
        outside = {candidate.id for candidate in self.arbiters.values()}
        self.outside = frozenset(outside | ({tiebreaker.id} if tiebreaker else set()))

    def of(self, candidate: Candidate) -> ClusterSpec | None:
        """The cluster of the site file that wants this machine now."""
        if not usable(candidate):
            return None
        able = candidate.inventory.architecture in ARCHITECTURES
        named = self._named.get(candidate.machine.expected) or self._named.get(candidate.name)
        if named is not None:
            arbiter = self.arbiters.get(named.name)
            fits = able and inside(named, candidate.place) and (arbiter is None or arbiter.id != candidate.id)
            return named if fits else None
        if candidate.id in self.outside:
            return None
        place, profile = candidate.place, candidate.profile.name
        key = (profile, place.rack, place.zone, able, runs_proxmox(candidate))
        if key not in self._memo:
            wanted = [*(self._profiled.get(profile, ()) if able else ()), *(self._open if key[4] else ())]
            self._memo[key] = next((spec for spec in wanted if inside(spec, place)), None)
        return self._memo[key]

    def _await(self) -> None:
        self.awaited = {spec.name: [] for spec in self.specs}
        racks = {rack.name: Place(zone=rack.zone, rack=rack.name) for rack in self.site.racks}
        words = self._referee_words()
        memo: dict[tuple[str, str], list[ClusterSpec]] = {}
        for entry in self.site.machines:
            named = self._named.get(entry.name)
            if named is not None:
                self.awaited[named.name].append(entry)
            elif entry.name not in words and entry.profile not in words:
                key = (entry.profile, entry.rack)
                if key not in memo:
                    memo[key] = list(self._possible(entry.profile, racks.get(entry.rack)))
                for spec in memo[key]:
                    self.awaited[spec.name].append(entry)

    def _possible(self, profile: str, place: Place | None) -> Iterator[ClusterSpec]:
        """The clusters that a machine of this profile (empty: any) at this place (None: anywhere) may belong to."""
        wanted = self._profiled.get(profile, []) if profile else [s for s in self.specs if s.profiles]
        for spec in [*wanted, *(() if profile.startswith(PI_PROFILES) else self._open)]:
            if place is not None and not inside(spec, place):
                continue
            yield spec
            if profile and (place is not None or not (spec.racks or spec.zones)):
                return

    def _referee_words(self) -> frozenset[str]:
        ceph = self.site.ceph
        words = {spec.arbiter for spec in self.specs} | ({ceph.tiebreaker} if ceph and ceph.stretch else set())
        return frozenset(words - NOBODY)

    def counted(self, spec: ClusterSpec) -> list[str]:
        """Profiles whose counts this cluster waits for, sorted."""
        words = self._referee_words()
        profiles = sorted({count.profile for count in self.site.counts} - words)
        return [profile for profile in profiles if any(found is spec for found in self._possible(profile, None))]
