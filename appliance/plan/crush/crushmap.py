"""The CRUSH tree of a site, and the map's text as ``crushtool -c`` compiles it.

The tree has the levels that the site names, and hosts that carry OSDs. A host hangs below the smallest level that is known
of it; one without a place hangs below the root.

Ids of buckets are made so that a growing site changes none: a bucket is numbered by its level and the lowest OSD number
below it, and new OSDs get new numbers. So are the shadow buckets of the usual device classes, which CRUSH hashes
instead of the buckets in rules that take a class. Ids given by sorted order would move data whenever a machine comes whose
name sorts first. They are what a *new* cluster starts with; one that stands has its own ids and keeps them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from appliance.model.ceph import Bucket, CephLayout, DeviceClass, OsdLayout
from appliance.model.place import LEVELS, Level, Place, Rack
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.order import natural

ROOT = "default"
ROOT_LEVEL = "root"
TIB = 1 << 40
MAX_WEIGHT = 65_535
"""TiB that a bucket may weigh: CRUSH counts in 16.16 fixed point, 32 bits (`ceph.md` §2)."""
TYPES = ("osd", "host", "chassis", "rack", "row", "pdu", "pod", "room", "datacenter", "zone", "region", "root")
"""Ceph's bucket types; the index is the type's id."""
TUNABLES = (
    ("choose_local_tries", 0),
    ("choose_local_fallback_tries", 0),
    ("choose_total_tries", 50),
    ("chooseleaf_descend_once", 1),
    ("chooseleaf_vary_r", 1),
    ("chooseleaf_stable", 1),
    ("straw_calc_version", 1),
    ("allowed_bucket_algs", 54),
)
"""Ceph's profile ``jewel``, which is ``optimal`` and ``default`` of every release since."""

ABOVE_HOST = tuple(level for level in reversed(LEVELS) if level is not Level.HOST)
"""From the largest to the smallest."""
_SHADOWED = tuple(DeviceClass)
_SLOTS = len(_SHADOWED) + 1
_FIRST = _SLOTS + 1

Path = tuple[tuple[Level, str], ...]
"""Where a host hangs: levels with bucket names as the place says them, from the largest to the smallest."""


def tree(site: Site, members: Sequence[Candidate], osds: Sequence[OsdLayout]) -> tuple[Bucket, ...]:
    """The buckets, parents before their children, in natural order; only the root when there are no OSDs."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for osd in osds:
        numbers[osd.machine].append(osd.number)
    names = bucket_names(site, members)
    paths: dict[Place, Path] = {}
    below: dict[str, set[str]] = defaultdict(set)
    levels: dict[str, str] = {ROOT: ROOT_LEVEL}
    hosts: dict[str, tuple[str, ...]] = {}
    for member in members:
        if member.id not in numbers:
            continue
        path = paths.get(member.place)
        if path is None:
            path = paths[member.place] = path_of(member.place)
        parent = ROOT
        for depth in range(len(path)):
            name = names[path[: depth + 1]]
            below[parent].add(name)
            levels[name] = path[depth][0].value
            parent = name
        below[parent].add(member.name)
        hosts[member.name] = tuple(f"osd.{number}" for number in sorted(numbers[member.id]))
    return tuple(_walk(ROOT, below, levels, hosts))


def _walk(
    name: str, below: Mapping[str, set[str]], levels: Mapping[str, str], hosts: Mapping[str, tuple[str, ...]]
) -> Iterator[Bucket]:
    if name in hosts:
        yield Bucket(name=name, level=Level.HOST.value, items=hosts[name])
        return
    items = tuple(sorted(below.get(name, ()), key=natural))
    yield Bucket(name=name, level=levels[name], items=items)
    for item in items:
        yield from _walk(item, below, levels, hosts)


def path_of(place: Place) -> Path:
    """The levels that are known of a place."""
    return tuple((level, name) for level in ABOVE_HOST if (name := place.bucket(level)))


def bucket_names(site: Site, members: Iterable[Candidate]) -> dict[Path, str]:
    """Every bucket above the hosts, by its path. Names in a CRUSH map are unique over all levels: one that is the root's, a
    machine's, or also another bucket's is told apart by its level and what is above it."""
    places = {_place(rack) for rack in site.racks} | {member.place for member in members}
    paths = {path[: depth + 1] for place in places for path in (path_of(place),) for depth in range(len(path))}
    taken = {ROOT, *(machine.name for machine in site.machines), *(member.name for member in members)}
    often: dict[str, int] = defaultdict(int)
    for path in paths:
        often[path[-1][1]] += 1
    return {
        path: path[-1][1]
        if often[path[-1][1]] == 1 and path[-1][1] not in taken
        else "-".join((path[-1][0].value, *(name for _, name in path)))
        for path in paths
    }


def _place(rack: Rack) -> Place:
    return Place(zone=rack.zone, datacenter=rack.datacenter, row=rack.row, rack=rack.name)


def weigh(buckets: Sequence[Bucket], osds: Iterable[OsdLayout]) -> dict[str, float]:
    """TiB of every bucket and every ``osd.N``."""
    weights = {f"osd.{osd.number}": osd.weight for osd in osds}
    for bucket in reversed(buckets):
        weights[bucket.name] = sum(weights[item] for item in bucket.items)
    return weights


def text(layout: CephLayout) -> str:
    """The map in crushtool's language; compiles as it is. Time and space grow linearly with the OSDs."""
    weights = weigh(layout.buckets, layout.osds)
    osds = sorted(layout.osds, key=lambda osd: osd.number)
    classes = [word for word in _SHADOWED if any(osd.device_class == word for osd in osds)]
    lines = ["# begin crush map", *(f"tunable {name} {value}" for name, value in TUNABLES), "", "# devices"]
    lines += [f"device {osd.number} osd.{osd.number} class {osd.device_class}" for osd in osds]
    lines += ["", "# types", *(f"type {number} {name}" for number, name in enumerate(TYPES)), "", "# buckets"]
    first = _first_osds(layout.buckets)
    for bucket in reversed(layout.buckets):
        lines += _bucket(bucket, bucket_id(bucket, first), classes, weights)
    lines += ["", "# rules"]
    for rule in sorted(layout.rules, key=lambda rule: rule.number):
        kind = "erasure" if rule.erasure else "replicated"
        lines += [f"rule {rule.name} {{", f"\tid {rule.number}", f"\ttype {kind}"]
        lines += [*(f"\t{step}" for step in rule.steps), "}"]
    return "\n".join([*lines, "", "# end crush map", ""])


def _bucket(bucket: Bucket, number: int, classes: Sequence[DeviceClass], weights: Mapping[str, float]) -> Iterator[str]:
    yield f"{bucket.level} {bucket.name} {{"
    yield f"\tid {number}"
    for word in classes:
        yield f"\tid {number - 1 - _SHADOWED.index(word)} class {word.value}"
    yield "\talg straw2"
    yield "\thash 0\t# rjenkins1"
    for item in bucket.items:
        yield f"\titem {item} weight {weights[item]:.5f}"
    yield "}"


def bucket_id(bucket: Bucket, first: Mapping[str, int]) -> int:
    """The root is -1; the others by level and lowest OSD number, with room for a shadow of each usual device class."""
    if bucket.level == ROOT_LEVEL:
        return -1
    return -(_FIRST + (first[bucket.name] * len(LEVELS) + LEVELS.index(Level(bucket.level))) * _SLOTS)


def _first_osds(buckets: Sequence[Bucket]) -> dict[str, int]:
    first: dict[str, int] = {}
    for bucket in reversed(buckets):
        if bucket.items:
            first[bucket.name] = min(first[i] if i in first else int(i.removeprefix("osd.")) for i in bucket.items)
    return first
