"""The site file as it is written: keys, types, defaults. `load` turns it into `appliance.model.site.Site`.

A field's name is its key. Fields of type `Position` are filled with the place in the document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from appliance.site.values import (
    AddressRange,
    Console,
    DomainName,
    Host,
    Hostname,
    HostPrefix,
    Interface,
    KernelArgument,
    Mac,
    MachineUuid,
    Serial,
    SshKey,
)
from hwprofiles.convert import KEY
from hwprofiles.node import NOWHERE, Position

DOMAIN = DomainName("internal")
"""Reserved for private use by ICANN in 2024."""
PREFIX = HostPrefix("node")


class Mode(StrEnum):
    AUTHORITATIVE = "authoritative"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEntry:
    """A network. Everything below ``vlan`` belongs to the one named ``provisioning``, in which machines boot."""

    at: Position = NOWHERE
    name: Hostname = field(metadata=KEY)
    cidr: IPv4Network
    vlan: int | None = None
    appliance: IPv4Address | None = None
    pool: AddressRange | None = None
    hosts: AddressRange | None = None
    mode: Mode = Mode.AUTHORITATIVE
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    interfaces: tuple[Interface, ...] = ()


PROVISIONING = "provisioning"
PROVISIONING_ONLY = ("appliance", "pool", "hosts", "mode", "gateway", "dns", "interfaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEntry:
    at: Position = NOWHERE
    name: Hostname = field(metadata=KEY)
    serial: Serial | None = None
    mac: Mac | None = None
    uuid: MachineUuid | None = None
    profile: str | None = None
    address: IPv4Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalEntry:
    at: Position = NOWHERE
    serial: Serial | None = None
    mac: Mac | None = None
    expected: bool = False
    any: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseEntry:
    at: Position = NOWHERE
    serial: Serial
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFile:
    """``site`` and a network ``provisioning`` must be given; optional here so that the rest is checked all the same."""

    at: Position = NOWHERE
    schema: int = 1
    site: Hostname | None = None
    domain: DomainName = DOMAIN
    networks: tuple[NetworkEntry, ...] = ()
    machines: tuple[MachineEntry, ...] = ()
    hostname_prefix: HostPrefix = PREFIX
    operating_system: str = "debian-13"
    approve: tuple[ApprovalEntry, ...] = ()
    erase: tuple[EraseEntry, ...] = ()
    protect: tuple[Serial, ...] = ()
    ssh_keys: tuple[SshKey, ...] = ()
    time_servers: tuple[Host, ...] = ()
    console: Console | None = None
    kernel_arguments: tuple[KernelArgument, ...] = ()

    @property
    def provisioning(self) -> NetworkEntry | None:
        """The network that machines boot in."""
        return next((entry for entry in self.networks if entry.name == PROVISIONING), None)
