"""The laws that a live OSD map must keep, for every placement group of every planned pool. Pure.

``osdmaptool`` says where each group's copies are (what is up, in, and remapped counts); here is only judging:

1. every group is there, with as many different OSDs as its pool has copies or chunks;
2. each OSD is of the planned class, below the planned root;
3. no domain of the planned level, and no host, has more copies than the plan says;
4. the loss of any one domain leaves at least ``min_size`` copies.

Each law names the first group that breaks it, the domains or OSDs, how many groups do, and what to do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.cephorder import PoolLaw

NONE = 0x7FFFFFFF
"""CRUSH_ITEM_NONE: a place of a coded group that no OSD holds."""
HOST = "host"
_ROW = re.compile(r"^(\d+)\.([0-9a-f]+)\t\[([^]]*)\]", re.MULTILINE)
Data = Mapping[str, Any]


class MapError(ValueError):
    """What ``osdmaptool`` wrote can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A placement group (``2.1f``) and its OSDs in their order; `NONE` where there is no OSD."""

    name: str
    osds: tuple[int, ...]

    @property
    def there(self) -> tuple[int, ...]:
        return tuple(osd for osd in self.osds if osd != NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOsd:
    """``above`` are the names of its buckets by level (``{"host": "h1", "root": "default"}``)."""

    device_class: str
    above: Mapping[str, str]
    state: str

    def bucket(self, level: str, number: int) -> str:
        """Where it counts for a level; without such a bucket it is alone."""
        return self.above.get(level, f"osd.{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``problems`` is empty when every law holds for all ``groups`` of ``pools``."""

    pools: int
    groups: int
    problems: tuple[str, ...]


def judge(laws: Sequence[PoolLaw], dump: Data, tree: Data, mappings: str) -> Verdict:
    """``dump``, ``tree`` and ``mappings`` are what ``osdmaptool MAP --dump json``, ``--tree=json`` and
    ``--test-map-pgs-dump`` wrote, of the same map. Raises `MapError`."""
    try:
        pools = {str(pool["pool_name"]): pool for pool in dump["pools"]}
        osds = live_osds(dump, tree)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MapError(f"osdmaptool wrote what this version can't read: {error!r}") from error
    rows = groups_of(mappings)
    problems: list[str] = []
    judged = 0
    for law in laws:
        pool = pools.get(law.pool)
        if pool is None:
            problems.append(f"pool {law.pool}: the map has none of this name: plan again")
            continue
        groups = rows.get(int(pool["pool"]), [])
        judged += len(groups)
        problems += (f"pool {law.pool}: {text}" for text in _pool(law, pool, groups, osds))
    return Verdict(pools=len(laws), groups=judged, problems=tuple(problems))


def groups_of(mappings: str) -> dict[int, list[Group]]:
    """Groups by the number of their pool."""
    found: dict[int, list[Group]] = {}
    for pool, seed, osds in _ROW.findall(mappings):
        numbers = tuple(int(word) if word.isdecimal() else NONE for word in osds.split(",") if word)
        found.setdefault(int(pool), []).append(Group(name=f"{pool}.{seed}", osds=numbers))
    return found


def live_osds(dump: Data, tree: Data) -> dict[int, LiveOsd]:
    """Every OSD of the tree. Raises KeyError and the like for what is no tree."""
    nodes = {int(node["id"]): node for node in tree["nodes"]}
    parents = {int(child): number for number, node in nodes.items() for child in node.get("children", ())}
    states = {int(one["osd"]): "up" if one["up"] else "down" for one in dump["osds"]}
    found = {}
    for number, node in nodes.items():
        if number < 0:
            continue
        above: dict[str, str] = {}
        at = parents.get(number)
        while at is not None:
            above.setdefault(str(nodes[at]["type"]), str(nodes[at]["name"]))
            at = parents.get(at)
        found[number] = LiveOsd(
            device_class=str(node.get("device_class", "")), above=above, state=states.get(number, "gone")
        )
    return found


def _pool(law: PoolLaw, pool: Data, groups: Sequence[Group], osds: Mapping[int, LiveOsd]) -> Iterator[str]:
    """What is wrong with one pool."""
    for name, wanted in (("size", law.size), ("min_size", law.min_size)):
        if int(pool[name]) != wanted:
            yield f"its {name} is {pool[name]}, {wanted} is planned: plan again"
    if len(groups) != int(pool["pg_num"]):
        yield f"osdmaptool mapped {len(groups)} of its {pool['pg_num']} groups"
    for broken in (_short, _strange, _crowded, _fragile):
        texts = [(group, text) for group in groups if (text := broken(law, group, osds))]
        if texts:
            group, text = texts[0]
            more = f" ({len(texts)} of {len(groups)} groups are so)" if len(texts) > 1 else ""
            yield f"PG {group.name} {text}{more}; {_TODO[broken]}"


def _short(law: PoolLaw, group: Group, osds: Mapping[int, LiveOsd]) -> str:
    there = set(group.there)
    if len(there) == law.size == len(group.osds):
        return ""
    down = sorted(number for number, osd in osds.items() if osd.state != "up")
    away = f"; not up: {_names(down)}" if down else ""
    return f"is on {len(there)} OSDs instead of {law.size} ({_names(group.there) or 'none'}){away}"


def _strange(law: PoolLaw, group: Group, osds: Mapping[int, LiveOsd]) -> str:
    for number in group.there:
        osd = osds.get(number)
        if osd is None:
            return f"is on osd.{number}, which hangs nowhere in the tree"
        if osd.device_class != law.device_class:
            return f"is on osd.{number} of class {osd.device_class or '(none)'}, {law.device_class} is planned"
        if law.root not in osd.above.values():
            return f"is on osd.{number}, which is not below {law.root}"
    return ""


def _crowded(law: PoolLaw, group: Group, osds: Mapping[int, LiveOsd]) -> str:
    limits = {law.level: law.per_domain, HOST: law.per_domain if law.level == HOST else 1}
    for level, limit in limits.items():
        for name, number in _domains(group, level, osds).items():
            if number > limit:
                inside = [osd for osd in group.there if _bucket(osd, level, osds) == name]
                return f"has {number} copies in {level} {name} ({_names(inside)}), at most {limit} is planned"
    return ""


def _fragile(law: PoolLaw, group: Group, osds: Mapping[int, LiveOsd]) -> str:
    there = len(set(group.there))
    if there < law.size:
        return ""  # said already
    for name, number in _domains(group, law.level, osds).items():
        if there - number < law.min_size:
            return (
                f"would have {there - number} copies without {law.level} {name}, fewer than its min_size {law.min_size}"
            )
    return ""


def _domains(group: Group, level: str, osds: Mapping[int, LiveOsd]) -> Mapping[str, int]:
    """How many copies each domain of a level has."""
    return Counter(_bucket(number, level, osds) for number in dict.fromkeys(group.there))


def _bucket(number: int, level: str, osds: Mapping[int, LiveOsd]) -> str:
    osd = osds.get(number)
    return osd.bucket(level, number) if osd else f"osd.{number}"


def _names(numbers: Sequence[int]) -> str:
    return ", ".join(f"osd.{number}" for number in numbers)


_RULE = "compare `ceph osd tree` and `ceph osd crush rule dump` with `rackseed plan crush`"
_TODO: Mapping[Callable[[PoolLaw, Group, Mapping[int, LiveOsd]], str], str] = {
    _short: "bring back what is down; when nothing is, the rule finds too few OSDs: " + _RULE,
    _strange: "give the OSD its class and place again: " + _RULE,
    _crowded: "move the hosts to where they stand, or see who changed the rule: " + _RULE,
    _fragile: "the pool would stop with that domain: " + _RULE,
}
