"""Who is cabled to whom: what LLDP told on the ports of machines, and how it compares with what should be.

A port is known by its permanent MAC, which survives renames. A link was heard from both sides, or from one: then the
other side does not send, or its network card eats LLDP frames (`network.md` §6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from agent.wire import Neighbour
from appliance.model.network import CableState
from appliance.model.plan import Allocation
from appliance.plan.candidate import Candidate
from appliance.plan.order import natural
from hwprofiles.profile import NicRoleName

End = tuple[str, str]
"""One end of a cable: a machine's id and a MAC, or a switch's name and its word for the port. An empty port is any."""

SHARED = "a shared segment"
"""Stands for the switch where a port hears more than one machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A machine with ports for the backbone. ``roles`` is `nicroles.nic_roles`, ``ports`` the MACs for the backbone, in
    the order of their names."""

    candidate: Candidate
    roles: Mapping[str, str]
    ports: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.candidate.id

    @property
    def name(self) -> str:
        return self.candidate.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A cable between two ends, in the order of `Directory.oriented`. ``by`` is the machine that heard it when only one
    side did, empty for both (a switch is only heard, and counts as both)."""

    a: End
    b: End
    by: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        return self.a[0], self.b[0]


class Directory:
    """Finds machines and their ports by what neighbours say about themselves, and names them for people. ``kept`` are
    allocations, also of machines that are no candidates now."""

    def __init__(self, candidates: Iterable[Candidate], kept: Mapping[str, Allocation]) -> None:
        self.candidates = {candidate.id: candidate for candidate in candidates}
        self._rank = {who: _ranked(who, allocation) for who, allocation in kept.items()}
        self._names = {who: allocation.name for who, allocation in kept.items()}
        for who, candidate in self.candidates.items():
            self._rank[who] = _ranked(who, candidate.given)
            self._names[who] = candidate.name

    @cached_property
    def _owner(self) -> dict[str, str]:
        """MAC → machine; a MAC that two machines have is nobody's."""
        return _unique((nic.mac, who) for who, found in self.candidates.items() for nic in found.inventory.nics)

    @cached_property
    def _named(self) -> dict[str, str]:
        """Name → machine. The names that we gave go before host names, which may be of an earlier life."""
        given = _unique((found.name, who) for who, found in self.candidates.items())
        return _unique((found.inventory.hostname, who) for who, found in self.candidates.items()) | given

    def rank(self, who: str) -> tuple[int, str]:
        """The order of ends: machines by their numbers, then switches."""
        return self._rank.get(who) or (1 << 31, who)

    def oriented(self, one: End, other: End, by: str = "") -> Link:
        a, b = sorted((one, other), key=lambda end: (self.rank(end[0]), end[1]))
        return Link(a=a, b=b, by=by)

    def machine(self, text: str) -> str:
        """The id of the machine that a site file or a neighbour means by its name, or empty."""
        if text in self.candidates:
            return text
        return self._named.get(text) or self._named.get(text.partition(".")[0], "")

    def port(self, who: str, text: str) -> str:
        """The MAC of a machine's port by MAC, pinned name or the kernel's name; empty: it has none like that."""
        candidate = self.candidates[who]
        if self._owner.get(text.lower()) == who:
            return text.lower()
        pinned = next((mac for mac, name in candidate.given.nics if name == text), "")
        return pinned or next((nic.mac for nic in candidate.inventory.nics if nic.name == text), "")

    def end(self, neighbour: Neighbour) -> End:
        """The port that a neighbour is. A switch when it is no machine that we know."""
        port, chassis = neighbour.port.lower(), neighbour.chassis.lower()
        if port in self._owner:
            return self._owner[port], port
        who = self._owner.get(chassis, "") or self.machine(neighbour.system) or self.machine(neighbour.chassis)
        if not who:
            return neighbour.system or neighbour.chassis, neighbour.port
        return who, self.port(who, neighbour.port) or self.port(who, neighbour.port_description)

    def name(self, who: str) -> str:
        """What people call a machine; its id when it is gone, and a switch's own name."""
        return self._names.get(who, who)

    def label(self, end: End) -> str:
        """``n1:nic2``, ``leaf1:swp7``, or the name alone."""
        who, port = end
        candidate = self.candidates.get(who)
        if candidate is not None:
            port = dict(candidate.given.nics).get(port, port)
        return f"{self.name(who)}:{port}" if port else self.name(who)


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    shared = {""}
    for key, who in pairs:
        if found.setdefault(key, who) != who:
            shared.add(key)
    return {key: who for key, who in found.items() if key not in shared}


def _ranked(who: str, allocation: Allocation) -> tuple[int, str]:
    return allocation.number or 1 << 30, who


@dataclass(slots=True, kw_only=True)
class Heard:
    """Everything that LLDP told. ``links`` has each cable once, sorted; ``loops`` are cables from a machine to itself."""

    links: list[Link] = field(default_factory=list)
    loops: list[Link] = field(default_factory=list)


def listen(directory: Directory, members: Iterable[Member], switch_ports: frozenset[End] = frozenset()) -> Heard:
    """Join the reports of all members; the port that a machine is booted from is not looked at. ``switch_ports`` are the
    words that the site file uses for ports of switches: a port that has two words is called by these."""
    reports: dict[End, End] = {}
    by_owner: dict[str, list[End]] = {}
    for member in members:
        for nic in member.candidate.inventory.nics:
            if not nic.neighbours or member.roles.get(nic.mac) == NicRoleName.PROVISIONING:
                continue
            near = member.id, nic.mac
            reports[near] = _far(directory, nic.neighbours, switch_ports)
            by_owner.setdefault(member.id, []).append(near)
    found: dict[tuple[End, End], Link] = {}
    for near, told in reports.items():
        far = told if told[1] else _answer(near, told, reports, by_owner)
        both = far[0] not in directory.candidates or reports.get(far) in (near, (near[0], ""))
        link = directory.oriented(near, far, "" if both else near[0])
        known = found.get((link.a, link.b))
        if known is None or known.by:
            found[link.a, link.b] = link
    links = _single(directory, sorted(found.values(), key=lambda link: _order(directory, link)))
    return Heard(
        links=[link for link in links if link.a[0] != link.b[0]],
        loops=[link for link in links if link.a[0] == link.b[0]],
    )


def _single(directory: Directory, links: Sequence[Link]) -> list[Link]:
    """A port has one cable: what was heard from both sides goes before what contradicts it. Any number of machines may
    name the same port of a switch, which is the switch's business."""
    used: set[End] = set()
    kept = []
    for link in sorted(links, key=lambda link: bool(link.by)):
        ends = {end for end in (link.a, link.b) if end[1] and end[0] in directory.candidates}
        if not ends & used:
            used |= ends
            kept.append(link)
    return sorted(kept, key=lambda link: _order(directory, link))


def _far(directory: Directory, neighbours: Sequence[Neighbour], switch_ports: frozenset[End]) -> End:
    """The one end that all neighbours of a port are. A machine may speak twice there, once without saying its port."""
    ends = set()
    for neighbour in neighbours:
        end = directory.end(neighbour)
        described = end[0], neighbour.port_description
        ends.add(described if described in switch_ports else end)
    owners = {who for who, _ in ends}
    ports = {end for end in ends if end[1]} or ends
    return min(ports) if len(owners) == 1 and len(ports) == 1 else (SHARED, "")


def _answer(near: End, far: End, reports: Mapping[End, End], by_owner: Mapping[str, list[End]]) -> End:
    """The far port, when its owner did not say it: the one that hears us."""
    back = [end for end in by_owner.get(far[0], ()) if reports[end] in (near, (near[0], ""))]
    exact = [end for end in back if reports[end] == near] or back
    return exact[0] if len(exact) == 1 else far


def _order(directory: Directory, link: Link) -> tuple[object, ...]:
    return directory.rank(link.a[0]), directory.rank(link.b[0]), link.a[1], link.b[1]


@dataclass(slots=True, kw_only=True)
class Comparison:
    """``states`` has every wanted cable with the ports that are known now; ``rest`` are heard cables that nobody wants
    and that do not touch a port of a swapped one. ``swapped`` are wanted cables whose ports go elsewhere, ``wrong`` says
    where: a port → the cable that was heard on it."""

    states: list[tuple[Link, CableState]]
    rest: list[Link]
    swapped: list[Link]
    wrong: dict[End, Link]


def compare(directory: Directory, wanted: Sequence[Link], heard: Sequence[Link]) -> Comparison:
    """Give each wanted cable a heard one between the same two ends whose ports fit; first those that name their ports."""
    pool: dict[tuple[str, str], list[Link]] = {}
    for link in heard:
        pool.setdefault(link.pair, []).append(link)
    matched: list[tuple[Link, CableState]] = []
    left: list[Link] = []
    for want in sorted(wanted, key=lambda link: (-bool(link.a[1]) - bool(link.b[1]), _order(directory, link))):
        fits = [link for link in pool.get(want.pair, ()) if _same(want.a, link.a) and _same(want.b, link.b)]
        if not fits:
            left.append(want)
            continue
        best = next((link for link in fits if not link.by), fits[0])
        pool[want.pair].remove(best)
        ends = Link(a=(want.a[0], best.a[1] or want.a[1]), b=(want.b[0], best.b[1] or want.b[1]), by=best.by)
        matched.append((ends, CableState.ONE_WAY if best.by else CableState.OK))
    rest = [link for links in pool.values() for link in links]
    touched = {end: link for link in rest for end in (link.a, link.b) if end[1]}
    swapped = [link for link in left if link.a in touched or link.b in touched]
    matched += [(link, CableState.SWAPPED) for link in swapped]
    matched += [(link, CableState.MISSING) for link in left if link.a not in touched and link.b not in touched]
    claimed = {end for link in swapped for end in (link.a, link.b) if end[1]}
    return Comparison(
        states=sorted(matched, key=lambda item: _order(directory, item[0])),
        rest=[link for link in rest if link.a not in claimed and link.b not in claimed],
        swapped=swapped,
        wrong=touched,
    )


def _same(wanted: End, heard: End) -> bool:
    return not wanted[1] or not heard[1] or wanted[1] == heard[1]


def swaps(directory: Directory, found: Comparison) -> Iterator[tuple[str, str]]:
    """Swapped cables, those that belong together at once: the machine's name that it is about, and which port goes where
    instead of where. Where two cables were exchanged, the two plugs to exchange."""
    for group in _groups(found):
        parts = []
        for want in group:
            near, far = (want.a, want.b) if want.a in found.wrong else (want.b, want.a)
            actual = _other(found.wrong[near], near)
            parts.append(f"{directory.label(near)} goes to {directory.label(actual)} instead of {directory.label(far)}")
        text = ", ".join(parts)
        plugs = _plugs(group, found.wrong)
        if plugs:
            one, other = sorted((directory.label(plug) for plug in plugs), key=natural)
            text += f"; exchange the plugs at {one} and {other}"
        else:
            text += "; plug them as the site file says, or change its cables"
        yield directory.name(group[0].a[0]), text


def _plugs(group: Sequence[Link], wrong: Mapping[End, Link]) -> tuple[End, ...]:
    """The two plugs to exchange when two cables have each other's ends, on one machine where that is possible."""
    ends = {end for link in group for end in (link.a, link.b)}
    cables = {id(wrong[end]): wrong[end] for end in ends if end in wrong}
    if len(group) != 2 or len(cables) != 2 or {end for link in cables.values() for end in (link.a, link.b)} != ends:
        return ()
    first = group[0]
    choices = ((first.a, _other(wrong[first.b], first.b)), (_other(wrong[first.a], first.a), first.b))
    return next((plugs for plugs in choices if plugs[0][0] == plugs[1][0]), choices[1])


def _groups(found: Comparison) -> Iterator[list[Link]]:
    """Swapped cables that are tied to each other by wrong ones."""
    at: dict[End, list[Link]] = {}
    for link in found.swapped:
        for end in (link.a, link.b):
            if end[1]:
                at.setdefault(end, []).append(link)
    seen: set[int] = set()
    for start in found.swapped:
        group, todo = [], [start]
        while todo:
            link = todo.pop()
            if id(link) in seen:
                continue
            seen.add(id(link))
            group.append(link)
            for end in (link.a, link.b):
                wrong = found.wrong.get(end)
                ends = (end, wrong.a, wrong.b) if wrong else (end,)
                todo += [other for each in ends for other in at.get(each, ())]
        if group:
            yield [link for link in found.swapped if any(link is other for other in group)]


def _other(link: Link, end: End) -> End:
    return link.b if link.a == end else link.a


def some(words: Sequence[str]) -> str:
    """``a, b and c``, with no more than eight of them."""
    shown = [*words[:8], f"{len(words) - 8} more"] if len(words) > 9 else list(words)
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)
