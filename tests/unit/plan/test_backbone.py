"""The backbone: its shape, what routes on it, its pools and its members."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from agent.wire import Neighbour
from appliance.model.network import (
    BackboneSpec,
    Carrier,
    Network,
    Plane,
    Routing,
    Shape,
)
from appliance.model.plan import Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.network.backbone import default_loopbacks, default_ula, plan_backbone
from appliance.plan.network.hostnet import host_network
from tests.conftest import Golden
from tests.unit.plan.wires import (
    AUTO,
    STORAGE,
    cabled,
    candidate,
    form,
    mac,
    mesh_cables,
    network,
    ports,
    ring_cables,
    site,
    ula,
    wants,
)

# ---------------------------------------------------------------- shape


@pytest.mark.parametrize(
    ("described", "shape"),
    [
        (site(STORAGE), None),
        (site(STORAGE, backbone=BackboneSpec(shape=Shape.NONE)), None),
        (site(STORAGE, backbone=AUTO), Shape.SWITCH),
        (site(STORAGE, backbone=BackboneSpec(shape=Shape.RING)), Shape.RING),
        (site(replace(STORAGE, carrier=Carrier.MESH)), Shape.MESH),
        (site(replace(STORAGE, carrier=Carrier.RING), backbone=AUTO), Shape.RING),
        (site(replace(STORAGE, carrier=Carrier.FABRIC), backbone=AUTO), Shape.FABRIC),
        (wants(("n1", "n2"), ("n2", "n3"), ("n3", "n1")), Shape.MESH),
        (wants(("n1", "leaf1"), ("n1", "leaf2")), Shape.SWITCH),
        (wants(("n1", "leaf1"), ("n1", "leaf2"), routing=Routing.BGP), Shape.FABRIC),
    ],
)
def test_the_site_file_says_the_shape(described: Site, shape: Shape | None) -> None:
    layout, waits = plan_backbone(described, cabled(3), None)
    assert (layout.shape if layout else None, waits) == (shape, ())


@pytest.mark.parametrize(
    "described",
    [
        site(replace(STORAGE, carrier=Carrier.MESH), backbone=BackboneSpec(shape=Shape.SWITCH)),
        site(replace(STORAGE, carrier=Carrier.MESH), network("mig", Plane.MIGRATION, 6, Carrier.RING)),
        site(replace(STORAGE, carrier=Carrier.MESH), backbone=BackboneSpec(shape=Shape.NONE)),
        wants(("n1", "n2"), ("n2", "n3")),
    ],
)
def test_contradictions_are_told_and_what_stands_goes_on(described: Site, golden: Golden) -> None:
    standing, _ = form(site(backbone=BackboneSpec(shape=Shape.MESH)), cabled(3))
    layout, waits = plan_backbone(described, cabled(3), standing)
    assert layout is standing
    assert [wait.reason for wait in waits] == [WaitReason.LAYOUT]
    assert plan_backbone(described, cabled(3), None) == (None, waits)


def test_contradictions_in_words() -> None:
    described = site(
        replace(STORAGE, carrier=Carrier.MESH),
        network("mig", Plane.MIGRATION, 6, Carrier.RING),
        backbone=BackboneSpec(shape=Shape.SWITCH),
    )
    (wait,) = plan_backbone(described, cabled(3), None)[1]
    assert wait.text == (
        "network 'storage' is carried by a mesh, but network 'mig' is carried by a ring, but backbone.shape is switch; "
        "a site has one backbone: make them the same"
    )


@pytest.mark.parametrize(
    ("machines", "shape", "why"),
    [
        (
            cabled(3),
            Shape.SWITCH,
            "nothing was heard on the ports, so a switch is taken for granted; 3 machines with 2 ports each could be a "
            "full mesh: then say backbone.shape: mesh",
        ),
        (cabled(9), Shape.SWITCH, "nothing was heard on the ports, so a switch is taken for granted"),
        (cabled(2, (1, 2, 2, 2)), Shape.MESH, "the cables that were heard form a full mesh of 2"),
        (cabled(3, *mesh_cables(3)), Shape.MESH, "the cables that were heard form a full mesh of 3"),
        (cabled(5, *ring_cables(5)), Shape.RING, "the cables that were heard form a ring of 5"),
        (
            cabled(3, *mesh_cables(3)[1:]),
            Shape.MESH,
            "2 cables between 3 machines were heard, and 2 ports each are enough for a full mesh",
        ),
        (
            cabled(5, *ring_cables(5)[1:]),
            Shape.RING,
            "4 cables between 5 machines were heard, and no machine has more than two neighbours: a ring",
        ),
        (
            cabled(4, *mesh_cables(4)[:-1], fast=3),
            Shape.MESH,
            "5 cables between 4 machines were heard, and 3 ports each are enough for a full mesh",
        ),
        (
            cabled(5, (1, 2, 2, 2), (1, 3, 3, 2), (1, 4, 4, 2), fast=3),
            None,
            "3 cables between 5 machines were heard, which is neither a full mesh (4 ports each, there are 3) nor a ring; "
            "name backbone.shape",
        ),
    ],
)
def test_the_cabling_says_the_shape(machines: list[Candidate], shape: Shape | None, why: str) -> None:
    layout, waits = plan_backbone(site(backbone=AUTO), machines, None)
    if shape is None:
        assert (layout, [wait.text for wait in waits]) == (None, [why])
    else:
        assert layout is not None and (layout.shape, layout.why) == (shape, why)


def test_a_switch_is_heard() -> None:
    nics = [
        ports(n, neighbours={2: Neighbour(chassis="aa:bb:cc:00:00:01", port=f"swp{n}", system="leaf1")})
        for n in (1, 2, 3)
    ]
    layout, waits = form(site(backbone=AUTO), [candidate(n + 1, nics=nics[n]) for n in range(3)])
    assert (layout.shape, layout.routing, layout.bfd) == (Shape.SWITCH, Routing.NONE, False)
    assert (layout.why, layout.loopbacks, layout.ula, layout.cables, waits) == ("the ports hear leaf1", "", "", (), ())


def test_what_the_boot_port_hears_does_not_count() -> None:
    heard = Neighbour(chassis="n2", port=mac(2, 0), system="n2")
    machines = [candidate(1, nics=ports(1, neighbours={0: heard})), candidate(2)]
    assert form(site(backbone=AUTO), machines)[0].shape is Shape.SWITCH


def test_two_machines_on_one_port_are_a_switch_that_says_nothing() -> None:
    nics = list(ports(1))
    nics[2] = replace(
        nics[2], neighbours=tuple(Neighbour(chassis=f"n{n}", port=mac(n, 2), system=f"n{n}") for n in (2, 3))
    )
    layout, _ = form(site(backbone=AUTO), [candidate(1, nics=tuple(nics)), candidate(2), candidate(3)])
    assert (layout.shape, layout.why) == (Shape.SWITCH, "the ports hear a shared segment")


# ---------------------------------------------------------------- what routes


@pytest.mark.parametrize(
    ("shape", "count", "routing"),
    [
        (Shape.MESH, 2, Routing.OPENFABRIC),
        (Shape.MESH, 3, Routing.OPENFABRIC),
        (Shape.MESH, 5, Routing.OPENFABRIC),
        (Shape.MESH, 6, Routing.BGP),
        (Shape.RING, 5, Routing.BGP),
        (Shape.FABRIC, 3, Routing.BGP),
        (Shape.SWITCH, 3, Routing.NONE),
    ],
)
def test_routing_by_shape(shape: Shape, count: int, routing: Routing) -> None:
    layout, _ = form(site(backbone=BackboneSpec(shape=shape)), cabled(count, fast=5))
    assert (layout.routing, layout.bfd) == (routing, routing is not Routing.NONE)
    stated = BackboneSpec(shape=shape, routing=Routing.BGP)
    assert form(site(backbone=stated), cabled(count, fast=5))[0].routing is (
        Routing.NONE if shape is Shape.SWITCH else Routing.BGP
    )


def test_a_mesh_that_grows_keeps_its_routing() -> None:
    described = site(backbone=BackboneSpec(shape=Shape.MESH))
    five, _ = form(described, cabled(5, fast=5))
    six, _ = form(described, cabled(6, fast=5), five)
    assert (six.routing, len(six.members)) == (Routing.OPENFABRIC, 6)


def test_pools_by_the_ladder() -> None:
    layout, _ = form(site(backbone=BackboneSpec(shape=Shape.MESH)), cabled(3))
    assert (layout.loopbacks, layout.ula) == ("10.1.192.0/18", str(default_ula(site())))
    stated = BackboneSpec(shape=Shape.MESH, loopbacks=IPv4Network("10.99.0.0/24"), ula=ula("fd00:99::/48"))
    other, _ = form(site(backbone=stated), cabled(3), layout)
    assert (other.loopbacks, other.ula) == ("10.99.0.0/24", "fd00:99::/48")
    again, _ = form(site(backbone=BackboneSpec(shape=Shape.MESH), name="renamed", number=9), cabled(3), layout)
    assert (again.loopbacks, again.ula) == (layout.loopbacks, layout.ula), "what stands is not derived again"


def test_the_ula_is_a_unique_local_network_of_the_site() -> None:
    found = default_ula(site())
    assert found.prefixlen == 48 and found.subnet_of(ula("fd00::/8"))
    assert (
        found
        == default_ula(site(STORAGE))
        != default_ula(site(name="other"))
        != default_ula(site(domain="example.org"))
    )


@pytest.mark.parametrize(
    ("networks", "pool"),
    [
        ((), "10.7.192.0/18"),
        (("10.7.200.0/24",), "10.7.128.0/18"),
        (("10.7.0.0/16",), "10.255.192.0/18"),
        (("10.7.0.0/16", "10.255.0.0/16"), "10.254.192.0/18"),
        (("10.0.0.0/8",), None),
    ],
)
def test_loopbacks_keep_clear_of_networks(networks: tuple[str, ...], pool: str | None) -> None:
    described = site(
        *(Network(name=cidr, plane=Plane.TENANT, cidr=IPv4Network(cidr)) for cidr in networks),
        number=7,
        backbone=BackboneSpec(shape=Shape.MESH),
    )
    assert default_loopbacks(described) == (IPv4Network(pool) if pool else None)
    layout, waits = plan_backbone(described, cabled(3), None)
    assert (layout.loopbacks if layout else None) == pool
    assert [wait.text for wait in waits] == (
        [] if pool else ["10.0.0.0/8 has no room for loopbacks beside the site's networks; give backbone.loopbacks"]
    )


# ---------------------------------------------------------------- members


def test_machines_without_fast_ports_have_no_part() -> None:
    arbiter = candidate(9, nics=ports(9, fast=0, slow=1), profile="raspberry-pi-5")
    layout, waits = form(site(backbone=BackboneSpec(shape=Shape.MESH)), [*cabled(3), arbiter])
    assert (layout.members, waits) == (("m-1", "m-2", "m-3"), ())


def test_declared_cables_name_the_members_and_their_ports() -> None:
    described = wants(("n1:nic1", "n2:nic1"), ("n2:nic2", "n3:nic1"), ("n3:nic2", "n1:eth2"))
    layout, waits = form(described, cabled(4))
    assert (layout.members, waits) == (("m-1", "m-2", "m-3"), ())
    host = host_network(described, candidate(1), layout)
    assert [port.user for port in host.ports] == ["provisioning", "backbone", "backbone", "backbone"]


def test_too_few_machines_wait() -> None:
    layout, waits = plan_backbone(site(backbone=BackboneSpec(shape=Shape.RING)), cabled(2), None)
    text = "a ring needs 3 machines with ports for it; 2 can take part"
    assert (layout, waits) == (None, (Wait(about="backbone", reason=WaitReason.MEMBERS_MISSING, text=text),))


def test_too_few_ports_are_told_with_numbers() -> None:
    layout, waits = plan_backbone(site(backbone=BackboneSpec(shape=Shape.MESH)), cabled(4), None)
    text = (
        "a full mesh of 4 needs 3 ports for the backbone on each machine, and n1 has 2, n2 has 2, n3 has 2 and n4 has 2; "
        "add ports, or set backbone.shape to ring or switch"
    )
    assert (layout, waits) == (None, (Wait(about="n4", reason=WaitReason.PORTS_MISSING, text=text),))
    machines = [*cabled(3), candidate(4, nics=ports(4, fast=1))]
    layout, waits = form(site(backbone=BackboneSpec(shape=Shape.RING)), machines)
    text = (
        "a ring needs 2 ports for the backbone on each machine, and n4 has 1; add a port, or let a NIC role of profile "
        "epyc-compute choose more"
    )
    assert (layout.members, waits) == (
        ("m-1", "m-2", "m-3"),
        (Wait(about="n4", reason=WaitReason.PORTS_MISSING, text=text),),
    )


def test_a_machine_that_cannot_be_looked_at_stays() -> None:
    described = site(backbone=BackboneSpec(shape=Shape.RING))
    standing, _ = form(described, cabled(5, *ring_cables(5)))
    five = cabled(5)
    without = [machine for machine in five if machine.id != "m-3"]
    kept = {machine.id: machine.given for machine in five}
    assert plan_backbone(described, without, standing, kept) == (standing, ())
    layout, waits = form(described, without, standing)
    assert layout.members == ("m-1", "m-2", "m-4", "m-5")
    assert [wait.text for wait in waits] == ["m-3 left the ring: lay a new cable from n2 to n4"]
