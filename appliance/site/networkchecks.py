"""Networks and the backbone: ranges, VLANs, planes, corosync's links and cables that fit together."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from appliance.model.network import ROUTED, Carrier, Plane, Routing, Shape
from appliance.site.checked import Checked
from appliance.site.clusterchecks import members
from appliance.site.networkentries import (
    NEVER_PROVISIONING,
    PROVISIONING,
    PROVISIONING_ONLY,
    BackboneEntry,
    NetworkEntry,
)
from appliance.site.planes import MAX_LINK, link_of, plane_of
from hwprofiles.document import Problem
from hwprofiles.node import Step

MAX_VLAN = 4094
MTU = (576, 9216)
MIN_MTU6 = 1280
"""RFC 8200 §5."""
PRIVATE_ASN = (range(64_512, 65_535), range(4_200_000_000, 4_294_967_295))
"""RFC 6996."""
SEVERAL = frozenset({Plane.COROSYNC, Plane.TENANT})
"""Planes of which a site may have several networks."""
_TELLING = ("storage", "ceph", "corosync", "manage", "mgmt", "migrat", "provision")
"""Parts of names that say that somebody meant a plane."""


def check_networks(checked: Checked) -> Iterator[Problem]:
    """All problems of networks."""
    entries = checked.file.networks
    yield from checked.twice(((entry.at, "name", entry.name) for entry in entries), "two networks have the name")
    yield from _overlaps(checked)
    yield from _vlans(checked)
    yield from _planes(checked)
    yield from _links(checked)
    for entry in entries:
        yield from _keys(checked, entry)
        yield from _values(checked, entry)
        yield from _gateway(checked, entry)
    if checked.file.backbone is not None:
        yield from _backbone(checked, checked.file.backbone)


def _overlaps(checked: Checked) -> Iterator[Problem]:
    ranges: list[tuple[str, tuple[Step, ...], IPv4Network | IPv6Network]] = []
    for entry in checked.file.networks:
        ranges += [(entry.name, (*entry.at.path, "cidr"), entry.cidr)] if entry.cidr else []
        ranges += [(entry.name, (*entry.at.path, "cidr6"), entry.cidr6)] if entry.cidr6 else []
    backbone = checked.file.backbone
    if backbone is not None:
        ranges += [("backbone", (*backbone.at.path, "loopbacks"), backbone.loopbacks)] if backbone.loopbacks else []
    for index, (_, path, found) in enumerate(ranges):
        for name, _, other in ranges[:index]:
            if found.version == other.version and found.overlaps(other):
                message = f"{found} overlaps {other} of '{name}'; every network needs a range of its own"
                yield checked.problem(path, message)


def _vlans(checked: Checked) -> Iterator[Problem]:
    seen: dict[tuple[Carrier, object, int], str] = {}
    for entry in checked.file.networks:
        path = (*entry.at.path, "vlan")
        if entry.vlan is None:
            continue
        if not 1 <= entry.vlan <= MAX_VLAN:
            yield checked.problem(path, f"a VLAN is 1 to {MAX_VLAN}, not {entry.vlan}")
            continue
        if entry.carrier in ROUTED:
            message = f"a {entry.carrier} is routed from machine to machine and has no VLAN; leave it out"
            yield checked.problem(path, message)
            continue
        other = seen.setdefault((entry.carrier, entry.role, entry.vlan), entry.name)
        if other != entry.name:
            yield checked.problem(path, f"VLAN {entry.vlan} is also that of '{other}'")


def _planes(checked: Checked) -> Iterator[Problem]:
    first: dict[Plane, str] = {Plane.PROVISIONING: PROVISIONING}
    for entry in checked.file.networks:
        if entry.name == PROVISIONING:
            continue
        plane = plane_of(entry)
        path, key = ((*entry.at.path, "plane"), False) if entry.plane else (entry.at.path, True)
        if entry.plane is None and plane is Plane.TENANT and (meant := _meant(entry.name)):
            message = f"'{entry.name}' is no plane; {meant}"
            yield checked.problem(path, message, key=key)
        if plane in SEVERAL:
            continue
        other = first.setdefault(plane, entry.name)
        if other != entry.name:
            message = f"'{other}' has the plane {plane} already; a site has one of it"
            yield checked.problem(path, message, key=key)


def _meant(name: str) -> str:
    """What to do about a name that looks like a plane's; empty when it does not."""
    words = [plane.value for plane in Plane]
    near = [] if name in words else difflib.get_close_matches(name, words, n=1, cutoff=0.75)
    if near:
        return f"did you mean '{near[0]}'? Otherwise say what it is for: plane: …"
    if name not in words and any(word in name for word in _TELLING):
        return f"say what it is for: plane: {', '.join(words[1:-1])} or {words[-1]}"
    return ""


def _links(checked: Checked) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for entry in checked.file.networks:
        path, key = ((*entry.at.path, "link"), False) if entry.link is not None else (entry.at.path, True)
        link = link_of(entry)
        if link is None:
            if entry.link is not None and entry.name != PROVISIONING:
                yield checked.problem(path, "only networks of plane corosync have a link's number")
        elif not 0 <= link <= MAX_LINK:
            yield checked.problem(path, f"corosync's links are 0 to {MAX_LINK}, not {link}")
        elif taken.setdefault(link, entry.name) != entry.name:
            message = f"'{taken[link]}' is corosync's link {link} already; give 'link' another number"
            yield checked.problem(path, message, key=key)


def _keys(checked: Checked, entry: NetworkEntry) -> Iterator[Problem]:
    """Keys that this network can't have, and ranges that it must have."""
    provisioning = entry.name == PROVISIONING
    for key in NEVER_PROVISIONING if provisioning else PROVISIONING_ONLY:
        path = (*entry.at.path, key)
        if not checked.document.has(path) or (key == "plane" and entry.plane is Plane.PROVISIONING):
            continue
        said = (
            "the network 'provisioning' does not have this"
            if provisioning
            else "only the network 'provisioning' has this"
        )
        yield checked.problem(path, said, key=True)
    if entry.cidr is None and checked.sound(entry.at):
        if provisioning:
            yield checked.problem(entry.at.path, "'cidr' is missing")
        elif entry.cidr6 is None:
            yield checked.problem(entry.at.path, "has no range; give cidr, cidr6 or both", key=True)


def _values(checked: Checked, entry: NetworkEntry) -> Iterator[Problem]:
    path = (*entry.at.path, "mtu")
    if entry.mtu is not None and not MTU[0] <= entry.mtu <= MTU[1]:
        yield checked.problem(path, f"an MTU is {MTU[0]} to {MTU[1]} bytes, not {entry.mtu}")
    elif entry.mtu is not None and entry.cidr6 is not None and entry.mtu < MIN_MTU6:
        yield checked.problem(path, f"IPv6 needs an MTU of {MIN_MTU6} bytes or more, not {entry.mtu} (RFC 8200)")
    if plane_of(entry) is Plane.TENANT and entry.carrier in ROUTED:
        message = f"guests need a switch, so plane tenant can't be carried by a {entry.carrier}; use port or bond"
        yield checked.problem((*entry.at.path, "carrier"), message)
    yield from _room(checked, entry)


def _room(checked: Checked, entry: NetworkEntry) -> Iterator[Problem]:
    """Management is for every machine, the other planes for members of clusters and of Ceph; guests have their own."""
    plane = plane_of(entry)
    if plane in (Plane.PROVISIONING, Plane.TENANT) or entry.cidr is None:
        return
    file = checked.file
    everybody = (*file.clusters, *((file.ceph,) if file.ceph else ()))
    wanted = checked.expected if plane is Plane.MANAGEMENT else members(checked, everybody)
    free = entry.cidr.num_addresses - 2
    if free < wanted:
        yield checked.problem((*entry.at.path, "cidr"), f"{free} addresses are too few for {wanted} machines")


def _gateway(checked: Checked, entry: NetworkEntry) -> Iterator[Problem]:
    if entry.gateway is None:
        return
    path, gateway = (*entry.at.path, "gateway"), ip_address(entry.gateway)
    if entry.name == PROVISIONING:
        if gateway.version != 4:
            yield checked.problem(path, f"'{gateway}' is IPv6; machines are provisioned with IPv4 only")
        return
    if plane_of(entry) is not Plane.MANAGEMENT:
        message = "only the planes provisioning and management have a gateway: a machine has one default route"
        yield checked.problem(path, message)
    elif not _inside(gateway, (entry.cidr, entry.cidr6)):
        ranges = " and ".join(str(found) for found in (entry.cidr, entry.cidr6) if found)
        yield checked.problem(path, f"{gateway} is no host address of {ranges or 'this network'}")


def _inside(address: IPv4Address | IPv6Address, ranges: Iterable[IPv4Network | IPv6Network | None]) -> bool:
    for found in ranges:
        if found is not None and found.version == address.version and address in found:
            return address not in (found.network_address, found.broadcast_address)
    return False


def _backbone(checked: Checked, entry: BackboneEntry) -> Iterator[Problem]:
    at = entry.at.path
    if entry.ula is not None and not (
        entry.ula.network_address in IPv6Network("fc00::/7") and entry.ula.prefixlen <= 56
    ):
        message = (
            f"{entry.ula} is no private range of a site: a /48 (at least a /56) inside fd00::/8 is expected (RFC 4193)"
        )
        yield checked.problem((*at, "ula"), message)
    if not any(entry.asn in span for span in PRIVATE_ASN):
        message = f"{entry.asn} is no private AS number: 64512 to 65534, or 4200000000 to 4294967294 (RFC 6996)"
        yield checked.problem((*at, "asn"), message)
    if entry.loopbacks is not None and entry.loopbacks.num_addresses - 2 < checked.expected:
        free = entry.loopbacks.num_addresses - 2
        message = f"{free} loopback addresses are too few for {checked.expected} machines"
        yield checked.problem((*at, "loopbacks"), message)
    if entry.shape in (Shape.RING, Shape.FABRIC) and entry.routing is Routing.NONE:
        message = f"without routing a {entry.shape} reaches neighbours only; leave it out, or say openfabric or bgp"
        yield checked.problem((*at, "routing"), message)
    yield from _carriers(checked, entry)
    yield from _cables(checked, entry)


def _carriers(checked: Checked, entry: BackboneEntry) -> Iterator[Problem]:
    if entry.shape is Shape.AUTO:
        return
    for network in checked.file.networks:
        if network.carrier in ROUTED and network.carrier.value != entry.shape.value:
            message = f"is carried by a {network.carrier}, but the backbone is '{entry.shape}'; make them the same"
            yield checked.problem((*network.at.path, "carrier"), message)


def _cables(checked: Checked, entry: BackboneEntry) -> Iterator[Problem]:
    switches = {switch for rack in checked.file.racks for switch in rack.switches}
    known = {*checked.known_machines, *switches}
    ports: dict[tuple[str, str], tuple[Step, ...]] = {}
    for index, cable in enumerate(entry.cables):
        path = checked.item((*entry.at.path, "cables"), index)
        yield from checked.unknown(path, "machine or switch", (cable.a, cable.b), known, single=True)
        if cable.a == cable.b:
            yield checked.problem(path, f"a cable from {cable.a} to itself; name the other end")
            continue
        for end in ((cable.a, cable.a_port), (cable.b, cable.b_port)):
            other = ports.setdefault(end, path)
            if end[1] and other != path:
                where = checked.seen_from(path, other)
                yield checked.problem(path, f"port {end[0]}:{end[1]} is in another cable already, that at {where}")
