"""Room on OSDs: what is too full, whether what moves will fit, and when a drain that filled others goes on.

Ceph itself stops moving data onto an OSD that is backfillfull, and then waits for ever; at full it stops all writes. So a
drain begins only when it is expected to end below these ratios; one that fills others in spite of that is taken back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from appliance.model.cephstate import CephState, OsdState

PAUSED = "paused/"
"""Notes about OSDs whose drain was taken back: ``room needed numbers``, bytes, and what was drained together."""
FULL_CHECKS = frozenset(
    {
        "OSD_BACKFILLFULL",
        "OSD_FULL",
        "OSD_NEARFULL",
        "PG_BACKFILL_FULL",
        "POOL_BACKFILLFULL",
        "POOL_FULL",
        "POOL_NEARFULL",
    }
)
"""Health checks about room."""
TOO_FULL = frozenset({"backfill_toofull", "recovery_toofull"})
"""Words of a placement group that waits for room."""
_BACKFILLFULL = frozenset({"backfillfull", "full"})
_SHOWN = 3


def usage_known(state: CephState) -> bool:
    """Whether a manager has said how full the OSDs are that take data."""
    return not any(osd.size == 0 or osd.pgs is None for osd in state.osds if osd.up and osd.in_)


def crowded(state: CephState, device_class: str, without: Collection[int] = ()) -> tuple[OsdState, ...]:
    """OSDs that take data of this class and are nearfull or worse, the fullest first. What monitors say of an OSD counts
    also while no manager tells numbers. An empty class means any."""
    found = [
        osd
        for osd in _takers(state, device_class, without)
        if osd.filling or (osd.size and osd.used >= state.nearfull * osd.size)
    ]
    return tuple(sorted(found, key=lambda osd: (-_part(osd), osd.number)))


def stuck(state: CephState, device_class: str, without: Collection[int] = ()) -> tuple[OsdState, ...]:
    """Those onto which Ceph moves nothing any more."""
    return tuple(
        osd
        for osd in crowded(state, device_class, without)
        if osd.filling in _BACKFILLFULL or (osd.size and osd.used >= state.backfillfull * osd.size)
    )


def blocked(state: CephState, device_class: str) -> bool:
    """Whether data of this class move no further for want of room: an OSD is backfillfull, or all that is left to move
    waits for room (an OSD may be below backfillfull, and too full for one more placement group). Placement groups tell no
    class: they count for the class that has a crowded OSD, or for all when none is."""
    if stuck(state, device_class):
        return True
    moving = [set(name.split("+")) for name, count in state.pgs if count]
    moving = [words for words in moving if "clean" not in words]
    waits = bool(moving) and all(words & TOO_FULL for words in moving)
    return waits and (bool(crowded(state, device_class)) or not crowded(state, ""))


def told(osds: Iterable[OsdState]) -> str:
    """``osd.2 is 91% full``; a few of them."""
    found = list(osds)
    words = [
        f"osd.{osd.number} is {f'{_part(osd):.0%} full' if osd.size else osd.filling or 'not known'}"
        for osd in found[:_SHOWN]
    ]
    return ", ".join(words) + (f" and {len(found) - _SHOWN} more are" if len(found) > _SHOWN else "")


def no_room(state: CephState, device_class: str, osds: Collection[int]) -> str:
    """Why what is on these OSDs does not go onto the others of their class, with the numbers; empty when it does. Looked at
    are all of them together, the fullest one as it would become, and those that are too full already."""
    why = no_space(state, device_class, osds) or _fullest(state, device_class, osds)
    if why:
        return why
    full = crowded(state, device_class, osds)
    if full:
        return f"{told(full)}, and from {state.nearfull:.0%} on nothing is added: add disks, or wait for the balancer"
    return ""


def no_space(state: CephState, device_class: str, osds: Collection[int]) -> str:
    """Whether what this class holds fits on what stays, below nearfull. What is out already still holds what has to move."""
    used = sum(osd.used for osd in state.osds if osd.device_class == device_class and not osd.destroyed)
    stays = sum(osd.size for osd in _takers(state, device_class, osds))
    if used > state.nearfull * stays:
        part = f"{used / stays:.0%} of it" if stays else "and nothing is left"
        return (
            f"{size_text(used)} are stored on OSDs of class {device_class}, {size_text(stays)} would stay: {part}, "
            f"at most {state.nearfull:.0%} may be used; add disks first"
        )
    return ""


def _fullest(state: CephState, device_class: str, osds: Collection[int]) -> str:
    """The fullest OSD that stays grows as the others do: what leaves is dealt out by weight."""
    takers = [osd for osd in _takers(state, device_class, osds) if osd.size]
    total = sum(osd.used for osd in state.osds if osd.device_class == device_class and not osd.destroyed)
    held = sum(osd.used for osd in takers)
    if not held:
        return ""
    worst = max(takers, key=lambda osd: (_part(osd), -osd.number))
    then = _part(worst) * total / held
    if then < state.backfillfull:
        return ""
    return (
        f"osd.{worst.number} is {_part(worst):.0%} full and would become about {then:.0%}; nothing is moved onto an OSD "
        f"above {state.backfillfull:.0%}: add disks first, or wait for the balancer"
    )


# ---------------------------------------------------------------- a drain that was taken back


def room(state: CephState, device_class: str, leave: Collection[int]) -> int:
    """Bytes that still fit below nearfull when everything that leaves is empty, whichever of that is in now."""
    stays = sum(osd.size for osd in _takers(state, device_class, leave))
    used = sum(osd.used for osd in state.osds if osd.device_class == device_class and not osd.destroyed)
    return int(state.nearfull * stays) - used


def pause_note(state: CephState, osd: OsdState, leave: Collection[int]) -> str:
    """What is noted when its drain is taken back: the room that was not enough, and what the OSD still held."""
    return f"{room(state, osd.device_class, leave)} {osd.used} {_numbers(leave)}"


def _numbers(leave: Iterable[int]) -> str:
    return ",".join(str(number) for number in sorted(leave))


def still_paused(state: CephState, osd: OsdState, leave: Collection[int]) -> str:
    """Why a drain that was taken back does not go on yet; empty when it does, or never was. ``leave`` is drained together.

    The same room would fill the same OSDs again, so there has to be more: at least as much as the OSD still held then. A
    note about another drain (a plan that was given up) tells nothing about this one."""
    noted = dict(state.notes).get(f"{PAUSED}osd.{osd.number}", "").split()
    if len(noted) != 3 or noted[2] != _numbers(leave) or not all(word.lstrip("-").isdigit() for word in noted[:2]):
        return ""
    wanted = int(noted[0]) + int(noted[1])
    lacking = wanted - room(state, osd.device_class, leave)
    if lacking <= 0:
        return ""
    return (
        f"its drain had filled other OSDs and was taken back; it goes on by itself when {size_text(lacking)} more are free "
        f"on OSDs of class {osd.device_class}: add disks, or delete data"
    )


def _takers(state: CephState, device_class: str, without: Collection[int]) -> list[OsdState]:
    """OSDs of a class that are given data."""
    return [
        osd
        for osd in state.osds
        if osd.in_
        and not osd.destroyed
        and osd.number not in without
        and (not device_class or osd.device_class == device_class)
    ]


def _part(osd: OsdState) -> float:
    return osd.used / osd.size if osd.size else 0.0


def size_text(amount: int) -> str:
    """In the unit that people count disks in."""
    for unit, word in ((1 << 40, "TiB"), (1 << 30, "GiB")):
        if amount >= unit:
            return f"{amount / unit:.1f} {word}"
    return f"{amount / (1 << 20):.1f} MiB"
