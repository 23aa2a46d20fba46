"""The layout of the site's Ceph, put together from its parts: members, OSDs, services, CRUSH tree, pools, promises."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from appliance.model.ceph import CephLayout, CephSpec, OsdBudget, OsdLayout
from appliance.model.cephstate import CephState
from appliance.model.network import Plane
from appliance.model.plan import DiskChoice, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.capacity import capacity
from appliance.plan.ceph.pools import plan_pools
from appliance.plan.ceph.portspeed import storage_networks, storage_rate
from appliance.plan.ceph.services import place_services
from appliance.plan.ceph.standing import alive, kept_text, stays, unread
from appliance.plan.ceph.throughput import throughput
from appliance.plan.crush.crushmap import tree
from appliance.plan.crush.domains import Terrain
from appliance.plan.disks.system import Claims
from appliance.plan.order import natural
from appliance.plan.osd.machine import Known, OsdPlan, plan_osds
from appliance.plan.osd.replacing import NOTHING, Replacing

PROVISIONING = "provisioning"
_NAMESPACE = uuid.UUID("0c1f4c52-5d0f-5a53-8a3e-7b0a34f3c0de")


@dataclass(frozen=True, slots=True, kw_only=True)
class CephPlan:
    """``layout`` is None while there is nothing to form, or too little. ``choices`` replace what was said before about
    the disks of members."""

    layout: CephLayout | None = None
    choices: tuple[DiskChoice, ...] = ()
    waits: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What Ceph is laid out from. ``members`` are its machines, ``others`` all machines (a tiebreaker is none of them), and
    ``nodes`` the ids of machines that run guests beside it."""

    site: Site
    spec: CephSpec
    members: Sequence[Candidate]
    others: Sequence[Candidate]
    nodes: frozenset[str]
    claims: Claims
    state: CephState | None = None
    replacing: Replacing = NOTHING


def plan_ceph(storage: Storage, standing: CephLayout | None) -> CephPlan:
    """The whole layout. What ``standing`` has stays as it is as long as its disks and machines are there, and while Ceph
    has it."""
    spec = storage.spec
    members = sorted(storage.members, key=lambda one: (one.given.number, natural(one.name)))
    plans = _members(storage, members, standing)
    waits = [wait for found in plans for wait in found.waits]
    choices = tuple(choice for found in plans for choice in found.choices)
    there = {osd.number for found in plans for osd in found.osds}
    ids = {one.id for one in members}
    missing = [osd for osd in (standing.osds if standing else ()) if osd.number not in there and osd.machine in ids]
    known = alive(missing, standing.fsid, storage.state) if standing else {}
    going = {osd.number for osd in missing if storage.replacing.lets_go(osd)}
    running = {number for number, osd in known.items() if osd.up} - going
    numbered = number(plans, standing, running)
    taken = {osd.number for osd in numbered}
    kept = [osd for osd in missing if osd.number in known and osd.number not in taken]
    if not numbered and not kept:
        why = f"{len(members)} members have no disk for an OSD; see the reasons of their disks"
        if standing and not members:
            why = "it has no members; see 'machines' and 'profiles' of 'ceph' in the site file"
        wait = stays(spec.name, why) if standing else Wait(about=spec.name, reason=WaitReason.NO_OSDS, text=why)
        return CephPlan(layout=standing, choices=choices, waits=(*waits, wait))
    waits += [kept_text(spec.name, kept)] if kept else []
    osds = tuple(sorted((*numbered, *kept), key=attrgetter("number"))) if kept else numbered
    budgets = _budgets(members, plans, kept, standing)
    layout, more = _layout(replace(storage, members=members), osds, budgets, standing)
    return CephPlan(layout=layout, choices=choices, waits=(*waits, *more))


def _members(storage: Storage, members: Sequence[Candidate], standing: CephLayout | None) -> list[OsdPlan]:
    """The OSDs of each member, in their order."""
    before: dict[str, list[OsdLayout]] = {}
    for osd in standing.osds if standing else ():
        before.setdefault(osd.machine, []).append(osd)
    budgets = {budget.machine: budget for budget in standing.budgets} if standing else {}
    known: Known = {}
    return [
        unread(one, before.get(one.id, ()), budgets.get(one.id))
        or plan_osds(
            storage.site,
            storage.spec,
            one,
            storage.claims,
            before.get(one.id, ()),
            hyperconverged=one.id in storage.nodes,
            known=known,
            replacing=storage.replacing,
        )
        for one in members
    ]


def _budgets(
    members: Sequence[Candidate],
    plans: Sequence[OsdPlan],
    kept: Sequence[OsdLayout],
    standing: CephLayout | None,
) -> tuple[OsdBudget, ...]:
    """Memory of the members. One with OSDs that are ``kept`` has what it had: counted without them, the others would get
    memory that these use."""
    before = {budget.machine: budget for budget in standing.budgets} if standing and kept else {}
    machines = {osd.machine for osd in kept}
    found = [
        before.get(one.id, plan.budget) if one.id in machines else plan.budget
        for one, plan in zip(members, plans, strict=True)
    ]
    return tuple(budget for budget in found if budget is not None)


def number(
    plans: Sequence[OsdPlan], standing: CephLayout | None, running: Collection[int] = ()
) -> tuple[OsdLayout, ...]:
    """All OSDs by number. Standing ones keep theirs. A new one takes that of an OSD of its class which its machine has lost
    (a replaced disk keeps id and place, `ceph.md` §4), but none of those that are ``running``: their disks are there,
    whatever was reported. The others get the lowest that nobody has or had in the parent, in the order of the members, as
    Ceph itself would give them."""
    kept = {osd.number for found in plans for osd in found.osds if osd.number >= 0}
    lost = _lost(standing, kept.union(running))
    taken = kept | ({osd.number for osd in standing.osds} if standing else set())
    numbered, at = [], 0
    for found in plans:
        for osd in found.osds:
            if osd.number >= 0:
                numbered.append(osd)
                continue
            free = lost.get((osd.machine, osd.device_class))
            if free:
                given = free.pop(0)
            else:
                while at in taken:
                    at += 1
                given, at = at, at + 1
            # It was made for this plan and nobody else has it yet; a copy of each of 110 000 takes half a second.
            object.__setattr__(osd, "number", given)
            numbered.append(osd)
    return tuple(sorted(numbered, key=attrgetter("number")))


def _lost(standing: CephLayout | None, kept: Collection[int]) -> dict[tuple[str, str], list[int]]:
    """Numbers of OSDs that do not stand any more, by machine and class, the lowest first."""
    found: dict[tuple[str, str], list[int]] = {}
    for osd in standing.osds if standing else ():
        if osd.number not in kept:
            found.setdefault((osd.machine, osd.device_class), []).append(osd.number)
    return found


def _layout(
    storage: Storage, osds: tuple[OsdLayout, ...], budgets: tuple[OsdBudget, ...], standing: CephLayout | None
) -> tuple[CephLayout, tuple[Wait, ...]]:
    site, spec, members = storage.site, storage.spec, storage.members
    hosts = frozenset(osd.machine for osd in osds)
    wanted = frozenset(pool.service for pool in spec.pools)
    before = standing.services if standing else ()
    services, short = place_services(site, spec, members, hosts, wanted, before, outside=storage.others)
    buckets = tree(site, members, osds)
    terrain = Terrain(buckets, osds)
    rules = standing.rules if standing else ()
    pools = plan_pools(
        site, spec, members, osds, standing.pools if standing else (), standing_rules=rules, terrain=terrain
    )
    public = spec.public or _plane(site, Plane.STORAGE_PUBLIC) or PROVISIONING
    layout = CephLayout(
        name=spec.name,
        fsid=standing.fsid if standing else _fsid(site, spec, members),
        members=tuple(member.id for member in members),
        public=public,
        cluster=spec.cluster or _plane(site, Plane.STORAGE_CLUSTER) or public,
        hyperconverged=any(one.id in storage.nodes for one in members),
        stretch=spec.stretch,
        services=services,
        osds=osds,
        budgets=budgets,
        buckets=buckets,
        rules=pools.rules,
        pools=pools.pools,
        capacity=capacity(spec, members, osds, pools.pools, buckets, site=site, terrain=terrain),
        throughput=throughput(site, spec, members, osds, pools.pools, terrain=terrain),
        ports=_ports(site, spec, members),
        frozen=spec.frozen,
    )
    return layout, (*short, *pools.waits)


def _ports(site: Site, spec: CephSpec, members: Sequence[Candidate]) -> tuple[tuple[str, int], ...]:
    """Machines with what their ports for copies carry, as far as these tell."""
    network = storage_networks(site, spec.public, spec.cluster)[1]
    return tuple((member.id, rate) for member in members if (rate := storage_rate(member, network)))


def _plane(site: Site, plane: Plane) -> str:
    return next((network.name for network in site.networks if network.plane is plane), "")


def _fsid(site: Site, spec: CephSpec, members: Sequence[Candidate]) -> str:
    """Another one for every appliance, though the planner never draws lots: machine ids are random where they are made."""
    seed = "\n".join((site.name, site.domain, spec.name, *sorted(member.id for member in members)))
    return str(uuid.uuid5(_NAMESPACE, seed))
