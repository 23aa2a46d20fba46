"""The rack elevation: racks side by side with their units, machines where they stand, those without a unit in a list.

The colour of a machine is its cluster's, its lamp is its phase. Machines have one unit; several at the same unit (nodes of
one chassis) share its width. Racks stand on the floor: unit 1 is at the bottom of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby

from appliance.model.machine import Phase
from appliance.model.place import Rack
from appliance.model.plan import Desired, NodeLayout
from appliance.model.site import Site
from appliance.plan.diff.layout import place_text
from appliance.plan.order import natural
from appliance.ui.pictures import svg

UNIT = 15
BAY = 168
POST = 20
GAP = 26
HEAD = 44
FOOT = 8
ACROSS = 5
"""Racks in one line."""
COLOURS = 8
"""Clusters that have a colour of their own; more begin again."""
SHOWN = 20
"""Racks in one picture; a larger site is shown in several."""
CHIP = (150, 22)
RACK = BAY + 2 * POST


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One machine in the picture."""

    machine: str
    name: str
    rack: str
    unit: int
    cluster: str
    phase: str
    place: str


@dataclass(frozen=True, slots=True)
class _Scene:
    """What all racks share: colours by cluster, and where a machine's page is."""

    colours: Mapping[str, int]
    link: Callable[[str], str]


def racks_of(desired: Desired, site: Site | None) -> list[Rack]:
    """Racks of the site file, and those that the layout knows but the site file does not (any more), in their order."""
    racks = {rack.name: rack for rack in (site.racks if site else ())}
    for node in desired.nodes:
        place = node.place
        if place.rack and place.rack not in racks:
            racks[place.rack] = Rack(name=place.rack, row=place.row, datacenter=place.datacenter, zone=place.zone)
    return _ordered(racks.values())


def rack_picture(
    desired: Desired,
    site: Site | None,
    phases: Mapping[str, Phase],
    link: Callable[[str], str] = "/machines/{}".format,
    first: int = 0,
) -> str:
    """`SHOWN` racks from number ``first`` on. ``phases`` by machine id; ``link`` makes the address of a machine's page."""
    machines = [_standing(node, phases) for node in desired.nodes]
    everything = racks_of(desired, site)
    racks = everything[first : first + SHOWN]
    scene = _Scene({name: index % COLOURS for index, name in enumerate(_clusters(desired))}, link)
    height = {rack.name: rack.units for rack in everything}
    loose = [m for m in machines if not 0 < m.unit <= height.get(m.rack, 0)]
    if first:
        loose = []
    drawn: list[str] = []
    y, width = 0.0, 0.0
    for group in _lines(racks):
        part, bottom = _row(group, machines, scene, y)
        drawn.append(part)
        width, y = max(width, len(group) * (RACK + GAP) - GAP), bottom + GAP
    width = max(width, 5 * (CHIP[0] + 8) if loose else 0, 640)
    if loose:
        part, y = _loose(loose, scene, y, width)
        drawn.append(part)
    swatches = [(f"cluster-{colour}", name) for name, colour in scene.colours.items()]
    swatches += [(f"lamp phase-{phase}", phase) for phase in _phases(machines)]
    part, y = svg.legend(swatches, y, width)
    number = len(everything)
    heading = f"{len(machines)} machines in {number} racks" if racks else f"{len(machines)} machines without racks"
    return svg.picture("racks", width, y, heading, _description(racks, machines, loose), *drawn, part)


def _standing(node: NodeLayout, phases: Mapping[str, Phase]) -> Standing:
    phase = phases.get(node.machine)
    return Standing(
        machine=node.machine,
        name=node.name,
        rack=node.place.rack,
        unit=node.place.unit,
        cluster=node.cluster,
        phase=phase.value if phase else "",
        place=place_text(node.place),
    )


def _ordered(racks: Iterable[Rack]) -> list[Rack]:
    return sorted(racks, key=lambda r: (natural(r.zone), natural(r.datacenter), natural(r.row), natural(r.name)))


def _clusters(desired: Desired) -> list[str]:
    return sorted({node.cluster for node in desired.nodes if node.cluster}, key=natural)


def _phases(machines: Iterable[Standing]) -> list[str]:
    present = {machine.phase for machine in machines}
    return [phase.value for phase in Phase if phase.value in present]


def _lines(racks: list[Rack]) -> list[list[Rack]]:
    """Racks of one row of the hall stand together; a line has `ACROSS` of them at most."""
    lines: list[list[Rack]] = []
    for _, group in groupby(racks, key=_where):
        found = list(group)
        for start in range(0, len(found), ACROSS):
            part = found[start : start + ACROSS]
            if lines and len(lines[-1]) + len(part) <= ACROSS:
                lines[-1] += part
            else:
                lines.append(part)
    return lines


def _where(rack: Rack) -> str:
    words = (("zone", rack.zone), ("datacenter", rack.datacenter), ("row", rack.row))
    return ", ".join(f"{word} {name}" for word, name in words if name)


def _row(racks: list[Rack], machines: list[Standing], scene: _Scene, y: float) -> tuple[str, float]:
    """One line of racks from ``y`` down; the bottom is the floor."""
    floor = y + HEAD + max(rack.units for rack in racks) * UNIT + FOOT
    drawn = []
    x = 0.0
    for where, group in groupby(racks, key=_where):
        number = len(list(group))
        width = number * (RACK + GAP) - GAP
        if where:
            drawn.append(svg.text(svg.fit(where, width), x, y + 12, "note"))
            drawn.append(svg.line(x, y + 18, x + width, y + 18, "rule"))
        x += width + GAP
    for index, rack in enumerate(racks):
        here = [machine for machine in machines if machine.rack == rack.name and 0 < machine.unit <= rack.units]
        drawn.append(_rack(rack, here, scene, index * (RACK + GAP), floor))
    return "".join(drawn), floor


def _rack(rack: Rack, machines: list[Standing], scene: _Scene, x: float, floor: float) -> str:
    top = floor - FOOT - rack.units * UNIT
    feeds = f"feeds {' '.join(rack.power)}" if rack.power else ""
    drawn = [svg.text(svg.fit(rack.name, RACK - 60, 13), x, top - 10, "name")]
    drawn += [svg.text(svg.fit(feeds, 90), x + RACK, top - 10, "note", "end")] if feeds else []
    drawn.append(svg.rect(x, top - 5, RACK, rack.units * UNIT + 10, "post", radius=4))
    drawn.append(svg.rect(x + POST, top, BAY, rack.units * UNIT, "bay", radius=0))
    for unit in range(1, rack.units + 1):
        y = floor - FOOT - unit * UNIT
        drawn.append(svg.text(str(unit), x + POST - 4, y + UNIT - 4, "unit-number", "end"))
        drawn += [svg.line(x + POST, y, x + POST + BAY, y, "rule")] if unit < rack.units else []
    units: dict[int, list[Standing]] = {}
    for machine in machines:
        units.setdefault(machine.unit, []).append(machine)
    for unit, found in sorted(units.items()):
        width = BAY / len(found)
        for index, machine in enumerate(sorted(found, key=lambda m: natural(m.name))):
            y = floor - FOOT - unit * UNIT
            drawn.append(_machine(machine, scene, (x + POST + index * width, y, width, UNIT)))
    return "".join(drawn)


def _machine(machine: Standing, scene: _Scene, box: tuple[float, float, float, float], label: str = "") -> str:
    """``box`` is x, y, width, height."""
    x, y, width, height = box
    words = [machine.name, machine.place, f"cluster {machine.cluster}" if machine.cluster else "", machine.phase]
    colour = scene.colours.get(machine.cluster)
    cluster = f"cluster-{colour}" if colour is not None else "no-cluster"
    return svg.element(
        "a",
        svg.title(": ".join(word for word in words if word)),
        svg.rect(x + 1, y + 1, width - 2, height - 2, f"machine {cluster}", radius=2),
        svg.rect(x + 1, y + 1, 4, height - 2, f"stripe {cluster}", radius=2),
        svg.text(svg.fit(label or machine.name, width - 26), x + 9, y + height / 2 + 4, "label"),
        svg.element(
            "circle",
            class_=f"lamp phase-{machine.phase}" if machine.phase else "lamp unknown",
            cx=x + width - 9,
            cy=y + height / 2,
            r=3.5,
        ),
        href=scene.link(machine.machine),
    )


def _loose(machines: list[Standing], scene: _Scene, y: float, width: float) -> tuple[str, float]:
    """Machines that have no place in a rack, as a list that wraps."""
    drawn = [svg.text("Unit or rack not known", 0, y + 12, "name")]
    across = max(1, int((width + 8) // (CHIP[0] + 8)))
    y += 22
    ordered = sorted(machines, key=lambda m: (natural(m.rack), natural(m.name)))
    for index, machine in enumerate(ordered):
        x, top = (index % across) * (CHIP[0] + 8), y + (index // across) * (CHIP[1] + 6)
        label = f"{machine.name} ({machine.rack})" if machine.rack else machine.name
        drawn.append(_machine(machine, scene, (x, top, *CHIP), label))
    return "".join(drawn), y + -(-len(ordered) // across) * (CHIP[1] + 6) + 10


def _description(racks: list[Rack], machines: list[Standing], loose: list[Standing]) -> str:
    sentences = []
    for rack in racks:
        here = [m for m in machines if m.rack == rack.name and 0 < m.unit <= rack.units]
        ordered = sorted(here, key=lambda m: (m.unit, natural(m.name)))
        names = ", ".join(f"{machine.name} at unit {machine.unit}" for machine in ordered)
        sentences.append(f"Rack {rack.name}: {names or 'no machine'}.")
    if loose:
        names = ", ".join(sorted((machine.name for machine in loose), key=natural))
        sentences.append(f"Without a known place: {names}.")
    return " ".join(sentences)
