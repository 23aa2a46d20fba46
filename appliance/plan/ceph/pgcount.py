"""How many placement groups a pool gets. Ceph's rule: 100 PGs on an OSD, counting copies, over all of its pools; it warns
above 250 (`ceph.md` §4), and its autoscaler leaves a pool alone until it is wrong by a factor of three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.model.ceph import PoolLayout
from appliance.model.plan import Wait, WaitReason
from appliance.plan.crush.crushmap import ROOT
from appliance.plan.crush.domains import Terrain
from appliance.plan.order import natural

PER_OSD = 100
WARN_PER_OSD = 250
LEAST = 8
MOST = 65_536
"""Ceph's mon_max_pool_pg_num."""
GROWS_AT = 4
"""A pool that stands gets more PGs when it has too few by this factor. Never for less, and never fewer: it moves data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A pool without its PGs. ``owner`` is the pool of the site file that it belongs to, ``share`` what that one asks for (0
    for parts that hold little), ``pgs`` what such a part gets, ``standing`` the PGs that it has."""

    pool: PoolLayout
    owner: str
    share: float
    pgs: int
    standing: int = 0


def count(drafts: Sequence[Draft], terrain: Terrain) -> tuple[PoolLayout, ...]:
    """The pools with pg_num and their part of the space, sorted by name."""
    numbered = []
    for draft in drafts:
        pool = draft.pool
        rivals = {other.owner: other.share for other in drafts if _meet(pool, other.pool) and other.share}
        share = draft.share / sum(rivals.values()) if draft.share else 0.0
        osds = terrain.osds(pool.root, pool.device_class)
        ideal = nearest_power(PER_OSD * osds * share / pool.size) if draft.share else draft.pgs
        numbered.append(replace(pool, pg_num=_stable(ideal, draft.standing), share=round(share, 4)))
    return tuple(sorted(numbered, key=lambda pool: natural(pool.name)))


def nearest_power(amount: float) -> int:
    """The power of two that is nearest to ``amount``, within what Ceph allows."""
    below = 1 << max(0, int(amount).bit_length() - 1)
    return min(MOST, max(LEAST, below if amount < 1.5 * below else 2 * below))


def _stable(ideal: int, standing: int) -> int:
    return ideal if ideal >= GROWS_AT * standing else standing


def _meet(one: PoolLayout, other: PoolLayout) -> bool:
    """Whether two pools use the same OSDs: of one class, and one root inside the other."""
    return one.device_class == other.device_class and (one.root == other.root or ROOT in {one.root, other.root})


def too_many(name: str, pools: Sequence[PoolLayout], terrain: Terrain) -> tuple[Wait, ...]:
    """A warning for every device class whose OSDs would hold more PGs than Ceph likes."""
    worst: dict[str, float] = {}
    for pool in pools:
        density = sum(o.pg_num * o.size / max(1, terrain.osds(o.root, o.device_class)) for o in pools if _meet(pool, o))
        worst[pool.device_class] = max(density, worst.get(pool.device_class, 0.0))
    return tuple(
        Wait(
            about=name,
            reason=WaitReason.LAYOUT,
            text=f"{density:.0f} PGs on an OSD of class {word}, Ceph warns above {WARN_PER_OSD}: fewer pools, or more OSDs",
        )
        for word, density in sorted(worst.items())
        if density > WARN_PER_OSD
    )
