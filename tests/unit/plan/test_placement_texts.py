"""Whole placements as text: who is in which cluster, who arbitrates, which daemons run where, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from appliance.model.ceph import CephSpec, Service
from appliance.model.cluster import ClusterSpec
from appliance.model.network import Network, Plane
from appliance.model.place import Place, Rack
from appliance.model.site import ExpectedCount, Site
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.services import place_services
from appliance.plan.placement.clusters import ceph_members, plan_clusters
from tests.conftest import Golden
from tests.unit.plan.floor import ARM, EPYC, PI, entries, machine, machines, racks, site

PVE = ClusterSpec(name="pve")
RINGS = tuple(Network(name=f"ring{link}", plane=Plane.COROSYNC, link=link) for link in (0, 1))
MANAGEMENT = Network(name="mgmt", plane=Plane.MANAGEMENT)


@dataclass(frozen=True, slots=True)
class Scene:
    """``before`` are the machines of the plan that was accepted."""

    site: Site
    found: Sequence[Candidate]
    before: Sequence[Candidate] = ()


def ceph(**fields: object) -> CephSpec:
    return CephSpec(**fields)  # type: ignore[arg-type]


SWITCHLESS_EDGE = Scene(
    site(clusters=(ClusterSpec(name="edge", arbiter="pi"),), ceph=ceph(), machines=entries("n1", "n2", "n3", "pi")),
    [machine("pi", profile=PI, expected=True), *(machine(name, expected=True) for name in ("n1", "n2", "n3"))],
)
TWO_AND_A_PI = Scene(
    site(clusters=(ClusterSpec(name="edge", arbiter=PI),), networks=(MANAGEMENT,)),
    [*machines(2), machine("pi2", profile=PI), machine("pi1", profile=PI)],
)
EIGHT_HOSTS_FOUR_RACKS = Scene(
    site(racks=racks(4), clusters=(PVE,), ceph=ceph(), networks=RINGS), machines(8, racks(4))
)
THREE_ZONES = Scene(
    site(racks=racks(6, zones=3), clusters=(PVE,), ceph=ceph(), networks=RINGS), machines(12, racks(6, zones=3))
)
FORTY = Scene(site(racks=racks(8), clusters=(PVE,), ceph=ceph(), networks=RINGS), machines(40, racks(8)))
EIGHTY_IN_TWO_ZONES = Scene(
    site(racks=racks(8, zones=2), clusters=(PVE,), ceph=ceph(), networks=RINGS), machines(80, racks(8, zones=2))
)
GROWTH = Scene(
    site(racks=racks(9), clusters=(PVE,), ceph=ceph(), networks=RINGS),
    [*machines(40, racks(9)[:8]), *(machine(f"new{i}", racks(9)[8]) for i in (1, 2))],
    before=machines(40, racks(9)[:8]),
)
STRETCH = Scene(
    site(
        racks=racks(4, datacenters=2),
        clusters=(ClusterSpec(name="pve", arbiter=PI),),
        ceph=ceph(stretch=True, tiebreaker=PI),
        networks=RINGS,
    ),
    [*machines(8, racks(4, datacenters=2)), machine("pi1", Place(datacenter="dc3"), PI)],
)
MIXED = Scene(
    site(
        clusters=(ClusterSpec(name="compute", profiles=(EPYC,)), ClusterSpec(name="storage", profiles=(ARM,))),
        ceph=ceph(profiles=(ARM,)),
        networks=(MANAGEMENT,),
    ),
    [*machines(3), *machines(4, profile=ARM, first=11), machine("pi1", profile=PI)],
)
MISSING = Scene(
    site(
        clusters=(PVE, ClusterSpec(name="arm", profiles=(ARM,)), ClusterSpec(name="edge", machines=("e1", "e2", "e3"))),
        counts=(ExpectedCount(profile=EPYC, count=8),),
        machines=entries("e1", "e2", "e3"),
        ceph=ceph(),
    ),
    [*machines(5), machine("e1", expected=True)],
)
NO_ARBITER = Scene(
    site(clusters=(ClusterSpec(name="edge", arbiter="pi1"), ClusterSpec(name="x", machines=("n9",)))), machines(2)
)
STRETCH_IN_THREE = Scene(
    site(racks=racks(3, zones=3), clusters=(PVE,), ceph=ceph(stretch=True)), machines(9, racks(3, zones=3))
)
MORE_MONITORS = Scene(
    site(racks=(Rack(name="r1"),), clusters=(PVE,), ceph=ceph(monitors=5)), machines(4, (Rack(name="r1"),))
)


def described(scene: Scene) -> str:
    """The placement in words."""
    standing = plan_clusters(scene.site, scene.before, ()).clusters
    made = plan_clusters(scene.site, scene.found, standing)
    names = {one.id: one.name for one in scene.found}
    lines = []
    for layout in made.clusters:
        lines.append(
            f"cluster {layout.name} of {layout.spec}{f', along {layout.domain}' if layout.domain else ''}: "
            f"{len(layout.members)} nodes, votes {layout.votes}, quorum {layout.quorum}, tolerates {layout.tolerates}, "
            f"arbiter {names.get(layout.arbiter, layout.arbiter) or 'none'}, links {', '.join(layout.links)}"
        )
        lines.append(f"  {' '.join(names[member] for member in layout.members)}")
    waits = list(made.waits)
    if scene.site.ceph is not None:
        members = ceph_members(scene.site, scene.site.ceph, scene.found, made.clusters)
        hosts = frozenset(member.id for member in members)
        services, more = place_services(
            scene.site, scene.site.ceph, members, hosts, frozenset(Service), (), scene.found
        )
        waits += more
        lines.append(f"ceph: {len(members)} members")
        lines += [f"  {s.kind} on {names.get(s.machine, s.machine)} ({s.bucket})" for s in services]
    lines += [f"waits: {wait.about}: {wait.reason}: {wait.text}" for wait in waits]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "name",
    [
        "switchless-edge",
        "two-and-a-pi",
        "eight-hosts-four-racks",
        "three-zones",
        "forty",
        "eighty-in-two-zones",
        "growth",
        "stretch",
        "mixed",
        "missing",
        "no-arbiter",
        "stretch-in-three",
        "more-monitors",
    ],
)
def test_placement(name: str, golden: Golden) -> None:
    scene: Scene = globals()[name.replace("-", "_").upper()]
    golden.check(f"placement/{name}.txt", described(scene))
    backwards = Scene(scene.site, scene.found[::-1], scene.before[::-1])
    assert described(backwards) == described(scene), "the order of machines does not matter"
