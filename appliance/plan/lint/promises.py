"""What pools promise, computed again: copies after a loss, healing, space, placement groups, speed."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.model.ceph import PoolLayout
from appliance.plan.lint.pools import copies_in_one, domain_count, pools, with_rules
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, rule
from appliance.plan.lint.scene import Scene
from hwprofiles.values import show_size

MOST_PGS, FEWEST_PGS = 250, 30
"""Copies of placement groups on one OSD: Ceph warns above the first; below the second they balance badly."""
TIB = 1 << 40
_SLACK = 1.01


@rule(ERROR, "spread over a smaller level, add domains, or use more copies")
def loss_below_min_size(scene: Scene) -> Findings:
    """After the loss of any one failure domain every pool can still be written: the copies that are left are min_size or
    more, however the rule placed them."""
    for pool, layout in with_rules(scene):
        left = pool.size - copies_in_one(scene, pool, layout)
        if left < pool.min_size:
            text = f"a lost {pool.domain} may take {pool.size - left} of {pool.size} copies"
            yield pool.name, f"{text}; {max(left, 0)} are left, and min_size is {pool.min_size}: writes stop"


@rule(ERROR, "report it as a fault of the planner; plan again")
def pool_promise_wrong(scene: Scene) -> Findings:
    """What the plan says of a pool's failure domains is so: how many there are, what one of them holds, that it heals."""
    for pool, layout in with_rules(scene):
        found, each = domain_count(scene, pool), copies_in_one(scene, pool, layout)
        if pool.domains > found:
            yield pool.name, f"counts {counted(pool.domains, pool.domain.value)} of {pool.root}; the tree has {found}"
        if pool.per_domain < each:
            yield pool.name, f"promises {pool.per_domain} in one {pool.domain}; its rule may put {each} there"
        if pool.heals and not _heals(scene, pool, each):
            yield (
                pool.name,
                f"promises to heal with {counted(found, pool.domain.value)}; {_needed(pool, each)} are needed",
            )


def _heals(scene: Scene, pool: PoolLayout, each: int) -> bool:
    """Whether what is left after the loss of one domain takes all copies. Stretch mode waits for the other site."""
    stretched = scene.ceph is not None and scene.ceph.stretch
    return not stretched and (domain_count(scene, pool) - 1) * each >= pool.size


def _needed(pool: PoolLayout, each: int) -> int:
    """Domains that it takes to heal."""
    return -(-pool.size // max(each, 1)) + 1


@rule(WARNING, "add one failure domain more than copies, or spread over a smaller level")
def pool_does_not_heal(scene: Scene) -> Findings:
    """After the loss of a failure domain a pool makes its copies complete again, without hands: that takes one domain
    more than copies (`ceph.md` §2)."""
    for pool, layout in with_rules(scene):
        each, found = copies_in_one(scene, pool, layout), domain_count(scene, pool)
        exact = pool.erasure is not None and found == pool.size
        if not exact and pool.size <= found * each and not _heals(scene, pool, each):
            text = f"with {counted(found, pool.domain.value)} it does not heal after the loss of one"
            stretched = scene.ceph is not None and scene.ceph.stretch
            remedy = "the other site has to come back" if stretched else f"{_needed(pool, each)} are needed"
            yield pool.name, f"{text}; {remedy}"


@rule(WARNING, "add a failure domain, or lower k or m")
def erasure_exact(scene: Scene) -> Findings:
    """An erasure-coded pool has more failure domains than k + m (`ceph.md` §4): with as many, the loss of one is never
    healed."""
    for pool in pools(scene):
        found = domain_count(scene, pool)
        if pool.erasure is not None and found == pool.size and pool.domain.value:
            k, m = pool.erasure.k, pool.erasure.m
            yield (
                pool.name,
                f"{k}+{m} on {counted(found, pool.domain.value)}: a lost one is never healed; {found + 1} would heal",
            )


@rule(WARNING, "change the shares of the pools, or leave pg_num to the autoscaler")
def pgs_per_osd(scene: Scene) -> Findings:
    """An OSD holds about 100 placement groups, not more than 250 (Ceph warns) and not less than 30 (`ceph.md` §4)."""
    loads: dict[tuple[str, str], int] = {}
    for pool in pools(scene):
        key = pool.root, pool.device_class
        loads[key] = loads.get(key, 0) + pool.pg_num * pool.size
    rates = {
        (root, kind): copies / scene.tree.count(root, kind)
        for (root, kind), copies in loads.items()
        if scene.tree.count(root, kind)
    }
    for root, kind in sorted(rates):
        above = set(scene.tree.above(root).values())
        total = sum(
            rate
            for (other, also), rate in rates.items()
            if (other == root or other in above) and also in ("", kind or also)
        )
        where = f"{scene.tree.count(root, kind)} OSDs of class {kind or 'any'} below {root}"
        if total > MOST_PGS:
            yield (
                f"{root}/{kind or 'any'}",
                f"{total:.0f} placement groups on each of {where}; Ceph warns above {MOST_PGS}",
            )
        elif total < FEWEST_PGS:
            yield (
                f"{root}/{kind or 'any'}",
                f"{total:.0f} placement groups on each of {where}; {FEWEST_PGS} balance, 100 well",
            )


def fill(sizes: Iterable[float], copies: int, each: int = 1) -> float:
    """The largest D with Σ min(c, each·D) ≥ copies·D over failure domains of sizes c: what one of the copies can hold
    (`ceph.md` §3)."""
    ordered = sorted(sizes)
    number, below = len(ordered), 0.0
    if number * each < copies:
        return 0.0
    for index, size in enumerate(ordered):
        left = copies - (number - index) * each
        if left > 0 and below / left * each <= size:
            return below / left
        below += size
    return below / copies


@rule(WARNING, "report it as a fault of the planner")
def capacity_too_good(scene: Scene) -> Findings:
    """The space that the plan promises is there: no more than fits into the failure domains as they are (`ceph.md` §3),
    less at nearfull, and least when a loss is to heal."""
    rules = {pool.name: (pool, layout) for pool, layout in with_rules(scene)}
    for said in scene.ceph.capacity if scene.ceph else ():
        if said.nearfull > said.usable or (said.healable or 0) > said.usable:
            yield (
                said.pool,
                f"promises more at nearfull or after a loss than the {show_size(said.usable)} that are usable",
            )
        if said.pool not in rules:
            continue
        pool, layout = rules[said.pool]
        weights = scene.tree.domains(pool.root, pool.domain.value, pool.device_class)
        each = max(copies_in_one(scene, pool, layout), 1)
        fits = fill(weights.values(), pool.size, each) * (pool.erasure.k if pool.erasure else 1) * TIB
        if said.usable > fits * _SLACK:
            yield said.pool, f"promises {show_size(said.usable)}; its failure domains hold {show_size(int(fits))}"


@rule(WARNING, "report it as a fault of the planner")
def throughput_too_good(scene: Scene) -> Findings:
    """What is expected of a pool is below its bound (`ceph.md` §5: 0.54 to 0.68 of it were measured)."""
    for said in scene.ceph.throughput if scene.ceph else ():
        for what, expected, bound in (
            ("writing", said.write_expected, said.write_bound),
            ("reading", said.read_expected, said.read_bound),
        ):
            if expected > bound:
                yield said.pool, f"{show_size(expected)}/s expected for {what}, above the bound of {show_size(bound)}/s"
