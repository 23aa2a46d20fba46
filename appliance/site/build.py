"""Entries whose types and names were checked → `Site`. What has a name is in the order of names, so that the order of keys
in the file changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from appliance.model.ceph import CephSpec, DeviceFilter, DriveGroup, Erasure, PoolSpec, Service
from appliance.model.cluster import ClusterSpec
from appliance.model.network import BackboneSpec, Cable, Network
from appliance.model.place import Rack
from appliance.model.site import (
    ApprovalRule,
    BmcAccess,
    EraseGrant,
    ExpectedCount,
    ExpectedMachine,
    FirmwareBaseline,
    PhaseDeadline,
    ProvisioningNetwork,
    Repository,
    Site,
)
from appliance.site.clusterentries import (
    DEFAULT_POOL,
    CephEntry,
    ClusterEntry,
    DriveGroupEntry,
    ErasureEntry,
    FilterEntry,
    PoolEntry,
)
from appliance.site.file import SiteFile
from appliance.site.machineentries import PHASES, MachineEntry, RackEntry
from appliance.site.networkentries import PROVISIONING, BackboneEntry, NetworkEntry
from appliance.site.planes import link_of, plane_of

MTU = 1500


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Thing = TypeVar("Thing", bound=_Named)


def build(file: SiteFile, name: str, network: ProvisioningNetwork, machines: Iterable[MachineEntry]) -> Site:
    """The site. ``machines`` are those of the file and of its list."""
    return Site(
        name=name,
        domain=file.domain,
        provisioning=network,
        machines=_sorted(map(_machine, machines)),
        counts=tuple(
            ExpectedCount(profile=entry.profile, count=entry.count)
            for entry in sorted(file.expect, key=lambda entry: entry.profile)
        ),
        approve=tuple(
            ApprovalRule(serial=rule.serial or "", mac=rule.mac or "", expected=rule.expected, any=rule.any)
            for rule in file.approve
        ),
        erase=tuple(EraseGrant(serial=grant.serial, reason=grant.reason) for grant in file.erase),
        protect=tuple(file.protect),
        ssh_keys=tuple(file.ssh_keys),
        time_servers=tuple(file.time_servers),
        dns_servers=tuple(file.dns_servers),
        operating_system=file.operating_system,
        hostname_prefix=file.hostname_prefix,
        networks=_sorted(_network(entry) for entry in file.networks if entry.name != PROVISIONING),
        console=file.console or "",
        kernel_arguments=tuple(file.kernel_arguments),
        number=file.number,
        availability=file.availability,
        racks=_sorted(map(_rack, file.racks)),
        clusters=_sorted(map(_cluster, file.clusters)),
        ceph=_ceph(file.ceph) if file.ceph else None,
        backbone=_backbone(file.backbone) if file.backbone else None,
        firewall=file.firewall.value if file.firewall else "",
        repositories=_sorted(
            Repository(name=entry.name.value, mirror=entry.mirror or "", frozen=entry.frozen or "")
            for entry in file.repositories
        ),
        proxy=file.proxy or "",
        bmc=BmcAccess(user=file.bmc.user or "", password=file.bmc.password or "") if file.bmc else None,
        firmware=_firmware(file),
        deadlines=_deadlines(file),
        secrets=(file.bmc.password,) if file.bmc and file.bmc.password else (),
    )


def _sorted(things: Iterable[Thing]) -> tuple[Thing, ...]:
    return tuple(sorted(things, key=lambda thing: thing.name))


def _machine(entry: MachineEntry) -> ExpectedMachine:
    return ExpectedMachine(
        name=entry.name,
        serial=entry.serial or "",
        mac=entry.mac or "",
        uuid=entry.uuid or "",
        switch_port=entry.switch_port or "",
        profile=entry.profile or "",
        address=entry.address,
        rack=entry.rack or "",
        unit=entry.unit or 0,
        bmc=entry.bmc or "",
    )


def _rack(entry: RackEntry) -> Rack:
    return Rack(
        name=entry.name,
        row=entry.row or "",
        datacenter=entry.datacenter or "",
        zone=entry.zone or "",
        units=entry.units,
        power=tuple(entry.power),
        switches=tuple(entry.switches),
    )


def _network(entry: NetworkEntry) -> Network:
    return Network(
        name=entry.name,
        plane=plane_of(entry),
        cidr=entry.cidr,
        cidr6=entry.cidr6,
        vlan=entry.vlan,
        mtu=entry.mtu or MTU,
        carrier=entry.carrier,
        role=entry.role.value if entry.role else "",
        link=link_of(entry),
        gateway=entry.gateway or "",
    )


def _cluster(entry: ClusterEntry) -> ClusterSpec:
    return ClusterSpec(
        name=entry.name,
        kind=entry.kind,
        machines=tuple(entry.machines),
        profiles=tuple(entry.profiles),
        racks=tuple(entry.racks),
        zones=tuple(entry.zones),
        maximum=entry.maximum,
        links=tuple(entry.links),
        arbiter=entry.arbiter,
        frozen=entry.frozen or "",
    )


def _ceph(entry: CephEntry) -> CephSpec:
    pools = _sorted(map(_pool, entry.pools))
    return CephSpec(
        name=entry.name,
        machines=tuple(entry.machines),
        profiles=tuple(entry.profiles),
        groups=_sorted(_group(group, encrypted=entry.encrypted) for group in entry.osds),
        pools=pools or (PoolSpec(name=DEFAULT_POOL, service=Service.BLOCK),),
        encrypted=entry.encrypted,
        monitors=entry.monitors,
        stretch=entry.stretch,
        tiebreaker=entry.tiebreaker or "",
        public=entry.public or "",
        cluster=entry.cluster or "",
        frozen=entry.frozen or "",
    )


def _group(entry: DriveGroupEntry, *, encrypted: bool) -> DriveGroup:
    return DriveGroup(
        name=entry.name,
        profiles=tuple(entry.profiles),
        data=_filter(entry.data),
        db=_filter(entry.db),
        wal=_filter(entry.wal),
        filter_logic=entry.filter_logic,
        osds_per_device=entry.osds_per_device,
        db_size=entry.db_size or 0,
        db_slots=entry.db_slots,
        device_class=entry.device_class or "",
        encrypted=encrypted if entry.encrypted is None else entry.encrypted,
    )


def _filter(entry: FilterEntry | None) -> DeviceFilter:
    if entry is None:
        return DeviceFilter()
    return DeviceFilter(
        all=entry.all,
        model=entry.model or "",
        vendor=entry.vendor or "",
        size=entry.size or "",
        rotational=entry.rotational,
        limit=entry.limit,
        serials=tuple(entry.serials),
    )


def _pool(entry: PoolEntry) -> PoolSpec:
    return PoolSpec(
        name=entry.name,
        service=entry.service,
        device_class=entry.device_class or "",
        size=entry.size,
        min_size=entry.min_size,
        erasure=_erasure(entry.erasure) if entry.erasure else None,
        spread=entry.spread,
        domain=entry.domain,
        share=entry.share,
        namespaces=tuple(sorted(entry.namespaces)),
    )


def _erasure(entry: ErasureEntry) -> Erasure:
    if entry.code is not None:
        return Erasure(k=entry.code.k, m=entry.code.m)
    return Erasure(k=entry.k or 0, m=entry.m or 0)


def _backbone(entry: BackboneEntry) -> BackboneSpec:
    return BackboneSpec(
        shape=entry.shape,
        routing=entry.routing,
        ula=entry.ula,
        loopbacks=entry.loopbacks,
        asn=entry.asn,
        cables=tuple(Cable(a=end.a, b=end.b, a_port=end.a_port, b_port=end.b_port) for end in entry.cables),
    )


def _firmware(file: SiteFile) -> tuple[FirmwareBaseline, ...]:
    return tuple(
        FirmwareBaseline(profile=entry.profile, bios=entry.bios or "", bmc=entry.bmc or "", nic=entry.nic or "")
        for entry in sorted(file.firmware, key=lambda entry: entry.profile)
    )


def _deadlines(file: SiteFile) -> tuple[PhaseDeadline, ...]:
    return tuple(
        PhaseDeadline(profile=entry.profile, phase=phase, seconds=float(seconds))
        for entry in sorted(file.deadlines, key=lambda entry: entry.profile)
        for phase in PHASES
        if (seconds := getattr(entry, phase)) is not None
    )
