"""What an accepted layout of Ceph keeps when it can't be seen.

A probe that failed, a machine that is silent, a disk that does not answer, a slip in the site file: none of them lets go of
an OSD. Its data would be moved away, and it would be purged, though it runs. Who is let go is said by a person: a site file
without ``ceph:``, a machine that is drained, expunged or retired, a disk that another one takes the place of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from appliance.kinds.ceph import osd_uuid
from appliance.model.ceph import CephLayout, OsdBudget, OsdLayout
from appliance.model.cephstate import CephState, OsdState
from appliance.model.plan import Wait, WaitReason
from appliance.plan.candidate import Candidate
from appliance.plan.naming import ordered
from appliance.plan.osd.machine import OsdPlan
from appliance.plan.ready import failed_probe

DISKS = "disks"


def stays(name: str, why: str) -> Wait:
    """What is said when the whole layout is kept, as there is no other."""
    text = (
        f"it can't be planned anew, so its layout stays as it was accepted and nothing is changed: {why}. Only without "
        "'ceph:' in the site file it is given up"
    )
    return Wait(about=name, reason=WaitReason.STANDS, text=text)


def machines_of(layout: CephLayout) -> frozenset[str]:
    """Ids of the machines that have a part in it."""
    services = (service.machine for service in layout.services)
    return frozenset((*layout.members, *services, *(osd.machine for osd in layout.osds)))


def alive(osds: Iterable[OsdLayout], fsid: str, state: CephState | None) -> dict[int, OsdState]:
    """Those of the OSDs that Ceph itself has, by planned number, as it said last. One that is destroyed is only a number
    that is kept for a new disk."""
    if state is None or state.fsid != fsid:
        return {}
    there = {osd.uuid: osd for osd in state.osds if not osd.destroyed}
    found = {osd.number: there.get(osd_uuid(fsid, osd)) for osd in osds}
    return {number: osd for number, osd in found.items() if osd is not None}


def unread(one: Candidate, standing: Sequence[OsdLayout], budget: OsdBudget | None) -> OsdPlan | None:
    """The OSDs of a machine whose disks could not be read: all of them stay, and none joins. None when they were read."""
    failure = failed_probe(one.inventory, (DISKS,))
    if failure is None or not standing:
        return None
    text = (
        f"its agent could not read its disks: {failure.message}; its {len(standing)} OSDs stay as they were accepted, and "
        "none joins before it can"
    )
    wait = Wait(about=one.name, reason=WaitReason.STANDS, text=text)
    return OsdPlan(osds=tuple(standing), choices=(), waits=(wait,), budget=budget)


def kept_text(name: str, kept: Collection[OsdLayout]) -> Wait:
    """What is said of OSDs whose disks are not as they were accepted, and that Ceph has."""
    shown = ordered([f"osd.{osd.number}" for osd in kept])
    text = (
        f"{shown} {'stays' if len(kept) == 1 else 'stay'} in the layout, though not every disk is there as it was accepted: "
        "Ceph has them. Nothing of them is changed; see at their machines what is missing"
    )
    return Wait(about=name, reason=WaitReason.STANDS, text=text)
