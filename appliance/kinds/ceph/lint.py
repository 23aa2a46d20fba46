"""What is to be said about a Ceph that stands: nothing here is a step, a person decides."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.kinds.ceph.names import osd_uuid
from appliance.model.ceph import CephLayout
from appliance.model.cephstate import CephState
from appliance.model.plan import LintFinding

NEARFULL, BACKFILLFULL, ALMOST_FULL = 0.85, 0.90, 0.95
"""Ceph's own ratios (`ceph.md` §4): it warns; it moves nothing there any more; it stops all writes of pools that use it."""


def lint(layout: CephLayout, before: CephLayout | None, state: CephState) -> tuple[LintFinding, ...]:
    """Findings in the order of the OSDs. ``before`` is what earlier plans formed."""
    return tuple(sorted(_findings(layout, before, state), key=lambda one: (int(one.about[4:]), one.rule)))


def _findings(layout: CephLayout, before: CephLayout | None, state: CephState) -> Iterator[LintFinding]:
    osds = (*layout.osds, *(before.osds if before else ()))
    known = {osd_uuid(layout.fsid, osd) for osd in osds}
    numbers = {osd.number for osd in layout.osds}
    for osd in state.osds:
        name = f"osd.{osd.number}"
        if osd.destroyed:
            if osd.number not in numbers:
                text = f"its id waits for a new disk, and no plan has one for it: `ceph osd purge {osd.number}` gives it up"
                yield LintFinding(rule="ceph-osd-destroyed", severity="warning", about=name, text=text)
            continue
        if osd.uuid not in known:
            where = f"on {osd.host}" if osd.host else "below no host"
            text = f"{osd.uuid} {where} was made by no plan of ours: it is left alone; if it is old, purge it by hand"
            yield LintFinding(rule="ceph-osd-unknown", severity="warning", about=name, text=text)
        if osd.size and osd.used >= NEARFULL * osd.size:
            yield _full(name, osd.used / osd.size)


def _full(name: str, part: float) -> LintFinding:
    said = {
        ALMOST_FULL: ("error", "its pools take no more writes: add disks or delete data now"),
        BACKFILLFULL: ("error", "nothing is moved there any more, so nothing heals there: add disks"),
        NEARFULL: ("warning", "add disks before the next one fails"),
    }
    severity, text = next(words for ratio, words in said.items() if part >= ratio)
    return LintFinding(rule="ceph-osd-full", severity=severity, about=name, text=f"it is {part:.0%} full; {text}")
