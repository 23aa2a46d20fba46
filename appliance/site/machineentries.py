"""Machines, racks and what is set by profile, as they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from appliance.site.about import about
from appliance.site.values import Host, Hostname, Mac, MachineUuid, Serial, SwitchPort
from appliance.site.wishes import BucketName, Feed
from hwprofiles.convert import KEY, SHORT
from hwprofiles.node import NOWHERE, Position, SecretName
from hwprofiles.profile import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEntry:
    """An expected machine. At least one of `serial`, `mac`, `uuid`, `switch_port` says which one it is."""

    at: Position = NOWHERE
    name: Hostname = field(metadata=KEY | about("its host name", example="n1"))
    serial: Serial | None = field(
        default=None, metadata=about("serial number of board, chassis or system", example="S411802X0C00101")
    )
    mac: Mac | None = field(default=None, metadata=about("address of one of its ports", example="3c:ec:ef:00:00:01"))
    uuid: MachineUuid | None = field(
        default=None,
        metadata=about("SMBIOS UUID, in either byte order", example="969ebc00-fc71-11e9-8000-ac1f6bdc19c2"),
    )
    switch_port: SwitchPort | None = field(
        default=None,
        metadata=about("switch and port that it is cabled to, as LLDP tells them", example="sw1/Ethernet7"),
    )
    profile: str | None = field(
        default=None,
        metadata=about(
            "hardware profile, if it must not be found by matching", example="epyc-compute", default="matching"
        ),
    )
    address: IPv4Address | None = field(
        default=None,
        metadata=about("address in the provisioning network", example="192.168.90.11", default="the planner allocates"),
    )
    rack: BucketName | None = field(
        default=None, metadata=about("rack that it stands in, one of `racks`", example="r1")
    )
    unit: int | None = field(
        default=None,
        metadata=about("lowest rack unit that it fills, from 1; leave it out where machines share one", example="12"),
    )
    bmc: Host | None = field(default=None, metadata=about("address or name of its BMC", example="10.0.9.11"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectEntry:
    """So many machines of a profile, whoever they are, besides those that `machines` and `manifest` list."""

    at: Position = NOWHERE
    profile: str = field(metadata=KEY | about("hardware profile", example="epyc-compute"))
    count: int = field(metadata=SHORT | about("how many", example="8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RackEntry:
    """A rack. The levels above it are those of CRUSH; one that is not named does not exist."""

    at: Position = NOWHERE
    name: BucketName = field(metadata=KEY | about("its name, also in CRUSH", example="r1"))
    row: BucketName | None = field(
        default=None, metadata=about("row that it stands in; unique inside its datacenter", example="a")
    )
    datacenter: BucketName | None = field(default=None, metadata=about("datacenter, or room", example="dc1"))
    zone: BucketName | None = field(default=None, metadata=about("availability zone", example="az1"))
    units: int = field(default=42, metadata=about("its height in units", example="47"))
    power: tuple[Feed, ...] = field(default=(), metadata=about("power feeds that reach it", example="[a, b]"))
    switches: tuple[str, ...] = field(
        default=(),
        metadata=about(
            "names of its switches as LLDP tells them; machines that nobody listed are placed by them", example="[sw1]"
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BmcEntry:
    """How the BMCs of the machines are reached."""

    at: Position = NOWHERE
    user: str | None = field(default=None, metadata=about("name of the account", example="admin"))
    password: SecretName | None = field(
        default=None, metadata=about("name of the secret that holds the password", example="!secret bmc-password")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareEntry:
    """Firmware that machines of a profile should have; it is compared, never written."""

    at: Position = NOWHERE
    profile: str = field(metadata=KEY | about("hardware profile", example="epyc-compute"))
    bios: str | None = field(default=None, metadata=about("version of the BIOS, exactly", example='"2.8"'))
    bmc: str | None = field(default=None, metadata=about("version of the BMC's firmware, exactly", example='"1.05"'))
    nic: str | None = field(default=None, metadata=about("version of the NICs' firmware, exactly", example='"4.40"'))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineEntry:
    """How long machines of a profile may stay in a phase, before the profile's own deadlines."""

    at: Position = NOWHERE
    profile: str = field(metadata=KEY | about("hardware profile", example="epyc-compute"))
    approved: Seconds | None = field(
        default=None, metadata=about("from approval to the trusted inventory", example="20min", default="the profile's")
    )
    inspected: Seconds | None = field(
        default=None, metadata=about("from the inventory to a plan", example="2h", default="the profile's")
    )
    deploying: Seconds | None = field(
        default=None, metadata=about("until the installed system reports", example="2h", default="the profile's")
    )
    leaving: Seconds | None = field(
        default=None, metadata=about("until it has left its cluster", example="2h", default="the profile's")
    )
    wiping: Seconds | None = field(
        default=None, metadata=about("until its disks are erased", example="12h", default="the profile's")
    )


PHASES = ("approved", "inspected", "deploying", "leaving", "wiping")
"""Phases that have a deadline: fields of `DeadlineEntry`."""
