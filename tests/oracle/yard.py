"""Sites of a few words for tests of what is planned for Ceph: hosts with disks, as the planner gets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from agent.wire import Environment, Firmware, Inventory, Memory, Nic
from appliance.model.ceph import CephLayout, CephSpec, DiskRef, OsdLayout, PoolLayout, PoolSpec, RuleLayout, Service
from appliance.model.machine import Machine, Phase, Policy
from appliance.model.observed import ObservedMachine
from appliance.model.place import Place, Rack
from appliance.model.plan import Allocation
from appliance.model.site import ProvisioningNetwork, Site
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.capacity import capacity
from appliance.plan.ceph.pools import PoolPlan, plan_pools
from appliance.plan.ceph.throughput import throughput
from appliance.plan.crush.crushmap import tree
from hwprofiles.profile import NicRole, NicRoleName, Profile

TB = 10**12
NOWHERE = Place()
STORAGE = Profile(name="storage", description="", nics=(NicRole(role=NicRoleName.STORAGE, min_speed=10_000, count=1),))
BLOCK = PoolSpec(name="vms", service=Service.BLOCK)
FILES = PoolSpec(name="fs", service=Service.FILE)
OBJECTS = PoolSpec(name="s3", service=Service.OBJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSpec:
    """``disks`` are (class, TB) of each OSD; ``speed`` Mbit/s of its storage port, None while there is no link."""

    name: str
    disks: tuple[tuple[str, float], ...] = (("hdd", 4.0),) * 4
    place: Place = NOWHERE
    speed: int | None = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """A site with members and OSDs."""

    site: Site
    members: tuple[Candidate, ...]
    osds: tuple[OsdLayout, ...]

    def plan(
        self,
        *pools: PoolSpec,
        stretch: bool = False,
        standing: tuple[PoolLayout, ...] = (),
        rules: tuple[RuleLayout, ...] = (),
    ) -> PoolPlan:
        spec = CephSpec(pools=pools, stretch=stretch)
        return plan_pools(self.site, spec, self.members, self.osds, standing, standing_rules=rules)

    def layout(self, plan: PoolPlan) -> CephLayout:
        """The whole layout around planned pools."""
        spec = CephSpec()
        buckets = tree(self.site, self.members, self.osds)
        return CephLayout(
            name="ceph",
            fsid="00000000-0000-4000-8000-000000000001",
            members=tuple(member.id for member in self.members),
            public="",
            cluster="",
            hyperconverged=False,
            osds=self.osds,
            buckets=buckets,
            rules=plan.rules,
            pools=plan.pools,
            capacity=capacity(spec, self.members, self.osds, plan.pools, buckets),
            throughput=throughput(self.site, spec, self.members, self.osds, plan.pools),
        )

    def shuffled(self) -> Yard:
        """The same in another order."""
        return replace(self, members=self.members[::-1], osds=self.osds[::-1])


def yard(*hosts: HostSpec, racks: Sequence[Rack] = ()) -> Yard:
    """OSDs are numbered in the order of ``hosts``, as they would be when these came one after the other."""
    declared = {h.place.rack: _rack(h.place) for h in hosts if h.place.rack} | {rack.name: rack for rack in racks}
    network = ProvisioningNetwork(
        cidr=IPv4Network("10.20.0.0/16"),
        appliance=IPv4Address("10.20.0.1"),
        first=IPv4Address("10.20.0.100"),
        last=IPv4Address("10.20.0.200"),
    )
    osds = [(host, kind, size) for host in hosts for kind, size in host.disks]
    return Yard(
        site=Site(name="lab", domain="lab.test", provisioning=network, racks=tuple(declared.values())),
        members=tuple(candidate(host) for host in hosts),
        osds=tuple(_osd(number, *osd) for number, osd in enumerate(osds)),
    )


def _rack(place: Place) -> Rack:
    return Rack(name=place.rack, row=place.row, datacenter=place.datacenter, zone=place.zone)


def candidate(host: HostSpec) -> Candidate:
    machine = f"m-{host.name}"
    return Candidate(
        machine=ObservedMachine(machine=Machine(id=machine, policy=Policy.USE, phase=Phase.READY, phase_since=1.0)),
        inventory=Inventory(
            environment=Environment.IMAGE,
            architecture="x86_64",
            firmware=Firmware.UEFI,
            memory=Memory(total=64 << 30),
            nics=(Nic(name="eth0", mac="02:00:00:00:00:01", speed=host.speed, carrier=host.speed is not None),),
        ),
        profile=STORAGE,
        place=host.place,
        given=Allocation(machine=machine, name=host.name, address="", profile=STORAGE.name),
    )


def _osd(number: int, host: HostSpec, kind: str, size: float) -> OsdLayout:
    bytes_ = int(size * TB)
    data = DiskRef(serial=f"S{number}", wwn="", model="", size=bytes_, fingerprint="")
    return OsdLayout(number=number, machine=f"m-{host.name}", data=data, data_size=bytes_, device_class=kind)


def rows(count: int, *, racks: int = 0, zones: int = 0, datacenters: int = 0, **facts: object) -> tuple[HostSpec, ...]:
    """``count`` equal hosts ``n1`` …, dealt in blocks to racks, and racks in blocks to zones or datacenters."""
    hosts = []
    for at in range(count):
        rack = at * racks // count if racks else -1
        place = Place(
            rack=f"r{rack + 1}" if racks else "",
            zone=f"z{rack * zones // racks + 1}" if zones else "",
            datacenter=f"dc{rack * datacenters // racks + 1}" if datacenters else "",
        )
        hosts.append(replace(HostSpec(name=f"n{at + 1}", place=place), **facts))
    return tuple(hosts)


def show(plan: PoolPlan) -> str:
    """A plan as golden text: what is made, by which rules, and what is refused."""
    lines = []
    for pool in plan.pools:
        code = f" = {pool.erasure.k}+{pool.erasure.m}" if pool.erasure else ""
        each = f", {pool.per_domain} in each" if pool.per_domain > 1 else ""
        heals = "heals" if pool.heals else "does not heal"
        lines.append(f"pool {pool.name} ({pool.application}): rule {pool.rule}, {pool.pg_num} PGs, share {pool.share}")
        lines.append(
            f"  size {pool.size}{code}, min_size {pool.min_size}, over {pool.domains} x {pool.domain}{each}: {heals}"
        )
        lines.append(f"  {pool.why}")
    for rule in plan.rules:
        steps = "; ".join(step.removeprefix("step ") for step in rule.steps)
        lines += [f"rule {rule.number} {rule.name}: {steps}"]
    lines += [f"wait {wait.about}: {wait.reason}: {wait.text}" for wait in plan.waits]
    return "\n".join([*lines, ""])
