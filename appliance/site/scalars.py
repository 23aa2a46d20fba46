"""Every type of leaf that a site file has: how it is read, what it is called, and how an editor may check it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from appliance.site import addresses, values, wishes
from hwprofiles import values as units
from hwprofiles.profile import Bytes, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """``words`` say what it is; ``pattern`` (ECMA 262, as JSON Schema has it) may accept more than ``read``, never less.
    ``number``: may look like a number (or be called ``true``) in YAML."""

    read: Callable[[str], Any]
    words: str
    pattern: str = ""
    number: bool = False


KINDS: Mapping[Any, Scalar] = {
    values.Hostname: Scalar(read=values.hostname, words="host name", number=True),
    values.HostPrefix: Scalar(read=values.host_prefix, words="beginning of host names"),
    values.DomainName: Scalar(read=values.domain_name, words="domain name", number=True),
    values.Mac: Scalar(read=values.mac, words="MAC", pattern=r"^\s*[0-9A-Fa-f:.-]{12,17}\s*$", number=True),
    values.Serial: Scalar(read=values.serial, words="serial number", number=True),
    values.MachineUuid: Scalar(read=values.machine_uuid, words="UUID", number=True),
    values.SwitchPort: Scalar(read=values.switch_port, words="switch/port", pattern="/"),
    values.SshKey: Scalar(read=values.ssh_key, words="OpenSSH public key", pattern=r"^\s*(ssh|ecdsa|sk)-"),
    values.Host: Scalar(read=values.host, words="host name or IPv4 address", number=True),
    values.Interface: Scalar(read=values.interface, words="interface", number=True),
    values.Console: Scalar(read=values.console, words="kernel console", pattern="tty"),
    values.KernelArgument: Scalar(read=values.kernel_argument, words="kernel argument", number=True),
    IPv4Address: Scalar(read=addresses.address, words="IPv4 address", pattern=r"^\s*[0-9.]+\s*$"),
    IPv4Network: Scalar(read=addresses.network, words="IPv4 network", pattern=r"^\s*[0-9.]+/[0-9.]+\s*$"),
    IPv6Network: Scalar(read=addresses.network6, words="IPv6 network", pattern=r"^\s*[0-9A-Fa-f:.]+/[0-9]+\s*$"),
    addresses.AddressRange: Scalar(
        read=addresses.address_range, words="range of addresses", pattern=r"^\s*[0-9.]+\s*-\s*[0-9.]+\s*$"
    ),
    addresses.Ip: Scalar(read=addresses.ip, words="IPv4 or IPv6 address", pattern=r"^\s*[0-9A-Fa-f:.]+\s*$"),
    wishes.Day: Scalar(read=wishes.day, words="date", pattern=r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}\s*$"),
    wishes.Url: Scalar(read=wishes.url, words="URL", pattern=r"^\s*[hH][tT][tT][pP][sS]?://"),
    wishes.BucketName: Scalar(read=wishes.bucket_name, words="name", pattern=r"^\s*[A-Za-z0-9]", number=True),
    wishes.Feed: Scalar(read=wishes.feed, words="power feed", number=True),
    wishes.ClusterName: Scalar(read=wishes.cluster_name, words="name of a cluster", number=True),
    wishes.PoolName: Scalar(read=wishes.pool_name, words="name of a pool", number=True),
    wishes.NamespaceName: Scalar(read=wishes.namespace_name, words="name of a namespace", number=True),
    wishes.GroupName: Scalar(read=wishes.group_name, words="name of a drive group", number=True),
    wishes.ClassName: Scalar(read=wishes.class_name, words="device class", number=True),
    wishes.DeviceSize: Scalar(read=wishes.device_size, words="size or range of sizes", pattern=r"[0-9]\s*[MGTmgt]"),
    wishes.CableText: Scalar(read=wishes.cable, words="cable", pattern="--"),
    wishes.Code: Scalar(read=wishes.code, words="k+m or auto", pattern=r"^\s*(auto|[0-9]+\s*\+\s*[0-9]+)\s*$"),
    Bytes: Scalar(read=units.size, words="size", number=True),
    Seconds: Scalar(read=units.duration, words="time", number=True),
}
SCALARS: Mapping[Any, Callable[[str], Any]] = {kind: scalar.read for kind, scalar in KINDS.items()}
"""What `hwprofiles.document` converts with."""
