"""The CRUSH tree."""

from __future__ import annotations

import re
from collections import Counter

from appliance.model.place import LEVELS, Level, Place
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule, tebibytes
from appliance.plan.lint.scene import Scene
from appliance.plan.lint.tree import ORDER

HEAVIEST = 65_535.0
"""TiB: a heavier bucket overflows the 32-bit weight (`ceph.md` §2)."""
UNEQUAL = 1.5
"""How many times heavier than the middle, or lighter, is told."""
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_AGAIN = "report it as a fault of the planner; plan again"


@rule(ERROR, _AGAIN)
def bucket_twice(scene: Scene) -> Findings:
    """A bucket has a name of its own that crushtool can read, a known type, and is in one bucket at most."""
    for name, count in Counter(bucket.name for bucket in scene.tree.all).items():
        if count > 1:
            yield name, f"{count} buckets have this name"
        if not _NAME.fullmatch(name) or name.startswith("osd."):
            yield name, f"'{name}' is no bucket name: letters, digits, '_', '.', '-', and not osd.N"
    for bucket in scene.tree.all:
        if bucket.level not in ORDER:
            yield bucket.name, f"'{bucket.level}' is no bucket type of this site: {', '.join(ORDER)}"
    for item, parents in scene.tree.parents.items():
        if len(parents) > 1:
            yield item, f"is in {len(parents)} buckets: {listed(parents)}"


@rule(ERROR, _AGAIN)
def bucket_item_unknown(scene: Scene) -> Findings:
    """What a bucket holds exists: a bucket, or an OSD of the layout."""
    for bucket in scene.tree.all:
        lost = [item for item in bucket.items if item not in scene.tree.buckets and item not in scene.tree.osds]
        if lost:
            yield bucket.name, f"holds what is not there: {listed(lost)}"


@rule(ERROR, _AGAIN)
def bucket_circle(scene: Scene) -> Findings:
    """No bucket is inside itself."""
    if scene.tree.circle:
        yield scene.tree.circle[0], f"these buckets are inside each other: {listed(scene.tree.circle)}"


@rule(ERROR, _AGAIN)
def bucket_order(scene: Scene) -> Findings:
    """A bucket holds only smaller things: a rack holds hosts, never the other way round."""
    rank = {level: number for number, level in enumerate(ORDER)}
    for bucket in scene.tree.all:
        for item in bucket.items:
            below = scene.tree.buckets.get(item)
            if below is None:
                if item in scene.tree.osds and bucket.level != Level.HOST:
                    yield bucket.name, f"a {bucket.level} holds {item}; OSDs are in hosts"
            elif rank.get(below.level, -1) >= rank.get(bucket.level, len(ORDER)):
                yield bucket.name, f"a {bucket.level} holds {item}, a {below.level}"


@rule(ERROR, _AGAIN)
def osd_in_wrong_host(scene: Scene) -> Findings:
    """Every OSD is in the bucket of the machine that it is in: else two copies may be in one machine."""
    tree = scene.tree
    lost: dict[str, list[str]] = {}
    for item, osd in tree.osds.items():
        host = scene.name(osd.machine)
        if tree.parents.get(item, []) != [host]:
            where = listed(tree.parents.get(item, [])) or "no bucket"
            lost.setdefault(f"is in {where}, but its machine is {host}", []).append(item)
    for text, items in lost.items():
        yield listed(items), text


@rule(ERROR, _AGAIN)
def host_not_in_tree(scene: Scene) -> Findings:
    """Every machine with OSDs has a bucket of type host by its name, and is under a root."""
    for who in scene.by_host:
        name = scene.name(who)
        bucket = scene.tree.buckets.get(name)
        if bucket is None or bucket.level != Level.HOST:
            yield name, f"has {counted(len(scene.by_host[who]), 'OSD')}, but the tree has no host of this name"
        elif "root" not in scene.tree.above(name):
            yield name, "its bucket is under no root, so no rule finds its OSDs"


@rule(ERROR, _AGAIN)
def bucket_not_place(scene: Scene) -> Findings:
    """Hosts that stand in one rack (row, datacenter, zone) are in one bucket of that type, and no others with them: failure
    domains are where the cables are. How the buckets are called does not matter."""
    for level in LEVELS[1:]:
        places: dict[str, dict[str, list[str]]] = {}
        homes: dict[str, dict[str, list[str]]] = {}
        for who in scene.by_host:
            node = scene.nodes.get(who)
            if node is None or node.name not in scene.tree.buckets:
                continue
            stands, bucket = _path(node.place, level), scene.tree.above(node.name).get(level.value, "")
            if stands and not bucket:
                yield node.name, f"stands in {level} {stands}, but the tree does not say so"
            if bucket:
                places.setdefault(bucket, {}).setdefault(stands, []).append(node.name)
            if bucket and stands:
                homes.setdefault(stands, {}).setdefault(bucket, []).append(node.name)
        for bucket, found in places.items():
            if len(found) > 1:
                shown = "; ".join(f"{place or 'nowhere'}: {listed(names)}" for place, names in sorted(found.items()))
                yield bucket, f"one {level} of the tree, but its hosts stand in {shown}"
        for place, found in homes.items():
            if len(found) > 1:
                shown = "; ".join(f"{bucket}: {listed(names)}" for bucket, names in sorted(found.items()))
                yield place, f"one {level}, but {len(found)} of the tree: {shown}"


def _path(place: Place, level: Level) -> str:
    """A place down to a level, as long as it is known at that level: racks may have one name in two datacenters."""
    if not place.bucket(level):
        return ""
    above = LEVELS[: LEVELS.index(level) - 1 : -1]
    return "/".join(name for one in above for name in (place.bucket(one),) if name)


@rule(ERROR, "split the datacenter or zone")
def bucket_too_heavy(scene: Scene) -> Findings:
    """No bucket weighs more than 65 535 TiB: crushtool's weight overflows silently (`ceph.md` §2)."""
    for name in scene.tree.buckets:
        weight = scene.tree.weight(name)
        if weight > HEAVIEST:
            yield name, f"weighs {weight:,.0f} TiB; at most {HEAVIEST:,.0f}"


@rule(WARNING, "add machines to the small ones, or move some")
def domains_unequal(scene: Scene) -> Findings:
    """The failure domains of a pool are about equally heavy: what the large ones have more can't be used, and CRUSH finds
    fewer places (`ceph.md` §2: racks of 5:5:1 hosts gave 28 bad mappings of 4 096)."""
    ceph = scene.ceph
    keys = {(pool.root, pool.domain.value, pool.device_class) for pool in ceph.pools} if ceph else set()
    for root, level, kind in sorted(keys):
        weights = scene.tree.domains(root, level, kind)
        if len(weights) < 2:
            continue
        low, high = (edge(weights, key=lambda name: (weights[name], name)) for edge in (min, max))
        if weights[high] > weights[low] * UNEQUAL:
            text = f"{high} has {tebibytes(weights[high])}, {low} {tebibytes(weights[low])}"
            yield f"{level}s of {root}", f"unequal in class {kind or 'any'}: {text}"


@rule(WARNING, "add hosts")
def few_hosts(scene: Scene) -> Findings:
    """Ceph has three hosts or more (`ceph.md` §4): with fewer, three copies are not in three machines."""
    hosts = len(scene.by_host)
    if scene.ceph is not None and hosts < 3:
        yield scene.ceph.name, f"{counted(hosts, 'host')} with OSDs; 3 are the least, 4 heal after the loss of one"
