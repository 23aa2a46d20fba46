"""The layout of a site: who stands where, the clusters, Ceph, the backbone, and every machine's network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.model.ceph import CephSpec
from appliance.model.network import STORAGE_PLANES, Plane
from appliance.model.observed import Observed
from appliance.model.plan import Allocation, Desired, DiskChoice, NodeLayout, Step, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.availability.report import availability
from appliance.plan.candidate import EVERY, Candidate
from appliance.plan.ceph.layout import CephPlan, Storage, plan_ceph
from appliance.plan.ceph.standing import alive, machines_of, stays
from appliance.plan.ceph.steps import LATER, ceph_work
from appliance.plan.disks.system import Claims
from appliance.plan.naming import listed
from appliance.plan.network.backbone import plan_backbone
from appliance.plan.network.hostnet import Wiring
from appliance.plan.osd.replacing import as_wanted, replacing
from appliance.plan.placement.clusters import ClusterPlan, ceph_members, plan_clusters
from appliance.plan.placement.membership import Membership, Referees
from appliance.plan.ready import failed_probe

NOTHING = Desired()
PORTS = "nics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a layout is made from. ``candidates`` are sorted by number. ``unplaced`` are names of expected machines that were
    not seen, and ids of those that are there but no candidates (``hidden``); ``kept`` what those of them have that have
    anything. ``leaving`` are ids of machines that a person let go. ``standing`` is the parent's layout, ``observed`` what
    Ceph said of itself last, and what people want of it."""

    site: Site
    candidates: Sequence[Candidate]
    claims: Claims
    standing: Desired
    unplaced: Sequence[str] = ()
    kept: Mapping[str, Allocation] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()
    observed: Observed


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """``allocations`` are those of candidates, with their clusters; ``choices`` what was decided about members' disks;
    ``steps`` what forms it, each after those that it waits for; ``storage`` the ids of machines that run Debian's own
    Ceph."""

    allocations: Mapping[str, Allocation]
    desired: Desired = NOTHING
    choices: tuple[DiskChoice, ...] = ()
    steps: tuple[Step, ...] = ()
    waits: tuple[Wait, ...] = ()
    storage: frozenset[str] = frozenset()


def has_layout(site: Site) -> bool:
    """Whether the site file asks for more than installed machines."""
    return bool(site.networks or site.clusters or site.ceph or site.backbone)


def desire(ground: Ground) -> Layout:
    """Everything that is to be formed."""
    site, candidates, standing = ground.site, ground.candidates, ground.standing
    if not has_layout(site):
        return Layout(allocations={one.id: one.given for one in candidates})
    grouped = plan_clusters(site, candidates, standing.clusters, ground.unplaced)
    storage, outside = _storage(ground, grouped), _tiebreaker(site, candidates)
    placed = [_join(site, one, grouped.member_of.get(one.id, ""), storage, outside) for one in candidates]
    backbone, cabling = plan_backbone(site, placed, standing.backbone, ground.kept)
    nodes = _nodes(ground, placed, Wiring(site, backbone))
    ceph = _ceph(ground, placed, grouped)
    desired = Desired(nodes=nodes, clusters=grouped.clusters, ceph=ceph.layout, backbone=backbone)
    work = ceph_work(
        site,
        desired,
        placed,
        ceph.choices,
        before=standing.ceph,
        state=ground.observed.ceph,
        arbiter=ground.observed.arbiter,
        removing=ground.observed.removing,
    )
    return Layout(
        desired=replace(desired, availability=availability(site, desired, placed)),
        allocations={one.id: one.given for one in placed},
        choices=work.choices,
        steps=work.steps,
        waits=(
            *_standing(ground, placed),
            *grouped.waits,
            *cabling,
            *ceph.waits,
            *work.waits,
            *_later(desired),
        ),
        storage=_dedicated(site, candidates, storage | outside),
    )


def _names(ground: Ground, ids: Iterable[str]) -> list[str]:
    """What people call machines of the accepted layout."""
    names = {node.machine: node.name for node in ground.standing.nodes}
    return [names.get(who, who) for who in ids]


def _nodes(ground: Ground, placed: Sequence[Candidate], wiring: Wiring) -> tuple[NodeLayout, ...]:
    """All machines by number. One that can't be looked at is as it was accepted, and so is the network of one whose ports
    could not be read."""
    standing, unseen = {node.machine: node for node in ground.standing.nodes}, lost(ground)
    nodes = [standing[who] for who in unseen if who in standing]
    for one in placed:
        before = standing.get(one.id)
        unread = before is not None and failed_probe(one.inventory, (PORTS,)) is not None
        node = NodeLayout(
            machine=one.id,
            name=one.name,
            number=one.given.number,
            profile=one.profile.name,
            place=one.place,
            cluster=one.given.cluster,
            network=before.network if before is not None and unread else wiring.network(one),
        )
        nodes.append(node)
    return tuple(sorted(nodes, key=lambda node: (node.number, node.machine)) if unseen else nodes)


def _storage(ground: Ground, grouped: ClusterPlan) -> frozenset[str]:
    """Ids of Ceph's members."""
    site = ground.site
    if site.ceph is None:
        return frozenset()
    standing = ground.standing.ceph
    before = standing.members if standing else ()
    return frozenset(one.id for one in ceph_members(site, site.ceph, ground.candidates, grouped.clusters, before))


def _tiebreaker(site: Site, candidates: Sequence[Candidate]) -> frozenset[str]:
    """The id of the machine that breaks Ceph's ties, when one does."""
    spec = site.ceph
    found = Referees(candidates).find(spec.tiebreaker) if spec is not None and spec.stretch else None
    return frozenset((found.id,)) if found is not None else frozenset()


def _dedicated(site: Site, candidates: Sequence[Candidate], storage: frozenset[str]) -> frozenset[str]:
    """Ids of Ceph's machines (``storage``: members and a tiebreaker) that no cluster wants: they run Debian's own Ceph. Also
    while the layout waits for other members, since an operating system is chosen once."""
    if site.ceph is None:
        return frozenset()
    membership = Membership(site, candidates)
    return frozenset(one.id for one in candidates if one.id in storage and membership.of(one) is None)


def _join(site: Site, one: Candidate, cluster: str, storage: frozenset[str], outside: frozenset[str]) -> Candidate:
    """The candidate with its cluster, and the planes that it has a part in."""
    given = one.given if one.given.cluster == cluster else replace(one.given, cluster=cluster)
    planes = _planes(site, one, cluster, storage)
    return replace(one, given=given, planes=planes | {Plane.STORAGE_PUBLIC} if one.id in outside else planes)


def _planes(site: Site, one: Candidate, cluster: str, storage: frozenset[str]) -> frozenset[Plane]:
    """Everybody is managed; corosync, migration and guests are for nodes of clusters, storage for Ceph's members and for
    nodes, which are its clients (of the cluster network only where Ceph is not the site's; its tiebreaker is in the public
    one, too). A site without clusters and Ceph has all its networks everywhere."""
    if not site.clusters and site.ceph is None:
        return EVERY
    planes = {Plane.PROVISIONING, Plane.MANAGEMENT}
    if cluster:
        planes |= {Plane.COROSYNC, Plane.MIGRATION, Plane.TENANT, Plane.STORAGE_PUBLIC}
    if one.id in storage or (cluster and site.ceph is None):
        planes |= STORAGE_PLANES
    return frozenset(planes)


def _ceph(ground: Ground, placed: Sequence[Candidate], grouped: ClusterPlan) -> CephPlan:
    spec, before = ground.site.ceph, ground.standing.ceph
    if spec is None:
        return CephPlan()
    wished = replacing(ground.observed.replacing, before, ground.observed.ceph)
    before = as_wanted(before, wished)
    if before is None:
        missing = _missing(ground.site, spec, grouped, ground.unplaced)
        if missing:
            return CephPlan(waits=(Wait(about=spec.name, reason=WaitReason.MEMBERS_MISSING, text=missing),))
    else:
        unseen = lost(ground) & machines_of(before)
        if unseen:
            who = listed(_names(ground, unseen))
            return CephPlan(layout=before, waits=(stays(spec.name, f"{who} can't be looked at now"),))
    members = ceph_members(ground.site, spec, placed, grouped.clusters, before.members if before else ())
    nodes = frozenset(member for cluster in grouped.clusters for member in cluster.members)
    storage = Storage(
        site=ground.site,
        spec=spec,
        members=members,
        others=placed,
        nodes=nodes,
        claims=ground.claims,
        state=ground.observed.ceph,
        replacing=wished,
    )
    return plan_ceph(storage, before)


def lost(ground: Ground) -> frozenset[str]:
    """Machines of the accepted layout that can't be looked at now, and that nobody let go: there is a record of them, or
    Ceph has OSDs of theirs. Nothing of them is taken for gone."""
    seen = {one.id for one in ground.candidates} | ground.leaving
    standing, ceph = ground.standing, ground.standing.ceph
    hidden = {node.machine for node in standing.nodes} & ground.hidden
    silent = [osd for osd in ceph.osds if osd.machine not in seen] if ceph else []
    known = alive(silent, ceph.fsid, ground.observed.ceph) if ceph else {}
    return frozenset((hidden | {osd.machine for osd in silent if osd.number in known}) - seen)


def _standing(ground: Ground, placed: Sequence[Candidate]) -> Iterator[Wait]:
    """What is said of machines that can't be looked at, or whose ports could not be read."""
    for name in _names(ground, lost(ground)):
        text = (
            "it can't be looked at now, and nobody let it go: what it has in the layout stays as it was accepted; see why, "
            f"or let it go when it is gone for ever (rackseed machine policy {name} drain, or retire it)"
        )
        yield Wait(about=name, reason=WaitReason.STANDS, text=text)
    standing = {node.machine for node in ground.standing.nodes}
    for one in placed:
        failure = failed_probe(one.inventory, (PORTS,))
        if failure is not None and one.id in standing:
            text = f"its agent could not read its ports: {failure.message}; its network stays as it was accepted"
            yield Wait(about=one.name, reason=WaitReason.STANDS, text=text)


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
    return [Wait(about=cluster.name, reason=WaitReason.NOT_EXECUTABLE, text=LATER) for cluster in desired.clusters]
