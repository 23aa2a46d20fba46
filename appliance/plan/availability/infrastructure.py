"""What all services of a site stand on: power feeds of racks, paths of the planes, links of corosync."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.model.availability import Gap, ServiceAvailability, Tier
from appliance.model.cluster import ClusterLayout
from appliance.model.network import Plane
from appliance.model.plan import Desired, NodeLayout
from appliance.model.site import Site
from appliance.plan.availability.paths import Paths, Wiring, cables_of, plugged
from appliance.plan.candidate import Candidate
from appliance.plan.naming import listed, ordered, plural
from appliance.plan.order import natural

POWER = "power"
PROVISIONING = Plane.PROVISIONING.value
_SURVIVES = {Paths.NONE: "", Paths.PORT: "", Paths.SWITCH: "port", Paths.UNKNOWN: "port", Paths.TWO: "switch"}
_WORDS = {
    Paths.NONE: "goes over no port that is planned",
    Paths.PORT: "goes over one port",
    Paths.SWITCH: "goes over ports that lead to one switch",
    Paths.UNKNOWN: "goes over ports whose switches are not known (no LLDP heard)",
    Paths.TWO: "goes over ports to two switches or machines",
}
_CURES = {
    Paths.NONE: "give the network a carrier and its machines the ports",
    Paths.PORT: "a bond of two ports to two switches, or a mesh or ring, would have two paths",
    Paths.SWITCH: "plug one port of each bond into another switch",
    Paths.UNKNOWN: "switch LLDP on at the switches",
}


@dataclass(slots=True)
class Infrastructure:
    """``serving`` are the members of clusters and of Ceph in natural order; others need no second path."""

    site: Site
    desired: Desired
    candidates: Mapping[str, Candidate]
    serving: Sequence[NodeLayout]
    worst: dict[str, dict[Paths, list[str]]] = field(default_factory=dict)
    """Network (or bridge) → how machines reach it → their names."""
    wiring: dict[str, Wiring] = field(default_factory=dict)
    planned: dict[str, dict[str, frozenset[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        planes = {network.name: network.plane for network in self.site.networks} | {PROVISIONING: Plane.PROVISIONING}
        required, provisioning = self._required(), self._needed_provisioning()
        cables = cables_of(self.desired.backbone)
        for node in self.serving:
            candidate = self.candidates.get(node.machine)
            ends = plugged(candidate.inventory if candidate else None, cables.get(node.machine, {}))
            wiring = Wiring(node.network, ends)
            self.wiring[node.machine] = wiring
            self.planned[node.machine] = networks = wiring.by_network()
            if not networks:
                continue
            missing = {name: frozenset[str]() for name, who in required.items() if node.machine in who}
            for name, ports in (missing | networks).items():
                plane = planes.get(name, Plane.TENANT)
                if plane is not Plane.COROSYNC and (plane is not Plane.PROVISIONING or provisioning):
                    self.worst.setdefault(name, {}).setdefault(wiring.paths(ports), []).append(node.name)

    def _required(self) -> dict[str, frozenset[str]]:
        """Networks that machines must have a path to, and these machines."""
        members = frozenset(member for layout in self.desired.clusters for member in layout.members)
        stores = frozenset(self.desired.ceph.members) if self.desired.ceph else frozenset[str]()
        who = {
            Plane.MANAGEMENT: members | stores,
            Plane.MIGRATION: members,
            Plane.STORAGE_PUBLIC: stores,
            Plane.STORAGE_CLUSTER: stores,
        }
        return {network.name: who[network.plane] for network in self.site.networks if network.plane in who}

    def _needed_provisioning(self) -> bool:
        """Whether installed machines need the network that they booted from."""
        ceph = self.desired.ceph
        managed = any(network.plane is Plane.MANAGEMENT for network in self.site.networks)
        return not managed or (ceph is not None and PROVISIONING in (ceph.public, ceph.cluster))

    def rows(self) -> Iterator[ServiceAvailability]:
        """One for each plane, for corosync of each cluster, and for power."""
        for name, found in self.worst.items():
            worst = min(found)
            text = f"{plural(len(found[worst]), 'machine')} ({ordered(found[worst])}): it {_WORDS[worst]}"
            yield ServiceAvailability(service=f"network {name}", survives=_SURVIVES[worst], heals=False, text=text)
        for layout in self.desired.clusters:
            worst, _ = self._corosync(layout)
            text = f"{plural(len(layout.links), 'link')} ({', '.join(layout.links)})"
            survives = _SURVIVES[worst] if len(layout.links) > 1 else ""
            yield ServiceAvailability(service=f"corosync of {layout.name}", survives=survives, heals=False, text=text)
        if self.serving:
            weak, unknown = self._feeds()
            text = self._power_text(weak, unknown) or "every rack with members has two feeds"
            survives = "" if weak or unknown else "feed"
            yield ServiceAvailability(service=POWER, survives=survives, heals=False, text=text)

    def gaps(self) -> Iterator[Gap]:
        """What tier III lacks."""
        if not self.serving:
            yield Gap(tier=Tier.III, about="site", text="no machine is a member of a cluster or of Ceph")
            return
        text = self._power_text(*self._feeds())
        if text:
            yield Gap(tier=Tier.III, about=POWER, text=f"{text}; two paths need two feeds in every rack with members")
        bare = [node.name for node in self.serving if not self.planned[node.machine]]
        if bare:
            yield Gap(tier=Tier.III, about="network", text=f"the network of {ordered(bare)} is not planned yet")
        for name, found in self.worst.items():
            for paths in sorted(set(found) - {Paths.TWO}):
                text = f"network {name} {_WORDS[paths]} on {plural(len(found[paths]), 'machine')} ({ordered(found[paths])})"
                yield Gap(tier=Tier.III, about=f"network {name}", text=f"{text}; {_CURES[paths]}")
        yield from self._corosync_gaps()

    # ------------------------------------------------------------ corosync

    def _corosync(self, layout: ClusterLayout) -> tuple[Paths, list[str]]:
        """The worst paths of all links together, and the members that have them."""
        found: dict[Paths, list[str]] = {}
        for member in layout.members:
            if member in self.wiring:
                networks = self.planned[member]
                ports = frozenset[str]().union(*(networks.get(link, frozenset()) for link in layout.links))
                found.setdefault(self.wiring[member].paths(ports), []).append(member)
        worst = min(found, default=Paths.NONE)
        return worst, found.get(worst, [])

    def _corosync_gaps(self) -> Iterator[Gap]:
        """One for each set of links: a site of many clusters has the same cabling."""
        single: dict[tuple[str, ...], list[str]] = {}
        narrow: dict[tuple[tuple[str, ...], Paths], list[str]] = {}
        for layout in self.desired.clusters:
            if len(layout.links) < 2:
                single.setdefault(layout.links, []).append(layout.name)
                continue
            worst, _ = self._corosync(layout)
            if worst is not Paths.TWO:
                narrow.setdefault((layout.links, worst), []).append(layout.name)
        for links, names in single.items():
            text = f"corosync of {listed(names)} {'has' if len(names) == 1 else 'have'} one link ({', '.join(links)})"
            yield Gap(tier=Tier.III, about="corosync", text=f"{text}; a second corosync network would be another path")
        for (links, paths), names in narrow.items():
            text = f"corosync of {listed(names)} {_WORDS[paths]} with all its links ({', '.join(links)}) together"
            yield Gap(tier=Tier.III, about="corosync", text=f"{text}; {_CURES[paths]}")

    # ------------------------------------------------------------ power

    def _feeds(self) -> tuple[dict[int, list[str]], list[str]]:
        """Racks with members by their number of feeds where that is below two, and members whose rack is not known."""
        racks = {rack.name: rack for rack in self.site.racks}
        used = {node.place.rack for node in self.serving}
        weak: dict[int, list[str]] = {}
        for name in sorted(used & racks.keys(), key=natural):
            feeds = len(set(racks[name].power))
            if feeds < 2:
                weak.setdefault(feeds, []).append(name)
        return weak, [node.name for node in self.serving if node.place.rack not in racks]

    def _power_text(self, weak: Mapping[int, list[str]], unknown: Sequence[str]) -> str:
        words = {0: "no power feed in the site file", 1: "one power feed"}
        parts = []
        for feeds, names in sorted(weak.items()):
            many = len(names) > 1
            parts.append(f"{'racks' if many else 'rack'} {listed(names)} {'have' if many else 'has'} {words[feeds]}")
        if unknown:
            parts.append(f"the power feeds of {ordered(unknown)} are not known: the site file says no rack of theirs")
        return "; ".join(parts)
