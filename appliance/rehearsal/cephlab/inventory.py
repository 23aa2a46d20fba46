"""A lab as the planner sees it: observed machines with the lab's disks, and a site whose machines they are."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from agent.document import from_data
from agent.wire import Disk, Environment, Memory
from appliance.model.ceph import CephSpec, DeviceClass, DeviceFilter, DriveGroup
from appliance.model.machine import Phase
from appliance.model.network import Network, Plane
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.place import Rack
from appliance.model.plan import Allocation
from appliance.model.site import ExpectedMachine, ProvisioningNetwork, Site
from appliance.rehearsal import fleet
from appliance.rehearsal import fleetparts as parts
from appliance.rehearsal.cephlab.description import LabDescription, LabHost
from appliance.rehearsal.cephlab.disks import Attached
from appliance.rehearsal.cephlab.host import Host
from appliance.rehearsal.cephlab.lab import CephLab

HARDWARE = parts.ARM_STORAGE
"""The kind of machine that hosts say to be: dedicated storage. Disks and memory are their own."""
SLOW_ROLE = "cluster"
"""The NIC role of that profile that asks for no speed."""
PUBLIC, CLUSTER = Plane.STORAGE_PUBLIC.value, Plane.STORAGE_CLUSTER.value
BOOT = IPv4Network("10.77.0.0/24")
"""The provisioning network of the site; in the lab nobody is booted from it."""
TRANSPORT = {DeviceClass.HDD: "sas", DeviceClass.SSD: "sata", DeviceClass.NVME: "nvme"}
SYSTEM = replace(HARDWARE, disks=((parts.BOOT_NVME, 1),))
"""With the disk that the host's system would be on: in no lab host, but every machine has one."""
EVERY_DISK = DriveGroup(name="lab", data=DeviceFilter(model="LAB-"))
"""All disks of the lab become OSDs, whatever their size."""


def machine_names(description: LabDescription) -> dict[str, str]:
    """Machine id → host: machines are numbered as the hosts are listed, so a host that comes later changes none."""
    return {fleet.machine_id(number): host.name for number, host in enumerate(description.hosts, 1)}


def machine_of(description: LabDescription, host: str) -> str:
    """The machine id of a host; KeyError."""
    return {name: machine for machine, name in machine_names(description).items()}[host]


def disk_facts(attached: Attached) -> dict[str, Any]:
    """A disk (`agent.wire.Disk`) as JSON, without what is on it."""
    disk = attached.disk
    return {
        "path": attached.node,
        "size": disk.size,
        "serial": disk.serial,
        "wwn": disk.identity,
        "model": disk.name,
        "transport": TRANSPORT[disk.device_class],
        "rotational": disk.rotational,
        "by_id": [attached.by_id],
    }


def read_disks(host: Host) -> tuple[Disk, ...]:
    """The host's disks with what is on them now, as the agent's probe sees it in the host."""
    task = {"disks": [disk_facts(attached) for attached in host.disks.values()]}
    argv = ["python3", "-P", "/opt/rackseed/lab/inhost.py", "disks"]
    said = host.run(argv, input=json.dumps(task).encode() + b"\n").stdout
    return tuple(from_data(Disk, item) for item in json.loads(said))


def site(lab: CephLab, ceph: CephSpec, *, racks: tuple[Rack, ...] | None = None) -> Site:
    """A site with the lab's hosts as its machines, by serial, in their racks, and the lab's two networks. Shaped ports are
    too slow for the profile's storage role: then the networks are on ports of its other role."""
    description = lab.description
    role = SLOW_ROLE if description.rate else ""
    return Site(
        name="lab",
        domain="lab.internal",
        provisioning=ProvisioningNetwork(cidr=BOOT, appliance=BOOT[1], first=BOOT[100], last=BOOT[200]),
        machines=tuple(
            ExpectedMachine(name=host.name, serial=parts.serial(HARDWARE, number), rack=host.rack)
            for number, host in enumerate(description.hosts, 1)
        ),
        networks=(
            Network(
                name=PUBLIC,
                plane=Plane.STORAGE_PUBLIC,
                cidr=IPv4Network(description.public),
                mtu=description.mtu,
                role=role,
            ),
            Network(
                name=CLUSTER,
                plane=Plane.STORAGE_CLUSTER,
                cidr=IPv4Network(description.cluster),
                mtu=description.mtu,
                role=role,
            ),
        ),
        racks=description.racks if racks is None else racks,
        ceph=ceph,
        ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILabLabLabLabLabLabLabLabLabLabLabLabLabLabLa lab",),
    )


def observed(lab: CephLab, before: Observed | None = None, *, phase: Phase = Phase.DEPLOYED) -> Observed:
    """What is seen of the lab now. Hosts that are off are seen as they were ``before`` (a machine that is silent keeps its
    last inventory), and left out when they never were. Every host's allocation has the addresses that it has."""
    known = {item.machine.id: item for item in before.machines} if before else {}
    found = []
    for number, described in enumerate(lab.description.hosts, 1):
        host, earlier = lab.host(described.name), known.get(fleet.machine_id(number))
        if not host.off:
            given = earlier.allocation if earlier else allocation(lab, number, described)
            seen = _machine(number, described, read_disks(host), phase, given)
            found.append(_shaped(seen, lab.description.link_speed))
        elif earlier is not None:
            found.append(earlier)
    return replace(before, machines=tuple(found)) if before else fleet.observed(found)


def _machine(
    number: int, host: LabHost, disks: tuple[Disk, ...], phase: Phase, given: Allocation | None
) -> ObservedMachine:
    system = parts.disks(SYSTEM, number)
    permits: tuple[str, ...] = ()
    if phase is Phase.DEPLOYED:
        permits = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"lab/{fleet.machine_id(number)}")),)
        system = tuple(replace(disk, content=fleet.installed_content((), permits[0])) for disk in system)
    seen = fleet.machine(
        number,
        HARDWARE,
        phase=phase,
        expected=host.name,
        allocation=given,
        installed_by="lab" if permits else "",
        permits=permits,
        disks=(*system, *disks),
        memory=Memory(total=host.memory - (host.memory >> 6), installed=host.memory),
        environment=Environment.INSTALLED if phase is Phase.DEPLOYED else Environment.IMAGE,
        hostname=host.name,
    )
    return replace(seen, machine=replace(seen.machine, name=host.name, profile=HARDWARE.profile))


def _shaped(seen: ObservedMachine, speed: int) -> ObservedMachine:
    """Ports whose links say the rate that they are shaped to, in Mbit/s."""
    if not speed or seen.inventory is None:
        return seen
    nics = tuple(replace(nic, speed=speed, max_speed=speed) for nic in seen.inventory.nics)
    return replace(seen, inventory=replace(seen.inventory, nics=nics))


def allocation(lab: CephLab, number: int, host: LabHost) -> Allocation:
    """What an earlier plan would have given the host: its name, and the addresses that the lab gave it."""
    about = lab.description
    macs = [parts.mac(port, number, index) for index, port in enumerate(HARDWARE.ports)]
    return Allocation(
        machine=fleet.machine_id(number),
        name=host.name,
        address=str(BOOT[number + 9]),
        profile=HARDWARE.profile,
        nics=tuple((mac, f"net{index}") for index, mac in enumerate(macs)),
        number=number,
        addresses=(
            (PUBLIC, about.address(about.public, host.name)),
            (CLUSTER, about.address(about.cluster, host.name)),
        ),
        port=macs[0],
    )
