"""The backbone: its cables, its shape and what routes on it."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from appliance.model.network import BackboneLayout, CableState, Routing, Shape
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene

_SWITCHLESS = frozenset({Shape.MESH, Shape.RING})
_LARGEST_MESH = 5


def _pairs(layout: BackboneLayout) -> set[frozenset[str]]:
    return {frozenset((cable.a, cable.b)) for cable in layout.cables if cable.state is not CableState.MISSING}


@rule(ERROR, "report it as a fault of the planner; plan again")
def backbone_member_unknown(scene: Scene) -> Findings:
    """Members of the backbone and the ends of its cables are machines of the layout, each once."""
    layout = scene.plan.desired.backbone
    if layout is None:
        return
    for who, count in Counter(layout.members).items():
        if (who not in scene.nodes and who not in scene.machines) or count > 1:
            text = f"stands {count} times in the backbone" if count > 1 else "is in the backbone, but nobody knows it"
            yield scene.name(who), text
    for cable in layout.cables:
        for end in (cable.a, cable.b):
            if end not in scene.nodes and end not in scene.machines:
                yield scene.name(end), "a cable of the backbone ends at it, but the layout has no such machine"


@rule(ERROR, "correct the cables in the site file, or the cabling")
def cable_port_twice(scene: Scene) -> Findings:
    """A cable has two ends in two machines, and a port takes one cable."""
    layout = scene.plan.desired.backbone
    cables = layout.cables if layout else ()
    for cable in cables:
        if cable.a == cable.b:
            yield scene.name(cable.a), "a cable of the backbone leads from this machine to itself"
    ends = Counter(mac for cable in cables for mac in (cable.a_mac, cable.b_mac) if mac)
    for mac, count in ends.items():
        if count > 1:
            yield mac, f"{count} cables of the backbone end in this port"


@rule(ERROR, "report it as a fault of the planner; plan again")
def routing_without_identity(scene: Scene) -> Findings:
    """A machine that routes has what the protocol knows it by: a loopback and router id, an AS number for BGP, a NET for
    OpenFabric (`network.md` §3)."""
    layout = scene.plan.desired.backbone
    if layout is None or layout.routing in (Routing.NONE, Routing.AUTO):
        return
    for who in layout.members:
        node = scene.nodes.get(who)
        if node is None:
            continue
        network = node.network
        lacks = [] if network.loopback4 or network.loopback6 else ["loopback"]
        lacks += [] if network.router_id else ["router id"]
        lacks += ["AS number"] if layout.routing is Routing.BGP and not network.asn else []
        lacks += ["NET"] if layout.routing is Routing.OPENFABRIC and not network.net else []
        if lacks:
            yield node.name, f"routes by {layout.routing} without {' and '.join(lacks)}"


@rule(WARNING, "connect the missing pairs, or declare another shape")
def backbone_incomplete(scene: Scene) -> Findings:
    """In a mesh every pair of machines is cabled; in a ring every machine has two neighbours, and all are one ring."""
    layout = scene.plan.desired.backbone
    if layout is None or layout.shape not in _SWITCHLESS:
        return
    pairs = _pairs(layout)
    if layout.shape is Shape.MESH and len(layout.members) <= _LARGEST_MESH * 2:
        absent = [pair for pair in combinations(layout.members, 2) if frozenset(pair) not in pairs]
        if absent:
            names = listed(f"{scene.name(a)}-{scene.name(b)}" for a, b in absent)
            yield "backbone", f"{counted(len(absent), 'pair')} of the mesh without a cable: {names}"
    if layout.shape is Shape.RING:
        neighbours = Counter(who for pair in pairs for who in pair if len(pair) == 2)
        wrong = [f"{scene.name(who)} ({neighbours[who]})" for who in layout.members if neighbours[who] != 2]
        if wrong and len(layout.members) > 2:
            yield "backbone", f"machines of the ring without exactly two neighbours: {listed(wrong)}"


@rule(WARNING, "correct the cabling, or the cables in the site file")
def cable_not_as_declared(scene: Scene) -> Findings:
    """Cables are as declared, and heard from both sides (`network.md` §6)."""
    layout = scene.plan.desired.backbone
    states: dict[CableState, list[str]] = {}
    for cable in layout.cables if layout else ():
        if cable.state is not CableState.OK:
            states.setdefault(cable.state, []).append(f"{scene.name(cable.a)}-{scene.name(cable.b)}")
    for state, names in states.items():
        yield "cables", f"{state}: {counted(len(names), 'cable')}, {listed(names)}"


@rule(WARNING, "leave routing and BFD to the default")
def routing_unlike_shape(scene: Scene) -> Findings:
    """OpenFabric routes meshes of up to 5 machines, BGP rings and fabrics, both with BFD: measured, a silent cut costs
    3 s without it and 1 s with it (`network.md` §4)."""
    layout = scene.plan.desired.backbone
    if layout is None or layout.routing in (Routing.NONE, Routing.AUTO):
        return
    if not layout.bfd:
        yield "backbone", "no BFD: a silent cut is noticed after about 3 s instead of 1 s"
    if layout.routing is Routing.OPENFABRIC and layout.shape is not Shape.MESH:
        yield "backbone", f"OpenFabric on a {layout.shape}; BGP unnumbered converges faster there"
    if layout.shape is Shape.MESH and len(layout.members) > _LARGEST_MESH:
        count = len(layout.members)
        yield (
            "backbone",
            f"a mesh of {count} machines takes {count - 1} ports in each; up to {_LARGEST_MESH} it is sane",
        )


@rule(ERROR, "correct the cabling: two parts can't reach each other")
def backbone_split(scene: Scene) -> Findings:
    """All members of a switchless backbone are connected: else each part forms a cluster of its own."""
    layout = scene.plan.desired.backbone
    if layout is None or layout.shape not in _SWITCHLESS or len(layout.members) < 2:
        return
    neighbours: dict[str, set[str]] = {}
    for pair in _pairs(layout):
        for who in pair:
            neighbours.setdefault(who, set()).update(pair)
    reached: set[str] = set()
    waiting = [layout.members[0]]
    while waiting:
        who = waiting.pop()
        if who not in reached:
            reached.add(who)
            waiting += neighbours.get(who, ())
    lost = [scene.name(who) for who in layout.members if who not in reached]
    if lost and layout.cables:
        yield (
            "backbone",
            f"{counted(len(lost), 'member')} can't be reached from {scene.name(layout.members[0])}: {listed(lost)}",
        )
