"""The layout of a plan in words, compared with the one that was accepted before: clusters, Ceph, backbone, availability,
and the network of each machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from appliance.model.availability import TIERS, Availability, ServiceAvailability
from appliance.model.cluster import Arbiter, ClusterLayout
from appliance.model.network import BackboneLayout, CableLayout, CableState, HostNetwork, Routing
from appliance.model.place import LEVELS, Place
from appliance.model.plan import Allocation, Desired, NodeLayout
from appliance.plan.diff import ceph
from appliance.plan.diff.ceph import Names
from appliance.plan.diff.lines import DiffLine, LineKind, changed, count, create, heading, ranges, why

MTU = 1500


def names_of(allocations: Iterable[Allocation], *layouts: Desired | None) -> dict[str, str]:
    """Machine id → name, by layouts and allocations; the last one that knows it wins."""
    names: dict[str, str] = {}
    for layout in layouts:
        names |= {node.machine: node.name for node in layout.nodes} if layout else {}
    return names | {allocation.machine: allocation.name for allocation in allocations}


def lines(now: Desired, before: Desired | None, names: Names) -> Iterator[DiffLine]:
    """What differs for the site as a whole; machines are in `node_lines`."""
    old = before or Desired()
    yield from _clusters(now.clusters, old.clusters, names)
    yield from ceph.lines(now.ceph, old.ceph, names)
    yield from _backbone(now.backbone, old.backbone, names)
    if now.availability is not None:
        found = list(_availability(now.availability, old.availability))
        if found:
            yield from heading("Availability")
            yield from found


# ---------------------------------------------------------------- clusters


def _clusters(now: tuple[ClusterLayout, ...], before: tuple[ClusterLayout, ...], names: Names) -> Iterator[DiffLine]:
    known = {cluster.name: cluster for cluster in before}
    found: list[DiffLine] = []
    for cluster in now:
        old = known.pop(cluster.name, None)
        if old is None:
            found += cluster_lines(cluster, names)
        elif old != cluster:
            found += _changed_cluster(cluster, old, names)
    for cluster in known.values():
        text = f"cluster {cluster.name} is no longer in the site file: {_members(cluster.members, names)} leave it"
        found.append(DiffLine(kind=LineKind.DESTROY, text=text))
    if found:
        yield from heading("Clusters")
        yield from found


def cluster_lines(cluster: ClusterLayout, names: Names) -> Iterator[DiffLine]:
    """A whole cluster."""
    where = f", in {cluster.domain}" if cluster.domain else ""
    part = f" (part of {cluster.spec})" if cluster.spec != cluster.name else ""
    text = f"{cluster.kind} cluster {cluster.name}{part}{where}: {count(len(cluster.members), 'node')}"
    yield create(f"{text}, formed in this order: {', '.join(names.get(who, who) for who in cluster.members)}")
    yield why(quorum_text(cluster, names))
    if cluster.links:
        yield why(f"corosync: {_links(cluster)}")
    if cluster.frozen:
        yield why(f"packages frozen at {cluster.frozen}")


def quorum_text(cluster: ClusterLayout, names: Names) -> str:
    """Votes, and what the cluster tolerates."""
    nodes = count(len(cluster.members), "node")
    arbiter = f" ({nodes}, and {_arbiter(cluster, names)} as arbiter)" if cluster.arbiter else ""
    may = f"{count(cluster.tolerates, 'node')} may fail" if cluster.tolerates else "no node may fail"
    return f"quorum {cluster.quorum} of {count(cluster.votes, 'vote')}{arbiter}: {may}"


def _changed_cluster(now: ClusterLayout, old: ClusterLayout, names: Names) -> Iterator[DiffLine]:
    about = f"cluster {now.name}"
    came = [who for who in now.members if who not in old.members]
    gone = [who for who in old.members if who not in now.members]
    if came:
        joins = "joins" if len(came) == 1 else "join, in this order"
        yield create(f"{about}: {', '.join(names.get(who, who) for who in came)} {joins}")
    if gone:
        yield DiffLine(
            kind=LineKind.DESTROY, text=f"{about}: {_members(gone, names)} {'leaves' if len(gone) == 1 else 'leave'}"
        )
    yield from changed(
        about,
        ("arbiter", _arbiter(old, names), _arbiter(now, names)),
        ("votes", old.votes, now.votes),
        ("quorum", old.quorum, now.quorum),
        ("nodes that may fail", old.tolerates, now.tolerates),
        ("links", _links(old), _links(now)),
        ("domain", old.domain, now.domain),
        ("packages frozen at", old.frozen, now.frozen),
    )


def _arbiter(cluster: ClusterLayout, names: Names) -> str:
    if cluster.arbiter == Arbiter.APPLIANCE:
        return "the appliance"
    return names.get(cluster.arbiter, cluster.arbiter)


def _links(cluster: ClusterLayout) -> str:
    return ", ".join(f"link{number} over {name}" for number, name in enumerate(cluster.links))


def _members(members: Iterable[str], names: Names) -> str:
    return ranges(names.get(who, who) for who in members)


# ---------------------------------------------------------------- backbone


def _backbone(now: BackboneLayout | None, before: BackboneLayout | None, names: Names) -> Iterator[DiffLine]:
    if now is None:
        if before is not None:
            yield from heading("Backbone")
            yield DiffLine(kind=LineKind.DESTROY, text="the backbone is no longer in the site file")
        return
    found = list(_backbone_lines(now, before, names))
    if found:
        yield from heading("Backbone")
        yield from found


def _backbone_lines(now: BackboneLayout, before: BackboneLayout | None, names: Names) -> Iterator[DiffLine]:
    if before is None:
        yield create(
            f"{now.shape} of {count(len(now.members), 'machine')} ({_members(now.members, names)}){_routing(now)}"
        )
        yield from [why(f"why: {now.why}")] if now.why else []
    else:
        old, new = _members(before.members, names), _members(now.members, names)
        shapes = (f"{before.shape}{_routing(before)}", f"{now.shape}{_routing(now)}")
        yield from changed("backbone", ("is", *shapes), ("machines", old, new))
    yield from _cables(now, before, names)


def _routing(backbone: BackboneLayout) -> str:
    words = (
        [f"routed by {backbone.routing}{' with BFD' if backbone.bfd else ''}"]
        if backbone.routing != Routing.NONE
        else []
    )
    words += [f"{word} {net}" for word, net in (("loopbacks", backbone.loopbacks), ("ULA", backbone.ula)) if net]
    return "".join(f", {word}" for word in words)


def _cables(now: BackboneLayout, before: BackboneLayout | None, names: Names) -> Iterator[DiffLine]:
    known = {_ends(cable): cable for cable in before.cables} if before else {}
    good = sum(1 for cable in now.cables if cable.state is CableState.OK and _ends(cable) not in known)
    if good:
        yield create(f"{count(good, 'cable')} as declared")
    for cable in now.cables:
        if cable.state is not CableState.OK and known.get(_ends(cable)) != cable:
            yield DiffLine(kind=LineKind.WAIT, text=cable_text(cable, names))
    here = {_ends(cable) for cable in now.cables}
    for ends, cable in known.items():
        if ends not in here:
            yield DiffLine(kind=LineKind.DESTROY, text=f"{_cable(cable, names)} is no longer part of it")


def _ends(cable: CableLayout) -> tuple[str, ...]:
    return tuple(sorted((f"{cable.a} {cable.a_mac}", f"{cable.b} {cable.b_mac}")))


CABLE_WORDS = {
    CableState.OK: "as declared",
    CableState.SWAPPED: "was heard on another port than declared: swap the plugs, or correct the site file",
    CableState.ONE_WAY: "is heard from one side only: look at its plugs, and at LLDP agents in the firmware",
    CableState.MISSING: "is declared, but nothing is heard on it: plug it in",
    CableState.UNEXPECTED: "is there, but the site file does not declare it: declare it, or pull it out",
}


def cable_text(cable: CableLayout, names: Names) -> str:
    """A cable and its state, with what to do."""
    return f"{_cable(cable, names)} {CABLE_WORDS[cable.state]}"


def _cable(cable: CableLayout, names: Names) -> str:
    ends = ((cable.a, cable.a_mac), (cable.b, cable.b_mac))
    return f"cable {' – '.join(names.get(who, who) + (f' ({mac})' if mac else '') for who, mac in ends)}"


# ---------------------------------------------------------------- availability


def _availability(now: Availability, before: Availability | None) -> Iterator[DiffLine]:
    """The tier, what each service survives, and what is missing; beside ``before`` only what is better, worse or new.
    Sentences alone, which name machines and numbers, are no difference."""
    below = now.wanted is not None and TIERS.index(now.wanted) > TIERS.index(now.reached)
    if before is None or (before.wanted, before.reached) != (now.wanted, now.reached):
        text = f"tier {now.reached} is reached" + (f", tier {now.wanted} is wanted" if now.wanted else "")
        yield DiffLine(kind=LineKind.WAIT if below else LineKind.CREATE, text=text)
    known = {service.service: (service.survives, service.heals) for service in before.services} if before else {}
    for service in now.services:
        if known.get(service.service) != (service.survives, service.heals):
            kind = LineKind.CHANGE if service.service in known else LineKind.CREATE
            yield DiffLine(kind=kind, text=f"{service.service}: {survival_text(service)}")
    missed = {(gap.tier, gap.about) for gap in before.gaps} if before else set()
    for gap in now.gaps:
        if (gap.tier, gap.about) not in missed:
            yield DiffLine(kind=LineKind.WAIT, text=f"for tier {gap.tier}, {gap.about}: {gap.text}")


def survival_text(service: ServiceAvailability) -> str:
    """What a service survives, in words."""
    survives = f"survives the loss of a {service.survives}" if service.survives else "survives no loss"
    heals = ", and heals" if service.heals else ""
    return f"{survives}{heals}{f' ({service.text})' if service.text else ''}"


# ---------------------------------------------------------------- one machine


def node_lines(now: NodeLayout, before: NodeLayout | None) -> Iterator[DiffLine]:
    """Place, cluster and network of one machine; with ``before`` only what is different."""
    who = now.machine
    if now == before:
        return
    old = before or NodeLayout(machine=who, name="", number=0, profile="", place=Place())
    place, earlier = place_text(now.place), place_text(old.place)
    if before is not None:
        facts = (
            ("name", old.name, now.name),
            ("number", old.number, now.number),
            ("profile", old.profile, now.profile),
        )
        for line in changed("machine", *facts, ("place", earlier, place), ("cluster", old.cluster, now.cluster)):
            yield DiffLine(kind=line.kind, text=line.text, machine=who)
    elif place or now.cluster:
        words = [f"number {now.number}"] if now.number else []
        words += [f"in {place}"] if place else []
        words += [f"node of cluster {now.cluster}"] if now.cluster else []
        yield create(", ".join(words), who)
    if replace(now.network, missing=()) != replace(old.network, missing=()):
        kind = LineKind.CREATE if before is None else LineKind.CHANGE
        yield from (DiffLine(kind=kind, text=text, machine=who) for text in network_texts(now.network))
        yield from (DiffLine(kind=LineKind.WAIT, text=text, machine=who) for text in now.network.missing)


def place_text(place: Place) -> str:
    """``rack r1 unit 4, row a, datacenter dc1, zone z1``, as far as it is known."""
    words = []
    for level in LEVELS[1:]:
        name = getattr(place, level.value)
        unit = f" unit {place.unit}" if level.value == "rack" and place.unit else ""
        words += [f"{level} {name}{unit}"] if name else []
    return ", ".join(words)


def network_texts(network: HostNetwork) -> Iterator[str]:
    """Interfaces, addresses and routing of a machine, one line each."""
    interfaces = list(_interfaces(network))
    if interfaces:
        yield f"network: {'; '.join(interfaces)}"
    if network.addresses:
        gateways = {entry.gateway for entry in network.addresses if entry.gateway}
        words = [f"{entry.network} {entry.address or 'by DHCP'} on {entry.interface}" for entry in network.addresses]
        words += [f"default route by {', '.join(sorted(gateways))}"] if gateways else []
        yield f"addresses: {'; '.join(words)}"
    loopbacks = [address for address in (network.loopback4, network.loopback6) if address]
    if loopbacks:
        words = [f"loopback {' and '.join(loopbacks)}"]
        words += [f"router id {network.router_id}"] if network.router_id else []
        words += [f"NET {network.net}"] if network.net else []
        words += [f"AS {network.asn}"] if network.asn else []
        yield f"routing: {', '.join(words)}"


def _interfaces(network: HostNetwork) -> Iterator[str]:
    for bond in network.bonds:
        lacp = f"LACP {bond.lacp_rate}" if bond.lacp_rate else ""
        yield f"{bond.name} {bond.mode}{_more(lacp, _mtu(bond.mtu))} of {', '.join(bond.ports)}"
    for vlan in network.vlans:
        yield f"{vlan.name} VLAN {vlan.vlan}{_more(_mtu(vlan.mtu))} on {vlan.raw}"
    for bridge in network.bridges:
        aware = "VLAN-aware" if bridge.vlan_aware else ""
        yield f"bridge {bridge.name}{_more(aware, _mtu(bridge.mtu))} on {bridge.port}"
    used = [f"{port.name} for {port.user}" for port in network.ports if port.user and not _in_bond(network, port.name)]
    yield from [f"ports {', '.join(used)}"] if used else []


def _more(*words: str) -> str:
    said = ", ".join(word for word in words if word)
    return f" ({said})" if said else ""


def _in_bond(network: HostNetwork, port: str) -> bool:
    return any(port in bond.ports for bond in network.bonds)


def _mtu(mtu: int) -> str:
    return f"MTU {mtu}" if mtu != MTU else ""
