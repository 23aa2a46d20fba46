"""The site file as frozen data: what should be. Read by `appliance.site`, never built by hand elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network


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
class Network:
    """Another network of the site. Declared and checked for overlaps; machines are not connected to it yet."""

    name: str
    cidr: IPv4Network
    vlan: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMachine:
    """A machine that the site file names. At least one of ``serial``, ``mac``, ``uuid`` identifies it; empty means
    unknown. ``address`` and ``profile`` are optional: then the planner allocates, and matching decides."""

    name: str
    serial: str = ""
    mac: str = ""
    uuid: str = ""
    profile: str = ""
    address: IPv4Address | None = None


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
class Site:
    """One site. ``ssh_keys`` are OpenSSH public keys; ``operating_system`` is a folder name of ``images/os``.

    ``console`` replaces the consoles of all profiles (kernel syntax, ``ttyS1,115200n8``); ``kernel_arguments`` are added
    to those of the profile in installed systems."""

    name: str
    domain: str
    provisioning: ProvisioningNetwork
    machines: tuple[ExpectedMachine, ...] = ()
    approve: tuple[ApprovalRule, ...] = ()
    erase: tuple[EraseGrant, ...] = ()
    protect: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    time_servers: tuple[str, ...] = ()
    operating_system: str = "debian-13"
    hostname_prefix: str = "node"
    networks: tuple[Network, ...] = ()
    console: str = ""
    kernel_arguments: tuple[str, ...] = ()
