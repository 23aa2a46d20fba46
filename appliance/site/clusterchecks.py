"""Clusters: names that must exist, members that belong to one only, arbiters that are somebody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.model.cluster import MAX_NAME, MAX_NODES, Arbiter
from appliance.site.checked import Checked
from appliance.site.clusterentries import CephEntry, ClusterEntry
from appliance.site.planes import MAX_LINK
from hwprofiles.convert import closest
from hwprofiles.document import Problem


def check_clusters(checked: Checked) -> Iterator[Problem]:
    """All problems of clusters."""
    clusters = checked.file.clusters
    yield from checked.twice(((entry.at, "name", entry.name) for entry in clusters), "two clusters have the name")
    for entry in clusters:
        yield from _names(checked, entry)
        yield from _size(checked, entry)
        yield from _arbiter(checked, entry)
    yield from _shared(checked)


def selection(checked: Checked, entry: ClusterEntry | CephEntry) -> Iterator[Problem]:
    """Unknown and repeated members."""
    at = entry.at.path
    yield from checked.unknown((*at, "machines"), "machine", entry.machines, checked.known_machines)
    yield from checked.unknown((*at, "profiles"), "profile", entry.profiles, checked.profiles)
    yield from checked.repeated((*at, "machines"), entry.machines)
    yield from checked.repeated((*at, "profiles"), entry.profiles)
    if entry.machines and entry.profiles:
        message = "members are named by 'machines' or by 'profiles', not by both; leave one out"
        yield checked.problem((*at, "profiles"), message, key=True)


def members(checked: Checked, entries: Iterable[ClusterEntry | CephEntry]) -> int:
    """How many machines are members of any of them for sure: those that they name, or whose profile they name."""
    names: set[str] = set()
    profiles: set[str] = set()
    for entry in entries:
        if isinstance(entry, CephEntry) or not (entry.racks or entry.zones):
            names |= set(entry.machines)
            profiles |= set(entry.profiles)
    names |= {machine.name for machine in checked.machines if machine.profile in profiles} if profiles else set()
    return len(names) + sum(count.count for count in checked.file.expect if count.profile in profiles)


def somebody(checked: Checked, name: str) -> bool:
    """Whether a machine or a profile has this name."""
    return name in checked.known_machines or name in checked.profiles


def _names(checked: Checked, entry: ClusterEntry) -> Iterator[Problem]:
    at = entry.at.path
    zones = {rack.zone for rack in checked.file.racks if rack.zone}
    yield from selection(checked, entry)
    yield from checked.unknown((*at, "racks"), "rack", entry.racks, checked.rack_names)
    yield from checked.unknown((*at, "zones"), "zone", entry.zones, zones)
    narrow = [rack for rack in checked.file.racks if rack.name in entry.racks]
    if narrow and entry.zones and not any(rack.zone in entry.zones for rack in narrow) and zones >= set(entry.zones):
        yield checked.problem((*at, "zones"), "none of its racks is in these zones, so it would have no machine")
    yield from checked.unknown((*at, "links"), "network", entry.links, checked.network_names)
    for key, names in (("racks", entry.racks), ("zones", entry.zones), ("links", entry.links)):
        yield from checked.repeated((*at, key), names)
    if len(entry.links) > MAX_LINK + 1:
        yield checked.problem((*at, "links"), f"corosync has at most {MAX_LINK + 1} links, not {len(entry.links)}")


def _size(checked: Checked, entry: ClusterEntry) -> Iterator[Problem]:
    """Clusters that are split get numbers behind their names (``pve1-2``)."""
    at = entry.at.path
    if not 1 <= entry.maximum <= MAX_NODES:
        message = f"a cluster has 1 to {MAX_NODES} nodes, not {entry.maximum}; more make several clusters"
        yield checked.problem((*at, "maximum"), message)
        return
    count = members(checked, (entry,))
    parts = -(-count // entry.maximum)
    room = MAX_NAME - len(f"-{parts}")
    if parts > 1 and len(entry.name) > room:
        message = (
            f"{count} machines make {parts} clusters '{entry.name}-1' to '-{parts}', "
            f"so the name can have {room} characters at most"
        )
        yield checked.problem(at, message, key=True)


def _arbiter(checked: Checked, entry: ClusterEntry) -> Iterator[Problem]:
    path = (*entry.at.path, "arbiter")
    words = {word.value for word in Arbiter}
    if entry.arbiter not in words and not somebody(checked, entry.arbiter):
        known = {*words, *checked.profiles, *checked.known_machines}
        near = closest(entry.arbiter, known)
        hint = near if near.startswith("; did") else "; it is auto, none, appliance, a machine or a profile"
        yield checked.problem(path, f"unknown arbiter '{entry.arbiter}'{hint}")
    elif entry.arbiter in entry.machines or entry.arbiter in entry.profiles:
        message = f"'{entry.arbiter}' is among the members; the arbiter breaks their tie and is none of them"
        yield checked.problem(path, message)


def _shared(checked: Checked) -> Iterator[Problem]:
    clusters = checked.file.clusters
    owner: dict[str, str] = {}
    for index, entry in enumerate(clusters):
        for number, name in enumerate(entry.machines):
            other = owner.setdefault(name, entry.name)
            if other != entry.name:
                path = checked.item((*entry.at.path, "machines"), number)
                yield checked.problem(path, f"machine '{name}' is in cluster '{other}' already")
        for other_entry in clusters[:index]:
            both = _both(entry, other_entry)
            if both:
                message = (
                    f"'{other_entry.name}' takes {both} too; tell them apart by machines, profiles, racks or zones"
                )
                yield checked.problem(entry.at.path, message, key=True)


def _both(one: ClusterEntry, two: ClusterEntry) -> str:
    """What two clusters would both take; empty when they are told apart."""
    for key in ("racks", "zones"):
        here, there = set(getattr(one, key)), set(getattr(two, key))
        if here and there and not here & there:
            return ""
    if one.machines or two.machines:
        return ""
    if not one.profiles and not two.profiles:
        return "every machine"
    shared = sorted(set(one.profiles) & set(two.profiles))
    return f"machines of profile {', '.join(shared)}" if shared else ""
