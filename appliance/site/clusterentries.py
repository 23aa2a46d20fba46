"""Clusters and Ceph, as they are written."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.model.ceph import FilterLogic, Service, Spread
from appliance.model.cluster import MAX_NODES, Arbiter, ClusterKind
from appliance.model.place import Level
from appliance.site.about import about
from appliance.site.values import Hostname
from appliance.site.wishes import (
    BucketName,
    ClassName,
    ClusterName,
    Code,
    Day,
    DeviceSize,
    GroupName,
    NamespaceName,
    PoolName,
)
from hwprofiles.convert import BARE, KEY, SHORT
from hwprofiles.node import NOWHERE, Position
from hwprofiles.profile import Bytes

FROZEN = about(
    "date whose package versions every member gets, also one that comes later",
    example="2026-11-01",
    default="not frozen",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEntry:
    """A cluster. Without `machines` and `profiles`, every machine that can run it and that no other cluster names."""

    at: Position = NOWHERE
    name: ClusterName = field(metadata=KEY | about("its name, at most 15 characters", example="pve1"))
    kind: ClusterKind = field(default=ClusterKind.PROXMOX, metadata=about("what runs on it", example="proxmox"))
    machines: tuple[Hostname, ...] = field(default=(), metadata=about("its members by name", example="[n1, n2, n3]"))
    profiles: tuple[str, ...] = field(
        default=(), metadata=about("its members by hardware profile", example="[epyc-compute]")
    )
    racks: tuple[BucketName, ...] = field(
        default=(), metadata=about("only machines of these racks", example="[r1, r2]")
    )
    zones: tuple[BucketName, ...] = field(default=(), metadata=about("only machines of these zones", example="[az1]"))
    maximum: int = field(
        default=MAX_NODES, metadata=about("nodes of one cluster; more make several clusters", example="16")
    )
    links: tuple[Hostname, ...] = field(
        default=(),
        metadata=about(
            "networks of corosync, link 0 first",
            example="[corosync-0, management]",
            default="all of plane corosync, else management, else provisioning",
        ),
    )
    arbiter: str = field(
        default=Arbiter.AUTO.value,
        metadata=about(
            "who breaks the tie of an even number: `auto` (the appliance, when it is needed), `none`, `appliance`, "
            "a machine or a profile",
            example="pi1",
        ),
    )
    frozen: Day | None = field(default=None, metadata=FROZEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterEntry:
    """Which devices, with the meaning of cephadm's drive groups. Text conditions are parts of the text."""

    at: Position = NOWHERE
    all: bool = field(default=False, metadata=about("every device (only `data`)", example="true"))
    model: str | None = field(default=None, metadata=about("part of the model", example="MZQL2"))
    vendor: str | None = field(default=None, metadata=about("part of the vendor", example="SAMSUNG"))
    size: DeviceSize | None = field(
        default=None, metadata=about("size exactly, or a range with open ends", example="1TB:4TB")
    )
    rotational: bool | None = field(default=None, metadata=about("whether it turns", example="false"))
    limit: int = field(default=0, metadata=about("how many at most on a machine", example="4", default="no limit"))
    serials: tuple[str, ...] = field(default=(), metadata=about("exactly these", example="[S64GNE0R1]"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveGroupEntry:
    """How disks of some machines become OSDs. Groups choose in the order of their names."""

    at: Position = NOWHERE
    name: GroupName = field(metadata=KEY | about("its name", example="fast"))
    profiles: tuple[str, ...] = field(
        default=(), metadata=about("hardware profiles it holds for", example="[epyc-compute]", default="all members")
    )
    data: FilterEntry | None = field(
        default=None,
        metadata=about(
            "devices for data", example="{rotational: true}", default="the disks of the profile's role `osd`"
        ),
    )
    db: FilterEntry | None = field(
        default=None,
        metadata=about(
            "devices for databases", example="{rotational: false}", default="the disks of the profile's role `db`"
        ),
    )
    wal: FilterEntry | None = field(
        default=None,
        metadata=about("devices for write-ahead logs", example="{model: OPTANE}", default="with the databases"),
    )
    filter_logic: FilterLogic = field(
        default=FilterLogic.AND, metadata=about("whether all conditions must hold, or one", example="OR")
    )
    osds_per_device: int = field(default=1, metadata=about("OSDs on one NVMe device, 1 to 4", example="2"))
    db_size: Bytes | None = field(
        default=None, metadata=about("size of a database", example="120GB", default="as large as the slots allow")
    )
    db_slots: int = field(
        default=0, metadata=about("databases on one device", example="5", default="by the kind of device")
    )
    device_class: ClassName | None = field(
        default=None, metadata=about("device class in CRUSH", example="hdd", default="what the disk is")
    )
    encrypted: bool | None = field(
        default=None, metadata=about("encrypt these OSDs", example="true", default="as `ceph.encrypted`")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureEntry:
    """Erasure coding instead of copies: numbers, `4+2`, or `auto` by the number of failure domains."""

    at: Position = NOWHERE
    code: Code | None = field(default=None, metadata=SHORT | about("both numbers in one word", example="4+2"))
    k: int | None = field(default=None, metadata=about("data chunks, 2 to 16", example="4"))
    m: int | None = field(default=None, metadata=about("coding chunks, 2 to 8", example="2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolEntry:
    """A pool. A word alone is its service."""

    at: Position = NOWHERE
    name: PoolName = field(metadata=KEY | about("its name", example="vms"))
    service: Service = field(metadata=SHORT | about("what it serves", example="block"))
    device_class: ClassName | None = field(
        default=None, metadata=about("device class it lives on", example="nvme", default="any")
    )
    size: int = field(default=0, metadata=about("copies", example="3", default="3, with stretch 4"))
    min_size: int = field(
        default=0, metadata=about("copies that must be there to go on", example="2", default="size - 1, or k + 1")
    )
    erasure: ErasureEntry | None = field(
        default=None, metadata=about("erasure coding instead of copies", example="{k: 4, m: 2}")
    )
    spread: Spread | None = field(
        default=None,
        metadata=about(
            "inside one availability zone, or across them",
            example="zones",
            default="block `zone`, file and object `zones`",
        ),
    )
    domain: Level | None = field(
        default=None,
        metadata=about(
            "what no two copies share", example="rack", default="the largest level with enough of them to heal"
        ),
    )
    share: float = field(
        default=1.0, metadata=about("part of the space that it will need, against the other pools", example="2")
    )
    namespaces: tuple[NamespaceName, ...] = field(
        default=(),
        metadata=about("RBD namespaces, each with a key for it alone; only block", example="[tenant-a, tenant-b]"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CephEntry:
    """The one Ceph of the site. `ceph:` alone is enough: one block pool `vms` on all members of the clusters."""

    at: Position = NOWHERE
    name: Hostname = field(default=Hostname("ceph"), metadata=about("its name", example="ceph"))
    machines: tuple[Hostname, ...] = field(default=(), metadata=about("its members by name", example="[n1, n2, n3]"))
    profiles: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "its members by hardware profile",
            example="[arm-storage]",
            default="the members of Proxmox clusters, else all that have a disk for it",
        ),
    )
    osds: tuple[DriveGroupEntry, ...] = field(
        default=(),
        metadata=about(
            "drive groups by name",
            example="{slow: {data: {rotational: true}, db: {rotational: false}}}",
            default="the profiles' disks of role `osd` and `db`",
        ),
    )
    pools: tuple[PoolEntry, ...] = field(
        default=(), metadata=about("pools by name", example="{vms: block, share: file}", default="`vms: block`")
    )
    encrypted: bool = field(default=False, metadata=about("encrypt every OSD", example="true"))
    monitors: int = field(
        default=0,
        metadata=about("how many monitors, an odd number", example="5", default="3; 5 with stretch or five domains"),
    )
    stretch: bool = field(
        default=False, metadata=about("two sites with four copies and a tiebreaker elsewhere", example="true")
    )
    tiebreaker: str | None = field(
        default=None, metadata=about("for stretch: `appliance`, a machine or a profile", example="appliance")
    )
    public: Hostname | None = field(
        default=None,
        metadata=about("network of clients", example="storage-public", default="that of plane storage-public"),
    )
    cluster: Hostname | None = field(
        default=None,
        metadata=about("network of replication", example="storage-cluster", default="that of plane storage-cluster"),
    )
    frozen: Day | None = field(default=None, metadata=FROZEN)


DEFAULT_POOL = "vms"
"""The block pool of a Ceph without pools: guests' disks are what a micro cloud needs first."""

CEPH = BARE | about("the Ceph of the site", example="{pools: {vms: block}}", default="none")
