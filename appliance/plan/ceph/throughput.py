"""What one client can get of a pool: a bound that is never passed, and what is usual (`ceph.md` §5).

::

    write ≤ min(N · B_cluster / (s - 1), N · B_public, Σ disk writes / (s · amplification), the client's port)
    read  ≤ min(N · B_public, Σ disk reads, the client's port)

N hosts with ports of B bytes per second, s copies. A coded pool writes (k + m) / k bytes of each, and its primary sends
(k + m - 1) / k on. Measured with shaped links, real clusters reach 0.54-0.68 of the bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from appliance.kinds.ceph.rates import DISKS, EXPECTED
from appliance.model.ceph import CephSpec, DeviceClass, OsdLayout, PoolLayout, Throughput
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.portspeed import MEGABIT, storage_networks, storage_rates
from appliance.plan.crush.crushmap import tree
from appliance.plan.crush.domains import Host, Terrain

AMPLIFICATION = 1.1
"""Bytes on the disk for each byte of a large write: BlueStore writes data once, and its metadata beside it."""
DRAFT = "3 nodes at 10 Gb/s (architecture draft, fio in a VM, half reads): 4k 12.3k+12.3k IOPS, 1m 663+707 MB/s"
DRAFT_NODES = 3
DRAFT_RATE = 10_000 * MEGABIT


def throughput(
    site: Site,
    spec: CephSpec,
    members: Sequence[Candidate],
    osds: Sequence[OsdLayout],
    pools: Sequence[PoolLayout],
    *,
    terrain: Terrain | None = None,
) -> tuple[Throughput, ...]:
    """One entry for each pool. ``terrain`` saves a second look at the tree."""
    terrain = terrain or Terrain(tree(site, members, osds), osds)
    public, cluster = storage_networks(site, spec.public, spec.cluster)
    front = storage_rates(members, public)
    back = storage_rates(members, cluster) if cluster is not public else front
    found: dict[tuple[object, ...], Throughput] = {}
    made = []
    for pool in pools:
        shape = (pool.root, pool.device_class, pool.size, pool.erasure)
        if shape not in found:
            found[shape] = _bound(pool, terrain.hosts(pool.root, pool.device_class), front, back)
        made.append(replace(found[shape], pool=pool.name))
    return tuple(made)


def _bound(
    pool: PoolLayout, hosts: Sequence[Host], front: Mapping[str, int | None], back: Mapping[str, int | None]
) -> Throughput:
    rate = DISKS.get(pool.device_class, DISKS[DeviceClass.NVME.value])
    disks = sum(len(host.osds) for host in hosts)
    written = pool.size / pool.erasure.k if pool.erasure else float(pool.size)
    sent = (pool.size - 1) / pool.erasure.k if pool.erasure else pool.size - 1.0
    writes = {"disks": disks * rate.write / (written * AMPLIFICATION)}
    reads = {"disks": float(disks * rate.read)}
    public = [front.get(host.name) for host in hosts]
    cluster = [back.get(host.name) for host in hosts]
    known = [rate for rate in public if rate]
    missing = sum(1 for pair in zip(public, cluster, strict=True) if None in pair)
    if known and not missing:
        writes |= {
            "the network between hosts": sum(rate for rate in cluster if rate) / sent,
            "the hosts' ports": float(sum(known)),
            "one client's port": float(max(known)),
        }
        reads |= {"the hosts' ports": float(sum(known)), "one client's port": float(max(known))}
    write, read = min(writes.values()), min(reads.values())
    draft = len(hosts) == DRAFT_NODES and not missing and set(known) == {DRAFT_RATE} and pool.erasure is None
    return Throughput(
        pool=pool.name,
        write_bound=int(write),
        write_expected=int(write * EXPECTED),
        read_bound=int(read),
        read_expected=int(read * EXPECTED),
        limit=_limit(writes, reads, missing, len(hosts)),
        recorded=DRAFT if draft else "",
    )


def _limit(writes: Mapping[str, float], reads: Mapping[str, float], missing: int, hosts: int) -> str:
    """What the bounds come from, in words."""
    write = min(writes, key=lambda name: writes[name])
    read = min(reads, key=lambda name: reads[name])
    text = f"writing and reading: {write}" if write == read else f"writing: {write}; reading: {read}"
    if missing:
        text += (
            f"; the network is not counted: {missing} of {hosts} hosts have storage ports of unknown speed (no link)"
        )
    return text


def at_block(rate: int, block: int, latency: float, depth: int = 1) -> float:
    """Bytes per second with requests of ``block`` bytes, ``depth`` at a time: small ones wait for the ``latency`` of a
    round (seconds), large ones for wire and disks, which give ``rate``."""
    return 1 / (latency / (depth * block) + 1 / rate)
