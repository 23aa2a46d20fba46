"""Steps for what leaves: OSDs, daemons, hosts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from appliance.kinds.ceph.draft import LONG, SHORT, Draft
from appliance.kinds.ceph.osds import clean, drain
from appliance.kinds.ceph.stale import kept
from appliance.kinds.ceph.there import known, numbered, runs
from appliance.model.ceph import CephVerb, OsdLayout


def leaving(draft: Draft) -> None:
    """Steps for what earlier plans formed and the layout no longer has. New things come first: data goes to where it stays,
    and a monitor's place is taken before it leaves."""
    if draft.state is None or not draft.asker:
        return
    standing = draft.last
    gone = list(_gone(draft))
    drains = {osd: drain(draft, osd, standing) for osd in gone}
    purged = [key for osd in gone for key in _purge(draft, osd, drains)]
    left = _daemons(draft, (*standing, *purged))
    _buckets(draft, (*standing, *purged, *left))
    draft.grown += purged


def forget(draft: Draft) -> None:
    """OSDs that no plan made and that a person wants to be gone; a host of the tree that holds nothing afterwards goes with
    its last one. Those that are kept (`stale.kept`) have no step: the plan says why."""
    state, layout = draft.state, draft.layout
    if state is None or not draft.asker:
        return
    wanted = [n for n in sorted(draft.remove) if not kept(layout, draft.before, state, n)]
    places = {**dict(state.ghosts), **{osd.number: osd.host for osd in state.osds}}
    machines = {host.name: machine for machine, host in draft.hosts.items()}
    made: dict[str, list[str]] = {}
    for number in wanted:
        found, place = numbered(state, number), places.get(number, "")
        machine = machines.get(place, "")
        uuid = found.uuid if found is not None else ""
        args = draft.args(CephVerb.PURGE, host=draft.hosts.get(machine), daemon=str(number), service=uuid)
        key = f"ceph-purge/osd.{number}"
        draft.add(key, machine or draft.asker, args, deadline=LONG, reversible=False)
        made.setdefault(place, []).append(key)
    empty = {bucket.name for bucket in state.buckets} - {bucket.name for bucket in layout.buckets}
    for place, keys in sorted(made.items()):
        left = {number for number, where in places.items() if where == place} - set(wanted)
        if place in empty and not left:
            args = draft.args(CephVerb.LEAVE, service="bucket", daemon=place)
            draft.add(f"ceph-leave/bucket/{place}", draft.asker, args, keys, reversible=False)


def _gone(draft: Draft) -> Iterable[OsdLayout]:
    """OSDs that are there, were planned once, and are planned no more; a replaced one is not among them."""
    numbers = {osd.number for osd in draft.layout.osds}
    for osd in sorted(draft.formed, key=lambda one: one.number):
        found = draft.live(osd)
        if found is not None and osd.number not in numbers:
            yield replace(osd, number=found.number)


def _purge(draft: Draft, osd: OsdLayout, drains: dict[OsdLayout, str]) -> tuple[str, ...]:
    """After all drains: an OSD that leaves must not be stopped while another one still drains. Of one that is down the
    machine may be gone for ever: nothing of it is cleaned."""
    args = draft.args(CephVerb.PURGE, host=draft.hosts.get(osd.machine), daemon=str(osd.number), old=osd)
    key = f"ceph-purge/osd.{osd.number}"
    draft.add(key, osd.machine, args, drains.values(), deadline=LONG, reversible=False)
    found = draft.live(osd)
    return (key, *(clean(draft, osd, (key,)) if found is not None and found.up else ()))


def _daemons(draft: Draft, after: Iterable[str]) -> tuple[str, ...]:
    """Daemons of ``before`` that the layout has no more, one after the other."""
    stay = {(service.kind, service.machine) for service in draft.layout.services}
    found: list[str] = []
    for service in draft.before.services if draft.before else ():
        host = draft.hosts.get(service.machine)
        if (service.kind, service.machine) in stay or host is None or not _there(draft, service.kind, host.name):
            continue
        args = draft.args(CephVerb.LEAVE, host=host, daemon=host.name, service=service.kind)
        key = f"ceph-leave/{service.kind}/{host.name}"
        found.append(draft.add(key, service.machine, args, (*after, *found[-1:]), deadline=SHORT, reversible=False))
        if service.kind == "mon" and runs(draft.state, "mon", host.name):
            args = draft.args(CephVerb.LEAVE, host=host, daemon=host.name, daemons=("mon",))
            key = f"ceph-clean/mon/{host.name}"
            found.append(draft.add(key, service.machine, args, found[-1:], deadline=SHORT, reversible=False))
    return tuple(found)


def _there(draft: Draft, kind: str, name: str) -> bool:
    state = draft.state
    if kind == "mon":
        return state is not None and name in state.monitors
    entity = f"client.rgw.{name}" if kind == "rgw" else f"{kind}.{name}"
    return runs(state, kind, name) or known(state, entity)


def _buckets(draft: Draft, after: tuple[str, ...]) -> None:
    """Buckets that ``before`` planned and that hold nothing planned any more, children before their parents."""
    state, before = draft.state, draft.before
    stay = {bucket.name for bucket in draft.layout.buckets}
    there = {bucket.name for bucket in state.buckets} if state else set()
    for bucket in reversed(before.buckets if before else ()):
        if bucket.name not in stay and bucket.name in there:
            args = draft.args(CephVerb.LEAVE, service="bucket", daemon=bucket.name)
            key = draft.add(f"ceph-leave/bucket/{bucket.name}", draft.asker, args, after, reversible=False)
            after = (*after, key)
