"""What is left of OSDs that no plan has: said by lint, and removed when a person decides so and nothing needs it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.kinds.ceph.capacity import may_leave
from appliance.kinds.ceph.names import disk_word, osd_uuid
from appliance.kinds.ceph.there import all_active, drained, just_down, noted_leaving, numbered
from appliance.model.ceph import CephLayout, OsdLayout
from appliance.model.cephstate import CephState, OsdState


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """One number. ``kind`` is ``unknown`` (an OSD that no plan made), ``destroyed`` (its id waits for a disk that nobody
    has) or ``ghost`` (it hangs in the CRUSH tree, the map has it no more)."""

    number: int
    kind: str
    text: str

    @property
    def name(self) -> str:
        return f"osd.{self.number}"


def strangers(layout: CephLayout, before: CephLayout | None, state: CephState) -> Iterator[Stale]:
    """Everything with a number that no plan knows. ``before`` is what earlier plans formed."""
    known = _uuids(layout, before, state)
    numbers = {osd.number for osd in layout.osds}
    for osd in state.osds:
        how = f"`rackseed remove osd {osd.number}`"
        if osd.destroyed:
            if osd.number not in numbers:
                text = f"its id waits for a new disk, and no plan has one for it: {how} gives it up"
                yield Stale(number=osd.number, kind="destroyed", text=text)
        elif osd.uuid not in known:
            where = f"on {osd.host}" if osd.host else "below no host"
            text = f"{osd.uuid} {where} was made by no plan of ours: it is left alone; if it is old, {how} removes it"
            yield Stale(number=osd.number, kind="unknown", text=text)
    for number, _ in state.ghosts:
        if number not in numbers:
            text = f"it hangs in the CRUSH tree, and there is no such OSD: `rackseed remove osd {number}` removes it"
            yield Stale(number=number, kind="ghost", text=text)


def gone(state: CephState, number: int) -> bool:
    """Whether nothing has this number any more."""
    return numbered(state, number) is None and number not in dict(state.ghosts)


def uuid_of(state: CephState, number: int) -> str:
    """What the map has with this number; empty for what only hangs in the tree. All destroyed ones have zeros."""
    found = numbered(state, number)
    return found.uuid if found is not None else ""


def host_of(state: CephState, number: int) -> str:
    """The host below which it hangs, or empty."""
    found = numbered(state, number)
    return found.host if found is not None else dict(state.ghosts).get(number, "")


def kept(layout: CephLayout, before: CephLayout | None, state: CephState, number: int) -> str:
    """Why what has this number in a live Ceph is not removed now, in words that say what to do; empty when it may be.

    Nothing that a plan has is removed this way, nothing that runs and holds data, and nothing that a placement group
    can't be used without."""
    found, name = numbered(state, number), f"osd.{number}"
    planned = next((osd for osd in layout.osds if osd.number == number), None)
    if planned is not None and (found is None or found.destroyed or found.uuid == osd_uuid(layout.fsid, planned)):
        return f"{name} is planned, on disk {disk_word(planned.data)}: take the disk or its machine out instead"
    if found is None:
        return "" if number in dict(state.ghosts) else f"there is no {name}"
    if found.destroyed:
        return ""
    if found.uuid in _uuids(layout, before, state):
        return f"{name} leaves by a plan already: see `rackseed plan`"
    return _needed(layout, state, found)


def _needed(layout: CephLayout, state: CephState, found: OsdState) -> str:
    name = f"osd.{found.number}"
    if found.up and not drained(found):
        held = "how much it holds is not known" if found.pgs is None else f"holds {found.pgs} PGs"
        if found.pgs == 0 and not found.in_:
            held = "nobody knows yet that all it holds was copied"
        where = f"on {found.host}" if found.host else "below no host"
        return f"{name} runs {where} and {held}: `ceph osd out {found.number}`, and wait until it is empty"
    if just_down(found, state) and not drained(found):
        return f"{name} just went down: whether PGs need it is known in a few seconds"
    if not found.up and not all_active(state):
        return f"{name} is down and some PGs can't be used without it: bring it back, or what else is down"
    return may_leave(layout, state, (found.number,)) if found.in_ else ""


def empty_hosts(layout: CephLayout, state: CephState) -> Iterator[str]:
    """Hosts of the tree without any OSD, which the layout does not have."""
    planned = {bucket.name for bucket in layout.buckets}
    peopled = {osd.host for osd in state.osds} | {host for _, host in state.ghosts}
    for bucket in sorted(state.buckets, key=lambda one: one.name):
        if bucket.level == "host" and bucket.name not in planned and bucket.name not in peopled:
            yield bucket.name


def _uuids(layout: CephLayout, before: CephLayout | None, state: CephState) -> set[str]:
    osds: tuple[OsdLayout, ...] = (*layout.osds, *(before.osds if before else ()), *noted_leaving(state))
    return {osd_uuid(layout.fsid, osd) for osd in osds}
