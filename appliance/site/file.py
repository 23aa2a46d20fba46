"""The site file as it is written: keys, types, defaults. `load` turns it into `appliance.model.site.Site`.

A field's name is its key. Fields of type `Position` are filled with the place in the document. What is told about a key
(`about`) is what the documentation, ``rackseed site explain`` and the schema say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from appliance.model.availability import Tier
from appliance.site.about import about
from appliance.site.addresses import Ip
from appliance.site.clusterentries import CEPH, CephEntry, ClusterEntry
from appliance.site.machineentries import (
    BmcEntry,
    DeadlineEntry,
    ExpectEntry,
    FirmwareEntry,
    MachineEntry,
    RackEntry,
)
from appliance.site.networkentries import PROVISIONING, BackboneEntry, NetworkEntry
from appliance.site.values import Console, DomainName, Host, Hostname, HostPrefix, KernelArgument, Mac, Serial, SshKey
from appliance.site.wishes import Day, Url
from hwprofiles.convert import BARE, KEY, SHORT
from hwprofiles.node import NOWHERE, Position

DOMAIN = DomainName("internal")
"""Reserved for private use by ICANN in 2024."""
PREFIX = HostPrefix("node")


class Firewall(StrEnum):
    DEFAULT = "default"
    NONE = "none"


class RepositoryName(StrEnum):
    """Sources of packages that installed systems have."""

    DEBIAN = "debian"
    DEBIAN_SECURITY = "debian-security"
    PROXMOX = "proxmox"
    CEPH = "ceph"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalEntry:
    """A rule that approves without a person; all its fields must hold. Serial and MAC are weak evidence."""

    at: Position = NOWHERE
    serial: Serial | None = field(default=None, metadata=about("a serial number", example="S411802X0C00101"))
    mac: Mac | None = field(default=None, metadata=about("address of a port", example="3c:ec:ef:00:00:01"))
    expected: bool = field(default=False, metadata=about("every machine that is expected", example="true"))
    any: bool = field(default=False, metadata=about("every machine (labs only)", example="true"))


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseEntry:
    """A disk with foreign data that may be erased."""

    at: Position = NOWHERE
    serial: Serial = field(metadata=about("its serial number", example="WD-OLD1234"))
    reason: str = field(default="", metadata=about("for the audit trail", example="former database"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryEntry:
    """Where packages come from. A URL alone is the mirror."""

    at: Position = NOWHERE
    name: RepositoryName = field(metadata=KEY | about("which source of packages", example="debian"))
    mirror: Url | None = field(
        default=None,
        metadata=SHORT | about("base URL", example="http://mirror.example/debian", default="the upstream one"),
    )
    frozen: Day | None = field(
        default=None, metadata=about("date at which it is frozen", example="2026-11-01", default="not frozen")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFile:
    """``site`` and a network ``provisioning`` must be given; optional here so that the rest is checked all the same."""

    at: Position = NOWHERE
    schema: int = field(default=1, metadata=about("version of this format", example="1"))
    site: Hostname | None = field(
        default=None, metadata=about("name of the site", example="edge-1", default="must be given")
    )
    domain: DomainName = field(default=DOMAIN, metadata=about("DNS domain of the machines", example="edge.internal"))
    number: int = field(default=1, metadata=about("the site's place in the address ladder, 0 to 255", example="7"))
    availability: Tier | None = field(
        default=None,
        metadata=about("tier that is wanted; the plan says what is missing", example="II", default="not said"),
    )
    networks: tuple[NetworkEntry, ...] = field(
        default=(),
        metadata=about(
            "networks by name",
            example="{provisioning: {cidr: 192.168.90.0/24}}",
            default="`provisioning` must be given",
        ),
    )
    racks: tuple[RackEntry, ...] = field(
        default=(), metadata=about("racks by name", example="{r1: {zone: az1}, r2: {}}")
    )
    machines: tuple[MachineEntry, ...] = field(
        default=(), metadata=about("expected machines by name", example="{n1: {serial: S411802X0C00101}}")
    )
    manifest: str | None = field(
        default=None,
        metadata=about(
            "file beside this one with more machines, or its text: CSV with a row of headings", example="list.csv"
        ),
    )
    expect: tuple[ExpectEntry, ...] = field(
        default=(), metadata=about("how many machines of a profile, besides those listed", example="{epyc-compute: 8}")
    )
    clusters: tuple[ClusterEntry, ...] = field(default=(), metadata=about("clusters by name", example="{pve1: }"))
    ceph: CephEntry | None = field(default=None, metadata=CEPH)
    backbone: BackboneEntry | None = field(
        default=None,
        metadata=BARE | about("the network between the machines", example="ring", default="by the networks"),
    )
    hostname_prefix: HostPrefix = field(
        default=PREFIX, metadata=about("names of machines that are not listed: `node1`, `node2` …", example="edge")
    )
    operating_system: str = field(
        default="debian-13",
        metadata=about(
            "a folder of `images/os`; machines of a dedicated Ceph get the one with `-ceph` behind it",
            example="debian-13",
        ),
    )
    approve: tuple[ApprovalEntry, ...] = field(
        default=(),
        metadata=about(
            "rules that approve without a person", example="[{expected: true}]", default="a person approves"
        ),
    )
    erase: tuple[EraseEntry, ...] = field(
        default=(), metadata=about("disks with foreign data that may be erased", example="[{serial: WD-OLD1234}]")
    )
    protect: tuple[Serial, ...] = field(
        default=(), metadata=about("serials of disks that are never erased", example="[S3Z8NB0K]")
    )
    ssh_keys: tuple[SshKey, ...] = field(
        default=(),
        metadata=about("OpenSSH public keys for root of installed machines", example="[ssh-ed25519 AAAA… admin]"),
    )
    time_servers: tuple[Host, ...] = field(
        default=(),
        metadata=about("NTP servers of installed machines", example="[192.168.90.254]", default="the distribution's"),
    )
    dns_servers: tuple[Ip, ...] = field(
        default=(),
        metadata=about(
            "name servers of installed machines",
            example="[192.168.90.254]",
            default="those of the provisioning network",
        ),
    )
    console: Console | None = field(
        default=None,
        metadata=about("kernel console, instead of the profile's", example="ttyS1,115200n8", default="the profile's"),
    )
    kernel_arguments: tuple[KernelArgument, ...] = field(
        default=(), metadata=about("for installed systems, added to the profile's", example="[iommu=pt]")
    )
    firewall: Firewall | None = field(
        default=None, metadata=about("template of the firewall", example="default", default="the planner's")
    )
    repositories: tuple[RepositoryEntry, ...] = field(
        default=(),
        metadata=about(
            "mirrors and frozen dates by source of packages",
            example="{debian: {frozen: 2026-11-01}}",
            default="upstream",
        ),
    )
    proxy: Url | None = field(
        default=None, metadata=about("HTTP proxy of installed machines", example="http://192.168.90.254:3128")
    )
    bmc: BmcEntry | None = field(
        default=None, metadata=about("access to the BMCs", example="{user: admin, password: !secret bmc-password}")
    )
    firmware: tuple[FirmwareEntry, ...] = field(
        default=(), metadata=about("firmware to compare with, by profile", example='{epyc-compute: {bios: "2.8"}}')
    )
    deadlines: tuple[DeadlineEntry, ...] = field(
        default=(),
        metadata=about("deadlines by profile", example="{epyc-compute: {deploying: 2h}}", default="the profiles'"),
    )

    @property
    def provisioning(self) -> NetworkEntry | None:
        """The network that machines boot in."""
        return next((entry for entry in self.networks if entry.name == PROVISIONING), None)
