"""Whole sites for golden files: the text of a site file, and the machines that are seen. Each is one of the shapes that
people build, or one way in which a site is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.wire import Neighbour, ProbeFailure
from appliance.model.machine import Phase
from appliance.model.observed import ObservedMachine
from appliance.rehearsal import fleet
from appliance.rehearsal.faults import FOREIGN, OLD_OSD
from appliance.rehearsal.fleet import ARM_STORAGE, EPYC, EPYC_HDD, GENERIC, PI5, Hardware

KEY = "ssh_keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8f0v3FQ1m3p5Y1y0Wc0vKqkP0h8N0o8m8N7b5xGQ1p ops]"
ANY = "approve: [{any: true}]"
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """``text`` is the site file. With ``before`` the plan of that site and those machines was accepted and carried out
    first (``again``: what is seen afterwards)."""

    text: str
    machines: tuple[ObservedMachine, ...]
    before: tuple[str, tuple[ObservedMachine, ...]] | None = None
    again: Callable[[tuple[ObservedMachine, ...]], tuple[ObservedMachine, ...]] | None = None


def site(*lines: str, net: str = "10.10.0.0/24") -> str:
    return "\n".join(("site: golden", "networks:", f"  provisioning: {{cidr: {net}}}", *lines, ANY, KEY)) + "\n"


def several(count: int, hardware: Hardware = EPYC, first: int = 1, **facts: object) -> tuple[ObservedMachine, ...]:
    return tuple(fleet.machine(number, hardware, **facts) for number in range(first, first + count))


def named(hardware: Sequence[Hardware], places: Sequence[str] = ()) -> tuple[list[str], tuple[ObservedMachine, ...]]:
    """``machines:`` lines and machines, n1 …; ``places`` are racks, taken in turns of equal size."""
    from appliance.rehearsal.fleetparts import serial  # noqa: PLC0415

    lines, machines = ["machines:"], []
    for index, kind in enumerate(hardware):
        number = index + 1
        rack = places[index * len(places) // len(hardware)] if places else ""
        where = f", rack: {rack}, unit: {index % (-(-len(hardware) // len(places))) * 2 + 1}" if rack else ""
        lines.append(f"  n{number}: {{serial: {serial(kind, number)}{where}}}")
        machines.append(fleet.machine(number, kind, expected=f"n{number}"))
    return lines, tuple(machines)


PLANES = (
    "  management: {cidr: 10.10.1.0/24, vlan: 11}",
    "  corosync-0: {cidr: 10.10.2.0/24, vlan: 12}",
    "  corosync-1: {cidr: 10.10.3.0/24, vlan: 13}",
    "  storage-public: {cidr: 10.10.4.0/24, vlan: 14, mtu: 9000, carrier: bond}",
    "  storage-cluster: {cidr: 10.10.5.0/24, vlan: 15, mtu: 9000, carrier: bond}",
)


def heard(machine: ObservedMachine, links: dict[int, tuple[ObservedMachine, int]]) -> ObservedMachine:
    """The machine with LLDP neighbours: index of its port → the other machine and the index of that one's port."""
    nics = tuple(
        replace(nic, neighbours=(_neighbour(*links[index]),)) if index in links else nic
        for index, nic in enumerate(machine.inventory.nics)
    )
    return replace(machine, inventory=replace(machine.inventory, nics=nics))


def _neighbour(other: ObservedMachine, index: int) -> Neighbour:
    nic = other.inventory.nics[index]
    return Neighbour(chassis=other.inventory.nics[0].mac, port=nic.mac, system="")


def content(machine: ObservedMachine, index: int, found: object, **facts: object) -> ObservedMachine:
    """The machine with another content (and facts) of one disk."""
    disks = list(machine.inventory.disks)
    disks[index] = replace(disks[index], content=found or disks[index].content, **facts)
    return replace(machine, inventory=replace(machine.inventory, disks=tuple(disks)))


# ---------------------------------------------------------------- shapes


def one_node() -> Scene:
    return Scene(text=site("clusters: {solo: }"), machines=several(1, GENERIC))


def two_nodes_and_an_arbiter() -> Scene:
    return Scene(text=site("expect: {epyc-compute: 2}", "clusters: {pair: }"), machines=several(2))


def three_node_mesh_with_a_pi() -> Scene:
    lines = (
        "  storage-public: {cidr: 10.10.4.0/24, carrier: mesh}",
        "expect: {epyc-compute: 3, raspberry-pi-5: 1}",
        "clusters: {edge: {arbiter: raspberry-pi-5}}",
        "ceph: {pools: {vms: block}}",
    )
    a, b, c = several(3)
    ring = (
        heard(a, {2: (b, 3), 3: (c, 2)}),
        heard(b, {2: (c, 3), 3: (a, 2)}),
        heard(c, {2: (a, 3), 3: (b, 2)}),
    )
    return Scene(text=site(*lines), machines=(*ring, fleet.machine(9, PI5)))


def five_node_ring() -> Scene:
    machines = several(5)
    ring = tuple(
        heard(one, {2: (machines[(index + 1) % 5], 3), 3: (machines[index - 1], 2)})
        for index, one in enumerate(machines)
    )
    lines = (
        "  storage-public: {cidr: 10.10.4.0/24, carrier: ring}",
        "expect: {epyc-compute: 5}",
        "clusters: {ring: }",
        "ceph: {pools: {vms: block}}",
    )
    return Scene(text=site(*lines), machines=ring)


RACKS4 = "racks: {r1: {power: [a, b]}, r2: {power: [a, b]}, r3: {power: [a, b]}, r4: {power: [a, b]}}"


def eight_hosts_in_four_racks() -> Scene:
    lines, machines = named([EPYC] * 8, ("r1", "r2", "r3", "r4"))
    text = site(*PLANES, RACKS4, *lines, "clusters: {pve: }", "ceph: {pools: {vms: block}}")
    return Scene(text=text, machines=machines)


def eight_hosts_without_racks() -> Scene:
    text = site("expect: {epyc-compute: 8}", "clusters: {pve: }", "ceph: ")
    return Scene(text=text, machines=several(8))


ZONES3 = (
    "racks:",
    "  a1: {datacenter: dc-a, zone: az-a, power: [a, b]}",
    "  b1: {datacenter: dc-b, zone: az-b, power: [a, b]}",
    "  c1: {datacenter: dc-c, zone: az-c, power: [a, b]}",
)


def three_zones() -> Scene:
    lines, machines = named([EPYC] * 12, ("a1", "b1", "c1"))
    pools = "ceph: {pools: {vms: block, shares: file, objects: {service: object, erasure: auto}}}"
    return Scene(text=site(*PLANES, *ZONES3, *lines, "clusters: {pve: }", pools), machines=machines)


def forty_nodes_make_two_clusters() -> Scene:
    lines, machines = named([EPYC.with_data(2)] * 40, ("r1", "r2", "r3", "r4"))
    text = site(*PLANES, RACKS4, *lines, "clusters: {pve: }", "ceph: {pools: {vms: block}}")
    return Scene(text=text, machines=machines)


def epyc_arm_and_pi() -> Scene:
    lines = (
        *PLANES,
        "expect: {epyc-compute: 3, arm-storage: 5, raspberry-pi-5: 1}",
        "clusters: {pve: {profiles: epyc-compute}}",
        "ceph:",
        "  profiles: arm-storage",
        "  osds: {spinning: {data: {rotational: true}, db: {rotational: false}}}",
        "  pools: {vms: block, shares: file}",
    )
    machines = (*several(3), *several(5, ARM_STORAGE, 11), fleet.machine(21, PI5))
    return Scene(text=site(*lines), machines=machines)


def erasure_coded_objects() -> Scene:
    lines = (
        "expect: {arm-storage: 8}",
        "ceph:",
        "  osds: {spinning: {data: {rotational: true}, db: {rotational: false}}}",
        "  pools: {objects: {service: object, erasure: {k: 4, m: 2}}}",
    )
    return Scene(text=site(*lines), machines=several(8, ARM_STORAGE))


def stretch_over_two_datacenters() -> Scene:
    racks = "racks: {a1: {datacenter: dc-a}, a2: {datacenter: dc-a}, b1: {datacenter: dc-b}, b2: {datacenter: dc-b}}"
    lines, machines = named([EPYC] * 8, ("a1", "a2", "b1", "b2"))
    ceph = "ceph: {stretch: true, tiebreaker: appliance, pools: {vms: block}}"
    return Scene(text=site(*PLANES, racks, *lines, "clusters: {pve: }", ceph), machines=machines)


TWO_HALLS = "racks: {a1: {datacenter: dc-a}, b1: {datacenter: dc-b}}"
THREE_HALLS = "racks: {a1: {datacenter: dc-a}, b1: {datacenter: dc-b}, c1: {datacenter: dc-c}}"


def stretch_with_the_appliance_between() -> Scene:
    lines, machines = named([EPYC] * 4, ("a1", "b1"))
    ceph = "ceph: {stretch: true, tiebreaker: appliance, pools: {vms: block}}"
    return Scene(text=site(*PLANES, TWO_HALLS, *lines, ceph), machines=machines)


def stretch_with_a_machine_between() -> Scene:
    return _between(GENERIC)


def stretch_with_a_pi_between() -> Scene:
    return _between(PI5)


def _between(hardware: Hardware) -> Scene:
    """A fifth machine, in a hall of its own, breaks ties."""
    lines, machines = named([EPYC] * 4, ("a1", "b1"))
    extra, others = named([*[EPYC] * 4, hardware], ("a1", "b1", "c1"))
    ceph = "ceph: {profiles: epyc-compute, stretch: true, tiebreaker: n5, pools: {vms: block}}"
    return Scene(text=site(*PLANES, THREE_HALLS, *lines, extra[5], ceph), machines=(*machines, others[4]))


def spinning_disks_with_databases() -> Scene:
    lines = (
        *PLANES,
        "expect: {epyc-compute: 4}",
        "clusters: {pve: }",
        "ceph:",
        "  osds: {spinning: {data: {rotational: true}, db: {model: SSDPE2KE}}}",
        "  pools: {vms: {service: block, device_class: hdd}}",
    )
    return Scene(text=site(*lines), machines=several(4, EPYC_HDD.with_memory(512 * GIB)))


def encrypted_and_split_nvme() -> Scene:
    ceph = "ceph: {encrypted: true, osds: {fast: {osds_per_device: 2}}, pools: {vms: block}}"
    text = site(*PLANES, "expect: {epyc-compute: 4}", "clusters: {pve: }", ceph)
    return Scene(text=text, machines=several(4, EPYC.with_memory(512 * GIB)))


def two_stacks() -> Scene:
    lines = (
        "  management: {cidr: 10.10.1.0/24, cidr6: 'fd00:10:1::/64', vlan: 11, gateway: 10.10.1.1}",
        "  corosync-0: {cidr: 10.10.2.0/24, vlan: 12}",
        "  storage-public: {cidr6: 'fd00:10:4::/64', vlan: 14, mtu: 9000, carrier: bond}",
        "  guests: {plane: tenant, vlan: 100, cidr: 10.20.0.0/16}",
        "expect: {epyc-compute: 3}",
        "clusters: {pve: }",
    )
    return Scene(text=site(*lines), machines=several(3))


def only_networks() -> Scene:
    lines, machines = named([GENERIC] * 2)
    return Scene(text=site("  management: {cidr: 10.10.1.0/24, vlan: 11}", *lines), machines=machines)


# ---------------------------------------------------------------- afterwards


def carried_out() -> Scene:
    text = site(*PLANES, "expect: {epyc-compute: 4}", "clusters: {pve: }", "ceph: {pools: {vms: block}}")
    return Scene(text=text, machines=several(4), before=(text, several(4)))


def a_ninth_machine() -> Scene:
    text = site(*PLANES, "clusters: {pve: }", "ceph: {pools: {vms: block}}")
    return Scene(text=text, machines=(), before=(text, several(8)), again=lambda seen: (*seen, fleet.machine(9, EPYC)))


def a_disk_was_replaced() -> Scene:
    text = site("clusters: {pve: }", "ceph: {pools: {vms: block}}")

    def swap(seen: tuple[ObservedMachine, ...]) -> tuple[ObservedMachine, ...]:
        return (content(seen[0], 2, None, serial="REPLACED0001", wwn="eui.8ce38ee00000ffff"), *seen[1:])

    return Scene(text=text, machines=(), before=(text, several(4)), again=swap)


def a_machine_was_retired() -> Scene:
    text = site("clusters: {pve: }", "ceph: {pools: {vms: block}}")

    def retire(seen: tuple[ObservedMachine, ...]) -> tuple[ObservedMachine, ...]:
        last = seen[-1]
        return (*seen[:-1], replace(last, machine=replace(last.machine, phase=Phase.RETIRED)))

    return Scene(text=text, machines=(), before=(text, several(5)), again=retire)


def a_pool_was_added() -> Scene:
    before = site("clusters: {pve: }", "ceph: {pools: {vms: block}}")
    after = site("clusters: {pve: }", "ceph: {pools: {vms: block, shares: file}}")
    return Scene(text=after, machines=(), before=(before, several(4)), again=lambda seen: seen)


def a_probe_failed() -> Scene:
    """The agent of one machine could not list its disks."""
    text = site("clusters: {pve: }", "ceph: {pools: {vms: block}}")
    failed = ProbeFailure(probe="disks", message="lsblk: timed out after 30 s")

    def fail(seen: tuple[ObservedMachine, ...]) -> tuple[ObservedMachine, ...]:
        first = seen[0]
        return (replace(first, inventory=replace(first.inventory, disks=(), failures=(failed,))), *seen[1:])

    return Scene(text=text, machines=(), before=(text, several(4)), again=fail)


def a_machine_is_not_known_any_more() -> Scene:
    """It came back with another key, and nobody has approved it yet."""
    text = site("clusters: {pve: }", "ceph: {pools: {vms: block}}")

    def forget(seen: tuple[ObservedMachine, ...]) -> tuple[ObservedMachine, ...]:
        last = seen[-1]
        return (*seen[:-1], replace(last, machine=replace(last.machine, phase=Phase.ENROLLED), inventory=None))

    return Scene(text=text, machines=(), before=(text, several(4)), again=forget)


def ceph_chooses_nobody_any_more() -> Scene:
    """A slip in the site file: a profile that no machine has."""
    before = site("clusters: {pve: }", "ceph: {pools: {vms: block}}")
    after = site("clusters: {pve: }", "ceph: {profiles: [arm-storage], pools: {vms: block}}")
    return Scene(text=after, machines=(), before=(before, several(4)), again=lambda seen: seen)


def ceph_was_taken_out() -> Scene:
    """On purpose: the only way in which the layout is given up."""
    before = site("clusters: {pve: }", "ceph: {pools: {vms: block}}")
    return Scene(text=site("clusters: {pve: }"), machines=(), before=(before, several(4)), again=lambda seen: seen)


# ---------------------------------------------------------------- refusals


def members_are_missing() -> Scene:
    text = site("expect: {epyc-compute: 8}", "clusters: {pve: }", "ceph: ")
    return Scene(text=text, machines=several(5))


def two_nodes_without_an_arbiter() -> Scene:
    return Scene(text=site("clusters: {pair: {arbiter: none}}"), machines=several(2))


def too_few_hosts_for_the_copies() -> Scene:
    return Scene(text=site("clusters: {pair: }", "ceph: {pools: {vms: block}}"), machines=several(2))


def too_little_memory_for_the_osds() -> Scene:
    machines = several(3, EPYC.with_memory(32 * GIB))
    return Scene(text=site("clusters: {pve: }", "ceph: {pools: {vms: block}}"), machines=machines)


def foreign_and_protected_disks() -> Scene:
    a, b, c = several(3)
    machines = (content(content(a, 2, FOREIGN), 3, OLD_OSD), content(b, 2, OLD_OSD), c)
    granted = b.inventory.disks[2].serial
    protected = c.inventory.disks[4].serial
    text = site(
        f"erase: [{{serial: {granted}, reason: OSD of the old cluster}}]",
        f"protect: [{protected}]",
        "clusters: {pve: }",
        "ceph: {pools: {vms: block}}",
    )
    return Scene(text=text, machines=machines)


def disks_that_are_no_osds() -> Scene:
    a, b, c = several(3)
    a = content(
        content(content(a, 2, None, transport="usb", removable=True), 3, None, read_only=True), 4, None, size=4 * 10**9
    )
    b = content(
        content(b, 2, None, serial="", wwn=""),
        3,
        None,
        serial=b.inventory.disks[4].serial,
        wwn=b.inventory.disks[4].wwn,
    )
    return Scene(text=site("clusters: {pve: }", "ceph: {pools: {vms: block}}"), machines=(a, b, c))


def unequal_racks() -> Scene:
    lines, machines = named([EPYC] * 11)
    racks = "racks: {r1: , r2: , r3: }"
    places = ["r1"] * 5 + ["r2"] * 5 + ["r3"]
    lines = [
        lines[0],
        *(line.replace("}", f", rack: {place}}}") for line, place in zip(lines[1:], places, strict=True)),
    ]
    text = site(*PLANES, racks, *lines, "clusters: {pve: }", "ceph: {pools: {vms: block}}")
    return Scene(text=text, machines=machines)


def a_class_without_disks() -> Scene:
    text = site("clusters: {pve: }", "ceph: {pools: {cold: {service: block, device_class: hdd}}}")
    return Scene(text=text, machines=several(4))


def no_disk_for_ceph() -> Scene:
    return Scene(text=site("ceph: {pools: {vms: block}}"), machines=several(3, EPYC.with_data(0)))


def swapped_cables() -> Scene:
    a, b, c = several(3)
    machines = (
        heard(a, {2: (b, 3), 3: (c, 3)}),
        heard(b, {2: (c, 2), 3: (a, 2)}),
        heard(c, {2: (b, 2), 3: (a, 3)}),
    )
    lines, _ = named([EPYC] * 3)
    text = site(
        "  storage-public: {cidr: 10.10.4.0/24, carrier: mesh}",
        *lines,
        "clusters: {edge: }",
        "backbone:",
        "  shape: mesh",
        "  cables:",
        f"    - n1:{a.inventory.nics[2].mac} -- n2:{b.inventory.nics[3].mac}",
        f"    - n2:{b.inventory.nics[2].mac} -- n3:{c.inventory.nics[3].mac}",
        f"    - n3:{c.inventory.nics[2].mac} -- n1:{a.inventory.nics[3].mac}",
    )
    return Scene(text=text, machines=tuple(replace(m, expected=f"n{i}") for i, m in enumerate(machines, 1)))


def ports_are_missing() -> Scene:
    a, b, c = several(3)
    machines = tuple(replace(one, inventory=replace(one.inventory, nics=one.inventory.nics[:1])) for one in (a, b))
    return Scene(text=site(*PLANES, "clusters: {pve: }"), machines=(*machines, c))


def tier_four_is_wanted() -> Scene:
    lines, machines = named([EPYC] * 4, ("r1",))
    text = site(*PLANES, "availability: IV", "racks: {r1: {power: [a]}}", *lines, "clusters: {pve: }", "ceph: ")
    return Scene(text=text, machines=machines)


def addresses_are_too_few() -> Scene:
    text = site("  storage-public: {cidr: 10.10.4.0/30}", "clusters: {pve: }")
    return Scene(text=text, machines=several(4))


SCENES: tuple[Callable[[], Scene], ...] = (
    one_node,
    two_nodes_and_an_arbiter,
    three_node_mesh_with_a_pi,
    five_node_ring,
    eight_hosts_in_four_racks,
    eight_hosts_without_racks,
    three_zones,
    forty_nodes_make_two_clusters,
    epyc_arm_and_pi,
    erasure_coded_objects,
    stretch_over_two_datacenters,
    stretch_with_the_appliance_between,
    stretch_with_a_machine_between,
    stretch_with_a_pi_between,
    spinning_disks_with_databases,
    encrypted_and_split_nvme,
    two_stacks,
    only_networks,
    carried_out,
    a_ninth_machine,
    a_disk_was_replaced,
    a_machine_was_retired,
    a_pool_was_added,
    a_probe_failed,
    a_machine_is_not_known_any_more,
    ceph_chooses_nobody_any_more,
    ceph_was_taken_out,
    members_are_missing,
    two_nodes_without_an_arbiter,
    too_few_hosts_for_the_copies,
    too_little_memory_for_the_osds,
    foreign_and_protected_disks,
    disks_that_are_no_osds,
    unequal_racks,
    a_class_without_disks,
    no_disk_for_ceph,
    swapped_cables,
    ports_are_missing,
    tier_four_is_wanted,
    addresses_are_too_few,
)
