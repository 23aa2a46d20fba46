"""The cabling of the backbone: a mesh or a small ring as a circle, a large ring as a track in rows, switches as columns.

A cable's colour and dashes are its state; what is not as declared has the word beside it, and all of them are in the text
alternative. Port names are written at the ends while there is room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from appliance.model.network import BackboneLayout, CableLayout, CableState, Shape
from appliance.model.plan import Desired
from appliance.model.site import Site
from appliance.plan.diff.layout import cable_text
from appliance.plan.order import natural
from appliance.ui.pictures import svg

BOX = (92, 26)
CIRCLE = 12
"""Machines that a circle shows well."""
TRACK = 20
"""Machines in two rows of a track."""
BOW = 30.0
"""How far a cable between two that are not neighbours hangs below them."""
COLUMN = 14
"""Machines below one switch, before there is another column."""
STATES = {
    CableState.OK: "as declared",
    CableState.SWAPPED: "swapped",
    CableState.ONE_WAY: "heard from one side",
    CableState.MISSING: "not heard",
    CableState.UNEXPECTED: "not declared",
}


@dataclass(frozen=True, slots=True)
class _Scene:
    """Names of machines, and port names by MAC."""

    backbone: BackboneLayout
    names: Mapping[str, str]
    ports: Mapping[str, str]
    racks: Mapping[str, str]
    switches: Mapping[str, tuple[str, ...]]


def cabling_picture(desired: Desired, site: Site | None) -> str:
    """The backbone, or an empty string where there is none to draw. ``site`` tells which switches are in which rack."""
    backbone = desired.backbone
    if backbone is None or not backbone.members or backbone.shape is Shape.NONE:
        return ""
    scene = _Scene(
        backbone,
        {node.machine: node.name for node in desired.nodes},
        {port.mac: port.name for node in desired.nodes for port in node.network.ports},
        {node.machine: node.place.rack for node in desired.nodes},
        {rack.name: rack.switches for rack in (site.racks if site else ())},
    )
    if backbone.shape in (Shape.SWITCH, Shape.FABRIC):
        drawn, width, height = _switched(scene)
    else:
        order = _order(backbone)
        drawn, width, height = _circle(scene, order) if len(order) <= CIRCLE else _track(scene, order)
    present = {cable.state for cable in backbone.cables}
    entries = [(f"cable-{state}", words) for state, words in STATES.items() if state in present]
    part, height = svg.legend(entries, height + 14, width)
    heading = f"Cabling: {backbone.shape} of {len(backbone.members)} machines"
    description = " ".join(f"{cable_text(cable, scene.names)}." for cable in backbone.cables)
    return svg.picture("cabling", width, height, heading, description or "No cable is declared.", drawn, part)


def _order(backbone: BackboneLayout) -> list[str]:
    """Machines as they follow each other along their cables, from the first member on; others behind."""
    near: dict[str, list[str]] = {who: [] for who in backbone.members}
    for cable in backbone.cables:
        if cable.a in near and cable.b in near and cable.state is not CableState.UNEXPECTED:
            near[cable.a].append(cable.b)
            near[cable.b].append(cable.a)
    order: list[str] = []
    left = dict.fromkeys(backbone.members)
    here = next((who for who in left if len(near[who]) == 1), next(iter(left), None))
    while here is not None:
        order.append(here)
        del left[here]
        here = next((who for who in near[here] if who in left), None) or next(iter(left), None)
    return order


# ---------------------------------------------------------------- circle and track


def _circle(scene: _Scene, order: list[str]) -> tuple[str, float, float]:
    radius = 0.0 if len(order) == 1 else max(120.0, len(order) * 26.0)
    corners = [2 * math.pi * index / len(order) - math.pi / 2 for index in range(len(order))]
    spots = [(radius * 1.25 * math.cos(angle), radius * math.sin(angle)) for angle in corners]
    left, top = min(x for x, _ in spots) - BOX[0] / 2 - 4, min(y for _, y in spots) - BOX[1] / 2 - 4
    at = {who: (x - left, y - top) for who, (x, y) in zip(order, spots, strict=True)}
    drawn = [_straight(scene, cable, at) for cable in scene.backbone.cables]
    drawn += [_labels(scene, cable, at) for cable in scene.backbone.cables]
    drawn += [_machine(scene, who, *at[who]) for who in order]
    width, height = max(x for x, _ in at.values()), max(y for _, y in at.values())
    return "".join(drawn), width + BOX[0] / 2 + 4, height + BOX[1] / 2 + 4


def _track(scene: _Scene, order: list[str]) -> tuple[str, float, float]:
    """Rows that run to and fro, an even number of them, so that the way back is along the left side."""
    rows = 2 * -(-len(order) // TRACK)
    across = -(-len(order) // rows)
    step_x, step_y, margin = BOX[0] + 20.0, 74.0, 40.0
    at = {}
    for index, who in enumerate(order):
        row, column = divmod(index, across)
        column = column if row % 2 == 0 else across - 1 - column
        at[who] = (margin + BOX[0] / 2 + column * step_x, BOX[1] / 2 + 4 + row * step_y)
    following = {frozenset(pair) for pair in pairwise(order)}
    lines, labels, room = [], [], 8.0
    for cable in scene.backbone.cables:
        pair = frozenset((cable.a, cable.b))
        if pair == {order[0], order[-1]}:
            lines.append(_back(scene, cable, (at[order[0]], at[order[-1]]), margin))
            labels.append(_state(cable, margin - 20, at[order[0]][1] + step_y / 2, "start"))
        elif pair in following:
            lines.append(_straight(scene, cable, at))
            labels.append(_beside(cable, at))
        elif pair <= at.keys():
            lines.append(_bow(scene, cable, at))
            x, y = _below(at[cable.a], at[cable.b])
            level = at[cable.a][1] == at[cable.b][1]
            labels.append(_state(cable, x, y if level else max(at[cable.a][1], at[cable.b][1]) - step_y / 2, "middle"))
            room = BOW
    machines = [_machine(scene, who, *at[who]) for who in order]
    return "".join([*lines, *machines, *labels]), margin + across * step_x, (rows - 1) * step_y + BOX[1] + room


def _back(scene: _Scene, cable: CableLayout, ends: tuple[tuple[float, float], tuple[float, float]], x: float) -> str:
    """The cable that closes a track, along its left side."""
    (x1, y1), (x2, y2) = ends
    points = ((x1, y1), (x - 22, y1), (x - 22, y2), (x2, y2))
    return svg.element("g", svg.title(_words(scene, cable)), svg.path(points, _class(cable)))


def _bow(scene: _Scene, cable: CableLayout, at: Mapping[str, tuple[float, float]]) -> str:
    """A cable between machines that are not neighbours, bent around what lies between them."""
    (x1, y1), (x2, y2) = at[cable.a], at[cable.b]
    x, y = _below(at[cable.a], at[cable.b])
    middle = (x, y + BOW)
    d = f"M{svg.shown(x1)} {svg.shown(y1)}Q{svg.shown(middle[0])} {svg.shown(middle[1])} {svg.shown(x2)} {svg.shown(y2)}"
    curve = svg.element("path", class_=_class(cable), d=d)
    return svg.element("g", svg.title(_words(scene, cable)), curve)


def _below(one: tuple[float, float], two: tuple[float, float]) -> tuple[float, float]:
    """The lowest point of such a bow between machines of one row."""
    return (one[0] + two[0]) / 2, (one[1] + two[1]) / 2 + BOW


def _straight(scene: _Scene, cable: CableLayout, at: Mapping[str, tuple[float, float]]) -> str:
    if cable.a not in at or cable.b not in at:
        return ""
    ends = (*at[cable.a], *at[cable.b])
    return svg.element("g", svg.title(_words(scene, cable)), svg.line(*ends, _class(cable)))


def _labels(scene: _Scene, cable: CableLayout, at: Mapping[str, tuple[float, float]]) -> str:
    """Port names at both ends, and the state in the middle of the line."""
    if cable.a not in at or cable.b not in at:
        return ""
    one, two = at[cable.a], at[cable.b]
    state = _state(cable, (one[0] + two[0]) / 2, (one[1] + two[1]) / 2, "middle")
    return "".join([_end(scene, cable.a_mac, one, two), _end(scene, cable.b_mac, two, one), state])


def _beside(cable: CableLayout, at: Mapping[str, tuple[float, float]]) -> str:
    """The state of a cable on a track: below the boxes that it joins, or right of a line down."""
    (x1, y1), (x2, y2) = at[cable.a], at[cable.b]
    if abs(x2 - x1) < 1:
        return _state(cable, x1 + 6, (y1 + y2) / 2, "start")
    return _state(cable, (x1 + x2) / 2, y1 + BOX[1] / 2 + 9, "middle")


def _end(scene: _Scene, mac: str, here: tuple[float, float], there: tuple[float, float]) -> str:
    """A port's name on its end of the cable, just outside the machine's box."""
    name = scene.ports.get(mac, "")
    if not name:
        return ""
    dx, dy = there[0] - here[0], there[1] - here[1]
    length = math.hypot(dx, dy) or 1.0
    # The cable leaves the box through a side, or through the top or bottom: whatever it meets first.
    side = (BOX[0] / 2 + 20) / (abs(dx) / length) if dx else math.inf
    edge = (BOX[1] / 2 + 14) / (abs(dy) / length) if dy else math.inf
    way = min(side, edge) / length
    x, y = here[0] + dx * way, here[1] + dy * way
    return svg.plate(name, x, y, "port")


def _state(cable: CableLayout, x: float, y: float, anchor: str) -> str:
    if cable.state is CableState.OK:
        return ""
    return svg.plate(STATES[cable.state], x, y, f"state state-{cable.state}", anchor)


def _class(cable: CableLayout) -> str:
    return f"cable cable-{cable.state}"


def _words(scene: _Scene, cable: CableLayout) -> str:
    ends = ((cable.a, cable.a_mac), (cable.b, cable.b_mac))
    said = [f"{scene.names.get(who, who)} {scene.ports.get(mac, mac)}".strip() for who, mac in ends]
    return f"{' – '.join(said)}: {STATES[cable.state]}"


def _machine(scene: _Scene, who: str, x: float, y: float) -> str:
    name = scene.names.get(who, who)
    return svg.element(
        "g",
        svg.title(name),
        svg.rect(x - BOX[0] / 2, y - BOX[1] / 2, BOX[0], BOX[1], "node", radius=5),
        svg.text(svg.fit(name, BOX[0] - 10, 12), x, y + 4, "label", "middle"),
    )


# ---------------------------------------------------------------- switches


def _switched(scene: _Scene) -> tuple[str, float, float]:
    """One column for each set of switches, with its machines on a trunk below it; spines of a fabric above all."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for who in scene.backbone.members:
        groups.setdefault(_switches(scene, who), []).append(who)
    fabric = scene.backbone.shape is Shape.FABRIC
    top = 62.0 if fabric else 0.0
    drawn: list[str] = []
    x, lowest = 0.0, 0.0
    middles = []
    for switches, machines in sorted(groups.items(), key=lambda item: tuple(map(natural, item[0]))):
        machines.sort(key=lambda who: natural(scene.names.get(who, who)))
        part, width, bottom = _column(scene, switches, machines, x, top)
        drawn.append(part)
        middles.append(x + width / 2)
        x, lowest = x + width + 28, max(lowest, bottom)
    width = max(x - 28, 320.0)
    if fabric:
        drawn += [svg.line(middle, 30, middle, top, "cable cable-ok") for middle in middles]
        drawn += [svg.rect(0, 2, width, 28, "switch", radius=5), svg.text("spine", width / 2, 21, "label", "middle")]
    return "".join(drawn), width, lowest


def _switches(scene: _Scene, who: str) -> tuple[str, ...]:
    """Switches that a machine is cabled to: by its cables, else those of its rack."""
    members = set(scene.backbone.members)
    ends = {end for cable in scene.backbone.cables if who in (cable.a, cable.b) for end in (cable.a, cable.b)}
    found = sorted(ends - members, key=natural)
    return tuple(found) or scene.switches.get(scene.racks.get(who, ""), ()) or ("switch",)


def _column(
    scene: _Scene, switches: tuple[str, ...], machines: list[str], x: float, y: float
) -> tuple[str, float, float]:
    columns = -(-len(machines) // COLUMN)
    rows = -(-len(machines) // columns)
    each = BOX[0] + 34 + 10 * len(switches)
    width = max(columns * each - 10, 64.0 * len(switches))
    drawn = []
    states = {frozenset((cable.a, cable.b)): cable.state for cable in scene.backbone.cables}
    share = (width - 6 * (len(switches) - 1)) / len(switches)
    for column in range(columns):
        part = machines[column * rows : (column + 1) * rows]
        left = x + column * each
        for number in range(len(switches)):
            end = y + 48 + (len(part) - 1) * 34 + (number * 6 - 3 * (len(switches) - 1))
            drawn.append(svg.line(left + 8 + number * 10, y + 26, left + 8 + number * 10, end, "cable cable-ok"))
        for index, who in enumerate(part):
            middle = y + 48 + index * 34
            for number, switch in enumerate(switches):
                state = states.get(frozenset((who, switch)), CableState.OK)
                level = middle + number * 6 - 3 * (len(switches) - 1)
                start = left + 8 + number * 10
                drawn.append(svg.line(start, level, left + 20 + 10 * len(switches), level, f"cable cable-{state}"))
            drawn.append(_machine(scene, who, left + 14 + 10 * len(switches) + BOX[0] / 2, middle))
    for number, name in enumerate(switches):
        left = x + number * (share + 6)
        drawn.append(svg.rect(left, y, share, 28, "switch", radius=5))
        drawn.append(svg.text(svg.fit(name, share - 8, 12), left + share / 2, y + 19, "label", "middle"))
    bottom = y + 48 + (rows - 1) * 34 + BOX[1] / 2 + 4
    return "".join(drawn), width, bottom
