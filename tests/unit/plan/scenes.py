"""Sites with a layout, made by hand: what the planner is to make of them is in the other tests; here it is only shown.

``eight``: hyperconverged, 8 nodes in 4 racks, Proxmox and Ceph on NVMe with a few HDDs behind a DB device.
``mesh``: three nodes without racks, full mesh, with a Raspberry Pi as arbiter. ``forty``: 40 nodes in 4 racks, 2 clusters.
``plain``: three machines to install and no layout.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from agent.wire import Board, Disk, Nic
from appliance.model.availability import Availability, Gap, ServiceAvailability, Tier
from appliance.model.ceph import (
    Bucket,
    Capacity,
    CephLayout,
    DiskRef,
    OsdBudget,
    OsdLayout,
    PoolLayout,
    RuleLayout,
    Service,
    ServiceLayout,
    Throughput,
)
from appliance.model.cluster import ClusterKind, ClusterLayout
from appliance.model.machine import Phase
from appliance.model.network import (
    AddressLayout,
    BackboneLayout,
    BondLayout,
    BridgeLayout,
    CableLayout,
    CableState,
    Carrier,
    HostNetwork,
    Network,
    Plane,
    PortLayout,
    Routing,
    Shape,
    VlanLayout,
)
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.place import Level, Place, Rack
from appliance.model.plan import Desired, DiskChoice, DiskFate, NodeLayout, Plan, Wait, WaitReason
from appliance.model.site import ExpectedMachine, ProvisioningNetwork, Site
from appliance.plan.disks.choice import disk_choice
from tests.unit.plan.conftest import BLANK, Workshop

TB = 10**12
GIB = 1 << 30
NAMESPACE = uuid.UUID("0b6fb24c-6d5a-4d0f-9d2c-2b1f4f0a7c11")


@dataclass(slots=True, kw_only=True)
class Scene:
    """One site, what was observed of it, the plan, and the layout that stood before (None: nothing)."""

    site: Site
    observed: Observed
    plan: Plan
    before: Desired | None = None
    extra: dict[str, str] = field(default_factory=dict)


def provisioning() -> ProvisioningNetwork:
    return ProvisioningNetwork(
        cidr=IPv4Network("10.1.0.0/24"),
        appliance=IPv4Address("10.1.0.1"),
        first=IPv4Address("10.1.0.200"),
        last=IPv4Address("10.1.0.254"),
    )


def reference(disk: Disk) -> DiskRef:
    return DiskRef(
        serial=disk.serial, wwn=disk.wwn, model=disk.model, size=disk.size, fingerprint=disk.content.fingerprint()
    )


def choice(machine: ObservedMachine, disk: Disk, fate: DiskFate, role: str, why: str) -> DiskChoice:
    return disk_choice(machine.machine.id, disk, fate, role, why)


def osds_of(machine: ObservedMachine, first: int) -> list[OsdLayout]:
    """One OSD per NVMe disk; HDDs get a slot on the smallest NVMe disk."""
    disks = machine.inventory.disks[1:] if machine.inventory else ()
    db = next((disk for disk in disks if disk.model.startswith("INTEL")), None)
    made: list[OsdLayout] = []
    for disk in disks:
        if disk is db or disk.removable:
            continue
        slow = disk.rotational
        made.append(
            OsdLayout(
                number=first + len(made),
                machine=machine.machine.id,
                data=reference(disk),
                data_size=disk.size,
                device_class="hdd" if slow else "nvme",
                db=reference(db) if db and slow else None,
                db_size=300 * 10**9 if db and slow else 0,
                slot=sum(1 for osd in made if osd.db) if slow else 0,
                group="default",
            )
        )
    return made


def buckets(nodes: Iterable[NodeLayout], osds: Iterable[OsdLayout]) -> tuple[Bucket, ...]:
    """root → zones → racks → hosts → OSDs, as far as places are known; the root first, as the planner does."""
    of_host: dict[str, list[str]] = {}
    for osd in osds:
        of_host.setdefault(osd.machine, []).append(f"osd.{osd.number}")
    hosts = [node for node in nodes if node.machine in of_host]
    made = [Bucket(name=node.name, level="host", items=tuple(of_host[node.machine])) for node in hosts]
    racks: dict[str, list[str]] = {}
    for node in hosts:
        racks.setdefault(node.place.rack, []).append(node.name)
    zones = {node.place.rack: node.place.zone for node in hosts}
    top: list[str] = list(racks.pop("", []))
    made += [Bucket(name=name, level="rack", items=tuple(items)) for name, items in racks.items()]
    by_zone: dict[str, list[str]] = {}
    for rack in racks:
        by_zone.setdefault(zones[rack], []).append(rack)
    top += by_zone.pop("", [])
    made += [Bucket(name=name, level="zone", items=tuple(items)) for name, items in by_zone.items()]
    return (Bucket(name="default", level="root", items=(*top, *by_zone)), *reversed(made))


def big_network(number: int, ports: tuple[Nic, ...]) -> HostNetwork:
    names = [f"nic{index}" for index in range(len(ports))]
    users = ("vmbr0", "corosync0", "bond0", "bond0")
    return HostNetwork(
        ports=tuple(
            PortLayout(mac=nic.mac, name=name, role="storage" if user == "bond0" else "", user=user)
            for nic, name, user in zip(ports, names, users, strict=False)
        ),
        bonds=(BondLayout(name="bond0", ports=("nic2", "nic3"), mode="802.3ad", lacp_rate="fast", mtu=9000),),
        vlans=(VlanLayout(name="bond0.31", raw="bond0", vlan=31, mtu=9000),),
        bridges=(BridgeLayout(name="vmbr0", port="nic0"),),
        addresses=(
            AddressLayout(
                network="provisioning", plane=Plane.PROVISIONING, interface="vmbr0", address=f"10.1.0.{10 + number}/24"
            ),
            AddressLayout(
                network="corosync0", plane=Plane.COROSYNC, interface="nic1", address=f"10.1.20.{10 + number}/24"
            ),
            AddressLayout(
                network="storage", plane=Plane.STORAGE_PUBLIC, interface="bond0", address=f"10.1.30.{10 + number}/24"
            ),
            AddressLayout(
                network="replication",
                plane=Plane.STORAGE_CLUSTER,
                interface="bond0.31",
                address=f"10.1.31.{10 + number}/24",
            ),
        ),
    )


def big_machine(w: Workshop, number: int, **facts: object) -> ObservedMachine:
    """An EPYC server: boot SSD, four NVMe, and on every fourth machine four HDDs with an NVMe for their DB."""
    disks = [w.disk(f"BOOT{number:02}", 480)]
    nvme = {"transport": "nvme", "model": "Micron_9300", "path": "/dev/nvme0n1"}
    disks += [w.disk(f"NV{number:02}{letter}", 3840, wwn=f"eui.{number:04x}{letter}", **nvme) for letter in "ABCD"]
    if number % 4 == 0:
        disks += [w.disk(f"HD{number:02}{k}", 16000, rotational=True, model="ST16000NM") for k in "ABCD"]
        disks.append(w.disk(f"DB{number:02}", 1600, transport="nvme", model="INTEL SSDPE2KE016"))
    if number == 2:
        disks.append(w.disk("STICK", 32, transport="usb", removable=True, content=w.foreign))
    mac = f"3c:ec:ef:01:{number:02x}"
    nics = tuple(
        Nic(name=f"eth{k}", mac=f"{mac}:{k:02x}", bus_path=f"0000:{0x41 + k:02x}:00.0", driver="ice") for k in range(4)
    )
    known = {"nics": nics, "boot_mac": nics[0].mac, **facts}
    return w.machine(number, *disks, **known)  # type: ignore[arg-type]


def pools(domain: Level, domains: int) -> tuple[PoolLayout, ...]:
    vms = PoolLayout(
        name="vms",
        service=Service.BLOCK,
        application="rbd",
        rule="replicated_nvme",
        root="default",
        device_class="nvme",
        size=3,
        min_size=2,
        domain=domain,
        domains=domains,
        pg_num=1024,
        share=0.7,
        heals=domains > 3,
    )
    archive = replace(
        vms, name="archive", service=Service.OBJECT, application="rgw", rule="replicated_hdd", device_class="hdd"
    )
    return vms, replace(archive, pg_num=64, share=1.0, heals=False, domain=Level.HOST, domains=2, size=2, min_size=1)


def ceph_of(nodes: list[NodeLayout], machines: list[ObservedMachine], *, racks: int) -> CephLayout:
    osds: list[OsdLayout] = []
    for machine in machines:
        osds += osds_of(machine, len(osds))
    ids = tuple(machine.machine.id for machine in machines)
    domain, domains = (Level.RACK, racks) if racks else (Level.HOST, len(nodes))
    made = pools(domain, domains)
    if not any(osd.device_class == "hdd" for osd in osds):
        made = made[:1]
    raw = sum(osd.data_size for osd in osds if osd.device_class == "nvme")
    places = {node.machine: node.place.rack for node in nodes}
    spread = sorted({places[who]: who for who in reversed(ids)}.values()) if racks else list(ids)
    return CephLayout(
        name="ceph",
        fsid=str(uuid.uuid5(NAMESPACE, "ceph")),
        members=ids,
        public="storage",
        cluster="replication",
        hyperconverged=True,
        services=tuple(
            ServiceLayout(kind=kind, machine=who, bucket=places[who])
            for kind, number in (("mon", 3), ("mgr", 2), ("mds", 2))
            for who in spread[:number]
        ),
        osds=tuple(osds),
        budgets=tuple(
            OsdBudget(
                machine=who,
                osds=sum(1 for osd in osds if osd.machine == who),
                memory=256 * GIB,
                memory_target=6 * GIB,
                memory_needed=51 * GIB,
                threads=32,
                threads_needed=16,
                hyperconverged=True,
                fits=True,
                text=f"{sum(1 for osd in osds if osd.machine == who)} OSDs with 6 GiB each of 256 GiB (at most 20 %)",
            )
            for who in ids
        ),
        buckets=buckets(nodes, osds),
        rules=tuple(
            RuleLayout(
                number=number,
                name=pool.rule,
                erasure=False,
                steps=(
                    f"step take default class {pool.device_class}",
                    f"step chooseleaf firstn 0 type {pool.domain}",
                    "step emit",
                ),
            )
            for number, pool in enumerate(made)
        ),
        pools=made,
        capacity=(
            Capacity(
                pool="vms",
                raw=raw,
                usable=raw // 3,
                nearfull=int(raw / 3 * 0.77),
                healable=int(raw / 3 * 0.58) if domains > 3 else None,
                level=domain,
                recovery_hours=2.2 if domains > 3 else None,
            ),
        ),
        throughput=(
            Throughput(
                pool="vms",
                write_bound=6_250_000_000,
                write_expected=4_100_000_000,
                read_bound=18_700_000_000,
                read_expected=11_000_000_000,
                limit="25 Gb/s of network for each host",
            ),
        ),
    )


def finish(desired: Desired, machines: list[ObservedMachine], plan: Plan, waits: tuple[Wait, ...] = ()) -> Plan:
    """The planner's plan with this layout: the disks of its OSDs are assigned."""
    osds = desired.ceph.osds if desired.ceph else ()
    data = {(osd.machine, osd.data.serial) for osd in osds}
    db = {(osd.machine, osd.db.serial) for osd in osds if osd.db}
    disks: list[DiskChoice] = []
    erased = {(entry.machine, entry.serial): entry for entry in plan.disks if entry.fate is DiskFate.ERASE}
    for machine in machines:
        for disk in machine.inventory.disks if machine.inventory else ():
            key = machine.machine.id, disk.serial
            if key in erased:
                disks.append(erased[key])
            elif key in data:
                why = "fits the role osd (nvme, from 1 TB); it is blank"
                disks.append(choice(machine, disk, DiskFate.ASSIGN, "osd", why))
            elif key in db:
                disks.append(choice(machine, disk, DiskFate.ASSIGN, "db", "the fast device for 4 spinning disks"))
            else:
                disks.append(choice(machine, disk, DiskFate.KEEP, "", "removable"))
    numbers = {node.machine: node.number for node in desired.nodes}
    return replace(
        plan,
        hash=hashlib.sha256(f"{len(machines)} machines".encode()).hexdigest(),
        desired=desired,
        disks=tuple(disks),
        waits=(*plan.waits, *waits),
        allocations=tuple(replace(given, number=numbers.get(given.machine, 0)) for given in plan.allocations),
    )


def eight(w: Workshop, *, phase: Phase = Phase.READY, count: int = 8) -> Scene:
    """8 nodes in 4 racks of 2 zones."""
    racks = tuple(
        Rack(name=f"r{k}", row="a", datacenter="dc1", zone=f"z{(k + 1) // 2}", units=24, switches=(f"leaf{k}",))
        for k in range(1, 5)
    )
    machines = [big_machine(w, number, phase=phase) for number in range(1, count + 1)]
    nodes = []
    for number, machine in enumerate(machines, 1):
        rack = racks[(number - 1) % 4]
        place = Place(zone=rack.zone, datacenter="dc1", row="a", rack=rack.name, unit=2 + 2 * ((number - 1) // 4))
        nics = machine.inventory.nics if machine.inventory else ()
        nodes.append(
            NodeLayout(
                machine=machine.machine.id,
                name=f"n{number}",
                number=number,
                profile="epyc-compute",
                place=place,
                cluster="pve1",
                network=big_network(number, nics),
            )
        )
    site = Site(
        name="yard",
        domain="yard.example",
        provisioning=provisioning(),
        machines=tuple(ExpectedMachine(name=node.name, serial=f"SN{node.number}") for node in nodes),
        racks=racks,
        networks=(
            Network(name="corosync0", plane=Plane.COROSYNC, cidr=IPv4Network("10.1.20.0/24"), link=0),
            Network(name="storage", plane=Plane.STORAGE_PUBLIC, cidr=IPv4Network("10.1.30.0/24"), carrier=Carrier.BOND),
        ),
    )
    even = count % 2 == 0
    cluster = ClusterLayout(
        name="pve1",
        spec="pve1",
        kind=ClusterKind.PROXMOX,
        members=tuple(node.machine for node in nodes),
        arbiter="appliance" if even else "",
        votes=count + even,
        quorum=(count + even) // 2 + 1,
        tolerates=count // 2 if even else (count - 1) // 2,
        links=("corosync0", "provisioning"),
        frozen="2026-11-01",
    )
    desired = Desired(
        nodes=tuple(nodes),
        clusters=(cluster,),
        ceph=ceph_of(nodes, machines, racks=4),
        backbone=BackboneLayout(
            shape=Shape.SWITCH,
            routing=Routing.NONE,
            bfd=False,
            members=tuple(node.machine for node in nodes),
            why="bonded ports to switches were heard by LLDP",
        ),
        availability=Availability(
            wanted=Tier.III,
            reached=Tier.II,
            services=(
                ServiceAvailability(service="vms", survives="rack", heals=True, text="3 copies in 3 of 4 racks"),
                ServiceAvailability(service="pve1", survives="host", heals=False, text="5 of 9 votes"),
            ),
            gaps=(Gap(tier=Tier.III, about="power", text="racks r1 to r4 have one feed; name a second one"),),
        ),
    )
    observed = w.observed(*machines)
    made = w.plan(site, *machines)
    return Scene(site=site, observed=observed, plan=finish(desired, machines, made))


def pi(w: Workshop, number: int) -> ObservedMachine:
    """A Raspberry Pi 5, which is planned but not installed by this version."""
    board = Board(vendor="Raspberry Pi", model="Raspberry Pi 5 Model B", system_serial=f"SN{number}")
    disk = w.disk("PISSD1", 256, transport="nvme", model="", content=BLANK)
    nic = Nic(name="eth0", mac="2c:cf:67:00:00:04", driver="macb", bus_path="platform-1f00100000.ethernet")
    return w.machine(
        number, disk, architecture="aarch64", board=board, nics=(nic,), boot_mac=nic.mac, expected=f"n{number}"
    )


def mesh(w: Workshop) -> Scene:
    """Three nodes without racks in a full mesh, a Raspberry Pi as arbiter; one cable was never heard."""
    machines = [big_machine(w, number) for number in (1, 2, 3)]
    nodes = []
    for number, machine in enumerate(machines, 1):
        nics = machine.inventory.nics if machine.inventory else ()
        network = HostNetwork(
            ports=tuple(PortLayout(mac=nic.mac, name=f"nic{k}", role="backbone") for k, nic in enumerate(nics)),
            addresses=(
                AddressLayout(
                    network="provisioning",
                    plane=Plane.PROVISIONING,
                    interface="nic0",
                    address=f"10.1.0.{10 + number}/24",
                    gateway="10.1.0.1",
                ),
            ),
            loopback4=f"10.1.255.{number}/32",
            loopback6=f"fd00:1::{number}/128",
            router_id=f"10.1.255.{number}",
            net=f"49.0001.0100.0125.500{number}.00",
            missing=("only 1 of 2 ports for the role backbone has a link",) if number == 3 else (),
        )
        nodes.append(
            NodeLayout(
                machine=machine.machine.id,
                name=f"n{number}",
                number=number,
                profile="epyc-compute",
                place=Place(),
                cluster="edge",
                network=network,
            )
        )
    arbiter = NodeLayout(machine="m-4", name="n4", number=4, profile="raspberry-pi-5", place=Place())
    site = Site(
        name="edge-1",
        domain="edge.example",
        provisioning=provisioning(),
        machines=tuple(ExpectedMachine(name=f"n{number}", serial=f"SN{number}") for number in range(1, 5)),
    )
    macs = [[nic.mac for nic in machine.inventory.nics] for machine in machines if machine.inventory]
    cables = (
        CableLayout(a="m-1", b="m-2", a_mac=macs[0][2], b_mac=macs[1][2]),
        CableLayout(a="m-1", b="m-3", a_mac=macs[0][3], b_mac=macs[2][2], state=CableState.SWAPPED),
        CableLayout(a="m-2", b="m-3", a_mac=macs[1][3], state=CableState.MISSING),
    )
    desired = Desired(
        nodes=(*nodes, arbiter),
        clusters=(
            ClusterLayout(
                name="edge",
                spec="edge",
                kind=ClusterKind.PROXMOX,
                members=("m-1", "m-2", "m-3"),
                arbiter="m-4",
                votes=4,
                quorum=3,
                tolerates=1,
                links=("provisioning",),
            ),
        ),
        ceph=ceph_of(nodes, machines, racks=0),
        backbone=BackboneLayout(
            shape=Shape.MESH,
            routing=Routing.OPENFABRIC,
            bfd=True,
            members=("m-1", "m-2", "m-3"),
            cables=cables,
            ula="fd00:1::/48",
            loopbacks="10.1.255.0/24",
            why="three machines with two free ports each",
        ),
        availability=Availability(reached=Tier.I),
    )
    made = w.plan(site, *machines, pi(w, 4))
    wait = Wait(
        about="backbone", reason=WaitReason.PORTS_MISSING, text="plug in the cable between n2 and n3, then plan again"
    )
    everything = [*machines, pi(w, 4)]
    return Scene(site=site, observed=w.observed(*everything), plan=finish(desired, everything, made, (wait,)))


def forty(w: Workshop) -> Scene:
    """40 machines in 4 racks of two rows: two clusters, one Ceph, one BGP ring per row drawn as one."""
    racks = tuple(
        Rack(name=f"rack-{k}", row="north" if k < 3 else "south", datacenter="dc1", power=("a", "b"))
        for k in (1, 2, 3, 4)
    )
    machines = [big_machine(w, number, expected=f"server-{number}") for number in range(1, 41)]
    nodes = [
        NodeLayout(
            machine=machine.machine.id,
            name=f"server-{number}",
            number=number,
            profile="epyc-compute",
            place=Place(
                datacenter="dc1",
                row=racks[(number - 1) // 10].row,
                rack=racks[(number - 1) // 10].name,
                unit=1 + 3 * ((number - 1) % 10) if number % 10 else 0,
            ),
            cluster="pve-1" if number <= 20 else "pve-2",
        )
        for number, machine in enumerate(machines, 1)
    ]
    ids = [node.machine for node in nodes]
    clusters = tuple(
        ClusterLayout(
            name=f"pve-{k}",
            spec="pve",
            kind=ClusterKind.PROXMOX,
            members=tuple(ids[20 * (k - 1) : 20 * k]),
            arbiter="appliance",
            votes=21,
            quorum=11,
            tolerates=10,
            links=("provisioning",),
        )
        for k in (1, 2)
    )
    states = {7: CableState.ONE_WAY, 19: CableState.UNEXPECTED, 30: CableState.MISSING}
    ring = tuple(
        CableLayout(a=a, b=b, state=states.get(index, CableState.OK))
        for index, (a, b) in enumerate(zip(ids, (*ids[1:], ids[0]), strict=True))
    )
    site = Site(
        name="hall",
        domain="hall.example",
        provisioning=provisioning(),
        machines=tuple(ExpectedMachine(name=node.name, serial=f"SN{node.number}") for node in nodes),
        racks=racks,
    )
    desired = Desired(
        nodes=tuple(nodes),
        clusters=clusters,
        ceph=ceph_of(nodes, machines, racks=4),
        backbone=BackboneLayout(
            shape=Shape.RING,
            routing=Routing.BGP,
            bfd=True,
            members=tuple(ids),
            cables=ring,
            why="every machine has two",
        ),
        availability=Availability(reached=Tier.III),
    )
    made = w.plan(site, *machines)
    return Scene(site=site, observed=w.observed(*machines), plan=finish(desired, machines, made))


def plain(w: Workshop) -> Scene:
    """Three machines and no layout; one of them was never seen."""
    site = w.site()
    machines = [w.machine(1), w.machine(2, w.disk("D2", 480, w.foreign))]
    return Scene(site=site, observed=w.observed(*machines), plan=w.plan(site, *machines))


SCENES = {"eight": eight, "mesh": mesh, "forty": forty, "plain": plain}
