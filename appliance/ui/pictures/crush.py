"""The CRUSH tree from left to right: root, levels, hosts, and the OSDs of each host as squares in the colour of their class.

A tree that is too large for a page is drawn without its lowest levels: then racks (or what stands above) say how many hosts
and OSDs they hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.model.ceph import Bucket, CephLayout, OsdLayout
from appliance.plan.order import natural
from appliance.ui.pictures import svg

COLUMN = 148
BOX = 124
ROW = 30
SQUARE = 13
PER_LINE = 30
LARGEST = 120
"""Rows of one picture."""
CLASSES = ("nvme", "ssd", "hdd")


@dataclass(slots=True)
class _Branch:
    """A bucket with what hangs below it. ``y`` is the middle of its box, once it is placed."""

    name: str
    level: str
    branches: list[_Branch] = field(default_factory=list)
    osds: list[OsdLayout] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    note: str = ""
    y: float = 0.0

    @property
    def everything(self) -> list[OsdLayout]:
        return [*self.osds, *(osd for branch in self.branches for osd in branch.everything)]


def crush_picture(ceph: CephLayout) -> str:
    """The tree of one cluster."""
    roots = _roots(ceph)
    total = sum(len(root.everything) for root in roots)
    shown = [_smaller(root) for root in roots]
    depth = max((_depth(root) for root in shown), default=1)
    drawn: list[str] = []
    y = 8.0
    for root in shown:
        y = _place(root, y)
        drawn.append(_draw(root, 0, depth))
    classes = Counter(osd.device_class for osd in ceph.osds)
    entries = [(f"class-{_class(name)}", f"{number} OSDs {name}") for name, number in sorted(classes.items())]
    width = depth * COLUMN + max(min(PER_LINE, _most(roots)) * (SQUARE + 2), 200)
    part, y = svg.legend(entries, y + 12, width)
    heading = f"CRUSH tree of {ceph.name}: {total} OSDs"
    return svg.picture("crush", width, y, heading, _description(roots), *drawn, part)


def _class(name: str) -> str:
    """The class of the stylesheet; device classes of people's own making look alike."""
    return name if name in CLASSES else "other"


def _roots(ceph: CephLayout) -> list[_Branch]:
    buckets = {bucket.name: bucket for bucket in ceph.buckets}
    osds = {f"osd.{osd.number}": osd for osd in ceph.osds}
    held = {item for bucket in ceph.buckets for item in bucket.items}
    tops = sorted((name for name in buckets if name not in held), key=natural)
    return [_branch(buckets[name], buckets, osds) for name in tops]


def _branch(bucket: Bucket, buckets: Mapping[str, Bucket], osds: Mapping[str, OsdLayout]) -> _Branch:
    found = _Branch(bucket.name, bucket.level)
    for item in bucket.items:
        if item in buckets:
            found.branches.append(_branch(buckets[item], buckets, osds))
        elif item in osds:
            found.osds.append(osds[item])
        else:
            found.lost.append(item)
    found.branches.sort(key=lambda branch: natural(branch.name))
    found.osds.sort(key=lambda osd: osd.number)
    return found


def _leaves(branch: _Branch) -> int:
    return sum(map(_leaves, branch.branches)) or 1


def _most(branches: list[_Branch]) -> int:
    """OSDs of the host that has most."""
    return max((max(len(branch.osds) + len(branch.lost), _most(branch.branches)) for branch in branches), default=0)


def _depth(branch: _Branch) -> int:
    return 1 + max(map(_depth, branch.branches), default=0)


def _smaller(root: _Branch) -> _Branch:
    """The same tree with as many levels as fit; of more leaves than that under one bucket, the first ones."""
    while _leaves(root) > LARGEST and _depth(root) > 2:
        root = _without_leaves(root)
    if _leaves(root) > LARGEST:
        rest = root.branches[LARGEST:]
        osds = sum(len(branch.everything) for branch in rest)
        more = _Branch(f"{len(rest)} more", rest[0].level, note=f"{osds} OSDs")
        return _Branch(root.name, root.level, [*root.branches[:LARGEST], more], root.osds, root.lost)
    return root


def _without_leaves(branch: _Branch) -> _Branch:
    if branch.branches and not any(child.branches for child in branch.branches):
        osds = branch.everything
        level = branch.branches[0].level
        mixed = ", ".join(f"{number} {name}" for name, number in sorted(Counter(o.device_class for o in osds).items()))
        note = f"{len(branch.branches)} {level}s, {mixed}, {_weight(osds)}"
        return _Branch(branch.name, branch.level, note=note)
    children = [_without_leaves(child) for child in branch.branches]
    return _Branch(branch.name, branch.level, children, branch.osds, branch.lost, branch.note)


def _place(branch: _Branch, y: float) -> float:
    """Give every box its middle; returns where the next one begins."""
    if not branch.branches:
        lines = max(1, -(-(len(branch.osds) + len(branch.lost)) // PER_LINE))
        height = max(ROW, lines * (SQUARE + 3) + 8)
        branch.y = y + height / 2
        return y + height
    for child in branch.branches:
        y = _place(child, y)
    branch.y = (branch.branches[0].y + branch.branches[-1].y) / 2
    return y


def _draw(branch: _Branch, column: int, depth: int) -> str:
    x = column * COLUMN
    drawn = []
    for child in branch.branches:
        turn = x + BOX + (COLUMN - BOX) / 2
        points = ((x + BOX, branch.y), (turn, branch.y), (turn, child.y), (x + COLUMN, child.y))
        drawn.append(svg.path(points, "branch"))
    drawn.append(_box(branch, x))
    drawn += [_draw(child, column + 1, depth) for child in branch.branches]
    if not branch.branches:
        drawn.append(_osds(branch, x, depth))
    return "".join(drawn)


def _box(branch: _Branch, x: float) -> str:
    osds = branch.everything
    weight = _weight(osds) if osds else ""
    return svg.element(
        "g",
        svg.title(f"{branch.level} {branch.name}: {branch.note or f'{len(osds)} OSDs, {weight}'}"),
        svg.rect(x, branch.y - 12, BOX, 24, f"bucket bucket-{branch.level}", radius=4),
        svg.text(svg.fit(branch.name, BOX - 58), x + 7, branch.y + 4, "label"),
        svg.text(weight or branch.level, x + BOX - 6, branch.y + 4, "note", "end"),
    )


def _weight(osds: list[OsdLayout]) -> str:
    weight = sum(osd.weight for osd in osds)
    return f"{weight:.3g} TiB" if weight < 999.5 else f"{weight / 1024:.3g} PiB"


def _osds(branch: _Branch, x: float, depth: int) -> str:
    """The squares of one host, all beginning in the same column."""
    left = depth * COLUMN
    if branch.note:
        return svg.text(branch.note, x + BOX + 12, branch.y + 4, "note")
    number = len(branch.osds) + len(branch.lost)
    if not number:
        return svg.text("no OSDs", left, branch.y + 4, "note")
    lines = -(-number // PER_LINE)
    top = branch.y - (lines * (SQUARE + 3) - 3) / 2
    drawn = [svg.line(x + BOX, branch.y, left - 4, branch.y, "branch")] if left - 4 > x + BOX else []
    for index, osd in enumerate(branch.osds):
        disk = osd.data.serial.strip() or osd.data.wwn
        db = f", DB on {osd.db.serial.strip() or osd.db.wwn}" if osd.db else ""
        words = f"osd.{osd.number}: {osd.device_class}, {osd.weight:.3g} TiB, disk {disk}{db}"
        drawn.append(_square(words, f"class-{_class(osd.device_class)}", left, top, index))
    for index, item in enumerate(branch.lost, len(branch.osds)):
        drawn.append(_square(f"{item}: not in the layout", "class-other", left, top, index))
    return "".join(drawn)


def _square(words: str, class_: str, left: float, top: float, index: int) -> str:
    x, y = left + (index % PER_LINE) * (SQUARE + 2), top + (index // PER_LINE) * (SQUARE + 3)
    return svg.element("g", svg.title(words), svg.rect(x, y, SQUARE, SQUARE, f"osd {class_}", radius=2))


def _description(roots: list[_Branch]) -> str:
    return " ".join(_sentences(root, 0) for root in roots)


def _sentences(branch: _Branch, depth: int) -> str:
    osds = branch.everything
    own = f"{branch.level} {branch.name} ({len(osds)} OSDs, {_weight(osds)})"
    below = ", ".join(f"{child.level} {child.name}" for child in branch.branches)
    text = f"{own} holds {below}." if below else f"{own}."
    deeper = [_sentences(child, depth + 1) for child in branch.branches if child.branches]
    return " ".join([text, *deeper])
