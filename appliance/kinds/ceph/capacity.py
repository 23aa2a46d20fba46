"""Whether OSDs may leave, with the numbers, and how long a drain takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from appliance.kinds.ceph.room import no_room, size_text, usage_known
from appliance.kinds.ceph.there import parents_of
from appliance.model.ceph import CephLayout, PoolLayout
from appliance.model.cephstate import CephState, OsdState

RATE = 100e6
"""Bytes per second of one drain while nothing is measured, and neither disks nor ports tell anything."""


def may_leave(layout: CephLayout, state: CephState, osds: Collection[int]) -> str:
    """Why the OSDs with these (live) numbers may not leave, with the numbers; empty when they may. Checked is that every
    pool keeps enough domains for its copies, and that what is stored fits on what is left, in its worst domain too."""
    leave = [osd for osd in state.osds if osd.number in osds and not osd.destroyed]
    missing = set(osds) - {osd.number for osd in leave}
    if missing:
        return f"there is no {', '.join(f'osd.{number}' for number in sorted(missing))}"
    if not usage_known(state):
        return "how full the OSDs are is not known: wait until a manager answers"
    short: dict[str, list[str]] = {}
    for pool in layout.pools:
        if text := _pool(layout, state, pool, osds):
            short.setdefault(text, []).append(pool.name)
    reasons = [f"pool{'s' if len(names) > 1 else ''} {', '.join(names)}: {text}" for text, names in short.items()]
    reasons += [text for name in sorted({osd.device_class for osd in leave}) if (text := no_room(state, name, osds))]
    return "; ".join(reasons)


def _pool(layout: CephLayout, state: CephState, pool: PoolLayout, osds: Collection[int]) -> str:
    """Whether enough domains stay for one copy (or ``per_domain``) each; and when none is to spare, whether each of them
    can hold what it holds now."""
    if not any(one.name == pool.name for one in state.pools):
        return ""
    now = _domains(layout, state, pool)
    then = {name: [osd for osd in found if osd.number not in osds] for name, found in now.items()}
    then = {name: found for name, found in then.items() if found}
    least = -(-pool.size // pool.per_domain)
    word = f"{pool.erasure.k}+{pool.erasure.m} chunks" if pool.erasure else f"{pool.size} copies"
    if len(then) < least and len(then) < len(now):
        return f"{word} need {least} {pool.domain}s of class {pool.device_class}, {len(then)} would stay"
    for name, left in sorted(then.items()) if len(then) == least else ():
        used, size = sum(osd.used for osd in now[name]), sum(osd.size for osd in left)
        if len(left) < len(now[name]) and used > state.nearfull * size:
            return (
                f"{word} on {least} {pool.domain}s leave no other place: {pool.domain} {name} holds {size_text(used)}, "
                f"{size_text(size)} would stay of it, at most {state.nearfull:.0%} may be used; add disks there first"
            )
    return ""


def _domains(layout: CephLayout, state: CephState, pool: PoolLayout) -> dict[str, list[OsdState]]:
    """Failure domains below the pool's root, with their OSDs of its class that work."""
    levels = {one.name: one.level for one in state.buckets}
    parents = {one.name: one.parent for one in state.buckets} or parents_of(layout.buckets)
    found: dict[str, list[OsdState]] = {}
    for osd in state.osds:
        if osd.destroyed or not (osd.up and osd.in_) or osd.device_class != pool.device_class:
            continue
        path = _above(osd.host, parents)
        for name in path if pool.root in path else ():
            if levels.get(name) == pool.domain.value:
                found.setdefault(name, []).append(osd)
    return found


def _above(name: str, parents: dict[str, str]) -> list[str]:
    path = []
    while name and name not in path:
        path.append(name)
        name = parents.get(name, "")
    return path


def drain_seconds(state: CephState, osds: Iterable[OsdState], rate: float = 0.0) -> float:
    """How long a drain will still take: by what recovers now where it does (objects that are still misplaced over objects
    per second), else by what is stored on ``osds`` at ``rate`` bytes per second (0: at 100 MB/s)."""
    if state.misplaced and state.recovering > 0:
        return state.misplaced / state.recovering
    return sum(osd.used for osd in osds) / (rate or RATE)
