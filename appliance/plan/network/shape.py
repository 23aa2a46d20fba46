"""How the backbone is cabled: what the site file says, what stands, and what was heard, in this order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from appliance.model.network import ROUTED, BackboneLayout, Routing, Shape
from appliance.model.site import Site
from appliance.plan.network.cabling import Heard, Member, some

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``why`` says what decided. Without a shape it says what the site file must decide."""

    shape: Shape | None
    why: str


WORDS = {Shape.SWITCH: "switch", Shape.MESH: "full mesh", Shape.RING: "ring", Shape.FABRIC: "leaf-spine fabric"}


def decide(
    site: Site,
    members: Sequence[Member],
    *,
    declared: Collection[Pair],
    switched: bool,
    standing: BackboneLayout | None,
    listen: Callable[[], Heard],
) -> Decision:
    """``declared`` are pairs of machines that the site file's cables join, also of machines that are not here yet;
    ``switched``: it has cables to switches."""
    stated = _stated(site)
    if stated is not None:
        return stated
    if declared:
        shape = shape_of({who for pair in declared for who in pair}, declared)
        if shape is not None:
            return Decision(shape=shape, why=f"the cables of the site file form a {WORDS[shape]}")
        text = "backbone.cables form neither a full mesh nor a ring; correct them, or name backbone.shape"
        return Decision(shape=None, why=text)
    if switched:
        shape = Shape.FABRIC if site.backbone is not None and site.backbone.routing is Routing.BGP else Shape.SWITCH
        return Decision(shape=shape, why="the cables of the site file go to switches")
    if standing is not None:
        return Decision(shape=standing.shape, why=standing.why)
    return _heard(members, listen())


def _stated(site: Site) -> Decision | None:
    """What ``backbone.shape`` and the carriers of networks say. Two different words are no decision."""
    carried = {
        Shape(network.carrier.value): f"network '{network.name}' is carried by a {network.carrier}"
        for network in sorted(site.networks, key=lambda network: network.name, reverse=True)
        if network.carrier in ROUTED
    }
    said = dict(sorted(carried.items()))
    if site.backbone is not None and site.backbone.shape is not Shape.AUTO:
        said.setdefault(site.backbone.shape, "")
        said[site.backbone.shape] = f"backbone.shape is {site.backbone.shape}"
    if len(said) > 1:
        return Decision(shape=None, why=f"{', but '.join(said.values())}; a site has one backbone: make them the same")
    return next((Decision(shape=shape, why=why) for shape, why in said.items()), None)


def _heard(members: Sequence[Member], heard: Heard) -> Decision:
    """By LLDP. Where some cables of a switchless backbone are missing, the number of ports says which shape it can be."""
    ids = {member.id for member in members}
    pairs = {link.pair for link in heard.links if link.a[0] in ids and link.b[0] in ids}
    ports = min((len(member.ports) for member in members), default=0)
    count = len(ids)
    if not pairs:
        switches = sorted({link.b[0] for link in heard.links if link.b[0] not in ids})
        if switches:
            return Decision(shape=Shape.SWITCH, why=f"the ports hear {some(switches)}")
        why = "nothing was heard on the ports, so a switch is taken for granted"
        if 2 <= count <= ports + 1:
            why += f"; {count} machines with {ports} ports each could be a full mesh: then say backbone.shape: mesh"
        return Decision(shape=Shape.SWITCH, why=why)
    shape = shape_of(ids, pairs)
    if shape is not None:
        return Decision(shape=shape, why=f"the cables that were heard form a {WORDS[shape]} of {count}")
    most = max(Counter(who for pair in pairs for who in pair).values())
    told = f"{len(pairs)} cables between {count} machines were heard"
    if most <= 2 <= ports and count > 3:
        return Decision(shape=Shape.RING, why=f"{told}, and no machine has more than two neighbours: a ring")
    if ports >= count - 1:
        return Decision(shape=Shape.MESH, why=f"{told}, and {ports} ports each are enough for a full mesh")
    return Decision(
        shape=None,
        why=f"{told}, which is neither a full mesh ({count - 1} ports each, there are {ports}) nor a ring; "
        "name backbone.shape",
    )


def shape_of(machines: Collection[str], pairs: Collection[Pair]) -> Shape | None:
    """A full mesh, a ring (of four or more: three are a mesh), or neither."""
    edges = {frozenset(pair) for pair in pairs}
    count = len(machines)
    if count > 1 and len(edges) == count * (count - 1) // 2:
        return Shape.MESH
    return Shape.RING if count > 3 and len(edges) == count and cycle(machines, edges) else None


def cycle(machines: Iterable[str], pairs: Iterable[Collection[str]]) -> list[str]:
    """The machines in the order of the one ring that joins them all, from the first one on; empty when there is none."""
    near = _adjacent(machines, pairs)
    if len(near) < 3 or any(len(others) != 2 for others in near.values()):
        return []
    walk = _walk(next(iter(near)), near, set())
    return walk if len(walk) == len(near) else []


def chain(machines: Sequence[str], pairs: Iterable[Collection[str]]) -> list[str]:
    """All machines in an order that leaves those beside each other which are cabled already; from the first one on."""
    near = _adjacent(machines, pairs)
    if any(len(others) > 2 for others in near.values()):
        return list(machines)
    seen: set[str] = set()
    found: list[str] = []
    for ends_first in (True, False):
        for who in machines:
            if who not in seen and (len(near[who]) < 2 or not ends_first):
                found += _walk(who, near, seen)
    return found


def _adjacent(machines: Iterable[str], pairs: Iterable[Collection[str]]) -> dict[str, list[str]]:
    order = list(machines)
    near: dict[str, set[str]] = {who: set() for who in order}
    for a, b in (tuple(pair) for pair in pairs):
        if a in near and b in near:
            near[a].add(b)
            near[b].add(a)
    rank = {who: index for index, who in enumerate(order)}
    return {who: sorted(others, key=rank.__getitem__) for who, others in near.items()}


def _walk(start: str, near: dict[str, list[str]], seen: set[str]) -> list[str]:
    path = []
    here: str | None = start
    while here is not None:
        seen.add(here)
        path.append(here)
        here = next((other for other in near[here] if other not in seen), None)
    return path


def wanted_pairs(shape: Shape, order: Sequence[str]) -> list[Pair]:
    """Which machines are cabled to which, by shape: every two, or neighbours in ``order``; none through switches."""
    if shape is Shape.MESH:
        return list(combinations(order, 2))
    if shape is Shape.RING and len(order) > 2:
        return [*pairwise(order), (order[-1], order[0])]
    return list(pairwise(order)) if shape is Shape.RING else []
