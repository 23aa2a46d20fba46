"""The site file as frozen data: what should be. Read by `appliance.site`, never built by hand elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from appliance.model.availability import Tier
from appliance.model.ceph import CephSpec
from appliance.model.cluster import ClusterSpec
from appliance.model.network import BackboneSpec, Network
from appliance.model.place import Rack


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningNetwork:
    """Where machines boot. ``appliance`` is our address in it; ``first``..``last`` the pool for machines without a
    fixed address; ``mode`` is ``authoritative`` (we own DHCP) or ``proxy`` (somebody else gives addresses).

    Installed machines get addresses from ``hosts_first``..``hosts_last``, or without them from what the pool leaves of
    the network (in proxy mode they then stay with DHCP)."""

    cidr: IPv4Network
    appliance: IPv4Address
    first: IPv4Address
    last: IPv4Address
    mode: str = "authoritative"
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    interfaces: tuple[str, ...] = ()
    hosts_first: IPv4Address | None = None
    hosts_last: IPv4Address | None = None

    @property
    def interface(self) -> IPv4Interface:
        """Our address with the network's prefix length."""
        return IPv4Interface(f"{self.appliance}/{self.cidr.prefixlen}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMachine:
    """A machine that the site file names. At least one of ``serial``, ``mac``, ``uuid``, ``switch_port`` identifies it;
    empty means unknown. ``switch_port`` is ``SWITCH/PORT`` as LLDP tells them. ``address`` and ``profile`` are optional:
    then the planner allocates, and matching decides. ``rack`` is a name of `Site.racks`, ``unit`` counts from 1, 0 is
    unknown."""

    name: str
    serial: str = ""
    mac: str = ""
    uuid: str = ""
    switch_port: str = ""
    profile: str = ""
    address: IPv4Address | None = None
    rack: str = ""
    unit: int = 0
    bmc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCount:
    """So many machines of a profile, whoever they are. They are named ``prefix`` and a number."""

    profile: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """Approves without a person. All given fields must hold; ``any`` alone approves every machine (labs only).
    Serial, MAC and profile are weak evidence: whoever is on the wire can claim them."""

    serial: str = ""
    mac: str = ""
    expected: bool = False
    any: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseGrant:
    """The operator allows that the disk with this serial is erased although it carries foreign data."""

    serial: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where packages come from: ``name`` as sources call it (``debian``, ``proxmox``, ``ceph``), the ``mirror``'s base
    URL (empty: the upstream one), and the date (``2026-11-01``) at which it is frozen (empty: not)."""

    name: str
    mirror: str = ""
    frozen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcAccess:
    """How BMCs are reached: the user, and the *name* of the secret that holds the password."""

    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareBaseline:
    """What firmware machines of a profile should have: exact version texts, empty is not compared."""

    profile: str
    bios: str = ""
    bmc: str = ""
    nic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseDeadline:
    """Seconds that machines of ``profile`` may stay in ``phase``; goes before the profile's own."""

    profile: str
    phase: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One site. ``ssh_keys`` are OpenSSH public keys; ``operating_system`` is a folder name of ``images/os``.

    ``console`` replaces the consoles of all profiles (kernel syntax, ``ttyS1,115200n8``); ``kernel_arguments`` are added
    to those of the profile in installed systems. ``number`` is the site's place in the address ladder (0..255). ``secrets``
    are the names that ``!secret`` references use; values never are in a site."""

    name: str
    domain: str
    provisioning: ProvisioningNetwork
    machines: tuple[ExpectedMachine, ...] = ()
    counts: tuple[ExpectedCount, ...] = ()
    approve: tuple[ApprovalRule, ...] = ()
    erase: tuple[EraseGrant, ...] = ()
    protect: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    time_servers: tuple[str, ...] = ()
    dns_servers: tuple[str, ...] = ()
    operating_system: str = "debian-13"
    hostname_prefix: str = "node"
    networks: tuple[Network, ...] = ()
    console: str = ""
    kernel_arguments: tuple[str, ...] = ()
    number: int = 1
    availability: Tier | None = None
    racks: tuple[Rack, ...] = ()
    clusters: tuple[ClusterSpec, ...] = ()
    ceph: CephSpec | None = None
    backbone: BackboneSpec | None = None
    firewall: str = ""
    repositories: tuple[Repository, ...] = ()
    proxy: str = ""
    bmc: BmcAccess | None = None
    firmware: tuple[FirmwareBaseline, ...] = ()
    deadlines: tuple[PhaseDeadline, ...] = ()
    secrets: tuple[str, ...] = ()

    def rack(self, name: str) -> Rack | None:
        """The rack with this name."""
        return next((rack for rack in self.racks if rack.name == name), None)
