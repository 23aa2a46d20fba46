"""How long it takes until OSDs that leave are empty, before anything is begun: what is stored on them, over the rate that
disks and ports of the layout allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from appliance.kinds import ceph as kind
from appliance.model.ceph import CephVerb, OsdLayout
from appliance.model.observed import Observed
from appliance.model.plan import Desired, Plan, Step
from appliance.plan.diff.ceph import Names
from appliance.plan.diff.lines import DiffLine, LineKind, count, heading, ranges, show_bytes, show_rate, why

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """All OSDs that a plan drains, which is done together. ``stored`` bytes are on them (None: not known), ``rate`` is
    None when nothing of their class stays."""

    osds: tuple[OsdLayout, ...]
    stored: int | None
    rate: kind.DrainRate | None


def drain_of(plan: Plan, observed: Observed, before: Desired | None) -> Drain | None:
    """What a plan drains; None when it drains nothing."""
    osds = tuple(osd for step in plan.steps if (osd := drained_by(step)) is not None)
    layout = plan.desired.ceph
    if not osds or layout is None:
        return None
    uuids = {kind.osd_uuid(layout.fsid, osd) for osd in osds}
    seen = [osd for osd in (observed.ceph.osds if observed.ceph else ()) if osd.uuid in uuids]
    known = len(seen) == len(uuids) and all(osd.pgs is not None for osd in seen)
    return Drain(
        osds=osds,
        stored=sum(osd.used for osd in seen) if known else None,
        rate=kind.drain_rate(layout, before.ceph if before else None, osds),
    )


def drained_by(step: Step) -> OsdLayout | None:
    """The OSD that a step drains."""
    return step.ceph.old if step.ceph is not None and step.ceph.verb is CephVerb.OUT else None


def lines(plan: Plan, observed: Observed, before: Desired | None, names: Names) -> Iterator[DiffLine]:
    """Part of the diff, with its heading; nothing when nothing is drained."""
    drain = drain_of(plan, observed, before)
    if drain is None:
        return
    yield from heading("Drained before it leaves")
    by_host: dict[str, list[int]] = {}
    for osd in drain.osds:
        by_host.setdefault(names.get(osd.machine, osd.machine), []).append(osd.number)
    hosts = [f"{ranges(f'osd.{number}' for number in sorted(found))} of {host}" for host, found in by_host.items()]
    yield DiffLine(kind=LineKind.CHANGE, text=f"{count(len(drain.osds), 'OSD')}: {', '.join(hosts)}")
    yield from (why(text) for text in texts(drain))


def texts(drain: Drain) -> Iterable[str]:
    """How much, how long, and what that comes from."""
    if drain.stored is None:
        yield "how much is stored there is not known: Ceph's manager has not answered"
    else:
        yield f"stored there: {show_bytes(drain.stored)}"
    rate = drain.rate
    if rate is None:
        yield "how long that takes is not known: no OSD of their class stays"
        return
    if drain.stored is not None:
        about, least = (duration(drain.stored / speed) for speed in (rate.expected, rate.bound))
        yield f"empty in about {about}, in no less than {least}; users' own work makes it longer"
    told = "" if rate.ports else "; the network is not counted, some ports tell no speed"
    yield f"rate: about {show_rate(rate.expected)}, never above {show_rate(rate.bound)} ({rate.limit}){told}"


def duration(seconds: float) -> str:
    """Two digits are more than anybody knows: ``40 min``, ``2.2 h``, ``3.5 days``."""
    if seconds < MINUTE:
        return "1 min"
    if seconds < 2 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.2g} h" if seconds < 2 * DAY else f"{seconds / DAY:.2g} days"
