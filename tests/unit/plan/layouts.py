"""Whole layouts for tests of the availability report: what the planner makes of a floor, with simple pools and cables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.wire import Neighbour, Nic
from appliance.model.availability import Availability
from appliance.model.ceph import Bucket, CephLayout, CephSpec, DiskRef, Erasure, OsdLayout, PoolLayout, Service
from appliance.model.network import (
    AddressLayout,
    BackboneLayout,
    BondLayout,
    BridgeLayout,
    HostNetwork,
    Plane,
    PortLayout,
)
from appliance.model.place import Level
from appliance.model.plan import Desired, NodeLayout, Wait
from appliance.model.site import Site
from appliance.plan.availability.report import availability
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.services import place_services
from appliance.plan.placement.clusters import ceph_members, plan_clusters

TIB = 1 << 40


def pool(name: str, domain: Level, domains: int, **fields: Any) -> PoolLayout:
    """Three copies, of which two must be there, unless told otherwise."""
    given: dict[str, Any] = {
        "service": Service.BLOCK,
        "application": "rbd",
        "rule": "nvme",
        "root": "default",
        "device_class": "nvme",
        "size": 3,
        "min_size": 2,
        "pg_num": 128,
        "share": 1.0,
        **fields,
    }
    size, each = given["size"], given.get("per_domain", 1)
    heals = given.pop("heals", domains > -(-size // each))
    return PoolLayout(name=name, domain=domain, domains=domains, heals=heals, **given)


def coded(name: str, k: int, m: int, domain: Level, domains: int, **fields: Any) -> PoolLayout:
    return pool(name, domain, domains, erasure=Erasure(k=k, m=m), size=k + m, min_size=k + 1, **fields)


def osds(members: Sequence[Candidate], each: int = 2) -> tuple[OsdLayout, ...]:
    """``each`` disks of 4 TiB in every member."""
    return tuple(
        OsdLayout(
            number=index * each + part,
            machine=member.id,
            data=DiskRef(serial=f"{member.name}-{part}", wwn="", model="X", size=4 * TIB, fingerprint=""),
            data_size=4 * TIB,
            device_class="nvme",
        )
        for index, member in enumerate(members)
        for part in range(each)
    )


def ceph(
    where: Site, found: Sequence[Candidate], pools: Sequence[PoolLayout], **fields: Any
) -> tuple[CephLayout, tuple[Wait, ...]]:
    """Ceph on what the site file says, with the services that the planner places."""
    spec = where.ceph or CephSpec()
    clusters = plan_clusters(where, found, ()).clusters
    members = ceph_members(where, spec, found, clusters)
    hosts, wanted = frozenset(member.id for member in members), frozenset(one.service for one in pools)
    services, waits = place_services(where, spec, members, hosts, wanted, (), found)
    layout = CephLayout(
        name="ceph",
        fsid="",
        members=tuple(member.id for member in members),
        public="storage",
        cluster="storage",
        hyperconverged=True,
        stretch=spec.stretch,
        services=services,
        osds=osds(members),
        buckets=(Bucket(name="default", level="root", items=()),),
        pools=tuple(pools),
    )
    return replace(layout, **fields), waits


# ---------------------------------------------------------------- cabling


def cabled(candidate: Candidate, switches: Mapping[str, str]) -> Candidate:
    """The machine hears these switches: port name → LLDP system name."""
    nics = tuple(
        Nic(
            name=name,
            mac=_mac(candidate, name),
            neighbours=(Neighbour(chassis="", port="1", system=system),) if system else (),
        )
        for name, system in switches.items()
    )
    inventory = replace(candidate.inventory, nics=nics)
    return replace(candidate, inventory=inventory, machine=replace(candidate.machine, inventory=inventory))


def _mac(candidate: Candidate, port: str) -> str:
    return f"{candidate.name}/{port}"


def bonded(candidate: Candidate, known: Collection[str]) -> HostNetwork:
    """One port each for two corosync networks, a bond of two for storage, management and guests; of the networks only
    those that are ``known``."""
    names = ("nic0", "nic1", "nic2", "nic3")
    addresses = (
        _address("ring0", Plane.COROSYNC, "nic0"),
        _address("ring1", Plane.COROSYNC, "nic1"),
        _address("mgmt", Plane.MANAGEMENT, "vmbr0"),
        _address("storage", Plane.STORAGE_PUBLIC, "bond0"),
    )
    return HostNetwork(
        ports=tuple(PortLayout(mac=_mac(candidate, name), name=name) for name in names),
        bonds=(BondLayout(name="bond0", ports=("nic2", "nic3"), mode="802.3ad"),),
        bridges=(BridgeLayout(name="vmbr0", port="bond0"),),
        addresses=tuple(address for address in addresses if address.network in known),
    )


def single(candidate: Candidate) -> HostNetwork:
    """Everything over the port that it was booted from."""
    return HostNetwork(
        ports=(PortLayout(mac=_mac(candidate, "nic0"), name="nic0"),),
        bridges=(BridgeLayout(name="vmbr0", port="nic0"),),
        addresses=(_address("provisioning", Plane.PROVISIONING, "vmbr0"),),
    )


def _address(network: str, plane: Plane, interface: str) -> AddressLayout:
    return AddressLayout(network=network, plane=plane, interface=interface, address="10.0.0.2/24")


def desired(
    where: Site,
    found: Sequence[Candidate],
    networks: Mapping[str, HostNetwork],
    layout: CephLayout | None = None,
    backbone: BackboneLayout | None = None,
) -> Desired:
    made = plan_clusters(where, found, ())
    nodes = tuple(
        NodeLayout(
            machine=one.id,
            name=one.name,
            number=index + 1,
            profile=one.profile.name,
            place=one.place,
            cluster=made.member_of.get(one.id, ""),
            network=networks.get(one.id, HostNetwork()),
        )
        for index, one in enumerate(found)
    )
    return Desired(nodes=nodes, clusters=made.clusters, ceph=layout, backbone=backbone)


def text(report: Availability) -> str:
    """The report as people read it."""
    wanted = f", wanted {report.wanted}" if report.wanted else ""
    lines = [f"tier {report.reached} reached{wanted}", "", "survives:"]
    lines += [
        f"  {row.service}: {row.survives or 'nothing'}{' (heals)' if row.heals else ''} - {row.text}"
        for row in report.services
    ]
    if report.gaps:
        lines += ["", "missing:"]
    lines += [f"  {gap.tier} {gap.about}: {gap.text}" for gap in report.gaps]
    return "\n".join(lines) + "\n"


def report(where: Site, made: Desired, found: Sequence[Candidate]) -> Availability:
    return availability(where, made, found)
