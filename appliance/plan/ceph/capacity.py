"""What users can store in each pool, now, when the first OSD is nearly full, and so that a loss can heal (`ceph.md` §3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from appliance.model.ceph import Bucket, Capacity, CephSpec, OsdLayout, PoolLayout
from appliance.model.place import Level
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.portspeed import storage_networks, storage_rates
from appliance.plan.crush.domains import Domains, Terrain, usable

NEARFULL = 0.85
"""Ceph's mon_osd_nearfull_ratio: it warns, and backfill should not have to go beyond it."""
IMBALANCE = 1.1
"""The fullest OSD against the mean, with Ceph's balancer on."""
HOUR = 3600


def capacity(
    spec: CephSpec,
    members: Sequence[Candidate],
    osds: Sequence[OsdLayout],
    pools: Sequence[PoolLayout],
    buckets: Sequence[Bucket],
    *,
    site: Site | None = None,
    terrain: Terrain | None = None,
) -> tuple[Capacity, ...]:
    """For each pool one entry for the loss of a host, and one for the loss of its failure domain when that is larger. With
    ``site`` the ports of its storage network tell how long healing takes, else those of the profile's storage role.
    ``terrain`` saves a second look at the tree."""
    terrain = terrain or Terrain(buckets, osds)
    network = storage_networks(site, spec.public, spec.cluster)[1] if site else None
    rates = storage_rates(members, network)
    shapes: dict[tuple[object, ...], tuple[Capacity, ...]] = {}
    found: list[Capacity] = []
    for pool in pools:
        shape = (pool.root, pool.device_class, pool.size, pool.erasure, pool.domain, pool.per_domain)
        if shape not in shapes:
            levels = dict.fromkeys((Level.HOST, pool.domain))
            shapes[shape] = tuple(_capacity(pool, level, terrain, rates) for level in levels)
        found += [replace(entry, pool=pool.name) for entry in shapes[shape]]
    return tuple(found)


def _capacity(pool: PoolLayout, level: Level, terrain: Terrain, rates: Mapping[str, int | None]) -> Capacity:
    domains = terrain.domains(pool.root, pool.device_class, pool.domain)
    data = pool.erasure.k if pool.erasure else 1
    all_ = data * storable(domains.inside.values(), pool.size, pool.per_domain)
    lost = _largest(domains, level)
    left = data * storable(_without(domains, level, lost), pool.size, pool.per_domain)
    heals = left > 0 and not (pool.per_domain > 1 and level is pool.domain)
    return Capacity(
        pool=pool.name,
        raw=sum(domains.weights.values()),
        usable=all_,
        nearfull=_safe(all_),
        healable=_safe(left) if heals else None,
        level=level,
        recovery_hours=_hours(pool, level, domains, terrain, rates) if heals else None,
    )


def _safe(amount: int) -> int:
    return int(amount * NEARFULL / IMBALANCE)


def storable(inside: Iterable[tuple[int, ...]], copies: int, each: int = 1) -> int:
    """What each of ``copies`` copies can hold with at most ``each`` of them in a domain, and those on distinct parts of it.
    0 when they have no room at all."""
    if each == 1:
        return usable((sum(part) for part in inside), copies)
    kinds = [(Counter(part).items(), number) for part, number in Counter(tuple(sorted(p)) for p in inside).items()]
    if sum(number for part, number in kinds if sum(times for _, times in part) >= each) < -(-copies // each):
        return 0
    low, high = 0, sum(size * times * number for part, number in kinds for size, times in part) // copies
    while low < high:
        middle = (low + high + 1) // 2
        rooms = ((sum(min(size, middle) * times for size, times in part), number) for part, number in kinds)
        enough = sum(min(each * middle, room) * number for room, number in rooms) >= copies * middle
        low, high = (middle, high) if enough else (low, middle - 1)
    return low


def _largest(domains: Domains, level: Level) -> tuple[str, int]:
    """The domain whose loss is worst and, for the loss of a host inside a larger domain, which part of it."""
    if level is domains.level:
        weights = domains.weights
        return max(sorted(weights), key=lambda name: weights[name], default=""), -1
    found = [(size, name, at) for name, part in domains.inside.items() for at, size in enumerate(part)]
    _, name, at = max(found, default=(0, "", -1))
    return name, at


def _without(domains: Domains, level: Level, lost: tuple[str, int]) -> list[tuple[int, ...]]:
    name, at = lost
    if level is domains.level:
        return [part for other, part in domains.inside.items() if other != name]
    return [
        part if other != name else part[:at] + part[at + 1 :]
        for other, part in domains.inside.items()
        if other != name or len(part) > 1
    ]


def _hours(
    pool: PoolLayout, level: Level, domains: Domains, terrain: Terrain, rates: Mapping[str, int | None]
) -> float | None:
    """Hours that the network needs at least to make lost copies again, from OSDs that are `NEARFULL`. None when a port's
    speed is unknown. With as many domains as copies, a lost host's copies can only go to hosts of its own domain."""
    name, at = _largest(domains, level)
    hosts = terrain.hosts(pool.root, pool.device_class)
    inside = [host for host in hosts if name in {host.name, host.above.get(pool.domain.value)}]
    if level is domains.level:
        lost = domains.weights[name]
        gone = {host.name for host in inside}
        receivers = [host for host in hosts if host.name not in gone]
    else:
        lost = domains.inside[name][at]
        bound = len(domains) * pool.per_domain <= pool.size
        receivers = [host for host in (inside if bound else hosts) if host is not inside[at]]
    known = [rate for host in receivers if (rate := rates.get(host.name))]
    if not known or len(known) < len(receivers):
        return None
    return round(recovery_seconds(int(lost * NEARFULL), known) / HOUR, 2)


def recovery_seconds(lost: int, receiving: Sequence[int]) -> float:
    """Seconds to bring ``lost`` bytes to hosts that receive so many bytes per second: 10 TB at 10 Gb/s take 2.2 hours."""
    return lost / sum(receiving)
