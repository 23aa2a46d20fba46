"""The backbone of a site: its shape, who takes part, which cables should be there, and what routes on it.

What was decided stands (``standing``, from the accepted plan), unless the site file says otherwise or machines join or
leave. LLDP comes and goes with reboots: a cable that is not heard for a while stays as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType

from appliance.model.network import (
    ROUTED,
    BackboneLayout,
    BackboneSpec,
    Cable,
    CableLayout,
    CableState,
    Routing,
    Shape,
)
from appliance.model.plan import Allocation, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.network.cabling import Comparison, Directory, End, Heard, Link, Member, compare, listen, swaps
from appliance.plan.network.growth import SMALLEST, admit, expected_pairs, ring, what_to_plug
from appliance.plan.network.nicroles import backbone_choices, backbone_ports, nic_roles
from appliance.plan.network.shape import WORDS, Pair, decide, wanted_pairs

BACKBONE = "backbone"
"""What waits are about that concern no single machine."""
LARGEST_OPENFABRIC = 5
"""Machines of a mesh on which OpenFabric routes (`network.md` §4)."""


def plan_backbone(
    site: Site,
    candidates: Sequence[Candidate],
    standing: BackboneLayout | None,
    kept: Mapping[str, Allocation] = MappingProxyType({}),
) -> tuple[BackboneLayout | None, tuple[Wait, ...]]:
    """The backbone, or None where the site file asks for none or it can't be formed yet (then a wait says why).

    ``kept`` is what machines have (as for `Ladder`): members that are among them stay, also those that can't be looked
    at now. Without it, a member that is no candidate has left."""
    spec = site.backbone or BackboneSpec()
    routed = any(network.carrier in ROUTED for network in site.networks)
    if (site.backbone is None and not routed) or (spec.shape is Shape.NONE and not routed):
        return None, ()
    planner = _Planner(
        site=site, spec=spec, directory=Directory(candidates, kept), standing=standing, kept=frozenset(kept)
    )
    layout = planner.plan()
    return layout, tuple(sorted(planner.waits, key=lambda wait: (wait.about, wait.reason, wait.text)))


@dataclass(slots=True, kw_only=True)
class _Planner:
    site: Site
    spec: BackboneSpec
    directory: Directory
    standing: BackboneLayout | None
    kept: frozenset[str]
    declared: list[Link] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    heard: Heard | None = None

    def plan(self) -> BackboneLayout | None:
        self._declare()
        members = self._members()
        decision = decide(
            self.site,
            list(members.values()),
            declared=self.pairs,
            switched=bool(self.declared),
            standing=self.standing,
            listen=lambda: self._heard(members),
        )
        if decision.shape is None:
            self._wait(BACKBONE, WaitReason.LAYOUT, decision.why)
            return self.standing
        order = self._order(decision.shape, members)
        if order is None:
            return self.standing
        cables = self._cables(decision.shape, order, members)
        return self._layout(decision.shape, decision.why, order, cables)

    def _heard(self, members: dict[str, Member]) -> Heard:
        """What LLDP told; looked at once, and only when something depends on it."""
        if self.heard is None:
            words = frozenset(link.b for link in self.declared if link.b[0] not in self.directory.candidates)
            self.heard = listen(self.directory, members.values(), words)
        return self.heard

    def _wait(self, about: str, reason: WaitReason, text: str) -> None:
        self.waits.append(Wait(about=about, reason=reason, text=text))

    # ------------------------------------------------------------ the site file's cables

    def _declare(self) -> None:
        """Resolve the declared cables. Ends that are neither a machine here nor one of the site file are switches."""
        expected = {machine.name for machine in self.site.machines}
        for cable in self.spec.cables:
            a, b = self._end(cable.a, cable.a_port), self._end(cable.b, cable.b_port)
            here = self.directory.candidates
            machines = [who in here or who in expected for who in (a[0], b[0])]
            if all(machines):
                self.pairs.append((a[0], b[0]))
            absent = any(who in expected and who not in here for who in (a[0], b[0]))
            if not absent and any(machines) and self._ports_exist(cable, a, b):
                self.declared.append(self.directory.oriented(a, b))

    def _end(self, name: str, port: str) -> End:
        who = self.directory.machine(name)
        return (who, self.directory.port(who, port) if port else "") if who else (name, port)

    def _ports_exist(self, cable: Cable, a: End, b: End) -> bool:
        good = True
        for name, port, end in ((cable.a, cable.a_port, a), (cable.b, cable.b_port, b)):
            if port and not end[1]:
                has = ", ".join(pinned for _, pinned in self.directory.candidates[end[0]].given.nics)
                text = f"the site file's cable {cable.a} - {cable.b} names port {port}, but {name} has {has or 'none'}"
                self._wait(self.directory.name(end[0]), WaitReason.PORTS_MISSING, text)
                good = False
        return good

    # ------------------------------------------------------------ members

    def _members(self) -> dict[str, Member]:
        """Machines with ports for the backbone, by number; where cables between machines are declared, those they name."""
        choices = backbone_choices(self.site)
        named: dict[str, set[str]] = {}
        for link in self.declared:
            for who, port in (link.a, link.b):
                named.setdefault(who, set()).add(port)
        found = {}
        for who in sorted(self.directory.candidates, key=self.directory.rank):
            candidate = self.directory.candidates[who]
            roles = nic_roles(candidate)
            extra = named.get(who, set())
            usual = set(backbone_ports(choices, roles))
            ports = tuple(mac for mac in roles if mac in usual or mac in extra)
            if (ports and not self.pairs) or who in named:
                found[who] = Member(candidate=candidate, roles=roles, ports=ports)
        return found

    def _order(self, shape: Shape, members: dict[str, Member]) -> tuple[str, ...] | None:
        before = self.standing.members if self.standing else ()
        here = self.directory.candidates
        alive = [who for who in before if who in members or (who in self.kept and who not in here)]
        admitted = admit(shape, members, alive)
        for name, text in admitted.refused:
            self._wait(name, WaitReason.PORTS_MISSING, text)
        order = admitted.order
        if len(order) < SMALLEST[shape] and not alive:
            if not admitted.refused:
                text = (
                    f"a {WORDS[shape]} needs {SMALLEST[shape]} machines with ports for it; {len(order)} can take part"
                )
                self._wait(BACKBONE, WaitReason.MEMBERS_MISSING, text)
            return None
        if shape is Shape.RING:
            stands = alive if self.standing and self.standing.shape is shape else []
            return tuple(ring(order, stands, self.pairs, [link.pair for link in self._heard(members).links]))
        return tuple(sorted(order, key=self.directory.rank))

    # ------------------------------------------------------------ cables

    def _cables(self, shape: Shape, order: tuple[str, ...], members: dict[str, Member]) -> tuple[CableLayout, ...]:
        wanted = [link for link in self.declared if self._belongs(link, frozenset(order))]
        if not self.pairs:
            wanted += [self.directory.oriented((a, ""), (b, "")) for a, b in wanted_pairs(shape, order)]
        if not wanted:
            return ()
        heard = self._heard(members)
        found = compare(self.directory, wanted, heard.links)
        before: dict[frozenset[str], list[CableLayout]] = {}
        for cable in self.standing.cables if self.standing else ():
            before.setdefault(frozenset((cable.a, cable.b)), []).append(cable)
        cables = [self._stand(link, state, before) for link, state in found.states]
        cables += self._others(frozenset(order), found, before, cables)
        self._tell(found, cables, heard)
        self._grow(shape, order, cables)
        return tuple(sorted(cables, key=self._cable_order))

    def _belongs(self, link: Link, members: frozenset[str]) -> bool:
        return all(who in members or who not in self.directory.candidates for who in link.pair)

    def _cable_order(self, cable: CableLayout) -> tuple[object, ...]:
        return self.directory.rank(cable.a), self.directory.rank(cable.b), cable.a_mac, cable.b_mac

    def _stand(self, link: Link, state: CableState, before: dict[frozenset[str], list[CableLayout]]) -> CableLayout:
        """What is heard from both sides counts; else a cable stays as it stands. Silence is no evidence: LLDP has to come
        up again after every reboot."""
        now = CableLayout(a=link.a[0], b=link.b[0], a_mac=link.a[1], b_mac=link.b[1], state=state)
        if state in (CableState.OK, CableState.SWAPPED):
            return now
        for cable in before.get(frozenset(link.pair), ()):
            fits = (not link.a[1] or cable.a_mac == link.a[1]) and (not link.b[1] or cable.b_mac == link.b[1])
            lasting = cable.state is CableState.OK or state is CableState.MISSING
            if fits and lasting and cable.state is not CableState.UNEXPECTED:
                return cable
        return now

    def _others(
        self,
        members: frozenset[str],
        found: Comparison,
        before: dict[frozenset[str], list[CableLayout]],
        cables: list[CableLayout],
    ) -> list[CableLayout]:
        """Heard between members and not wanted: a second cable between two that should have one is welcome, all others are
        unexpected. And cables that stand: second ones, and those of machines that can't be looked at now."""
        welcome = set() if self.pairs else {frozenset((cable.a, cable.b)) for cable in cables}
        more = []
        for link in found.rest:
            if link.a[0] not in members or link.b[0] not in members:
                continue
            state = CableState.ONE_WAY if link.by else CableState.OK
            state = state if frozenset(link.pair) in welcome else CableState.UNEXPECTED
            more.append(CableLayout(a=link.a[0], b=link.b[0], a_mac=link.a[1], b_mac=link.b[1], state=state))
        used = {mac for cable in (*cables, *more) for mac in (cable.a_mac, cable.b_mac)}
        used = (used | {end[1] for end in found.wrong}) - {""}
        for pair, stood in before.items():
            if not pair <= members or (pair not in welcome and pair <= self.directory.candidates.keys()):
                continue
            more += [
                cable
                for cable in stood
                if cable.state in (CableState.OK, CableState.ONE_WAY) and not {cable.a_mac, cable.b_mac} & used
            ]
        return more

    # ------------------------------------------------------------ what people have to plug

    def _tell(self, found: Comparison, cables: list[CableLayout], heard: Heard) -> None:
        label = self.directory.label
        for name, text in swaps(self.directory, found):
            self._wait(name, WaitReason.LAYOUT, text)
        heard_by = {(link.a, link.b): link.by for link in (*(link for link, _ in found.states), *found.rest)}
        for cable in cables:
            a, b = (cable.a, cable.a_mac), (cable.b, cable.b_mac)
            hears = heard_by.get((a, b), "")
            if cable.state is not CableState.ONE_WAY or not hears:
                continue
            deaf = cable.b if hears == cable.a else cable.a
            text = (
                f"the cable {label(a)} - {label(b)} is heard by {self.directory.name(hears)} only; see that "
                f"{self.directory.name(deaf)} reports, that its card leaves LLDP to the system (i40e and ice: "
                "disable-fw-lldp on), and that the cable works both ways"
            )
            self._wait(self.directory.name(deaf), WaitReason.LAYOUT, text)
        for loop in heard.loops:
            text = f"{label(loop.a)} and {label(loop.b)} are plugged into each other; take the cable out"
            self._wait(self.directory.name(loop.a[0]), WaitReason.LAYOUT, text)

    def _grow(self, shape: Shape, order: tuple[str, ...], cables: list[CableLayout]) -> None:
        standing = self.standing
        if standing is None or standing.shape is not shape or self.pairs:
            return
        lay = [(cable.a, cable.b) for cable in cables if cable.state is CableState.MISSING]
        needed, members = expected_pairs(shape, order), set(order)
        idle = [
            cable
            for cable in standing.cables
            if frozenset((cable.a, cable.b)) not in needed and {cable.a, cable.b} <= members
        ]
        told = what_to_plug(self.directory, standing, order, idle, lay)
        if told is not None:
            self._wait(told[0], WaitReason.LAYOUT, told[1])

    # ------------------------------------------------------------ the layout

    def _layout(
        self, shape: Shape, why: str, order: tuple[str, ...], cables: tuple[CableLayout, ...]
    ) -> BackboneLayout | None:
        standing = self.standing
        routing = self._routing(shape, len(order))
        ula, pool = "", ""
        if routing is not Routing.NONE:
            network = self.spec.loopbacks or _pool(standing) or default_loopbacks(self.site)
            if network is None:
                text = "10.0.0.0/8 has no room for loopbacks beside the site's networks; give backbone.loopbacks"
                self._wait(BACKBONE, WaitReason.LAYOUT, text)
                return standing
            pool = str(network)
            ula = str(self.spec.ula or (standing.ula if standing else "") or default_ula(self.site))
        return BackboneLayout(
            shape=shape,
            routing=routing,
            bfd=routing is not Routing.NONE,
            members=order,
            cables=cables,
            ula=ula,
            loopbacks=pool,
            why=standing.why if standing and standing.shape is shape else why,
        )

    def _routing(self, shape: Shape, count: int) -> Routing:
        """`network.md` §4: OpenFabric for meshes up to five, BGP unnumbered for everything else without a switch. What
        routes already goes on doing so when a mesh grows."""
        if shape is Shape.SWITCH:
            return Routing.NONE
        if self.spec.routing is not Routing.AUTO:
            return self.spec.routing
        if self.standing is not None and self.standing.shape is shape and self.standing.routing is not Routing.NONE:
            return self.standing.routing
        return Routing.OPENFABRIC if shape is Shape.MESH and count <= LARGEST_OPENFABRIC else Routing.BGP


def _pool(standing: BackboneLayout | None) -> IPv4Network | None:
    return IPv4Network(standing.loopbacks) if standing is not None and standing.loopbacks else None


def default_loopbacks(site: Site) -> IPv4Network | None:
    """``10.SITE.192.0/18``, with room for 16 382 machines; the next free /18 of 10/8 where a network of the site file lies
    there. The planes of the ladder are ``10.SITE.PLANE.0/24`` with small plane numbers."""
    used = [site.provisioning.cidr, *(network.cidr for network in site.networks if network.cidr is not None)]
    for second in (site.number, *(number for number in range(255, -1, -1) if number != site.number)):
        for third in (192, 128, 64, 0):
            pool = IPv4Network(f"10.{second}.{third}.0/18")
            if not any(pool.overlaps(network) for network in used):
                return pool
    return None


def default_ula(site: Site) -> IPv6Network:
    """The site's ULA /48. RFC 4193 §3.2.2 takes the low 40 bits of a SHA-1 over time and an EUI-64, so that two sites hardly
    ever have the same; here they are those of a SHA-256 over the site's name and domain, so that a plan is the same
    every time and a lost appliance comes back with the same addresses."""
    digest = hashlib.sha256(f"rackseed ula {site.name}.{site.domain}".encode()).digest()
    return IPv6Network((b"\xfd" + digest[-5:] + bytes(10), 48))
