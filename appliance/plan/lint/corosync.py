"""Corosync's links: what a cluster's heartbeat runs over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from appliance.model.cluster import ClusterLayout
from appliance.model.network import ROUTED, STORAGE_PLANES, BondLayout, Network
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene, ranges

MOST_LINKS = 8
_NEVER = frozenset({"balance-rr", "balance-xor", "balance-tlb", "balance-alb"})


def _links(scene: Scene) -> Iterator[tuple[ClusterLayout, int, Network]]:
    """Clusters with their links, where the networks exist."""
    for cluster in scene.plan.desired.clusters:
        for number, name in enumerate(cluster.links):
            if name in scene.networks:
                yield cluster, number, scene.networks[name]


def _named(scene: Scene, cluster: ClusterLayout, network: str) -> bool:
    """Whether the site file names the network as a link of this cluster itself."""
    spec = scene.specs.get(cluster.spec)
    return spec is not None and network in spec.links


@rule(ERROR, "give the site a network of plane corosync or management")
def no_corosync_links(scene: Scene) -> Findings:
    """A cluster of two or more nodes has 1 to 8 links, over networks that exist (`proxmox.md` §2)."""
    for cluster in scene.plan.desired.clusters:
        if not cluster.links and len(cluster.members) > 1:
            yield cluster.name, "no corosync link: the nodes could not hear each other"
        if len(cluster.links) > MOST_LINKS:
            yield cluster.name, f"{len(cluster.links)} corosync links; at most {MOST_LINKS}"
        for number, name in enumerate(cluster.links):
            if name not in scene.networks:
                yield cluster.name, f"link{number} runs over '{name}', which the site has not"


@rule(ERROR, "name two different networks")
def two_links_one_network(scene: Scene) -> Findings:
    """Every link has a network of its own: two links over one fail together, and corosync refuses one address twice
    (`proxmox.md` §2, 10)."""
    for cluster in scene.plan.desired.clusters:
        for name, count in Counter(cluster.links).items():
            if count > 1:
                yield cluster.name, f"{count} links run over {name}; a second link needs another network"


@rule(ERROR, "cable the members that the finding names, or choose another network for the link")
def link_not_connected(scene: Scene) -> Findings:
    """Every member has an address in the network of every link; a machine whose missing ports are told (network-incomplete)
    is not told again."""
    for cluster, number, network in _links(scene):
        lost = [who for who in cluster.members if scene.unconnected(who, network.name)]
        if lost:
            names = listed(scene.name(who) for who in lost)
            text = f"link{number} ({network.name}): {counted(len(lost), 'member')} of {len(cluster.members)}"
            yield cluster.name, f"{text} without an address in it: {names}"


@rule(ERROR, "give corosync a network of its own, or name the storage network in the cluster's links if you mean it")
def corosync_on_storage(scene: Scene) -> Findings:
    """Link0 is not on a storage plane: recovery traffic delays the heartbeat, and HA fences nodes that are well
    (`network.md` §2). Who names the network as a link himself is only warned."""
    for cluster, number, network in _links(scene):
        if number == 0 and network.plane in STORAGE_PLANES and not _named(scene, cluster, network.name):
            yield cluster.name, f"link0 runs over {network.name} ({network.plane}); recovery would fence healthy nodes"


@rule(WARNING, "give corosync a network of its own")
def corosync_on_storage_wanted(scene: Scene) -> Findings:
    """No link before the last is on a storage plane, also where the site file says so: storage is the last fallback
    (`network.md` §2)."""
    for cluster, number, network in _links(scene):
        last = number and number == len(cluster.links) - 1
        if network.plane in STORAGE_PLANES and not last and (number or _named(scene, cluster, network.name)):
            yield cluster.name, f"link{number} runs over {network.name} ({network.plane}), as the only or an early link"


@rule(WARNING, "give corosync a network on a switch, or on cables that need no routing")
def corosync_on_fabric(scene: Scene) -> Findings:
    """Link0 is not on a routed mesh, ring or fabric: its configuration lives in /etc/pve, which needs corosync first
    (`network.md` §1)."""
    for cluster, number, network in _links(scene):
        if number == 0 and network.carrier in ROUTED:
            yield (
                cluster.name,
                f"link0 runs over {network.name}, a routed {network.carrier}: each needs the other to start",
            )


@rule(WARNING, "add a second corosync network, or name management as the second link")
def one_corosync_link(scene: Scene) -> Findings:
    """A cluster has two links: with one, a switch that restarts is a cluster that fences itself."""
    for cluster in scene.plan.desired.clusters:
        if len(cluster.links) == 1 and len(cluster.members) > 1:
            yield (
                cluster.name,
                f"one corosync link ({cluster.links[0]}); a second one over another switch keeps it together",
            )


@rule(WARNING, "give corosync a port of its own")
def corosync_shares_port(scene: Scene) -> Findings:
    """Link0 shares no port with a storage network: a VLAN separates names, not queues (`network.md` §2, §8)."""
    storage = [name for name, network in scene.networks.items() if network.plane in STORAGE_PLANES]
    for cluster, number, network in _links(scene):
        if number or network.plane in STORAGE_PLANES:
            continue
        shared: dict[str, list[str]] = {}
        for who in cluster.members:
            own = scene.carriers(who, network.name)
            for name in storage:
                if own & scene.carriers(who, name):
                    shared.setdefault(name, []).append(scene.name(who))
        for name, names in shared.items():
            where = f"{counted(len(names), 'member')}: {listed(names)}"
            yield cluster.name, f"link0 ({network.name}) shares its port with {name} in {where}"


@rule(WARNING, "cable the second link to other ports")
def links_share_port(scene: Scene) -> Findings:
    """Two links of a cluster share no port: else one cable takes both."""
    for cluster in scene.plan.desired.clusters:
        shared = []
        for who in cluster.members:
            ports = Counter(port for name in set(cluster.links) for port in scene.carriers(who, name))
            singles = {port for port, count in ports.items() if count > 1}
            bonded = {port for bond in scene.links[who].bonds.values() for port in bond.ports} if singles else set()
            if singles - bonded:
                shared.append(scene.name(who))
        if shared:
            yield (
                cluster.name,
                f"two corosync links run over one port in {counted(len(shared), 'member')}: {listed(shared)}",
            )


def _bonds(scene: Scene, cluster: ClusterLayout, network: str) -> Iterator[tuple[str, BondLayout]]:
    """Bonds that carry a link, with the machines."""
    for who in cluster.members:
        links = scene.links.get(who)
        for layout in scene.connected.get((who, network), ()) if links else ():
            for name in links.stack(layout.interface) if links else ():
                if links and name in links.bonds:
                    yield who, links.bonds[name]


@rule(ERROR, "make the bond LACP (802.3ad) or active-backup, or give corosync a port")
def corosync_bond_mode(scene: Scene) -> Findings:
    """A bond under corosync is LACP or active-backup, never round-robin, XOR, TLB or ALB (`network.md` §2; Proxmox'
    manual on redundancy)."""
    for cluster, number, network in _links(scene):
        found: dict[str, list[str]] = {}
        for who, bond in _bonds(scene, cluster, network.name):
            if bond.mode in _NEVER:
                found.setdefault(bond.mode, []).append(scene.name(who))
        for mode, names in found.items():
            yield cluster.name, f"link{number} ({network.name}) runs over a {mode} bond in {listed(names)}"


@rule(WARNING, "set lacp_rate fast on both ends")
def corosync_bond_slow(scene: Scene) -> Findings:
    """An LACP bond under corosync has lacp_rate fast: slow notices a dead leg after 90 s, and HA fences after 60 s
    (`network.md` §2)."""
    for cluster, number, network in _links(scene):
        slow = [
            scene.name(who)
            for who, bond in _bonds(scene, cluster, network.name)
            if bond.mode == "802.3ad" and bond.lacp_rate != "fast"
        ]
        if slow:
            where = f"{counted(len(set(slow)), 'member')}: {listed(slow)}"
            yield cluster.name, f"link{number} ({network.name}) runs over an LACP bond without rate fast in {where}"


@rule(WARNING, "make one cluster for each zone")
def cluster_spans_zones(scene: Scene) -> Findings:
    """A cluster stands in one zone: corosync needs less than 5 ms between all nodes (`network.md` §2)."""
    for cluster in scene.plan.desired.clusters:
        zones = {scene.nodes[who].place.zone for who in cluster.members if who in scene.nodes} - {""}
        if len(zones) > 1:
            yield (
                cluster.name,
                f"stands in {len(zones)} zones ({listed(zones)}); corosync needs < 5 ms between all nodes",
            )


@rule(ERROR, "give every corosync network a range that holds all members")
def link_range_too_small(scene: Scene) -> Findings:
    """The network of a link has room for all members."""
    for cluster, number, network in _links(scene):
        room = max((span.num_addresses - 2 for span in ranges(network)), default=0)
        if room < len(cluster.members):
            text = f"link{number} ({network.name}) has room for {max(room, 0)} machines"
            yield cluster.name, f"{text}; the cluster has {len(cluster.members)}"
