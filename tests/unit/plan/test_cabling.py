"""Cables: declared and heard, what stands, and what has to be plugged when the backbone grows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.wire import Neighbour
from appliance.model.network import (
    BackboneSpec,
    CableLayout,
    CableState,
    Carrier,
    Shape,
)
from appliance.model.plan import WaitReason
from appliance.model.site import ExpectedMachine, Site
from appliance.plan.candidate import Candidate
from appliance.plan.network.backbone import plan_backbone
from tests.conftest import Golden
from tests.unit.plan.wires import (
    AUTO,
    STORAGE,
    backbone_text,
    cabled,
    candidate,
    form,
    mac,
    mesh_cables,
    ports,
    ring_cables,
    site,
    states,
    wants,
)

RING = (
    ("n1:nic3", "n2:nic2"),
    ("n2:nic3", "n3:nic2"),
    ("n3:nic3", "n4:nic2"),
    ("n4:nic3", "n5:nic2"),
    ("n5:nic3", "n1:nic2"),
)

SCENES: dict[str, tuple[Site, list[Candidate]]] = {
    "ring-of-five": (site(backbone=AUTO), cabled(5, *ring_cables(5))),
    "mesh-of-three": (site(backbone=AUTO), cabled(3, *mesh_cables(3))),
    "mesh-nobody-hears": (site(replace(STORAGE, carrier=Carrier.MESH)), cabled(3)),
    "as-declared": (wants(*RING), cabled(5, *ring_cables(5))),
    "two-swapped-cables": (
        wants(*RING),
        cabled(5, (1, 3, 4, 2), (2, 3, 3, 2), (3, 3, 2, 2), (4, 3, 5, 2), (5, 3, 1, 2)),
    ),
    "two-swapped-ports-of-one-machine": (
        wants(*RING),
        cabled(5, (1, 2, 2, 2), (2, 3, 3, 2), (3, 3, 4, 2), (4, 3, 5, 2), (5, 3, 1, 3)),
    ),
    "three-rotated-cables": (
        wants(*RING),
        cabled(5, (1, 3, 3, 2), (2, 3, 4, 2), (3, 3, 2, 2), (4, 3, 5, 2), (5, 3, 1, 2)),
    ),
    "one-way": (wants(*RING), cabled(5, *ring_cables(5), deaf=[3])),
    "missing-and-unexpected": (
        wants(("n1:nic2", "n2:nic2"), ("n1:nic3", "n3:nic2"), ("n2:nic3", "n3:nic3")),
        cabled(3, (1, 2, 2, 2), (1, 3, 3, 2), (2, 4, 3, 4), fast=3),
    ),
    "loop": (site(backbone=BackboneSpec(shape=Shape.MESH)), cabled(3, (1, 2, 1, 3), (2, 3, 3, 3))),
    "two-cables-between-two": (site(backbone=AUTO), cabled(2, (1, 2, 2, 2), (1, 3, 2, 3))),
    "no-such-port": (wants(("n1:nic9", "n2:nic2"), ("n2", "n3"), ("n1", "n3")), cabled(3)),
}


@pytest.mark.parametrize("name", SCENES)
def test_cables(name: str, golden: Golden) -> None:
    described, machines = SCENES[name]
    layout, waits = plan_backbone(described, machines, None)
    golden.check(f"network/backbone-{name}.txt", backbone_text(layout, waits))
    assert plan_backbone(described, machines[::-1], None) == (layout, waits)


def test_swapped_cables_name_exactly_their_four_ports() -> None:
    described, machines = SCENES["two-swapped-cables"]
    layout, (wait,) = form(described, machines)
    assert {word.strip(",;") for word in wait.text.split() if ":" in word} == {
        "n1:nic3",
        "n2:nic2",
        "n3:nic3",
        "n4:nic2",
    }
    assert sorted(states(layout).values()) == ["ok", "ok", "ok", "swapped", "swapped"]
    assert (wait.about, wait.reason) == ("n1", WaitReason.LAYOUT)


def leaf(system: str, port: str) -> Neighbour:
    return Neighbour(chassis="aa:bb:cc:00:00:01", port=port, system=system, port_description=f"to {port}")


@pytest.mark.parametrize(
    ("first", "second", "found", "text"),
    [
        (leaf("leaf1", "swp1"), leaf("leaf2", "swp1"), ["ok", "ok"], ""),
        (
            leaf("leaf2", "swp1"),
            leaf("leaf1", "swp1"),
            ["swapped", "swapped"],
            "n1:nic2 goes to leaf2:swp1 instead of leaf1:swp1, n1:nic3 goes to leaf1:swp1 instead of leaf2:swp1; exchange "
            "the plugs at n1:nic2 and n1:nic3",
        ),
        (
            leaf("leaf1", "swp1"),
            leaf("leaf2", "swp7"),
            ["ok", "swapped"],
            "n1:nic3 goes to leaf2:swp7 instead of leaf2:swp1; plug them as the site file says, or change its cables",
        ),
    ],
)
def test_cables_to_switches(first: Neighbour, second: Neighbour, found: list[str], text: str) -> None:
    described = wants(("n1:nic2", "leaf1:swp1"), ("n1:nic3", "leaf2:swp1"), shape=Shape.FABRIC)
    layout, waits = form(described, [candidate(1, nics=ports(1, neighbours={2: first, 3: second}))])
    assert [entry.state.value for entry in layout.cables] == found
    assert [wait.text for wait in waits] == ([text] if text else [])


def test_a_switch_port_by_its_description() -> None:
    described = wants(("n1:nic2", "leaf1:to swp1"), shape=Shape.FABRIC)
    layout, _ = form(described, [candidate(1, nics=ports(1, neighbours={2: leaf("leaf1", "swp1")}))])
    assert states(layout) == {"m-1 leaf1": "ok"}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (Neighbour(chassis="x", port=mac(2, 3)), mac(2, 3)),
        (Neighbour(chassis=mac(2, 0), port="eth3"), mac(2, 3)),
        (Neighbour(chassis=mac(2, 3), port="?", port_description="nic3"), mac(2, 3)),
        (Neighbour(chassis="x", port="nic3", system="n2.internal"), mac(2, 3)),
        (Neighbour(chassis="n2", port="nothing that we know"), mac(2, 3)),
        (Neighbour(chassis="x", port="eth3", system="leased-17"), mac(2, 3)),
    ],
)
def test_neighbours_are_known_by_their_words(told: Neighbour, found: str) -> None:
    """MAC of the port or the chassis, system name with and without domain; where the port is not said, the one that hears
    us back is it."""
    back = Neighbour(chassis="n1", port=mac(1, 2))
    machines = [
        candidate(1, nics=ports(1, neighbours={2: told})),
        candidate(2, nics=ports(2, neighbours={3: back}), hostname="leased-17"),
    ]
    layout, waits = form(site(backbone=AUTO), machines)
    assert layout.cables == (CableLayout(a="m-1", b="m-2", a_mac=mac(1, 2), b_mac=found),)
    assert waits == ()


def test_a_host_name_of_an_earlier_life_takes_no_name() -> None:
    told = Neighbour(chassis="x", port="eth2", system="n2")
    machines = [candidate(1, nics=ports(1, neighbours={2: told})), candidate(2), candidate(3, hostname="n2")]
    layout, _ = form(site(backbone=BackboneSpec(shape=Shape.MESH)), machines)
    assert states(layout) == {"m-1 m-2": "one-way", "m-1 m-3": "missing", "m-2 m-3": "missing"}


def test_a_name_that_two_machines_have_is_nobodys() -> None:
    told = Neighbour(chassis="x", port="y", system="rackseed")
    machines = [candidate(1, nics=ports(1, neighbours={2: told}))]
    machines += [candidate(n, hostname="rackseed") for n in (2, 3)]
    assert form(site(backbone=AUTO), machines)[0].why == "the ports hear rackseed"


# ---------------------------------------------------------------- what stands


def test_silence_changes_nothing() -> None:
    """After a reboot nobody hears anybody for a while."""
    for described, machines in (SCENES["ring-of-five"], SCENES["as-declared"], SCENES["two-cables-between-two"]):
        standing, _ = form(described, machines)
        quiet = cabled(len(machines))
        assert form(described, quiet, standing) == (standing, ())
        deaf = cabled(len(machines), *ring_cables(len(machines)), deaf=[1, 3]) if len(machines) > 2 else quiet
        assert form(described, deaf, standing) == (standing, ())


def test_what_was_not_heard_is_found_later() -> None:
    described = site(replace(STORAGE, carrier=Carrier.MESH))
    standing, _ = form(described, cabled(3))
    assert set(states(standing).values()) == {"missing"}
    layout, waits = form(described, cabled(3, *mesh_cables(3)), standing)
    assert (set(states(layout).values()), waits) == ({"ok"}, ())


def test_the_shape_stands_whatever_is_heard() -> None:
    standing, _ = form(site(backbone=AUTO), cabled(3))
    layout, _ = form(site(backbone=AUTO), cabled(3, *mesh_cables(3)), standing)
    assert (layout.shape, layout.why) == (Shape.SWITCH, standing.why)
    stated, _ = form(site(backbone=BackboneSpec(shape=Shape.MESH)), cabled(3, *mesh_cables(3)), standing)
    assert (stated.shape, stated.why, set(states(stated).values())) == (Shape.MESH, "backbone.shape is mesh", {"ok"})


def test_a_ring_follows_its_cables_not_the_numbers() -> None:
    order = [1, 4, 2, 5, 3]
    cables = [(a, 3, b, 2) for a, b in zip(order, order[1:] + order[:1], strict=True)]
    layout, waits = form(site(backbone=AUTO), cabled(5, *cables))
    assert layout.members == ("m-1", "m-3", "m-5", "m-2", "m-4")
    assert (set(states(layout).values()), waits) == ({"ok"}, ())
    gap, _ = form(site(backbone=BackboneSpec(shape=Shape.RING)), cabled(5, *cables[1:]))
    assert sorted(states(gap).values()) == ["missing", "ok", "ok", "ok", "ok"]


GROWTH: dict[str, tuple[Site, list[Candidate], list[Candidate]]] = {
    "ring-of-three-to-four": (
        site(backbone=BackboneSpec(shape=Shape.RING)),
        cabled(3, *ring_cables(3)),
        cabled(4, *ring_cables(3)),
    ),
    "ring-of-three-to-five": (
        site(backbone=BackboneSpec(shape=Shape.RING)),
        cabled(3, *ring_cables(3)),
        cabled(5, *ring_cables(3)),
    ),
    "mesh-of-three-to-four": (
        site(backbone=BackboneSpec(shape=Shape.MESH)),
        cabled(3, *mesh_cables(3), fast=3),
        cabled(4, *mesh_cables(3), fast=3),
    ),
    "mesh-without-a-free-port": (
        site(backbone=BackboneSpec(shape=Shape.MESH)),
        cabled(3, *mesh_cables(3)),
        cabled(4, *mesh_cables(3)),
    ),
    "ring-of-five-to-four": (
        site(backbone=BackboneSpec(shape=Shape.RING)),
        cabled(5, *ring_cables(5)),
        cabled(4, *ring_cables(5)[:3]),
    ),
}


@pytest.mark.parametrize("name", GROWTH)
def test_growth(name: str, golden: Golden) -> None:
    described, before, after = GROWTH[name]
    standing, _ = form(described, before)
    layout, waits = plan_backbone(described, after, standing)
    golden.check(f"network/growth-{name}.txt", backbone_text(layout, waits))
    assert plan_backbone(described, after[::-1], standing) == (layout, waits)


def test_a_ring_that_was_cabled_anew_needs_no_word() -> None:
    """Somebody put the new machine where the cables were short: between 1 and 2."""
    described = site(backbone=BackboneSpec(shape=Shape.RING))
    standing, _ = form(described, cabled(3, *ring_cables(3)))
    layout, waits = form(described, cabled(4, (1, 3, 4, 2), (4, 3, 2, 2), (2, 3, 3, 2), (3, 3, 1, 2)), standing)
    assert (layout.members, waits) == (("m-1", "m-3", "m-2", "m-4"), ())
    assert set(states(layout).values()) == {"ok"}


def test_a_declared_machine_that_is_not_here_yet() -> None:
    """The cables say what shape it will be; those to it come with it."""
    expected = tuple(ExpectedMachine(name=f"n{n}", serial=f"S{n}") for n in range(1, 6))
    described = replace(wants(*RING), machines=expected)
    layout, waits = form(described, cabled(4, *ring_cables(5)[:3]))
    assert layout.shape is Shape.RING
    assert states(layout) == {"m-1 m-2": "ok", "m-2 m-3": "ok", "m-3 m-4": "ok"}
    assert waits == ()


def test_large_fabrics_are_quick_and_meshes_refused() -> None:
    many = [candidate(n) for n in range(1, 101)]
    layout, waits = form(site(backbone=BackboneSpec(shape=Shape.FABRIC)), many)
    assert (len(layout.members), waits) == (100, ())
    none, (wait,) = plan_backbone(site(backbone=BackboneSpec(shape=Shape.MESH)), many, None)
    assert none is None
    assert wait.text.startswith("a full mesh of 100 needs 99 ports for the backbone on each machine, and n1 has 2,")
    assert "n8 has 2 and 92 more; add ports" in wait.text


def test_nothing_is_unexpected_about_states() -> None:
    """Every state is reached by a scene above."""
    reached = set()
    for described, machines in SCENES.values():
        layout, _ = plan_backbone(described, machines, None)
        reached |= {entry.state for entry in layout.cables} if layout else set()
    assert reached == set(CableState)
