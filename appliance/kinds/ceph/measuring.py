"""Measuring what pools give one client: which, when not, how it is told, and what the numbers mean.

The client is a member, and so that its own OSDs do not help it, only objects whose first copy is on another host are used
(`agent.act.cephtalk`). Then every byte goes through the client's port and another host's, as the bound of
`appliance.plan.ceph.throughput` counts them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from agent.cephorder import CephAction, CephOrder, MeasureOrder, MonAnswer
from appliance.kinds.ceph.names import block_pools, filesystems, realms
from appliance.kinds.ceph.parse import AnswerError
from appliance.kinds.ceph.there import pool_of, unsettled
from appliance.model.ceph import CephLayout, PoolLayout, Throughput
from appliance.model.cephstate import CephState
from appliance.model.measured import Flow, Measured, Verdict

SIZE, OBJECTS = 4 << 20, 1024
"""At most 4 GiB of users' data lie in a pool while it is measured."""
SPARE = 4
"""So many times what is written must be free on the OSDs of the class."""
WAYS = ("write", "read")


def measurable(layout: CephLayout) -> tuple[str, ...]:
    """Pools that large data goes to, in the order of the layout: RBD images, files, objects in buckets. Not those that
    keep metadata and indexes in small values."""
    block, files = block_pools(layout.pools), filesystems(layout.pools)
    data = {coded or name for name, coded in block.items()}
    data |= {name for _, first, coded in files.values() for name in (first, coded) if name}
    data |= {f"{realm}.rgw.buckets.data" for realm in realms(layout.pools)}
    return tuple(pool.name for pool in layout.pools if pool.name in data)


def refusal(layout: CephLayout, state: CephState, names: Sequence[str]) -> str:
    """Why these pools are not measured now, with what to do; empty when they may be."""
    known = {pool.name: pool for pool in layout.pools}
    for name in names:
        if name not in measurable(layout):
            return f"{name} is not measured; pools for large data are: {', '.join(measurable(layout)) or 'none'}"
        if pool_of(state, name) is None:
            return f"pool {name} is not there yet: apply the plan first"
    waits = unsettled(state)
    if waits:
        return f"Ceph is not well ({waits}): measure when it is"
    full = [osd for osd in state.osds if osd.size and osd.used >= state.nearfull * osd.size]
    if full:
        part = full[0].used / full[0].size
        return f"osd.{full[0].number} is {part:.0%} full: add disks or delete data, then measure"
    return next((text for name in names if (text := _no_room(known[name], state))), "")


def _no_room(pool: PoolLayout, state: CephState) -> str:
    osds = [osd for osd in state.osds if osd.up and osd.in_ and osd.device_class == pool.device_class]
    if any(osd.pgs is None or not osd.size for osd in osds):
        return "how full the OSDs are is not known: wait until a manager answers"
    factor = pool.size / pool.erasure.k if pool.erasure else pool.size
    needed = int(SIZE * OBJECTS * factor * SPARE)
    free = sum(osd.size - osd.used for osd in osds)
    if free < needed:
        return (
            f"pool {pool.name}: {free / (1 << 30):.1f} GiB are free on OSDs of class {pool.device_class}, "
            f"{needed / (1 << 30):.1f} GiB must be: {SPARE} times what is written"
        )
    return ""


def measure_order(layout: CephLayout, host: str, names: Sequence[str], seconds: float = 10.0) -> CephOrder:
    """For a machine with a monitor and the administrator's key, whose bucket is ``host``."""
    wanted = MeasureOrder(pools=tuple(names), host=host, seconds=seconds, size=SIZE, objects=OBJECTS)
    return CephOrder(action=CephAction.MEASURE, fsid=layout.fsid, measure=wanted)


def measured(
    layout: CephLayout, plan: str, machine: str, answers: Sequence[MonAnswer], at: float
) -> tuple[Measured, ...]:
    """What the machine found, one for each pool that the layout promises something of. Raises `AnswerError`."""
    promises = {one.pool: one for one in layout.throughput}
    found = (_read(answer) for answer in answers)
    return tuple(
        Measured(
            fsid=layout.fsid,
            plan=plan,
            pool=pool,
            machine=machine,
            at=at,
            write=write,
            read=read,
            promise=promises[pool],
        )
        for pool, write, read in found
        if pool in promises
    )


def _read(answer: MonAnswer) -> tuple[str, Flow, Flow]:
    """Pool, writing, reading."""
    try:
        said = json.loads(answer.output)
        write, read = (Flow(bytes=int(said[way]["bytes"]), seconds=float(said[way]["seconds"])) for way in WAYS)
        return str(said["pool"]), write, read
    except (ValueError, KeyError, TypeError) as error:
        raise AnswerError(f"what was measured can't be read: {answer.output[:80]!r}") from error


def hints(found: Measured) -> tuple[str, ...]:
    """What the numbers mean, where they are not what was expected: one sentence or two for each direction."""
    return tuple(
        _HINTS[verdict].format(way=way, limit=_limit(found.promise, way))
        for way, verdict in (("writing", found.write_verdict), ("reading", found.read_verdict))
        if verdict is not Verdict.FINE
    )


def _limit(promise: Throughput, way: str) -> str:
    """Of one direction, from words such as ``writing: the network between hosts; reading: one client's port``."""
    for part in promise.limit.split("; "):
        words, _, text = part.partition(": ")
        if way in words and text:
            return text
    return promise.limit


_HINTS = {
    Verdict.ABOVE: "{way} is above the bound, so the bound is wrong (limit: {limit}): see in `rackseed plan layout` whether "
    "it counts with the right ports and disks",
    Verdict.LOW: "{way} is less than half of what is expected (limit: {limit}). Look at the speed of the links (ethtool), "
    "at the MTU along the whole way (ping -M do -s 8972), at disks without power-loss protection, and at other load",
}
