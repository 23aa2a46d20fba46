"""The layout of a site: who stands where, the clusters, Ceph, the backbone, and every machine's network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.model.ceph import CephSpec
from appliance.model.network import STORAGE_PLANES, Plane
from appliance.model.plan import Allocation, Desired, DiskChoice, NodeLayout, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.availability import availability
from appliance.plan.backbone import plan_backbone
from appliance.plan.candidate import Candidate
from appliance.plan.ceph import CephPlan, plan_ceph
from appliance.plan.clusters import ClusterPlan, ceph_members, plan_clusters
from appliance.plan.disks import Claims
from appliance.plan.hostnet import Wiring

EVERY = frozenset(Plane)
LATER = "is planned; this version does not form it yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``allocations`` are those of candidates, with their clusters; ``choices`` what was decided about members' disks."""

    desired: Desired = Desired()
    allocations: Mapping[str, Allocation]
    choices: tuple[DiskChoice, ...] = ()
    waits: tuple[Wait, ...] = ()


def has_layout(site: Site) -> bool:
    """Whether the site file asks for more than installed machines."""
    return bool(site.networks or site.clusters or site.ceph or site.backbone)


def desire(
    site: Site, candidates: Sequence[Candidate], claimed: Claims, standing: Desired, unplaced: Sequence[str]
) -> Layout:
    """Everything that is to be formed from ``candidates`` (sorted by number). ``unplaced`` are names of expected machines
    that were not seen, and ids of those that are there but no candidates; ``standing`` is what the parent plan had."""
    if not has_layout(site):
        return Layout(allocations={one.id: one.given for one in candidates})
    grouped = plan_clusters(site, candidates, standing.clusters, unplaced)
    storage = _storage(site, candidates, grouped)
    placed = [_join(site, one, grouped.member_of.get(one.id, ""), storage) for one in candidates]
    backbone, cabling = plan_backbone(site, placed, standing.backbone, unplaced)
    wiring = Wiring(site, backbone)
    nodes = tuple(
        NodeLayout(
            machine=one.id,
            name=one.name,
            number=one.given.number,
            profile=one.profile.name,
            place=one.place,
            cluster=one.given.cluster,
            network=wiring.network(one),
        )
        for one in placed
    )
    ceph = _ceph(site, placed, grouped, claimed, standing, unplaced)
    desired = Desired(nodes=nodes, clusters=grouped.clusters, ceph=ceph.layout, backbone=backbone)
    return Layout(
        desired=replace(desired, availability=availability(site, desired, placed)),
        allocations={one.id: one.given for one in placed},
        choices=ceph.choices,
        waits=(*grouped.waits, *cabling, *ceph.waits, *_later(desired)),
    )


def _storage(site: Site, candidates: Sequence[Candidate], grouped: ClusterPlan) -> frozenset[str]:
    """Ids of Ceph's members."""
    if site.ceph is None:
        return frozenset()
    return frozenset(one.id for one in ceph_members(site, site.ceph, candidates, grouped.clusters))


def _join(site: Site, one: Candidate, cluster: str, storage: frozenset[str]) -> Candidate:
    """The candidate with its cluster, and the planes that it has a part in."""
    return replace(one, given=replace(one.given, cluster=cluster), planes=_planes(site, one, cluster, storage))


def _planes(site: Site, one: Candidate, cluster: str, storage: frozenset[str]) -> frozenset[Plane]:
    """Everybody is managed; corosync, migration and guests are for nodes of clusters, storage for Ceph's members and for
    nodes, which are its clients (of the cluster network only where Ceph is not the site's). A site without clusters and
    Ceph has all its networks everywhere."""
    if not site.clusters and site.ceph is None:
        return EVERY
    planes = {Plane.PROVISIONING, Plane.MANAGEMENT}
    if cluster:
        planes |= {Plane.COROSYNC, Plane.MIGRATION, Plane.TENANT, Plane.STORAGE_PUBLIC}
    if one.id in storage or (cluster and site.ceph is None):
        planes |= STORAGE_PLANES
    return frozenset(planes)


def _ceph(
    site: Site,
    placed: Sequence[Candidate],
    grouped: ClusterPlan,
    claimed: Claims,
    standing: Desired,
    unplaced: Sequence[str],
) -> CephPlan:
    spec = site.ceph
    if spec is None:
        return CephPlan()
    if standing.ceph is None:
        missing = _missing(site, spec, grouped, unplaced)
        if missing:
            return CephPlan(waits=(Wait(about=spec.name, reason=WaitReason.MEMBERS_MISSING, text=missing),))
    return plan_ceph(site, spec, placed, grouped.clusters, claimed, standing.ceph)


def _missing(site: Site, spec: CephSpec, grouped: ClusterPlan, unplaced: Sequence[str]) -> str:
    """Why Ceph is not laid out yet: places of monitors and failure domains are decided once, with all members there."""
    late = [wait.about for wait in grouped.waits if wait.reason is WaitReason.MEMBERS_MISSING]
    if not (spec.machines or spec.profiles) and site.clusters:
        return f"its members are those of {', '.join(late)}, which waits for members" if late else ""
    profiles = {entry.name: entry.profile for entry in site.machines}
    absent = [
        name
        for name in unplaced
        if name in spec.machines
        or (not spec.machines and (not spec.profiles or profiles.get(name, "") in ("", *spec.profiles)))
    ]
    if not absent:
        return ""
    shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
    return f"{len(absent)} expected machines are not ready yet: {shown}; they may become members"


def _later(desired: Desired) -> list[Wait]:
    """What no step of this version forms."""
    names = [cluster.name for cluster in desired.clusters]
    names += [desired.ceph.name] if desired.ceph else []
    return [Wait(about=name, reason=WaitReason.NOT_EXECUTABLE, text=LATER) for name in names]
