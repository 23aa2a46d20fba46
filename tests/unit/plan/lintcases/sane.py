"""One sane site, big enough that no rule has anything to say: eight hyperconverged hosts in four racks, each with four
spinning OSDs whose DBs are on two NVMe devices, and two OSDs on NVMe. Tests break one thing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from agent.wire import Bmc, Board, Content, Cpu, Disk, Environment, Firmware, Inventory, Memory, Nic, Partition
from appliance.model.availability import Availability, Tier
from appliance.model.ceph import (
    Bucket,
    Capacity,
    CephLayout,
    CephSpec,
    DiskRef,
    Erasure,
    OsdBudget,
    OsdLayout,
    PoolLayout,
    RuleLayout,
    Service,
    ServiceLayout,
    Throughput,
)
from appliance.model.cluster import ClusterKind, ClusterLayout, ClusterSpec
from appliance.model.machine import Machine, Phase, Policy
from appliance.model.network import (
    AddressLayout,
    BackboneLayout,
    BondLayout,
    BridgeLayout,
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
from appliance.model.plan import Allocation, Desired, LintFinding, NodeLayout, Plan, Wait, WaitReason
from appliance.model.site import ProvisioningNetwork, Site
from appliance.plan.disks.layout import partition_guids
from appliance.plan.lint import ERROR, lint

HOSTS = range(1, 9)
GIB, TB = 1 << 30, 10**12
BLANK = Content(blank=True, edges="00" * 32)
FSID = "0b6e0d4c-3a53-4b0e-9d0e-3d5f0c8f7a11"


def who(number: int) -> str:
    return f"m-{number}"


def mac(number: int, port: int) -> str:
    return f"3c:ec:ef:00:{number:02x}:{port:02x}"


def disk(serial: str, size: int, model: str, transport: str, rotational: bool = False, **facts: Any) -> Disk:
    return Disk(
        path=f"/dev/disk/{serial}",
        size=size,
        serial=serial,
        model=model,
        transport=transport,
        rotational=rotational,
        **{"content": BLANK, **facts},
    )


def disks(number: int) -> tuple[Disk, ...]:
    """System, HDDs 0 to 3, DB devices 0 and 1, NVMe 0 and 1."""
    system = disk(f"SYS{number}", 480 * 10**9, "MTFDDAK480TDS", "sata")
    guids = partition_guids(who(number), system)
    parts = tuple(Partition(number=n, start=n << 20, size=1 << 20, guid=guid) for n, guid in enumerate(guids, 1))
    return (
        replace(system, content=Content(table="gpt", partitions=parts, edges="aa" * 32)),
        *(disk(f"HDD{number}{n}", 16 * TB, "ST16000NM001G", "sas", rotational=True) for n in range(4)),
        *(disk(f"DB{number}{n}", int(1.6 * TB), "MTFDKCC1T6TFS", "nvme") for n in range(2)),
        *(disk(f"NVM{number}{n}", int(7.68 * TB), "MTFDKCC7T6TFR", "nvme") for n in range(2)),
    )


def machine(number: int) -> ObservedMachine:
    speeds = (1000, 1000, 25_000, 25_000)
    return ObservedMachine(
        machine=Machine(id=who(number), policy=Policy.USE, phase=Phase.DEPLOYED, phase_since=1.0),
        expected=f"n{number}",
        inventory=Inventory(
            environment=Environment.INSTALLED,
            architecture="x86_64",
            firmware=Firmware.UEFI,
            memory=Memory(total=252 * GIB, installed=256 * GIB),
            board=Board(vendor="Supermicro", name="H12SSW-NTR", bios_version="2.4", chassis_serial=f"C90{number}LK"),
            cpu=Cpu(model="AMD EPYC 7543", vendor="AuthenticAMD", sockets=1, cores=32, threads=64),
            disks=disks(number),
            nics=tuple(Nic(name=f"nic{n}", mac=mac(number, n), speed=speed) for n, speed in enumerate(speeds)),
            bmc=Bmc(interface="kcs", address=f"10.1.10.{100 + number}", firmware="1.05"),
            boot_mac=mac(number, 0),
        ),
    )


def reference(found: Disk) -> DiskRef:
    return DiskRef(
        serial=found.serial,
        wwn=found.wwn,
        model=found.model,
        size=found.size,
        fingerprint=found.content.fingerprint(),
    )


def osds(number: int) -> tuple[OsdLayout, ...]:
    found, first = [reference(one) for one in disks(number)], (number - 1) * 6
    spinning = tuple(
        OsdLayout(
            number=first + n,
            machine=who(number),
            data=found[1 + n],
            data_size=16 * TB,
            device_class="hdd",
            db=found[5 + n // 2],
            db_size=int(0.8 * TB),
            slot=n % 2,
            group="bulk",
        )
        for n in range(4)
    )
    fast = tuple(
        OsdLayout(
            number=first + 4 + n,
            machine=who(number),
            data=found[7 + n],
            data_size=int(7.68 * TB),
            device_class="nvme",
            group="fast",
        )
        for n in range(2)
    )
    return (*spinning, *fast)


def host_network(number: int) -> HostNetwork:
    addresses = (
        ("provisioning", Plane.PROVISIONING, "nic0", f"10.20.0.{1 + number}/24", ""),
        ("management", Plane.MANAGEMENT, "nic0.10", f"10.1.10.{number}/24", "10.1.10.254"),
        ("ring0", Plane.COROSYNC, "nic1", f"10.1.20.{number}/24", ""),
        ("public", Plane.STORAGE_PUBLIC, "bond0.30", f"10.1.30.{number}/24", ""),
        ("copies", Plane.STORAGE_CLUSTER, "bond0.31", f"10.1.31.{number}/24", ""),
    )
    users = (("", 1500), ("ring0", 1500), ("bond0", 9000), ("bond0", 9000))
    return HostNetwork(
        ports=tuple(
            PortLayout(mac=mac(number, n), name=f"nic{n}", user=user, mtu=mtu) for n, (user, mtu) in enumerate(users)
        ),
        bonds=(BondLayout(name="bond0", ports=("nic2", "nic3"), mode="802.3ad", lacp_rate="fast", mtu=9000),),
        vlans=(
            VlanLayout(name="nic0.10", raw="nic0", vlan=10),
            VlanLayout(name="bond0.30", raw="bond0", vlan=30, mtu=9000),
            VlanLayout(name="bond0.31", raw="bond0", vlan=31, mtu=9000),
        ),
        bridges=(BridgeLayout(name="vmbr0", port="bond0"),),
        addresses=tuple(
            AddressLayout(network=network, plane=plane, interface=interface, address=address, gateway=gateway)
            for network, plane, interface, address, gateway in addresses
        ),
        loopback4=f"10.1.255.{number}/32",
        router_id=f"10.1.255.{number}",
        net=f"49.0001.0100.0125.500{number}.00",
        asn=4_200_001_000 + number,
    )


def site() -> Site:
    return Site(
        name="lab",
        domain="lab.example",
        provisioning=ProvisioningNetwork(
            cidr=IPv4Network("10.20.0.0/24"),
            appliance=IPv4Address("10.20.0.1"),
            first=IPv4Address("10.20.0.100"),
            last=IPv4Address("10.20.0.199"),
        ),
        ssh_keys=("ssh-ed25519 AAAA admin",),
        time_servers=("10.1.10.253", "10.1.10.254"),
        networks=(
            Network(
                name="management",
                plane=Plane.MANAGEMENT,
                cidr=IPv4Network("10.1.10.0/24"),
                vlan=10,
                gateway="10.1.10.254",
            ),
            Network(name="ring0", plane=Plane.COROSYNC, cidr=IPv4Network("10.1.20.0/24"), link=0),
            Network(
                name="public",
                plane=Plane.STORAGE_PUBLIC,
                cidr=IPv4Network("10.1.30.0/24"),
                vlan=30,
                mtu=9000,
                carrier=Carrier.BOND,
            ),
            Network(
                name="copies",
                plane=Plane.STORAGE_CLUSTER,
                cidr=IPv4Network("10.1.31.0/24"),
                vlan=31,
                mtu=9000,
                carrier=Carrier.BOND,
            ),
        ),
        racks=tuple(Rack(name=f"r{n}", power=("a", "b")) for n in range(1, 5)),
        clusters=(ClusterSpec(name="pve"),),
        ceph=CephSpec(),
    )


def pools() -> tuple[PoolLayout, ...]:
    common: dict[str, Any] = {"root": "default", "heals": True, "share": 1.0}
    return (
        PoolLayout(
            name="block",
            service=Service.BLOCK,
            application="rbd",
            rule="nvme-rack",
            device_class="nvme",
            size=3,
            min_size=2,
            domain=Level.RACK,
            domains=4,
            pg_num=512,
            **common,
        ),
        PoolLayout(
            name="files",
            service=Service.FILE,
            application="cephfs",
            rule="hdd-rack",
            device_class="hdd",
            size=3,
            min_size=2,
            domain=Level.RACK,
            domains=4,
            pg_num=512,
            **common,
        ),
        PoolLayout(
            name="objects",
            service=Service.OBJECT,
            application="rgw",
            rule="hdd-host-4-2",
            device_class="hdd",
            size=6,
            min_size=5,
            erasure=Erasure(k=4, m=2),
            domain=Level.HOST,
            domains=8,
            pg_num=256,
            **common,
        ),
    )


def ceph() -> CephLayout:
    members = tuple(who(number) for number in HOSTS)
    found = tuple(osd for number in HOSTS for osd in osds(number))
    hosts = tuple(
        Bucket(name=f"n{n}", level="host", items=tuple(f"osd.{osd.number}" for osd in found if osd.machine == who(n)))
        for n in HOSTS
    )
    racks = tuple(Bucket(name=f"r{n}", level="rack", items=(f"n{2 * n - 1}", f"n{2 * n}")) for n in range(1, 5))
    kinds = (("mon", (1, 3, 5)), ("mgr", (1, 3)), ("mds", (5, 7)), ("rgw", (2, 4)))
    return CephLayout(
        name="ceph",
        fsid=FSID,
        members=members,
        public="public",
        cluster="copies",
        hyperconverged=True,
        services=tuple(ServiceLayout(kind=kind, machine=who(n)) for kind, numbers in kinds for n in numbers),
        osds=found,
        budgets=tuple(
            OsdBudget(
                machine=one,
                osds=6,
                memory=256 * GIB,
                memory_target=8 * GIB,
                memory_needed=58 * GIB,
                threads=64,
                threads_needed=12,
                hyperconverged=True,
                fits=True,
                text="6 OSDs",
            )
            for one in members
        ),
        buckets=(*hosts, *racks, Bucket(name="default", level="root", items=tuple(rack.name for rack in racks))),
        rules=(
            RuleLayout(
                number=1,
                name="nvme-rack",
                erasure=False,
                steps=("take default class nvme", "chooseleaf firstn 0 type rack", "emit"),
            ),
            RuleLayout(
                number=2,
                name="hdd-rack",
                erasure=False,
                steps=("take default class hdd", "chooseleaf firstn 0 type rack", "emit"),
            ),
            RuleLayout(
                number=3,
                name="hdd-host-4-2",
                erasure=True,
                steps=(
                    "set_chooseleaf_tries 5",
                    "take default class hdd",
                    "chooseleaf indep 0 type host",
                    "emit",
                ),
            ),
        ),
        pools=pools(),
        capacity=(
            Capacity(pool="block", raw=122 * TB, usable=40 * TB, nearfull=34 * TB, healable=25 * TB, level=Level.RACK),
        ),
        throughput=(
            Throughput(
                pool="block",
                write_bound=10**10,
                write_expected=6 * 10**9,
                read_bound=2 * 10**10,
                read_expected=12 * 10**9,
                limit="network",
            ),
        ),
        frozen="2026-11-01",
    )


def desired() -> Desired:
    members = tuple(who(number) for number in HOSTS)
    return Desired(
        nodes=tuple(
            NodeLayout(
                machine=who(number),
                name=f"n{number}",
                number=number,
                profile="epyc-compute",
                place=Place(rack=f"r{(number + 1) // 2}", unit=number),
                cluster="pve",
                network=host_network(number),
            )
            for number in HOSTS
        ),
        clusters=(
            ClusterLayout(
                name="pve",
                spec="pve",
                kind=ClusterKind.PROXMOX,
                members=members,
                arbiter="appliance",
                votes=9,
                quorum=5,
                tolerates=4,
                links=("ring0", "management"),
                frozen="2026-11-01",
            ),
        ),
        ceph=ceph(),
        backbone=BackboneLayout(shape=Shape.SWITCH, routing=Routing.NONE, bfd=False, members=members),
        availability=Availability(reached=Tier.II),
    )


def allocation(number: int) -> Allocation:
    return Allocation(
        machine=who(number),
        name=f"n{number}",
        address=f"10.20.0.{1 + number}",
        profile="epyc-compute",
        nics=tuple((mac(number, n), f"nic{n}") for n in range(4)),
        number=number,
        cluster="pve",
    )


@dataclass(slots=True)
class Sane:
    """The site with its plan; every method breaks one thing. Machines, OSDs and the like are told by their number."""

    site: Site
    machines: dict[int, ObservedMachine]
    plan: Plan

    @classmethod
    def make(cls) -> Sane:
        plan = Plan(
            hash="",
            parent="",
            steps=(),
            waits=(),
            disks=(),
            allocations=tuple(allocation(number) for number in HOSTS),
            facts=(),
            desired=desired(),
        )
        return cls(site(), {number: machine(number) for number in HOSTS}, plan)

    def found(self) -> tuple[LintFinding, ...]:
        return lint(self.site, self.plan, Observed(machines=tuple(self.machines.values())))

    def rules(self) -> set[str]:
        return {finding.rule for finding in self.found()}

    def errors(self) -> set[str]:
        return {finding.rule for finding in self.found() if finding.severity == ERROR}

    # ------------------------------------------------------------ what can be broken

    def change(self, **facts: Any) -> None:
        """Parts of `Desired`."""
        self.plan = replace(self.plan, desired=replace(self.plan.desired, **facts))

    def of_site(self, **facts: Any) -> None:
        self.site = replace(self.site, **facts)

    def network(self, name: str, /, **facts: Any) -> None:
        """A network of the site file."""
        self.of_site(networks=tuple(replace(n, **facts) if n.name == name else n for n in self.site.networks))

    def observe(self, number: int, /, **facts: Any) -> None:
        """Facts of an inventory."""
        found = self.machines[number]
        assert found.inventory is not None
        self.machines[number] = replace(found, inventory=replace(found.inventory, **facts))

    def phase(self, number: int, phase: Phase) -> None:
        found = self.machines[number]
        self.machines[number] = replace(found, machine=replace(found.machine, phase=phase))

    def disk(self, number: int, index: int, /, **facts: Any) -> None:
        """One disk as observed; what the layout says of it stays, but for the fingerprint of its new content."""
        inventory = self.machines[number].inventory
        assert inventory is not None
        before = inventory.disks[index]
        after = replace(before, **facts)
        self.observe(number, disks=tuple(after if n == index else one for n, one in enumerate(inventory.disks)))
        if after.content != before.content:
            self.refer(before.serial, fingerprint=after.content.fingerprint())

    def refer(self, serial: str, /, **facts: Any) -> None:
        """What the layout says of a disk, wherever it is named."""

        def changed(found: DiskRef | None) -> DiskRef | None:
            return replace(found, **facts) if found is not None and found.serial == serial else found

        layout = self.ceph
        self.of_ceph(osds=tuple(replace(osd, data=changed(osd.data), db=changed(osd.db)) for osd in layout.osds))

    @property
    def ceph(self) -> CephLayout:
        assert self.plan.desired.ceph is not None
        return self.plan.desired.ceph

    def of_ceph(self, **facts: Any) -> None:
        self.change(ceph=replace(self.ceph, **facts))

    def osd(self, number: int, /, **facts: Any) -> None:
        self.of_ceph(osds=tuple(replace(o, **facts) if o.number == number else o for o in self.ceph.osds))

    def bucket(self, name: str, /, **facts: Any) -> None:
        self.of_ceph(buckets=tuple(replace(b, **facts) if b.name == name else b for b in self.ceph.buckets))

    def crush_rule(self, name: str, /, **facts: Any) -> None:
        self.of_ceph(rules=tuple(replace(r, **facts) if r.name == name else r for r in self.ceph.rules))

    def pool(self, name: str, /, **facts: Any) -> None:
        self.of_ceph(pools=tuple(replace(p, **facts) if p.name == name else p for p in self.ceph.pools))

    def budget(self, number: int, /, **facts: Any) -> None:
        changed = (replace(b, **facts) if b.machine == who(number) else b for b in self.ceph.budgets)
        self.of_ceph(budgets=tuple(changed))

    def wait(self, about: str, reason: WaitReason) -> None:
        """The plan says that it waits."""
        self.plan = replace(self.plan, waits=(*self.plan.waits, Wait(about=about, reason=reason, text="it waits")))

    def ready(self) -> None:
        """No machine is installed yet."""
        for number in self.machines:
            self.phase(number, Phase.READY)

    def services(self, kind: str, *machines: str) -> None:
        """Daemons of one kind, instead of those that are there."""
        others = tuple(service for service in self.ceph.services if service.kind != kind)
        self.of_ceph(services=(*others, *(ServiceLayout(kind=kind, machine=one) for one in machines)))

    def cluster(self, **facts: Any) -> None:
        self.change(clusters=(replace(self.plan.desired.clusters[0], **facts),))

    def node(self, number: int, /, **facts: Any) -> None:
        nodes = (replace(n, **facts) if n.number == number else n for n in self.plan.desired.nodes)
        self.change(nodes=tuple(nodes))

    def everywhere(self, change: Callable[[HostNetwork], HostNetwork]) -> None:
        """The network of every machine."""
        self.change(nodes=tuple(replace(n, network=change(n.network)) for n in self.plan.desired.nodes))

    def host(self, number: int, /, **facts: Any) -> None:
        """Parts of the network of one machine."""
        self.node(number, network=replace(self.plan.desired.nodes[number - 1].network, **facts))

    def part(self, number: int, kind: str, name: str, /, **facts: Any) -> None:
        """One port, bond, VLAN or bridge of one machine, or one address by its network."""
        parts = getattr(self.plan.desired.nodes[number - 1].network, kind)
        key = "network" if kind == "addresses" else "name"
        self.host(number, **{kind: tuple(replace(p, **facts) if getattr(p, key) == name else p for p in parts)})

    def keep(self, numbers: range) -> None:
        """Only the machines with these numbers are there at all."""
        some = {who(number) for number in numbers}
        names = {f"n{number}" for number in numbers}
        layout = self.ceph
        self.machines = {number: found for number, found in self.machines.items() if number in numbers}
        racks = [
            replace(b, items=tuple(item for item in b.items if item in names)) if b.level == "rack" else b
            for b in layout.buckets
            if b.level != "host" or b.name in names
        ]
        count = len(some)
        votes = count + (count % 2 == 0)
        self.change(
            nodes=tuple(node for node in self.plan.desired.nodes if node.machine in some),
            backbone=None,
            clusters=(
                replace(
                    self.plan.desired.clusters[0],
                    members=tuple(one for one in self.plan.desired.clusters[0].members if one in some),
                    arbiter="" if count % 2 else "appliance",
                    votes=votes,
                    quorum=votes // 2 + 1,
                    tolerates=votes - (votes // 2 + 1),
                ),
            ),
            ceph=replace(
                layout,
                members=tuple(one for one in layout.members if one in some),
                osds=tuple(osd for osd in layout.osds if osd.machine in some),
                budgets=tuple(budget for budget in layout.budgets if budget.machine in some),
                services=tuple(service for service in layout.services if service.machine in some),
                buckets=tuple(racks),
            ),
        )
        self.plan = replace(self.plan, allocations=tuple(a for a in self.plan.allocations if a.machine in some))
