"""Whether OSDs may leave, with the numbers, and how long a drain takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from appliance.kinds.ceph.there import parents_of
from appliance.model.ceph import CephLayout, PoolLayout
from appliance.model.cephstate import CephState, OsdState

FULL = 0.85
"""Part of the raw space that may be used after something left: Ceph's own nearfull ratio (`ceph.md` §4)."""
RATE = 100e6
"""Bytes per second of one drain while nothing is measured yet."""


def may_leave(layout: CephLayout, state: CephState, osds: Collection[int]) -> str:
    """Why the OSDs with these (live) numbers may not leave, with the numbers; empty when they may. Checked is that every
    pool keeps enough domains for its copies, and that what is stored fits on what is left, in its worst domain too."""
    leave = [osd for osd in state.osds if osd.number in osds and not osd.destroyed]
    missing = set(osds) - {osd.number for osd in leave}
    if missing:
        return f"there is no {', '.join(f'osd.{number}' for number in sorted(missing))}"
    if any(osd.size == 0 or osd.pgs is None for osd in state.osds if osd.up and osd.in_):
        return "how full the OSDs are is not known: wait until a manager answers"
    short: dict[str, list[str]] = {}
    for pool in layout.pools:
        if text := _pool(layout, state, pool, osds):
            short.setdefault(text, []).append(pool.name)
    reasons = [f"pool{'s' if len(names) > 1 else ''} {', '.join(names)}: {text}" for text, names in short.items()]
    reasons += [text for name in sorted({osd.device_class for osd in leave}) if (text := no_space(state, name, osds))]
    return "; ".join(reasons)


def _pool(layout: CephLayout, state: CephState, pool: PoolLayout, osds: Collection[int]) -> str:
    """Whether enough domains stay for one copy (or ``per_domain``) each."""
    if not any(one.name == pool.name for one in state.pools):
        return ""
    now = _domains(layout, state, pool, ())
    then = _domains(layout, state, pool, osds)
    if now == then:
        return ""
    least = -(-pool.size // pool.per_domain)
    if len(then) < least:
        word = f"{pool.erasure.k}+{pool.erasure.m} chunks" if pool.erasure else f"{pool.size} copies"
        return f"{word} need {least} {pool.domain}s of class {pool.device_class}, {len(then)} would stay"
    return ""


def _domains(layout: CephLayout, state: CephState, pool: PoolLayout, without: Collection[int]) -> set[str]:
    """Failure domains below the pool's root with an OSD of its class that works."""
    levels = {one.name: one.level for one in state.buckets}
    parents = {one.name: one.parent for one in state.buckets} or parents_of(layout.buckets)
    found = set()
    for osd in state.osds:
        if osd.number in without or osd.destroyed or not (osd.up and osd.in_) or osd.device_class != pool.device_class:
            continue
        path = _above(osd.host, parents)
        if pool.root in path:
            found |= {name for name in path if levels.get(name) == pool.domain.value}
    return found


def _above(name: str, parents: dict[str, str]) -> list[str]:
    path = []
    while name and name not in path:
        path.append(name)
        name = parents.get(name, "")
    return path


def no_space(state: CephState, device_class: str, osds: Collection[int]) -> str:
    """Whether what this class holds fits on what stays, below `FULL`. What is out already still holds what has to move."""
    found = [osd for osd in state.osds if osd.device_class == device_class and not osd.destroyed]
    used = sum(osd.used for osd in found)
    stays = sum(osd.size for osd in found if osd.in_ and osd.number not in osds)
    if used > FULL * stays:
        part = f"{used / stays:.0%} of it" if stays else "and nothing is left"
        return (
            f"{_size(used)} are stored on OSDs of class {device_class}, {_size(stays)} would stay: {part}, "
            f"at most {FULL:.0%} may be used; add disks first"
        )
    return ""


def drain_seconds(state: CephState, osds: Iterable[OsdState]) -> float:
    """How long a drain will still take: by what recovers now where it does (objects that are still misplaced over objects
    per second), else by what is stored on ``osds`` at 100 MB/s."""
    if state.misplaced and state.recovering > 0:
        return state.misplaced / state.recovering
    return sum(osd.used for osd in osds) / RATE


def _size(amount: int) -> str:
    """In the unit that people count disks in."""
    for unit, word in ((1 << 40, "TiB"), (1 << 30, "GiB")):
        if amount >= unit:
            return f"{amount / unit:.1f} {word}"
    return f"{amount / (1 << 20):.1f} MiB"
