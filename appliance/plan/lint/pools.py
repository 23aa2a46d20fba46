"""Pools: whether they are what they say, and fit the tree and their rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import prod

from appliance.model.ceph import PoolLayout, RuleLayout
from appliance.model.plan import WaitReason
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, rule
from appliance.plan.lint.rules import readable
from appliance.plan.lint.scene import Scene
from appliance.plan.lint.tree import ORDER, Block

_RANK = {"osd": -1, **{level: number for number, level in enumerate(ORDER)}}
_AGAIN = "report it as a fault of the planner; plan again"


def pools(scene: Scene) -> tuple[PoolLayout, ...]:
    """All pools."""
    return scene.ceph.pools if scene.ceph else ()


def with_rules(scene: Scene) -> Iterator[tuple[PoolLayout, RuleLayout]]:
    """Pools with their rules, where those exist."""
    table = {layout.name: layout for layout in scene.ceph.rules} if scene.ceph else {}
    for pool in pools(scene):
        if pool.rule in table:
            yield pool, table[pool.rule]


def degraded(scene: Scene, pool: PoolLayout) -> bool:
    """Whether the plan itself says that this pool stands with fewer failure domains than it was made for. Then a repair
    must not be refused for it."""
    return scene.waits(WaitReason.TOO_FEW_DOMAINS, pool.name)


@rule(WARNING, "bring the missing failure domain back, or add another one")
def pool_degraded(scene: Scene) -> Findings:
    """A pool that stands has all the failure domains that it was made for."""
    for pool in pools(scene):
        if degraded(scene, pool):
            found = counted(domain_count(scene, pool), pool.domain.value)
            yield pool.name, f"{counted(pool.size, 'copy', 'copies')}, and {found} of {pool.root} left for them"


def domain_count(scene: Scene, pool: PoolLayout) -> int:
    """How many failure domains of the pool's level the tree has, with OSDs of its class, below its root."""
    return len(scene.tree.domains(pool.root, pool.domain.value, pool.device_class))


def copies_in_one(scene: Scene, pool: PoolLayout, layout: RuleLayout) -> int:
    """How many copies the rule may put into one failure domain of the pool: the product of what it chooses below that
    level, all of them when it never goes through it."""
    held: Counter[str] = Counter()
    rank = _RANK[pool.domain.value]
    for block in readable(layout):
        taken = scene.tree.buckets.get(block.take)
        inside = taken is not None and _RANK.get(taken.level, len(ORDER)) <= rank
        above = scene.tree.above(block.take).get(pool.domain.value, block.take)
        held[above if inside else block.take] += _product(pool, block, None if inside else rank)
    return min(max(held.values(), default=pool.size), pool.size)


def _product(pool: PoolLayout, block: Block, rank: int | None) -> int:
    """Copies that a block chooses, of those levels that are below ``rank`` (None: of all)."""
    numbers = [
        number if number > 0 else pool.size + number
        for number, level in block.choices
        if rank is None or _RANK.get(level, -1) < rank
    ]
    return min(prod(numbers), pool.size)


@rule(ERROR, _AGAIN)
def pool_twice(scene: Scene) -> Findings:
    """A pool has a name of its own."""
    for name, count in Counter(pool.name for pool in pools(scene)).items():
        if count > 1:
            yield name, f"{count} pools have this name"


@rule(ERROR, "use at least two copies; three are the default")
def pool_size(scene: Scene) -> Findings:
    """A pool keeps two copies or more, is written with two or more, and with no more than it has (`ceph.md` §4: never
    min_size 1)."""
    for pool in pools(scene):
        if pool.size < 2:
            yield pool.name, f"size {pool.size}: the first lost disk takes data; 3 is the default, 2 the least"
        if pool.min_size < 2:
            yield pool.name, f"min_size {pool.min_size}: writes that only one disk has are lost with it; 2 is the least"
        if pool.min_size > pool.size:
            yield pool.name, f"min_size {pool.min_size} of {pool.size} copies: nothing could ever be written"


@rule(ERROR, "leave min_size to the default")
def erasure_min_size(scene: Scene) -> Findings:
    """An erasure-coded pool has k data chunks (2 or more) and m coding chunks (1 or more), is as wide as both, and is
    written with k + 1 or more (`ceph.md` §4)."""
    for pool in pools(scene):
        code = pool.erasure
        if code is None:
            continue
        if code.k < 2 or code.m < 1 or pool.size != code.k + code.m:
            yield pool.name, f"size {pool.size} with k={code.k}, m={code.m}: it is k + m, with k from 2 and m from 1"
        if pool.min_size < code.k + 1:
            yield (
                pool.name,
                f"min_size {pool.min_size} with k={code.k}: at {code.k} the next loss takes data; use {code.k + 1}",
            )


@rule(ERROR, "use replication, or no stretch mode")
def stretch_with_erasure(scene: Scene) -> Findings:
    """A stretch cluster has no erasure-coded pools, and four copies of everything (Ceph's documentation on stretch
    mode)."""
    for pool in pools(scene):
        if scene.ceph is not None and scene.ceph.stretch:
            if pool.erasure is not None:
                yield pool.name, f"is erasure-coded ({pool.erasure.k}+{pool.erasure.m}); stretch mode only replicates"
            elif pool.size != 4:
                yield pool.name, f"has {pool.size} copies; stretch mode keeps 4, two in each site"


@rule(ERROR, "add domains, or lower size or the domain's level")
def pool_too_wide(scene: Scene) -> Findings:
    """A pool has no more copies than its failure domains can take: else its placement groups never become clean."""
    for pool, layout in with_rules(scene):
        found, each = domain_count(scene, pool), copies_in_one(scene, pool, layout)
        if pool.size > found * each and not degraded(scene, pool):
            text = f"{counted(pool.size, 'copy', 'copies')}, but {counted(found, pool.domain.value)} of {pool.root}"
            yield pool.name, f"{text} that take {each} each"


@rule(ERROR, _AGAIN)
def pool_rule_missing(scene: Scene) -> Findings:
    """A pool's rule is in the layout."""
    names = {layout.name for layout in scene.ceph.rules} if scene.ceph else set()
    for pool in pools(scene):
        if pool.rule not in names:
            yield pool.name, f"its rule '{pool.rule}' is not there"


@rule(ERROR, _AGAIN)
def pool_unlike_rule(scene: Scene) -> Findings:
    """A pool's rule is made for its kind, takes its root and class (none in stretch mode), and goes through its failure
    domain."""
    for pool, layout in with_rules(scene):
        found = readable(layout)
        wanted = "" if scene.ceph and scene.ceph.stretch else pool.device_class
        if layout.erasure is not (pool.erasure is not None):
            kind = "erasure coding" if layout.erasure else "copies"
            yield pool.name, f"its rule {layout.name} is for {kind}"
        classes = {block.device_class for block in found}
        if found and classes != {wanted}:
            said = " and ".join(sorted(name or "any class" for name in classes))
            yield pool.name, f"its rule {layout.name} takes {said}; the pool is for {wanted or 'any class'}"
        inside = set(scene.tree.under(pool.root))
        if found and inside and not {block.take for block in found} <= inside:
            takes = ", ".join(sorted({block.take for block in found}))
            yield pool.name, f"its rule {layout.name} takes {takes}; the pool is for {pool.root}"


@rule(ERROR, "add disks of the class, or name another class for the pool")
def pool_without_osds(scene: Scene) -> Findings:
    """A pool's root is in the tree, and has OSDs of the pool's class below it."""
    for pool in pools(scene):
        if pool.root not in scene.tree.buckets:
            yield pool.name, f"its root {pool.root} is not in the tree"
        elif not scene.tree.count(pool.root, pool.device_class) and not degraded(scene, pool):
            yield pool.name, f"no OSD of class {pool.device_class or 'any'} below {pool.root}"


@rule(ERROR, _AGAIN)
def pool_pg_num(scene: Scene) -> Findings:
    """A pool has a number of placement groups: one or more."""
    for pool in pools(scene):
        if pool.pg_num < 1:
            yield pool.name, f"pg_num is {pool.pg_num}"


@rule(WARNING, "use a power of two")
def pg_num_uneven(scene: Scene) -> Findings:
    """The number of placement groups is a power of two: else some hold twice as much as others."""
    for pool in pools(scene):
        if pool.pg_num > 0 and pool.pg_num & (pool.pg_num - 1):
            yield pool.name, f"pg_num {pool.pg_num} is no power of two; some placement groups are twice as large"
