"""The steps from what is to what is planned."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from appliance.kinds.ceph.forming import Former
from appliance.kinds.ceph.life import forget, leaving
from appliance.kinds.ceph.osds import release
from appliance.model.ceph import CephHost, CephLayout
from appliance.model.cephstate import CephState
from appliance.model.plan import DiskChoice, Step


def steps(  # noqa: PLR0917 - the contract of a kind: what is planned, what is, and what surrounds it
    layout: CephLayout,
    hosts: Mapping[str, CephHost],
    state: CephState | None,
    before: CephLayout | None,
    networks: Mapping[str, str],
    choices: Iterable[DiskChoice],
    *,
    remove: Collection[int] = (),
) -> tuple[Step, ...]:
    """All that is missing between ``state`` and ``layout``, in the order in which it is done; nothing when they are equal.

    ``hosts`` are the machines that can be told something, by id (``appliance`` is one when it carries a monitor): of one
    that is not there nothing is made. ``state`` is None only as long as this Ceph was never seen: a cluster whose monitors
    are all down is not one that has to be formed, so give what was seen last. ``before`` is what earlier plans formed: what
    it has and ``layout`` has not leaves; what neither has is somebody else's and is left alone. ``networks`` are CIDRs by
    name. ``choices`` are the plan's disks: an OSD is only made of disks that one of them assigns to it. ``remove`` are live
    numbers of OSDs that no plan made and that a person wants to be gone; those of which `kept` says why not stay.
    """
    former = Former(layout, hosts, state, before, networks, tuple(choices), frozenset(remove))
    former.form()
    release(former)
    leaving(former)
    forget(former)
    former.finish()
    return _ordered(former.made)


def _ordered(made: Sequence[Step]) -> tuple[Step, ...]:
    """As they were made; each waits only for steps that came before it."""
    keys: set[str] = set()
    for step in made:
        missing = set(step.after) - keys
        if missing or step.key in keys:
            raise AssertionError(f"{step.key} waits for {sorted(missing)}, or is there twice")
        keys.add(step.key)
    return tuple(made)
