"""Laws of numbers, addresses, host networks and the backbone, on sites and machines that nobody would think of."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_interface
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.wire import Neighbour, Nic
from appliance.model.network import (
    BackboneLayout,
    BackboneSpec,
    Cable,
    Carrier,
    HostNetwork,
    Network,
    Plane,
    Routing,
    Shape,
)
from appliance.model.plan import Allocation, Wait
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.network.addresses import IPV6, Ladder
from appliance.plan.network.backbone import plan_backbone
from appliance.plan.network.hostnet import MAX_INTERFACE, Wiring
from appliance.plan.network.nicroles import nic_roles
from tests.unit.plan.wires import PROVISIONING, candidate, mac, site

LAWS = settings(derandomize=True, deadline=None, max_examples=250, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 2**32 - 1)
ROLES = ["", "", "", "cluster", "storage", "backbone", "provisioning"]


def some_network(random: Random, index: int, plane: Plane) -> Network:
    """Its own range, and anything else."""
    length = random.choice([24, 24, 26, 28, 29])
    family = random.choice(["4", "4", "4", "46", "6"])
    cidr = IPv4Network(f"10.2.{index}.0/{length}")
    gateway = ""
    if plane is Plane.MANAGEMENT and "4" in family and random.random() < 0.7:
        gateway = str(cidr[random.choice([1, 2, -2])])
    return Network(
        name=f"{plane.value}{index}",
        plane=plane,
        cidr=cidr if "4" in family else None,
        cidr6=IPv6Network(f"fd00:2:0:{index:x}::/{random.choice([64, 64, 112])}") if "6" in family else None,
        vlan=100 + index if random.random() < 0.6 else None,
        mtu=random.choice([1500, 1500, 9000]),
        carrier=random.choice([Carrier.PORT, Carrier.PORT, Carrier.BOND, Carrier.MESH, Carrier.RING]),
        role=random.choice(ROLES),
        link=index if plane is Plane.COROSYNC else None,
        gateway=gateway,
    )


def some_site(random: Random) -> Site:
    planes = [plane for plane in Plane if plane is not Plane.PROVISIONING and random.random() < 0.6]
    planes += [plane for plane in (Plane.COROSYNC, Plane.TENANT) if random.random() < 0.3]
    networks = tuple(some_network(random, index, plane) for index, plane in enumerate(planes))
    shape = random.choice([Shape.AUTO, Shape.AUTO, Shape.MESH, Shape.RING, Shape.FABRIC, Shape.SWITCH])
    declared = random.sample(range(1, 6), 3) if random.random() < 0.2 else []
    cables = tuple(
        Cable(a=f"n{a}", b=f"n{b}", a_port=random.choice(["", "nic1", "eth2"]))
        for a, b in zip(declared, declared[1:] + declared[:1], strict=True)
    )
    return site(
        *networks,
        backbone=BackboneSpec(shape=shape, cables=cables) if random.random() < 0.8 else None,
        clusters=("pve1",),
        provisioning=replace(PROVISIONING, gateway=random.choice([None, IPv4Address("10.1.0.254")])),
    )


def some_nics(random: Random, number: int, count: int) -> tuple[Nic, ...]:
    """Ports in any order of names, some with neighbours: other machines, switches, itself, nonsense."""
    found = []
    for port in range(random.choice([0, 1, 2, 3, 4, 4, 6])):
        heard: tuple[Neighbour, ...] = ()
        if random.random() < 0.5:
            far = random.randint(1, count)
            heard = (
                Neighbour(
                    chassis=random.choice([f"n{far}", mac(far, 0), "aa:bb:cc:00:00:01"]),
                    port=random.choice([mac(far, random.randint(0, 5)), "eth2", "swp1"]),
                    system=random.choice([f"n{far}", "leaf1", ""]),
                ),
            ) * random.choice([1, 1, 2])
        found.append(
            Nic(
                name=f"eth{port}",
                mac=mac(number, port),
                driver=random.choice(["igb", "ice", "virtio_net", "cdc_ether"]),
                bus_path=random.choice([f"0000:{port:02x}:00.0", ""]),
                speed=random.choice([None, 1000, 25000]),
                max_speed=random.choice([None, 1000, 25000, 25000]),
                neighbours=heard,
            )
        )
    random.shuffle(found)
    return tuple(found)


def some_machines(random: Random, described: Site, ladder: Ladder, numbers: range) -> list[Candidate]:
    """Those of them that find an address everywhere."""
    found = []
    for number in numbers:
        who = f"m-{number}"
        profile = random.choice(["epyc-compute", "epyc-compute", "arm-storage", "generic-x86-64", "raspberry-pi-5"])
        machine = candidate(number, nics=some_nics(random, number, max(numbers)), profile=profile)
        held = ladder.number(who)
        addresses = ladder.addresses(who, held)
        if isinstance(addresses, Wait):
            continue
        cluster = random.choice(["pve1", "pve1-2", ""])
        given_ = replace(machine.given, number=held, addresses=addresses, cluster=cluster)
        found.append(replace(machine, given=given_))
    return found


def special(described: Site) -> set[str]:
    found = {str(described.provisioning.appliance), str(described.provisioning.gateway or "")}
    return found | {entry.gateway for entry in described.networks} - {""}


@LAWS
@given(SEEDS)
def test_addresses_are_unique_inside_and_nobody_elses(seed: int) -> None:
    random = Random(seed)
    described = some_site(random)
    ladder = Ladder(described, {})
    networks = {entry.name: entry for entry in described.networks}
    seen: set[str] = set()
    for machine in some_machines(random, described, ladder, range(1, random.randint(2, 20))):
        for key, text in machine.given.addresses:
            described_by = networks[key.removesuffix(IPV6)]
            cidr = described_by.cidr6 if key.endswith(IPV6) else described_by.cidr
            assert cidr is not None
            address = ip_interface(text).ip
            assert address in cidr
            assert address not in (cidr.network_address, cidr.broadcast_address)
            assert text not in special(described)
            assert text not in seen
            seen.add(text)


@LAWS
@given(SEEDS)
def test_a_machine_more_or_less_changes_nobody(seed: int) -> None:
    """Also when some are not planned now, and in whatever order they come and are kept."""
    random = Random(seed)
    described = some_site(random)
    ladder = Ladder(described, {})
    numbers: dict[str, int] = {}
    kept: dict[str, Allocation] = {}
    for machine in some_machines(random, described, ladder, range(1, 12)):
        numbers[machine.id] = machine.given.number
        kept[machine.id] = machine.given
    retired = {who for who in kept if random.random() < 0.2}
    left = [who for who in kept if who not in retired]
    random.shuffle(left)
    again = Ladder(described, {who: kept[who] for who in left})
    newcomers = [f"m-{number}" for number in range(50, 53)]
    asked = [who for who in left if random.random() < 0.7] + newcomers
    random.shuffle(asked)
    got = {who: again.number(who) for who in asked}
    assert all(got[who] == numbers[who] for who in asked if who in kept)
    fresh = [got[who] for who in newcomers]
    assert len({*fresh, *(numbers[who] for who in left)}) == len(fresh) + len(left)
    free = [number for number in range(1, 60) if number not in {numbers[who] for who in left}]
    assert sorted(fresh) == free[: len(fresh)], "the lowest free ones, also those of retired machines"
    for who in asked:
        addresses = again.addresses(who, got[who])
        assert who not in kept or addresses == kept[who].addresses


def names_of(host: HostNetwork) -> list[str]:
    found = [port.name for port in host.ports] + [bond.name for bond in host.bonds]
    return found + [vlan.name for vlan in host.vlans] + [bridge.name for bridge in host.bridges]


def mtu_of(host: HostNetwork) -> dict[str, int]:
    found = {port.name: port.mtu for port in host.ports} | {bond.name: bond.mtu for bond in host.bonds}
    return found | {vlan.name: vlan.mtu for vlan in host.vlans} | {bridge.name: bridge.mtu for bridge in host.bridges}


def check_host(described: Site, machine: Candidate, host: HostNetwork) -> None:
    names, mtu = names_of(host), mtu_of(host)
    assert len(set(names)) == len(names)
    assert all(0 < len(name) <= MAX_INTERFACE for name in names)
    assert [(port.mac, port.name) for port in host.ports] == list(machine.given.nics)
    roles = nic_roles(machine)
    assert all(port.role == roles[port.mac] for port in host.ports)
    bonded = [port for bond in host.bonds for port in bond.ports]
    assert len(set(bonded)) == len(bonded)
    for bond in host.bonds:
        assert len(bond.ports) >= 2 and (bond.mode, bond.lacp_rate) == ("802.3ad", "fast")
        assert all(mtu[port] >= bond.mtu for port in bond.ports)
    for vlan in host.vlans:
        assert vlan.raw in names and vlan.raw not in bonded and mtu[vlan.raw] >= vlan.mtu
    assert len({(vlan.raw, vlan.vlan) for vlan in host.vlans}) == len(host.vlans)
    ridden = {bridge.port: bridge.name for bridge in host.bridges}
    for bridge in host.bridges:
        assert bridge.vlan_aware and mtu[bridge.port] >= bridge.mtu
    taken: dict[str, set[str]] = {}
    networks = {entry.name: entry for entry in described.networks}
    for entry in host.addresses:
        assert entry.interface == "lo" or entry.interface in names
        assert entry.interface not in bonded and entry.interface not in ridden, "it would never be answered"
        if entry.interface == "lo":
            assert entry.address.endswith(("/32", "/128")) and not entry.gateway
        elif entry.network in networks:
            assert mtu[entry.interface] >= networks[entry.network].mtu
        taken.setdefault(entry.interface, set()).add(entry.network)
    assert all(len(found) == 1 for interface, found in taken.items() if interface != "lo")
    routed = {port.name for port in host.ports if port.user == "backbone"}
    assert not routed & {*bonded, *ridden, *(vlan.raw for vlan in host.vlans), *taken}
    gateways = [ip_interface(entry.gateway).version for entry in host.addresses if entry.gateway]
    assert len(set(gateways)) == len(gateways), "one default route of a family"


@LAWS
@given(SEEDS)
def test_host_networks_are_whole(seed: int) -> None:
    random = Random(seed)
    described = some_site(random)
    machines = some_machines(random, described, Ladder(described, {}), range(1, 6))
    layout, _ = plan_backbone(described, machines, None)
    wiring = Wiring(described, layout)
    shuffled = Wiring(replace(described, networks=described.networks[::-1]), layout)
    routers = []
    for machine in machines:
        host = wiring.network(machine)
        check_host(described, machine, host)
        assert shuffled.network(machine) == host
        said = {text.split("'")[1] for text in host.missing if "'" in text}
        said |= {name for text in host.missing for name in text.split("'")[3::2]}
        has = {entry.network for entry in host.addresses}
        for entry in described.networks:
            assert entry.name in has or entry.name in said or entry.plane is Plane.TENANT or not host.addresses
        if host.router_id:
            routers.append((host.router_id, host.loopback6, host.net, host.asn))
            assert layout is not None and machine.id in layout.members
            assert bool(host.net) == (layout.routing is Routing.OPENFABRIC) and bool(host.asn) == (
                layout.routing is Routing.BGP
            )
    assert all(len({entry[field] for entry in routers}) == len(routers) for field in (0, 1))
    assert len(set(routers)) == len(routers)


@LAWS
@given(SEEDS)
def test_the_backbone_is_whole_and_stands(seed: int) -> None:
    random = Random(seed)
    described = some_site(random)
    ladder = Ladder(described, {})
    machines = some_machines(random, described, ladder, range(1, 7))
    layout, waits = plan_backbone(described, machines, None)
    shuffled = random.sample(machines, len(machines))
    assert plan_backbone(described, shuffled, None) == (layout, waits)
    if layout is None:
        return
    check_backbone(described, layout, machines)
    kept = {machine.id: machine.given for machine in machines}
    again, told = plan_backbone(described, shuffled, layout, kept)
    assert again == layout
    assert {wait.text for wait in told} <= {wait.text for wait in waits}
    quiet = [silent(machine) for machine in machines]
    stood, _ = plan_backbone(described, quiet, layout, kept)
    assert stood is not None
    assert (stood.shape, stood.routing, stood.members) == (layout.shape, layout.routing, layout.members)
    expected = [cable for cable in layout.cables if cable.state.value != "unexpected"]
    assert list(stood.cables) == expected, "silence changes nothing"
    more = [*machines, *some_machines(random, described, ladder, range(20, 22))]
    grown, _ = plan_backbone(described, more, layout, kept)
    assert grown is not None
    assert set(grown.members) >= set(layout.members)
    assert (grown.shape, grown.routing, grown.loopbacks, grown.ula) == (
        layout.shape,
        layout.routing,
        layout.loopbacks,
        layout.ula,
    )
    before, after = Wiring(described, layout), Wiring(described, grown)
    for machine in machines:
        old, new = before.network(machine), after.network(machine)
        assert (new.loopback4, new.loopback6, new.net, new.asn) == (old.loopback4, old.loopback6, old.net, old.asn)


def silent(machine: Candidate) -> Candidate:
    """As after a reboot, before anybody was heard."""
    nics = tuple(replace(nic, neighbours=()) for nic in machine.inventory.nics)
    return replace(machine, inventory=replace(machine.inventory, nics=nics))


def check_backbone(described: Site, layout: BackboneLayout, machines: list[Candidate]) -> None:
    here = {machine.id: machine for machine in machines}
    assert set(layout.members) <= here.keys() and len(set(layout.members)) == len(layout.members)
    count = len(layout.members)
    pairs = {frozenset((cable.a, cable.b)) for cable in layout.cables if cable.state.value != "unexpected"}
    declared = bool(described.backbone and described.backbone.cables)
    if not declared:
        expected = {Shape.MESH: count * (count - 1) // 2, Shape.RING: count}.get(layout.shape, 0)
        assert len(pairs) == expected
    ends = [mac for cable in layout.cables if cable.state.value == "ok" for mac in (cable.a_mac, cable.b_mac) if mac]
    assert len(set(ends)) == len(ends), "a port has one cable"
    for cable in layout.cables:
        for who, port in ((cable.a, cable.a_mac), (cable.b, cable.b_mac)):
            if who in here and port:
                assert port in {nic.mac for nic in here[who].inventory.nics}
    assert (layout.routing is Routing.NONE) == (layout.shape is Shape.SWITCH)
