"""What is to be said about a Ceph that stands: nothing here is a step, a person decides.

Warnings only: an error would refuse every plan, also the one that adds the disks that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator

from appliance.kinds.ceph.stale import empty_hosts, strangers
from appliance.model.ceph import CephLayout
from appliance.model.cephstate import CephState, OsdState
from appliance.model.plan import LintFinding

WARNING = "warning"


def lint(layout: CephLayout, before: CephLayout | None, state: CephState) -> tuple[LintFinding, ...]:
    """Findings in the order of the OSDs, then buckets. ``before`` is what earlier plans formed."""
    return (
        *sorted(_osds(layout, before, state), key=lambda one: (int(one.about[4:]), one.rule)),
        *_buckets(layout, state),
    )


def _osds(layout: CephLayout, before: CephLayout | None, state: CephState) -> Iterator[LintFinding]:
    for stale in strangers(layout, before, state):
        yield LintFinding(rule=f"ceph-osd-{stale.kind}", severity=WARNING, about=stale.name, text=stale.text)
    for osd in state.osds:
        if not osd.destroyed and osd.size and osd.used >= state.nearfull * osd.size:
            yield _full(state, osd)


def _full(state: CephState, osd: OsdState) -> LintFinding:
    part = osd.used / osd.size
    if part >= state.full:
        text = "its pools take no more writes: add disks or delete data now"
    elif part >= state.backfillfull:
        text = "nothing is moved there any more, so nothing heals there: add disks"
    else:
        text = "add disks before the next one fails"
    about = f"osd.{osd.number}"
    return LintFinding(rule="ceph-osd-full", severity=WARNING, about=about, text=f"it is {part:.0%} full; {text}")


def _buckets(layout: CephLayout, state: CephState) -> Iterator[LintFinding]:
    for name in empty_hosts(layout, state):
        text = f"this host of the CRUSH tree has no OSD, and no plan has it: `ceph osd crush rm {name}` removes it"
        yield LintFinding(rule="ceph-bucket-empty", severity=WARNING, about=name, text=text)
