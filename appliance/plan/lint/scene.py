"""What the rules look at, and indexes over it that are built once, when the first rule asks for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from agent.wire import Disk, Inventory
from appliance.kinds.ceph import begun, marks, may_be_begun
from appliance.model.ceph import CephLayout, DiskRef, OsdLayout
from appliance.model.cluster import ClusterSpec
from appliance.model.machine import Phase
from appliance.model.network import AddressLayout, Network, Plane
from appliance.model.observed import ObservedMachine
from appliance.model.plan import DiskChoice, DiskFate, NodeLayout, Plan, Step, WaitReason
from appliance.model.site import Site
from appliance.plan.ceph.steps import written_disks
from appliance.plan.lint.links import Links
from appliance.plan.lint.tree import Tree
from hwprofiles.normal import serial_key
from hwprofiles.profile import DiskRoleName, Profile

DiskId = tuple[str, str, str, int]
"""Machine id, comparable serial, WWN in lower case, size in bytes: what a disk is known by."""
IpAddress = IPv4Address | IPv6Address
SETTLED = frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAddress:
    """One address of one machine, read: ``value`` is None when the text is no address, ``length`` -1 without a prefix."""

    node: NodeLayout
    layout: AddressLayout
    value: IpAddress | None
    length: int


class Slot(NamedTuple):
    """A part of a DB or WAL device, for one OSD. ``role`` is ``db`` or ``wal``; ``number`` counts from 0 on the device."""

    osd: OsdLayout
    device: DiskRef
    role: str
    size: int
    number: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """``machines`` by id, ``profiles`` by name. Nothing here is taken from the planner's own conclusions: what can be
    computed again from the layout's parts and the inventories is."""

    site: Site
    plan: Plan
    machines: Mapping[str, ObservedMachine]
    profiles: Mapping[str, Profile]
    _keys: dict[str, str] = field(default_factory=dict)

    # ------------------------------------------------------------ steps and disks

    @cached_property
    def installs(self) -> tuple[Step, ...]:
        """Steps that write a disk."""
        return tuple(step for step in self.plan.steps if step.install is not None)

    @cached_property
    def installed(self) -> tuple[DiskChoice, ...]:
        """Disks that systems are installed on: as steps name them, and as the plan lists them."""
        named = [step.install.disk for step in self.plan.steps if step.install is not None]
        listed = (c for c in self.plan.disks if c.fate is DiskFate.ERASE and c.role == DiskRoleName.SYSTEM)
        return tuple({id(c): c for c in (*named, *listed)}.values())

    @cached_property
    def erased(self) -> tuple[DiskChoice, ...]:
        """Disks that steps write, or that the plan says it erases."""
        listed = (c for c in self.plan.disks if c.fate is DiskFate.ERASE)
        return tuple({id(c): c for c in (*self.installed, *listed)}.values())

    @cached_property
    def erasures(self) -> frozenset[DiskId]:
        """What the disks of `erased` are known by."""
        return frozenset(self.identity(choice.machine, choice) for choice in self.erased)

    @cached_property
    def formed(self) -> dict[DiskId, tuple[str, str]]:
        """Disks that steps of Ceph write: the step's key, and what people call the disk."""
        table: dict[DiskId, tuple[str, str]] = {}
        for step in self.plan.steps:
            for machine, disk in written_disks(step):
                name = disk.serial or disk.wwn or disk.model
                table[self.identity(machine, disk)] = (step.key, name)
        return table

    def key(self, serial: str) -> str:
        """The comparable form of a serial; each is computed once."""
        found = self._keys.get(serial)
        if found is None:
            found = self._keys[serial] = serial_key(serial)
        return found

    def identity(self, machine: str, disk: Disk | DiskRef | DiskChoice) -> DiskId:
        """What a disk is known by."""
        return machine, self.key(disk.serial), disk.wwn.lower(), disk.size

    @cached_property
    def inventoried(self) -> dict[DiskId, list[Disk]]:
        """All disks of all machines; more than one in a list can't be told apart."""
        table: dict[DiskId, list[Disk]] = {}
        for who, machine in self.machines.items():
            for disk in machine.inventory.disks if machine.inventory else ():
                table.setdefault(self.identity(who, disk), []).append(disk)
        return table

    @cached_property
    def serials(self) -> Counter[str]:
        """How many disks of the site have a serial; disks without one are not counted."""
        table: Counter[str] = Counter()
        for (_, serial, _, _), disks in self.inventoried.items():
            table[serial] += len(disks) if serial else 0
        return table

    @cached_property
    def granted(self) -> frozenset[str]:
        """Serials whose erasure the site file grants, and that exactly one disk has."""
        keys = (self.key(grant.serial) for grant in self.site.erase)
        return frozenset(key for key in keys if self.serials[key] == 1)

    @cached_property
    def protected(self) -> frozenset[str]:
        """Serials that the site file protects."""
        return frozenset(self.key(serial) for serial in self.site.protect)

    def disk(self, machine: str, choice: DiskChoice | DiskRef) -> Disk | None:
        """The one disk that is meant, as observed."""
        found = self.inventoried.get(self.identity(machine, choice), ())
        return found[0] if len(found) == 1 else None

    def planned(self) -> Iterator[tuple[Step, ObservedMachine, Inventory]]:
        """Installs with the machines they are for."""
        for step in self.installs:
            machine = self.machines.get(step.machine)
            if machine is not None and machine.inventory is not None:
                yield step, machine, machine.inventory

    # ------------------------------------------------------------ nodes and clusters

    @cached_property
    def nodes(self) -> dict[str, NodeLayout]:
        """Planned machines by id; of two that claim one id (which is a finding), the same one whatever their order."""
        ordered = sorted(self.plan.desired.nodes, key=lambda node: (node.name, node.number), reverse=True)
        return {node.machine: node for node in ordered}

    @cached_property
    def _names(self) -> dict[str, str]:
        names = {allocation.machine: allocation.name for allocation in self.plan.allocations}
        return {**names, **{who: node.name for who, node in self.nodes.items()}}

    def name(self, machine: str) -> str:
        """What people know a machine by."""
        return self._names.get(machine) or machine

    def waits(self, reason: WaitReason, *names: str) -> bool:
        """Whether the plan itself says that it waits, for this reason, about one of these."""
        return any((reason, name) in self._waits for name in names)

    def stands(self, who: str) -> bool:
        """Whether the plan says that a machine, or all of Ceph, stays as it was accepted without being looked at."""
        ceph = self.plan.desired.ceph
        return self.waits(WaitReason.STANDS, self.name(who), ceph.name if ceph else "")

    def kept(self, who: DiskId) -> bool:
        """Whether the disk of an OSD stays as it was accepted: it can't be looked at, and the plan writes nothing to it."""
        return who not in self._written and self.stands(who[0])

    @cached_property
    def _written(self) -> frozenset[DiskId]:
        choices = (self.identity(c.machine, c) for c in self.plan.disks if c.fate is not DiskFate.KEEP)
        return frozenset((*self.formed, *choices))

    @cached_property
    def _waits(self) -> frozenset[tuple[WaitReason, str]]:
        return frozenset((wait.reason, wait.about) for wait in self.plan.waits)

    def settled(self, machines: Iterable[str]) -> bool:
        """Whether any of the machines is installed already: then what is planned of them may stand, and isn't moved."""
        found = (self.machines.get(who) for who in machines)
        return any(one is not None and one.machine.phase in SETTLED for one in found)

    def inventory(self, machine: str) -> Inventory | None:
        """The trusted inventory of a machine, if there is one."""
        found = self.machines.get(machine)
        return found.inventory if found else None

    @cached_property
    def specs(self) -> dict[str, ClusterSpec]:
        """Clusters of the site file by name."""
        return {spec.name: spec for spec in self.site.clusters}

    @cached_property
    def clustered(self) -> frozenset[str]:
        """Machines that are in a cluster, and so run virtual machines."""
        return frozenset(who for cluster in self.plan.desired.clusters for who in cluster.members)

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Machines of all clusters and of Ceph, each once."""
        groups = [cluster.members for cluster in self.plan.desired.clusters]
        groups += [self.ceph.members] if self.ceph else []
        return tuple(dict.fromkeys(who for group in groups for who in group))

    # ------------------------------------------------------------ networks

    @cached_property
    def networks(self) -> dict[str, Network]:
        """All networks by name, with the provisioning network as one of them."""
        own = Network(name=Plane.PROVISIONING.value, plane=Plane.PROVISIONING, cidr=self.site.provisioning.cidr)
        return {own.name: own, **{network.name: network for network in self.site.networks}}

    @cached_property
    def addresses(self) -> tuple[PlannedAddress, ...]:
        """All planned addresses of all machines, without loopbacks."""
        return tuple(
            PlannedAddress(node=node, layout=layout, value=value, length=length)
            for node in self.plan.desired.nodes
            for layout in node.network.addresses
            for value, length in (read_address(layout.address),)
        )

    @cached_property
    def connected(self) -> dict[tuple[str, str], list[AddressLayout]]:
        """Addresses by machine and network."""
        table: dict[tuple[str, str], list[AddressLayout]] = {}
        for planned in self.addresses:
            table.setdefault((planned.node.machine, planned.layout.network), []).append(planned.layout)
        return table

    def unconnected(self, machine: str, network: str) -> bool:
        """Whether a machine of the layout has no address in the network, and nobody says that it lacks ports. In the
        provisioning network DHCP gives one."""
        node = self.nodes.get(machine)
        return node is not None and not node.network.missing and not self.connected.get((machine, network))

    @cached_property
    def links(self) -> dict[str, Links]:
        """What is built on what in each machine's network, by machine id."""
        return {who: Links(node.network) for who, node in self.nodes.items()}

    def carriers(self, machine: str, network: str) -> frozenset[str]:
        """Names of the ports of ``machine`` that carry ``network``; empty when it is not connected."""
        links = self.links.get(machine)
        found = self.connected.get((machine, network), ())
        return frozenset().union(*(links.ports(layout.interface) for layout in found)) if links else frozenset()

    # ------------------------------------------------------------ Ceph

    @property
    def ceph(self) -> CephLayout | None:
        """The Ceph layout, if there is one."""
        return self.plan.desired.ceph

    @property
    def osds(self) -> tuple[OsdLayout, ...]:
        """All OSDs."""
        return self.ceph.osds if self.ceph else ()

    @cached_property
    def data(self) -> dict[DiskId, list[OsdLayout]]:
        """OSDs by the disk that holds their data; without those that wait for a new one."""
        table: dict[DiskId, list[OsdLayout]] = {}
        for osd in self.osds:
            if osd.replacing:
                continue
            table.setdefault(self.identity(osd.machine, osd.data), []).append(osd)
        return table

    @cached_property
    def slots(self) -> dict[DiskId, list[Slot]]:
        """Parts of DB and WAL devices, by the device."""
        table: dict[DiskId, list[Slot]] = {}
        for osd in self.osds:
            if osd.db is not None:
                slot = Slot(osd=osd, device=osd.db, role="db", size=osd.db_size, number=osd.slot)
                table.setdefault(self.identity(osd.machine, osd.db), []).append(slot)
            if osd.wal is not None:
                slot = Slot(osd=osd, device=osd.wal, role="wal", size=osd.wal_size, number=osd.wal_slot)
                table.setdefault(self.identity(osd.machine, osd.wal), []).append(slot)
        return table

    @cached_property
    def roles(self) -> dict[DiskId, tuple[DiskRef, str]]:
        """Every disk that Ceph takes: what it is named in the layout, and ``osd``, ``db`` or ``wal``."""
        table = {
            who: (slots[0].device, slots[0].role)
            for who, slots in self.slots.items()
            if who in self.inventoried or not all(slot.osd.replacing for slot in slots)
        }
        return {**table, **{who: (osds[0].data, "osd") for who, osds in self.data.items()}}

    def of_ceph(self, disk: Disk) -> bool:
        """Whether the disk carries an OSD (or its DB) of this very cluster, or one is just being made of it."""
        fsid = self.ceph.fsid if self.ceph else ""
        if not fsid or disk.content.blank:
            return False
        parts = (disk.content.signatures, *(partition.signatures for partition in disk.content.partitions))
        if any(signature.owner == fsid for signatures in parts for signature in signatures):
            return True
        return may_be_begun(disk.content) and begun(disk.content, self._marks)

    @cached_property
    def _marks(self) -> frozenset[str]:
        return marks(self.ceph.fsid, self.ceph.osds) if self.ceph else frozenset()

    @cached_property
    def taken(self) -> tuple[tuple[DiskId, DiskRef, str, Disk], ...]:
        """The same with the disk as observed, where it is there exactly once."""
        return tuple(
            (who, reference, role, found[0])
            for who, (reference, role) in self.roles.items()
            for found in (self.inventoried.get(who, ()),)
            if len(found) == 1
        )

    @cached_property
    def by_host(self) -> dict[str, list[OsdLayout]]:
        """OSDs by machine id."""
        table: dict[str, list[OsdLayout]] = {}
        for osd in self.osds:
            table.setdefault(osd.machine, []).append(osd)
        return table

    @cached_property
    def tree(self) -> Tree:
        """The CRUSH tree."""
        return Tree(self.ceph.buckets if self.ceph else (), self.osds)


def read_address(text: str) -> tuple[IpAddress | None, int]:
    """``10.1.0.2/24`` → the address and 24. The `ipaddress` interfaces do the same at five times the price."""
    host, _, length = text.partition("/")
    try:
        value: IpAddress | None = IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        value = None
    return value, int(length) if length.isdecimal() else -1


def ranges(network: Network) -> tuple[IPv4Network | IPv6Network, ...]:
    """The ranges that a network has."""
    return tuple(found for found in (network.cidr, network.cidr6) if found is not None)


def disk_name(disk: Disk | DiskRef | DiskChoice) -> str:
    """Serial, else WWN, else model: what a finding about a disk is about."""
    return disk.serial or disk.wwn or disk.model or "a disk without identity"
