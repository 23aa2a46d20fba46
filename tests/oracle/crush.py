"""Ceph's own tools judge a planned layout: `Oracle.check` says what they find wrong with it.

Nothing here asks the planner: failure domains, classes and weights are read from the layout's buckets again. For every
pool the map must compile, and of thousands of placement groups

- each has all of its copies, on different OSDs of the pool's class below its root, no more than ``per_domain`` in a failure
  domain (and one on a host when that is smaller);
- none has fewer than ``min_size`` left when any one failure domain is lost;
- the OSDs get their part: the coefficient of variation of PGs per OSD, against what their weights and CRUSH's drawing
  without replacement give them, is at most (1 + 2/√(2(N - 1)))/√(PGs per OSD);
- where the plan says that it heals, each finds all copies again without the largest domain (without each one, if there
  are few); ``osdmaptool``, which works on a map of the whole cluster, finds all copies as well.
"""

from __future__ import annotations

import math
import re
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from appliance.model.ceph import CephLayout, PoolLayout, RuleLayout, Service
from appliance.model.place import Level
from appliance.plan.crush.crushmap import text
from images.errors import ToolError
from images.unpacked import run_unpacked

NONE = 0x7FFFFFFF
BATCHES = 4
LEAST, MOST = 1024, 16384
PER_OSD = 400
FEW = 4
MOST_COPIES = 10
"""osd_pool_default_size can't be more; of wider codes osdmaptool sees the first ten chunks."""
EXACT = 20_000
_MAPPING = re.compile(r"^CRUSH rule \d+ x \d+ \[([\d,]*)\]$", re.MULTILINE)
_SIZES = re.compile(r"^size (\d+)\t(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the layout's buckets say: for every OSD its class, weight (TiB) and the buckets above it by level."""

    classes: Mapping[int, str]
    weights: Mapping[int, float]
    above: Mapping[int, Mapping[str, str]]

    @classmethod
    def of(cls, layout: CephLayout) -> World:
        parents = {item: bucket for bucket in layout.buckets for item in bucket.items}
        above = {}
        for osd in layout.osds:
            path: dict[str, str] = {}
            name = f"osd.{osd.number}"
            while name in parents:
                path[parents[name].level] = name = parents[name].name
            above[osd.number] = path
        return cls(
            classes={osd.number: osd.device_class for osd in layout.osds},
            weights={osd.number: osd.weight for osd in layout.osds},
            above=above,
        )

    def buckets(self, level: str) -> dict[int, str]:
        """OSD → its bucket of a level; one that has none is alone."""
        return {osd: path.get(level, f"osd.{osd}") for osd, path in self.above.items()}

    def eligible(self, pool: PoolLayout) -> list[int]:
        """OSDs that the pool may use."""
        return [
            osd
            for osd, path in self.above.items()
            if self.classes[osd] == pool.device_class and pool.root in path.values()
        ]

    def group(self, osds: Sequence[int], level: str) -> dict[str, list[int]]:
        """OSDs by their bucket of a level."""
        groups: dict[str, list[int]] = defaultdict(list)
        for osd in osds:
            groups[self.above[osd].get(level, "")].append(osd)
        return groups


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """``tools`` is the tree of `images.cephtools`."""

    tools: Path

    def check(self, layout: CephLayout) -> list[str]:
        """What is wrong, one sentence each; empty is good. A tenth of a second for each kind of pool in a small layout."""
        with tempfile.TemporaryDirectory(prefix="rackseed-oracle-") as folder:
            return list(self._check(layout, Path(folder)))

    def _check(self, layout: CephLayout, folder: Path) -> Iterator[str]:
        try:
            compiled = self.compile(text(layout), folder)
        except ToolError as error:
            yield f"the map does not compile: {error}"
            return
        world = World.of(layout)
        rules = {rule.name: rule for rule in layout.rules}
        seen = set()
        for pool in layout.pools:
            shape = replace(pool, name="", service=Service.BLOCK, application="", pg_num=0, share=0.0, why="")
            if shape in seen:
                continue
            seen.add(shape)
            rule = rules.get(pool.rule)
            if rule is None:
                yield f"{pool.name}: there is no rule {pool.rule}"
                continue
            yield from (f"{pool.name}: {text}" for text in self._pool(layout, world, pool, rule, compiled))

    def compile(self, written: str, folder: Path, name: str = "map") -> Path:
        """A compiled map. Raises `ToolError` with what crushtool said."""
        source, compiled = folder / f"{name}.txt", folder / f"{name}.bin"
        source.write_text(written, encoding="utf-8")
        run_unpacked(self.tools, "usr/bin/crushtool", "-c", source, "-o", compiled)
        return compiled

    def mappings(self, compiled: Path, rule: int, size: int, pgs: int, out: Sequence[int] = ()) -> list[list[int]]:
        """The OSDs of PGs 0 to ``pgs`` - 1, with the OSDs ``out`` at weight 0."""
        words = [word for osd in out for word in ("--weight", str(osd), "0")]
        numbers = ("--rule", str(rule), "--num-rep", str(size), "--min-x", "0", "--max-x", str(pgs - 1))
        said = run_unpacked(
            self.tools, "usr/bin/crushtool", "-i", compiled, "--test", *numbers, "--show-mappings", *words
        )
        return [[int(word) for word in row.split(",") if word] for row in _MAPPING.findall(said.stdout)]

    def _pool(
        self, layout: CephLayout, world: World, pool: PoolLayout, rule: RuleLayout, compiled: Path
    ) -> Iterator[str]:
        eligible = world.eligible(pool)
        domains = world.group(eligible, pool.domain.value)
        if pool.domains != len(domains):
            yield f"{pool.domains} {pool.domain}s are said, there are {len(domains)}"
        pgs = max(LEAST, min(MOST, PER_OSD * len(eligible) // pool.size))
        pgs -= pgs % BATCHES
        found = self.mappings(compiled, rule.number, pool.size, pgs)
        if len(found) != pgs:
            yield f"crushtool mapped {len(found)} of {pgs} PGs"
            return
        wrong = [*_misplaced(world, pool, found, set(eligible)), *_too_few_left(world, pool, found)]
        yield from wrong
        if not wrong:
            yield from _unbalanced(world, pool, found, eligible)
        if pool.heals:
            yield from self._unhealed(pool, rule, compiled, pgs, world)
        yield from self._whole_cluster(layout, pool, rule, compiled.parent)

    def _unhealed(self, pool: PoolLayout, rule: RuleLayout, compiled: Path, pgs: int, world: World) -> Iterator[str]:
        domains = world.group(world.eligible(pool), pool.domain.value)
        by_weight = sorted(domains, key=lambda name: -sum(world.weights[osd] for osd in domains[name]))
        for name in by_weight if len(by_weight) <= FEW else by_weight[:1]:
            found = self.mappings(compiled, rule.number, pool.size, pgs, domains[name])
            bad = sum(1 for row in found if _incomplete(row, pool.size) or set(row) & set(domains[name]))
            if bad or len(found) != pgs:
                yield f"{bad} of {pgs} PGs do not heal after the loss of {pool.domain} {name}"

    def _whole_cluster(self, layout: CephLayout, pool: PoolLayout, rule: RuleLayout, folder: Path) -> Iterator[str]:
        """osdmaptool's only pool takes rule 0, and it crashes when there is none (18.2.7): the rule is given that number."""
        alone = replace(layout, rules=(replace(rule, number=0),))
        compiled = self.compile(text(alone), folder, "alone")
        size = max(osd.number for osd in layout.osds) + 1
        copies = min(pool.size, MOST_COPIES)
        osdmap, tool = folder / "osdmap", "usr/bin/osdmaptool"
        bits = str(max(0, (LEAST // size).bit_length()))
        shape = ("--pg-bits", bits, "--pgp-bits", bits, f"--osd_pool_default_size={copies}")
        begin = (osdmap, "--clobber", "--createsimple", str(size), "--with-default-pool", *shape)
        run_unpacked(self.tools, tool, *begin)
        run_unpacked(self.tools, tool, osdmap, "--import-crush", compiled)
        said = run_unpacked(self.tools, tool, osdmap, "--mark-up-in", "--test-map-pgs", "--pool", "1")
        sizes = {int(number): int(pgs) for number, pgs in _SIZES.findall(said.stdout)}
        if set(sizes) != {copies}:
            yield f"osdmaptool finds PGs with {sizes} copies (copies: PGs) instead of {copies}"


def _most(names: Sequence[str]) -> int:
    return max((names.count(name) for name in set(names)), default=0) if len(set(names)) < len(names) else 1


def _incomplete(row: Sequence[int], size: int) -> bool:
    return len(row) != size or NONE in row or len(set(row)) != size


def _misplaced(world: World, pool: PoolLayout, found: Sequence[Sequence[int]], eligible: set[int]) -> Iterator[str]:
    bad = sum(1 for row in found if _incomplete(row, pool.size))
    if bad:
        yield f"{bad} of {len(found)} PGs lack copies"
    strangers = {osd for row in found for osd in row if osd != NONE} - eligible
    if strangers:
        yield f"osd.{min(strangers)} is not of class {pool.device_class} below {pool.root}, and is used"
    limits = {
        pool.domain.value: pool.per_domain,
        Level.HOST.value: 1 if pool.domain is not Level.HOST else pool.per_domain,
    }
    for level, limit in limits.items():
        names = world.buckets(level)
        crowded = sum(1 for row in found if _most([names[osd] for osd in row if osd != NONE]) > limit)
        if crowded:
            yield f"{crowded} of {len(found)} PGs have more than {limit} copies in one {level}"


def _too_few_left(world: World, pool: PoolLayout, found: Sequence[Sequence[int]]) -> Iterator[str]:
    names = world.buckets(pool.domain.value)
    below: Counter[str] = Counter()
    for row in found:
        there = [names[osd] for osd in row if osd != NONE]
        below.update(name for name in set(there) if len(there) - there.count(name) < pool.min_size)
    for name, pgs in sorted(below.items()):
        yield f"{pgs} of {len(found)} PGs fall below min_size {pool.min_size} with the loss of {pool.domain} {name}"


def _unbalanced(
    world: World, pool: PoolLayout, found: Sequence[Sequence[int]], eligible: Sequence[int]
) -> Iterator[str]:
    """Four parts of the PGs are looked at one by one: one sample alone is above two standard errors once in 40 times."""
    if len(eligible) < 2:
        return
    load = expected_load(world, pool, eligible)
    rows = len(found) // BATCHES
    spreads = []
    for start in range(0, len(found), rows):
        counts = Counter(osd for row in found[start : start + rows] for osd in row)
        spreads.append(statistics.pstdev(counts[osd] / (rows * load[osd]) for osd in eligible))
    per_osd = len(eligible) / sum(1 / (rows * load[osd]) for osd in eligible)
    limit = (1 + 2 / math.sqrt(2 * (len(eligible) - 1))) / math.sqrt(per_osd)
    spread = statistics.mean(spreads)
    if spread > limit:
        yield f"PGs per OSD vary by {spread:.3f}, more than {limit:.3f} ({per_osd:.0f} PGs on an OSD)"


def expected_load(world: World, pool: PoolLayout, eligible: Sequence[int]) -> dict[int, float]:
    """Copies of one PG that each OSD gets on average."""
    each = pool.per_domain
    needed = -(-pool.size // each)
    domains = world.group(eligible, pool.domain.value)
    weights = {name: sum(world.weights[osd] for osd in osds) for name, osds in domains.items()}
    drawn = dict(zip(weights, inclusion(tuple(weights.values()), needed), strict=True))
    load = {}
    for name, osds in domains.items():
        parts = {"": osds} if each == 1 else world.group(osds, Level.HOST.value)
        if each > 1 and pool.domain is Level.HOST:
            parts = {str(osd): [osd] for osd in osds}
        sums = [sum(world.weights[osd] for osd in part) for part in parts.values()]
        inner = inclusion(tuple(sums), each)
        for part, total, chance in zip(parts.values(), sums, inner, strict=True):
            for osd in part:
                load[osd] = drawn[name] * chance * world.weights[osd] / total * pool.size / (needed * each)
    return load


@cache
def inclusion(weights: tuple[float, ...], draws: int) -> tuple[float, ...]:
    """How likely each is among ``draws`` drawn by weight without replacement: exact for few, else by exponential clocks."""
    total = sum(weights)
    if draws >= len(weights):
        return (1.0,) * len(weights)
    if math.comb(len(weights), draws) <= EXACT:
        sets = {0: 1.0}
        for _ in range(draws):
            grown: dict[int, float] = defaultdict(float)
            for mask, chance in sets.items():
                left = total - sum(w for at, w in enumerate(weights) if mask >> at & 1)
                for at, weight in enumerate(weights):
                    if not mask >> at & 1:
                        grown[mask | 1 << at] += chance * weight / left
            sets = grown
        return tuple(sum(c for mask, c in sets.items() if mask >> at & 1) for at in range(len(weights)))
    low, high = 0.0, 1.0
    while sum(1 - math.exp(-w / total * high) for w in weights) < draws:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        enough = sum(1 - math.exp(-w / total * middle) for w in weights) >= draws
        low, high = (low, middle) if enough else (middle, high)
    return tuple(1 - math.exp(-w / total * high) for w in weights)
