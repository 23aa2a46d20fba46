"""Networks and the backbone, as they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from appliance.model.network import Carrier, Plane, Routing, Shape
from appliance.site.about import about
from appliance.site.addresses import AddressRange, Ip
from appliance.site.values import Hostname, Interface
from appliance.site.wishes import CableText
from hwprofiles.convert import KEY, SHORT
from hwprofiles.node import NOWHERE, Position
from hwprofiles.profile import NicRoleName

PROVISIONING = "provisioning"
PROVISIONING_ONLY = ("appliance", "pool", "hosts", "mode", "dns", "interfaces")
NEVER_PROVISIONING = ("cidr6", "plane", "mtu", "carrier", "role", "link")


class Mode(StrEnum):
    AUTHORITATIVE = "authoritative"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEntry:
    """A network. The one named `provisioning`, in which machines boot, must be given and has keys of its own."""

    at: Position = NOWHERE
    name: Hostname = field(
        metadata=KEY | about("its name; the name of a plane says what it is for", example="storage-public")
    )
    cidr: IPv4Network | None = field(
        default=None, metadata=about("IPv4 range; this or `cidr6` must be given", example="10.1.20.0/24")
    )
    cidr6: IPv6Network | None = field(default=None, metadata=about("IPv6 range", example="fd00:1:20::/64"))
    plane: Plane | None = field(
        default=None,
        metadata=about(
            "what it is for, where the name does not say it (`corosync-0` and `corosync-1` are corosync's links)",
            example="storage-public",
            default="by the name, else `tenant`",
        ),
    )
    vlan: int | None = field(default=None, metadata=about("VLAN, 1 to 4094", example="20", default="untagged"))
    mtu: int | None = field(
        default=None,
        metadata=about("bytes in a frame, 576 to 9216; switches must agree", example="9000", default="1500"),
    )
    carrier: Carrier = field(
        default=Carrier.PORT,
        metadata=about(
            "what carries it: one port, a bond (LACP), or machine-to-machine links as `mesh`, `ring` or `fabric`",
            example="bond",
        ),
    )
    role: NicRoleName | None = field(
        default=None,
        metadata=about("role of the profile's ports that carry it", example="storage", default="by the plane"),
    )
    link: int | None = field(
        default=None, metadata=about("number of corosync's link, 0 to 7", example="1", default="by the name, else 0")
    )
    gateway: Ip | None = field(
        default=None,
        metadata=about("router that is handed out (planes provisioning and management)", example="192.168.90.254"),
    )
    appliance: IPv4Address | None = field(
        default=None,
        metadata=about("only provisioning: our address in it", example="192.168.90.1", default="the first host"),
    )
    pool: AddressRange | None = field(
        default=None,
        metadata=about(
            "only provisioning: leases for machines that have no address of their own",
            example="192.168.90.128-254",
            default="the upper half",
        ),
    )
    hosts: AddressRange | None = field(
        default=None,
        metadata=about(
            "only provisioning: addresses of installed machines",
            example="192.168.90.10-99",
            default="what the pool leaves",
        ),
    )
    mode: Mode = field(
        default=Mode.AUTHORITATIVE,
        metadata=about("only provisioning: we give addresses, or somebody else does (`proxy`)", example="proxy"),
    )
    dns: tuple[IPv4Address, ...] = field(
        default=(), metadata=about("only provisioning: name servers that are handed out", example="[192.168.90.254]")
    )
    interfaces: tuple[Interface, ...] = field(
        default=(),
        metadata=about(
            "only provisioning: where DHCP is answered",
            example="[eth1]",
            default="the interfaces that `serve` was given",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneEntry:
    """The network between the machines that carries storage and migration. A word alone is its shape."""

    at: Position = NOWHERE
    shape: Shape = field(default=Shape.AUTO, metadata=SHORT | about("how it is cabled", example="ring"))
    routing: Routing = field(
        default=Routing.AUTO,
        metadata=about("what routes on it; `auto` is OpenFabric for meshes, BGP for rings and fabrics", example="bgp"),
    )
    ula: IPv6Network | None = field(
        default=None,
        metadata=about("private IPv6 range of the site, a /48", example="fd12:3456:789a::/48", default="from the name"),
    )
    loopbacks: IPv4Network | None = field(
        default=None,
        metadata=about("range of the loopback addresses", example="10.1.255.0/24", default="from the site's number"),
    )
    asn: int = field(default=4_200_000_000, metadata=about("first of the private AS numbers", example="65000"))
    cables: tuple[CableText, ...] = field(
        default=(), metadata=about("cables between machines or to switches", example='["n1:nic2 -- n2:nic1"]')
    )
