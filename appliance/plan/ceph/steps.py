"""Steps that form the planned Ceph, and which disks they write.

Only a dedicated cluster on machines that this appliance installed with Debian is formed; its tiebreaker may be a monitor on
the appliance itself. The first time all its machines
have to be installed: where monitors are is decided once. Later, what is there is worked on, and the rest is waited for. A
machine is told something only when its installed system reports to us, so a plan that installs it does not form Ceph on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.wire import Disk, Environment
from appliance.kinds import ceph as kind
from appliance.model.ceph import CephHost, CephLayout, CephVerb, DiskRef
from appliance.model.cephstate import CephState
from appliance.model.machine import APPLIANCE, Phase, Policy, TroubleKind
from appliance.model.observed import ObservedMachine
from appliance.model.plan import Allocation, Desired, DiskChoice, DiskFate, NodeLayout, Step, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.arbiter import arbiter_host
from appliance.plan.disks.content import signatures
from appliance.plan.disks.key import DiskKey, disk_key, label
from appliance.plan.order import natural

LATER = "is planned; this version does not form it yet"
SYSTEM = "debian-"
"""Operating systems whose Ceph we form: Proxmox has commands of its own for it."""
SERVING = frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING})
TOLD = frozenset({Policy.USE, Policy.DRAIN})
"""A machine that is drained is told to let go of what it has."""
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CephWork:
    """``choices`` are all that came in; those of disks that a step writes are ``erase`` now, unless what is on them is of
    this very cluster: then nothing is lost."""

    steps: tuple[Step, ...] = ()
    choices: tuple[DiskChoice, ...] = ()
    waits: tuple[Wait, ...] = ()


def ceph_work(
    site: Site,
    desired: Desired,
    placed: Sequence[Candidate],
    choices: tuple[DiskChoice, ...],
    *,
    before: CephLayout | None,
    state: CephState | None,
    arbiter: ObservedMachine | None = None,
    removing: Collection[int] = (),
) -> CephWork:
    """What is to be done now. ``before`` is the layout that was accepted last, ``state`` what Ceph said of itself last,
    ``arbiter`` the machine that the appliance runs on; ``removing`` are numbers of OSDs that no plan made and that people
    want to be gone."""
    layout = desired.ceph
    if layout is None:
        return CephWork(choices=choices)
    known = state if state is not None and state.fsid == layout.fsid else None
    why = _not_ours(site, layout, known)
    if why:
        wait = Wait(about=layout.name, reason=WaitReason.NOT_EXECUTABLE, text=why)
        return CephWork(choices=choices, waits=(wait,))
    there = {one.id: one for one in placed if _serves(one)}
    given = {one.id: one.given for one in placed}
    found = {who: host for who, host in hosts(desired, given, before).items() if who in there}
    waits = tuple(_late(layout, placed, found, formed=known is not None))
    if any(APPLIANCE in _parts(one) for one in (layout, before) if one is not None):
        taken = {address: one.name for one in placed for _, address in one.given.addresses}
        own = arbiter_host(site, layout, arbiter, networks(site).get(layout.public, ""), taken)
        if isinstance(own, CephHost):
            found[APPLIANCE] = own
        else:
            waits = (*waits, Wait(about=layout.name, reason=WaitReason.MEMBERS_MISSING, text=own))
    if waits and known is None:
        return CephWork(choices=choices, waits=waits)
    waits += tuple(_kept(layout, before, known, removing))
    made = kind.steps(layout, found, known, before, networks(site), choices, remove=removing)
    written = {key for step in made for key in written_keys(step)}
    marked = tuple(_marked(choice, written, there, layout.fsid) for choice in choices)
    return CephWork(steps=made, choices=marked, waits=waits)


def _kept(
    layout: CephLayout, before: CephLayout | None, state: CephState | None, removing: Collection[int]
) -> Iterable[Wait]:
    """What people want to be gone and is not removed now. What is gone already is nobody's business any more."""
    for number in sorted(removing):
        gone = state is not None and kind.gone(state, number)
        why = "Ceph has not said anything yet" if state is None else kind.kept(layout, before, state, number)
        if why and not gone:
            yield Wait(about=f"osd.{number}", reason=WaitReason.LAYOUT, text=f"it is not removed: {why}")


def _not_ours(site: Site, layout: CephLayout, state: CephState | None) -> str:
    if layout.hyperconverged or not site.operating_system.startswith(SYSTEM):
        return LATER
    if state is not None and state.stretch and not layout.stretch:
        return "it is in stretch mode, which Ceph 18 can't leave again: say 'stretch: true' in the site file"
    return ""


def _serves(one: Candidate) -> bool:
    """Whether its installed system may be told something."""
    it = one.machine.machine
    conflict = it.trouble is not None and it.trouble.kind is TroubleKind.IDENTITY_CONFLICT
    reports = one.inventory.environment is Environment.INSTALLED
    return it.phase in SERVING and it.policy in TOLD and reports and not conflict


def _late(
    layout: CephLayout, placed: Sequence[Candidate], found: Mapping[str, CephHost], *, formed: bool
) -> Iterable[Wait]:
    """Machines that have a part in it and can't be told anything yet."""
    parts = _parts(layout)
    names = {one.id: one.name for one in placed}
    late = sorted((names.get(who, who) for who in parts - found.keys() - {APPLIANCE}), key=natural)
    if late:
        shown = ", ".join(late[:_SHOWN]) + (f" and {len(late) - _SHOWN} more" if len(late) > _SHOWN else "")
        what = "their part is formed" if formed else "it is formed"
        text = f"{what} by the next plan after they are installed and report to us: {shown}"
        yield Wait(about=layout.name, reason=WaitReason.MEMBERS_MISSING, text=text)


def hosts(desired: Desired, given: Mapping[str, Allocation], before: CephLayout | None = None) -> dict[str, CephHost]:
    """Machines of the layout as Ceph's steps need them, by id; without those that have no address in the public network.
    Those of ``before`` are among them: who leaves is told to let go of what it has."""
    layout = desired.ceph
    if layout is None:
        return {}
    parents = {item: (bucket.level, bucket.name) for bucket in layout.buckets for item in bucket.items}
    parts = _parts(layout) | (_parts(before) if before else frozenset())
    found: dict[str, CephHost] = {}
    for node in desired.nodes:
        address = _address(node, layout.public, given.get(node.machine))
        if node.machine in parts and address:
            found[node.machine] = CephHost(
                machine=node.machine, name=node.name, address=address, location=_location(node.name, parents)
            )
    return found


def _parts(layout: CephLayout) -> frozenset[str]:
    """Ids of machines that something of the layout runs on."""
    return frozenset((*(service.machine for service in layout.services), *(osd.machine for osd in layout.osds)))


def _address(node: NodeLayout, network: str, given: Allocation | None) -> str:
    planned = next((one.address for one in node.network.addresses if one.network == network), "")
    if planned:
        return planned.partition("/")[0]
    if given is None:
        return ""
    return dict(given.addresses).get(network, "") or (given.address if network == "provisioning" else "")


def _location(name: str, parents: Mapping[str, tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """From the largest bucket below the root to the smallest one above the host."""
    path: list[tuple[str, str]] = []
    at = parents.get(name)
    while at is not None and at[1] in parents:
        path.append(at)
        at = parents.get(at[1])
    return tuple(reversed(path))


def networks(site: Site) -> dict[str, str]:
    """Ranges by network name, as Ceph's configuration takes them."""
    own = {"provisioning": str(site.provisioning.cidr)}
    for network in site.networks:
        ranges = [str(found) for found in (network.cidr, network.cidr6) if found is not None]
        own[network.name] = ",".join(ranges)
    return own


def written_disks(step: Step) -> list[tuple[str, DiskRef]]:
    """Disks that a step writes, with their machines: those of the OSD that it makes, and those that it frees slots of."""
    args = step.ceph
    if args is not None and args.verb is CephVerb.OSD and args.osd is not None:
        disks = (args.osd.data, args.osd.db, args.osd.wal)
        return [(args.osd.machine, disk) for disk in disks if disk is not None]
    if args is not None and args.verb is CephVerb.ZAP and args.old is not None:
        return [(args.old.machine, disk) for disk in (args.old.db, args.old.wal) if disk is not None]
    return []


def removed(steps: Iterable[Step]) -> list[int]:
    """Numbers of OSDs that no plan made and that steps remove."""
    found = (step.ceph for step in steps)
    return [int(args.daemon) for args in found if args and args.verb is CephVerb.PURGE and args.old is None]


def written_keys(step: Step) -> list[DiskKey]:
    """The same as keys that disks are compared by."""
    return [disk_key(who, disk) for who, disk in written_disks(step)]


def _marked(choice: DiskChoice, written: set[DiskKey], there: Mapping[str, Candidate], fsid: str) -> DiskChoice:
    key = disk_key(choice.machine, choice)
    if choice.fate is not DiskFate.ASSIGN or key not in written:
        return choice
    one = there.get(choice.machine)
    disks = [disk for disk in one.inventory.disks if label(disk) == key[1:]] if one else []
    marks = one.marks if one else frozenset()
    own = any(of_cluster(disk, fsid) or kind.begun(disk.content, marks) for disk in disks)
    return choice if own else replace(choice, fate=DiskFate.ERASE)


def of_cluster(disk: Disk, fsid: str) -> bool:
    """Whether what is on the disk belongs to this very cluster."""
    return not disk.content.blank and any(found.owner == fsid for found in signatures(disk.content))
