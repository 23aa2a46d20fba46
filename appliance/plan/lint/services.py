"""Ceph's daemons: how many, and where."""

from __future__ import annotations

from collections import Counter

from appliance.model.ceph import CephLayout, Service
from appliance.model.place import LEVELS, Level
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene

APPLIANCE = "appliance"


def _machines(ceph: CephLayout, kind: str) -> list[str]:
    return [service.machine for service in ceph.services if service.kind == kind]


def _bucket(scene: Scene, who: str, level: Level) -> str:
    """Where a machine stands; the appliance and what nobody placed stand nowhere."""
    node = scene.nodes.get(who)
    if node is None:
        return ""
    return who if level is Level.HOST else node.place.bucket(level)


@rule(ERROR, "let the planner choose (monitors: 0), or name an odd number")
def monitors_even(scene: Scene) -> Findings:
    """The number of monitors is odd: an even one survives no more than the odd one below it."""
    if scene.ceph is not None:
        count = len(_machines(scene.ceph, "mon"))
        if count and count % 2 == 0 and not _standing(scene):
            yield scene.ceph.name, f"{counted(count, 'monitor')}; an odd number keeps a majority"


@rule(WARNING, "add a member, or remove a monitor")
def monitors_even_standing(scene: Scene) -> Findings:
    """The number of monitors is odd, also where some may run already."""
    if scene.ceph is not None:
        count = len(_machines(scene.ceph, "mon"))
        if count and count % 2 == 0 and _standing(scene):
            yield scene.ceph.name, f"{counted(count, 'monitor')}; an odd number keeps a majority"


@rule(WARNING, "add a member, so that three can be monitors")
def few_monitors(scene: Scene) -> Findings:
    """There are three monitors or more (`ceph.md` §4): a single one that is lost stops everything."""
    if scene.ceph is not None:
        count = len(_machines(scene.ceph, "mon"))
        if count < 3:
            yield scene.ceph.name, f"{counted(count, 'monitor')}; 3 survive the loss of one"


@rule(ERROR, "report it as a fault of the planner; plan again")
def service_not_on_member(scene: Scene) -> Findings:
    """Daemons run on members of Ceph, each kind once on a machine; a monitor may also run on the appliance, and the
    tiebreaker of a stretch cluster elsewhere."""
    ceph = scene.ceph
    if ceph is None:
        return
    members = set(ceph.members)
    strangers = [
        s for s in ceph.services if s.machine not in members and not (s.kind == "mon" and s.machine == APPLIANCE)
    ]
    ties = [s for s in strangers if s.kind == "mon" and s.machine in scene.machines]
    for service in strangers:
        if not (ceph.stretch and ties == [service]):
            yield scene.name(service.machine), f"runs a {service.kind}, but is no member of Ceph"
    for (kind, who), count in Counter((s.kind, s.machine) for s in ceph.services).items():
        if count > 1:
            yield scene.name(who), f"runs {count} daemons of kind {kind}; they would fall together"


def _crowded(scene: Scene) -> Findings:
    """Levels at which one bucket has so many monitors that its loss takes the majority, or that could have one each."""
    ceph = scene.ceph
    monitors = _machines(ceph, "mon") if ceph else []
    if ceph is None or ceph.stretch or len(monitors) < 3:
        return
    placed = len(monitors) - monitors.count(APPLIANCE)
    most, larger = (len(monitors) - 1) // 2, False
    for level in reversed(LEVELS):
        room = Counter(bucket for who in ceph.members for bucket in (_bucket(scene, who, level),) if bucket)
        limit = 1 if len(room) >= placed and not larger else most
        possible = sum(min(count, limit) for count in room.values()) >= placed
        larger = larger or len(room) > 1
        if len(room) < 3 or not possible:
            continue
        for bucket, count in Counter(_bucket(scene, who, level) for who in monitors).items():
            if bucket and count > limit:
                what = "leaves no majority" if count > most else f"could have one less: there are {len(room)} {level}s"
                name = scene.name(bucket) if level is Level.HOST else bucket
                yield ceph.name, f"{count} of {len(monitors)} monitors in {level} {name}: its loss {what}"


def _standing(scene: Scene) -> bool:
    """Whether monitors may run already; what stands is not moved."""
    return scene.settled(_machines(scene.ceph, "mon") if scene.ceph else [])


@rule(ERROR, "report it as a fault of the planner; plan again")
def monitors_crowded(scene: Scene) -> Findings:
    """Monitors stand in distinct failure domains where there are enough: no loss of one takes the majority (`ceph.md`
    §4)."""
    if not _standing(scene):
        yield from _crowded(scene)


@rule(WARNING, "move monitors one by one: add one in another domain, then remove one")
def monitors_crowded_standing(scene: Scene) -> Findings:
    """Monitors that may run already also stand in distinct failure domains; they are not moved by a plan."""
    if _standing(scene):
        yield from _crowded(scene)


@rule(WARNING, "place members in a second and third rack, or zone")
def monitors_in_one_place(scene: Scene) -> Findings:
    """Monitors stand in more than one rack (and zone), where more than one is declared."""
    ceph = scene.ceph
    monitors = _machines(ceph, "mon") if ceph else []
    for level, declared in (
        (Level.RACK, {rack.name for rack in scene.site.racks}),
        (Level.ZONE, {rack.zone for rack in scene.site.racks} - {""}),
    ):
        places = {_bucket(scene, who, level) for who in monitors}
        if ceph is not None and len(monitors) > 1 and len(declared) > 1 and len(places) == 1 and "" not in places:
            text = f"all {len(monitors)} monitors stand in {level} {listed(places)}, of {len(declared)} declared"
            yield ceph.name, f"{text}; its loss stops everything"


@rule(ERROR, "report it as a fault of the planner; plan again")
def few_managers(scene: Scene) -> Findings:
    """There are two managers or more, where there are two members (`ceph.md` §4)."""
    if scene.ceph is not None and len(scene.ceph.members) > 1 and _machines(scene.ceph, "mon"):
        count = len(set(_machines(scene.ceph, "mgr")))
        if count < 2:
            yield scene.ceph.name, f"{counted(count, 'manager')}; a second one takes over when it is lost"


@rule(ERROR, "report it as a fault of the planner; plan again")
def few_metadata_servers(scene: Scene) -> Findings:
    """A cluster with a pool for files has two metadata servers or more (`ceph.md` §4)."""
    ceph = scene.ceph
    formed = ceph is not None and len(ceph.members) > 1 and bool(_machines(ceph, "mon"))
    if ceph is not None and formed and any(pool.service is Service.FILE for pool in ceph.pools):
        count = len(set(_machines(ceph, "mds")))
        if count < 2:
            yield ceph.name, f"{counted(count, 'metadata server')} for its file pools; a second one takes over"


@rule(WARNING, "plan again; if it stays, report it")
def no_gateway(scene: Scene) -> Findings:
    """A cluster with a pool for objects has a gateway (rgw), and two so that one may be lost."""
    ceph = scene.ceph
    if ceph is not None and any(pool.service is Service.OBJECT for pool in ceph.pools):
        count = len(set(_machines(ceph, "rgw")))
        if count < min(2, len(ceph.members)):
            yield ceph.name, f"{counted(count, 'gateway')} for its object pools; 2 survive the loss of one"


@rule(ERROR, "place members in two sites, and the tiebreaker in neither")
def stretch_monitors(scene: Scene) -> Findings:
    """A stretch cluster has five monitors: two in each of its two sites, and a tiebreaker outside both (Ceph's
    documentation on stretch mode)."""
    ceph = scene.ceph
    if ceph is None or not ceph.stretch:
        return
    monitors = _machines(ceph, "mon")
    for level in reversed(LEVELS) if monitors else ():
        sites = {_bucket(scene, who, level) for who in scene.by_host} - {""}
        if len(sites) != 2:
            continue
        where = Counter(_bucket(scene, who, level) for who in monitors)
        shown = [where[site] for site in sorted(sites)]
        if shown != [2, 2] or len(monitors) != 5:
            text = f"{shown[0]}+{shown[1]} monitors in the sites {listed(sites)}, {len(monitors) - sum(shown)} outside"
            yield ceph.name, f"{text}; stretch mode wants 2+2+1"
        return
    if monitors:
        yield ceph.name, "no level of the site has exactly two places with OSDs; stretch mode wants two sites"


@rule(WARNING, "give two or more time servers")
def few_time_servers(scene: Scene) -> Findings:
    """Ceph's machines have two time servers or more: monitors refuse each other from 50 ms of clock skew."""
    count = len(set(scene.site.time_servers))
    if scene.ceph is not None and count < 2:
        yield (
            "time_servers",
            f"{counted(count, 'time server')}; monitors fall out with 50 ms of clock skew, so give 2 or more",
        )
