"""Steps for what leaves: OSDs, daemons, hosts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from appliance.kinds.ceph.forming import LONG, SHORT, Former
from appliance.kinds.ceph.names import osd_uuid
from appliance.kinds.ceph.there import known, live, runs
from appliance.model.ceph import CephVerb, OsdLayout


def leaving(former: Former) -> None:
    """Steps for what earlier plans formed and the layout no longer has. New things come first: data goes to where it stays,
    and a monitor's place is taken before it leaves."""
    if former.before is None or former.state is None or not former.asker:
        return
    standing = former.last
    gone = list(_gone(former))
    drains = {osd: former.drain(osd, standing) for osd in gone}
    purged = [key for osd in gone for key in _purge(former, osd, drains)]
    left = _daemons(former, (*standing, *purged))
    _buckets(former, (*standing, *purged, *left))
    former.grown += purged


def _gone(former: Former) -> Iterable[OsdLayout]:
    """OSDs that are there, were planned once, and are planned no more; a replaced one is not among them."""
    before, layout = former.before, former.layout
    stay = {osd_uuid(layout.fsid, osd) for osd in layout.osds}
    numbers = {osd.number for osd in layout.osds}
    for osd in before.osds if before else ():
        found = live(former.state, osd_uuid(layout.fsid, osd))
        if found is not None and found.uuid not in stay and osd.number not in numbers:
            yield replace(osd, number=found.number)


def _purge(former: Former, osd: OsdLayout, drains: dict[OsdLayout, str]) -> tuple[str, ...]:
    """After all drains: an OSD that leaves must not be stopped while another one still drains. Of one that is down the
    machine may be gone for ever: nothing of it is cleaned."""
    args = former.args(CephVerb.PURGE, host=former.hosts.get(osd.machine), daemon=str(osd.number), old=osd)
    key = f"ceph-purge/osd.{osd.number}"
    former.add(key, osd.machine, args, drains.values(), deadline=LONG, reversible=False)
    found = live(former.state, osd_uuid(former.layout.fsid, osd))
    return (key, *(former.clean(osd, (key,)) if found is not None and found.up else ()))


def _daemons(former: Former, after: Iterable[str]) -> tuple[str, ...]:
    """Daemons of ``before`` that the layout has no more, one after the other."""
    stay = {(service.kind, service.machine) for service in former.layout.services}
    found: list[str] = []
    for service in former.before.services if former.before else ():
        host = former.hosts.get(service.machine)
        if (service.kind, service.machine) in stay or host is None or not _there(former, service.kind, host.name):
            continue
        args = former.args(CephVerb.LEAVE, host=host, daemon=host.name, service=service.kind)
        key = f"ceph-leave/{service.kind}/{host.name}"
        found.append(former.add(key, service.machine, args, (*after, *found[-1:]), deadline=SHORT, reversible=False))
        if service.kind == "mon" and runs(former.state, "mon", host.name):
            args = former.args(CephVerb.LEAVE, host=host, daemon=host.name, daemons=("mon",))
            key = f"ceph-clean/mon/{host.name}"
            found.append(former.add(key, service.machine, args, found[-1:], deadline=SHORT, reversible=False))
    return tuple(found)


def _there(former: Former, kind: str, name: str) -> bool:
    state = former.state
    if kind == "mon":
        return state is not None and name in state.monitors
    entity = f"client.rgw.{name}" if kind == "rgw" else f"{kind}.{name}"
    return runs(state, kind, name) or known(state, entity)


def _buckets(former: Former, after: tuple[str, ...]) -> None:
    """Buckets that ``before`` planned and that hold nothing planned any more, children before their parents."""
    state, before = former.state, former.before
    stay = {bucket.name for bucket in former.layout.buckets}
    there = {bucket.name for bucket in state.buckets} if state else set()
    for bucket in reversed(before.buckets if before else ()):
        if bucket.name not in stay and bucket.name in there:
            args = former.args(CephVerb.LEAVE, service="bucket", daemon=bucket.name)
            key = former.add(f"ceph-leave/bucket/{bucket.name}", former.asker, args, after, reversible=False)
            after = (*after, key)
