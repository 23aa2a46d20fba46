"""Where Ceph's daemons run: monitors, managers, metadata servers and object gateways, spread over failure domains.

Services that stand stay while their machine is a member. New ones go one after the other to the place where fewest of their
kind are, seen from the top (zone, datacenter, row, rack, host); only among equal places a machine with more memory and fewer
services goes first, then the first by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from appliance.model.ceph import CephSpec, Service, ServiceLayout
from appliance.model.cluster import Arbiter
from appliance.model.place import LEVELS, Level
from appliance.model.plan import Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.order import natural
from appliance.plan.placement.membership import NOBODY, Referees
from appliance.plan.placement.split import by_name

APPLIANCE = Arbiter.APPLIANCE.value
MONITORS = 3
MONITORS_WIDE = 5
"""Of stretch mode, and of sites with so many failure domains above the host (`ceph.md` §4)."""
LOW_MEMORY = 32 << 30
"""Bytes: below it, metadata servers and gateways (≥ 2 GB each) avoid hosts with a monitor (≥ 5 GB)."""
KINDS = ("mon", "mgr", "mds", "rgw")
_DOWN = tuple(reversed(LEVELS[1:]))

Services = tuple[ServiceLayout, ...]
Domains = tuple[tuple[Level, str], ...]
"""The buckets that a machine stands in, from the largest to the rack: all machines of a rack are alike in this."""


def place_services(  # noqa: PLR0917 - six different things, none of them a setting
    site: Site,
    spec: CephSpec,
    members: Sequence[Candidate],
    osd_hosts: frozenset[str],
    pools_wanted: frozenset[Service],
    standing: Sequence[ServiceLayout],
    outside: Sequence[Candidate] = (),
) -> tuple[Services, tuple[Wait, ...]]:
    """All daemons of one Ceph, by kind, those that stand first. ``osd_hosts`` are ids of the members that have OSDs,
    ``outside`` all machines of the site among which a tiebreaker may be."""
    placer = _Placer(site, spec, sorted(members, key=by_name), osd_hosts, outside)
    placer.keep(standing)
    if not members:
        return (), ()
    if spec.stretch and not placer.stretch():
        return placer.layouts(), tuple(placer.waits)
    if not spec.stretch:
        placer.monitors()
    placer.beside()
    for service, kind in ((Service.FILE, "mds"), (Service.OBJECT, "rgw")):
        if service in pools_wanted:
            placer.daemons(kind)
    return placer.layouts(), tuple(placer.waits)


def domain_level(members: Iterable[Candidate], wanted: int) -> Level:
    """The largest level with at least ``wanted`` buckets that are known; hosts when none has."""
    places = [member.place for member in members]
    return next((level for level in _DOWN if len({p.bucket(level) for p in places} - {""}) >= wanted), Level.HOST)


def stretch_sites(members: Sequence[Candidate], osd_hosts: Collection[str]) -> tuple[Level, tuple[str, str]] | None:
    """The two sites of stretch mode: the largest level at which all hosts with OSDs stand in exactly two buckets (while no
    host has an OSD, all members)."""
    hosts = [member for member in members if member.id in osd_hosts] or list(members)
    for level in _DOWN:
        buckets = {member.place.bucket(level) for member in hosts}
        if len(buckets) == 2 and "" not in buckets:
            first, second = sorted(buckets, key=natural)
            return level, (first, second)
    return None


def monitors_wanted(spec: CephSpec, members: Sequence[Candidate]) -> int:
    """An odd number, never above the number of hosts: what the site file says (an even number less one), else 5 where the
    largest level with three domains is above the host and has five, else 3. Two hosts have one monitor: with two, the loss
    of either would stop both."""
    level = domain_level(members, MONITORS)
    domains = len({member.place.bucket(level) for member in members} - {""})
    wanted = spec.monitors or (MONITORS_WIDE if domains >= MONITORS_WIDE else MONITORS)
    number = min(wanted, len(members))
    return number if number % 2 else max(number - 1, 1)


@dataclass(slots=True)
class _Placer:
    site: Site
    spec: CephSpec
    members: list[Candidate]
    osd_hosts: frozenset[str]
    outside: Sequence[Candidate]
    found: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    waits: list[Wait] = field(default_factory=list)
    level: Level = Level.HOST
    by_id: dict[str, Candidate] = field(init=False)
    order: dict[str, int] = field(init=False)
    domains: dict[str, Domains] = field(init=False)
    referee: str = ""

    def __post_init__(self) -> None:
        self.by_id = {member.id: member for member in self.members}
        self.order = {member.id: index for index, member in enumerate(self.members)}
        self.domains = {one.id: tuple([(level, one.place.bucket(level)) for level in _DOWN]) for one in self.members}

    def keep(self, standing: Sequence[ServiceLayout]) -> None:
        """What stands stays, but for a tiebreaker that is none any more."""
        before = next((s.machine for s in standing if s.kind == "mon" and s.machine not in self.by_id), "")
        self.referee = self._referee(before) if self.spec.stretch else ""
        for service in standing:
            here, tiebreaker = self.found[service.kind], service.machine == self.referee and service.kind == "mon"
            if service.machine not in here and (tiebreaker or service.machine in self.by_id):
                here.append(service.machine)

    def _referee(self, before: str) -> str:
        if self.spec.tiebreaker in NOBODY:
            return APPLIANCE
        members = frozenset(self.by_id)
        found = Referees(self.outside).find(self.spec.tiebreaker, before, members)
        return found.id if found else ""

    def wait(self, reason: WaitReason, text: str) -> None:
        self.waits.append(Wait(about=self.spec.name, reason=reason, text=text))

    def monitors(self) -> None:
        """Monitors in distinct domains of the largest level that has enough of them. When an even number stands, one more
        makes it odd."""
        wanted = monitors_wanted(self.spec, self.members)
        self.level = domain_level(self.members, wanted)
        self._fill("mon", wanted, self.members, self.level)
        number = len(self.found["mon"])
        if number % 2 == 0:
            self._fill("mon", number + 1, self.members, self.level)
            number = len(self.found["mon"])
        if number % 2 == 0:
            lost = number - number // 2 - 1
            text = f"{number} monitors on {number} hosts tolerate the loss of {lost}, as {number - 1} would; add a host"
            self.wait(WaitReason.TOO_FEW_MEMBERS, text)
        if self.spec.monitors > number:
            text = f"{self.spec.monitors} monitors are wanted, {number} fit on {len(self.members)} hosts; add hosts"
            self.wait(WaitReason.TOO_FEW_MEMBERS, text)

    def stretch(self) -> bool:
        """Two monitors in each of two sites, and a tiebreaker outside of both (`ceph.md` §4). All or nothing new: an even
        number of monitors, or a site without one, is worse than none."""
        sites = stretch_sites(self.members, self.osd_hosts)
        if sites is None:
            text = (
                "stretch mode needs the hosts with OSDs in exactly two zones, datacenters, rows or racks; "
                f"{_census(self.members)}; give their racks and what these stand in, or leave 'stretch' out"
            )
            self.wait(WaitReason.TOO_FEW_DOMAINS, text)
            return False
        self.level, buckets = sites
        inside = {bucket: [m for m in self.members if m.place.bucket(self.level) == bucket] for bucket in buckets}
        for bucket, hosts in inside.items():
            if len(hosts) < 2:
                text = f"stretch mode needs two hosts for monitors in each site; {self.level} {bucket} has {len(hosts)}"
                self.wait(WaitReason.TOO_FEW_MEMBERS, text)
        self._tiebreak(buckets)
        if self.waits:
            return False
        for hosts in inside.values():
            self._fill("mon", 2, hosts, Level.HOST)
        if self.referee not in self.found["mon"]:
            self.found["mon"].append(self.referee)
        return True

    def _tiebreak(self, buckets: tuple[str, str]) -> None:
        """Whether there is a tiebreaker, and outside."""
        word = self.spec.tiebreaker
        if not self.referee:
            text = f"the tiebreaker '{word}' is not there yet; switch it on, or say 'tiebreaker: appliance'"
            self.wait(WaitReason.NO_QUORUM, text)
            return
        machine = next((one for one in self.outside if one.id == self.referee), None)
        if machine is not None and machine.place.bucket(self.level) in buckets:
            where = f"{self.level} {machine.place.bucket(self.level)}"
            text = f"the tiebreaker '{word}' stands in {where}, one of the two sites; it must be outside"
            self.wait(WaitReason.TOO_FEW_DOMAINS, text)

    def beside(self) -> None:
        """A manager beside every monitor, and at least two where there are two hosts."""
        hosts = [self.by_id[who] for who in self.found["mon"] if who in self.by_id]
        self._fill("mgr", len(hosts), hosts, Level.HOST)
        self._fill("mgr", min(2, len(self.members)), self.members, Level.HOST)

    def daemons(self, kind: str) -> None:
        """Two, or one in each of three domains."""
        top = next((level for level in _DOWN if len(self._buckets(level)) >= 2), Level.HOST)
        wanted = max(2, min(3, len(self._buckets(top))))
        self._fill(kind, min(wanted, len(self.members)), self.members, Level.HOST)

    def _buckets(self, level: Level) -> set[str]:
        return {member.place.bucket(level) for member in self.members} - {""}

    def _fill(self, kind: str, wanted: int, among: Iterable[Candidate], distinct: Level) -> None:
        """Add services of ``kind`` to machines ``among`` until ``wanted`` of these have one, none in a domain of level
        ``distinct`` that has one already while another is left."""
        here, standing = self.found[kind], set(self.found[kind])
        missing, free = wanted, dict[Domains, list[Candidate]]()
        for member in among:
            if member.id in standing:
                missing -= 1
            else:
                free.setdefault(self.domains[member.id], []).append(member)
        used = Counter(domain for who in here if who in self.by_id for domain in self.domains[who])
        load = Counter(who for name, found in self.found.items() for who in found if name != "mgr")
        while missing > 0 and free:
            apart = [where for where in free if not _shared(where, distinct, used)] or list(free)
            spread = {where: [used[domain] for domain in where] for where in apart}
            least = min(spread.values())
            best = min(
                (one for where in apart if spread[where] == least for one in free[where]),
                key=lambda one: self._rank(kind, one, load),
            )
            here.append(best.id)
            at = self.domains[best.id]
            used.update(at)
            free[at].remove(best)
            if not free[at]:
                del free[at]
            missing -= 1

    def _rank(self, kind: str, one: Candidate, load: Counter[str]) -> tuple[int, ...]:
        memory = one.inventory.memory.total
        if kind == "mon":
            return -memory, self.order[one.id]
        crowded = kind in ("mds", "rgw") and memory < LOW_MEMORY and one.id in self.found["mon"]
        return crowded, load[one.id], -memory, self.order[one.id]

    def layouts(self) -> Services:
        return tuple(
            ServiceLayout(kind=kind, machine=who, bucket=self._bucket(who))
            for kind in KINDS
            for who in self.found[kind]
        )

    def _bucket(self, who: str) -> str:
        member = self.by_id.get(who) or next((one for one in self.outside if one.id == who), None)
        if member is None:
            return who
        return member.place.bucket(self.level) or member.name


def _shared(where: Domains, level: Level, used: Counter[tuple[Level, str]]) -> bool:
    """Whether the domain at ``level`` has a service already; an unknown one may be any."""
    return any(at is level and (not bucket or used[at, bucket] > 0) for at, bucket in where)


def _census(members: Sequence[Candidate]) -> str:
    """How many buckets each level has, in words."""
    counts = [(level, len({member.place.bucket(level) for member in members} - {""})) for level in _DOWN]
    return ", ".join(f"{number} {level}{'' if number == 1 else 's'}" for level, number in counts) + " are known"
