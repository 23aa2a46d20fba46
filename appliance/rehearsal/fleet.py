"""Sites and the machines that are seen in them, of any size: for tests and benchmarks, and to try a layout before buying.

Everything follows from numbers: the same call gives the same objects, machine 7 is the same one in every fleet. Chance
enters only where a share of machines is to be broken, and then by ``seed``.
"""

from __future__ import annotations

import itertools
import math
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import Any

from agent.wire import Content, Environment, Inventory, Memory, Neighbour, Partition, PartitionSpec, Signature
from appliance.model.ceph import CephSpec, DeviceFilter, DriveGroup, PoolSpec, Service
from appliance.model.cluster import ClusterSpec
from appliance.model.machine import Machine, Phase, Policy, Trouble
from appliance.model.network import Network, Plane
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.place import Rack
from appliance.model.plan import Allocation, Plan, Step
from appliance.model.site import ExpectedMachine, ProvisioningNetwork, Site
from appliance.rehearsal import fleetparts as parts
from appliance.rehearsal.faults import Fault, apply
from appliance.rehearsal.fleetparts import ARM_STORAGE, EPYC, EPYC_HDD, GENERIC, PI5, Hardware

__all__ = ["ARM_STORAGE", "EPYC", "EPYC_HDD", "GENERIC", "PI5", "Fleet", "accepted", "fleet", "machine", "observed"]

IMAGES = (("debian-13", "5f" * 32), ("debian-13-ceph", "ce" * 32))
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_UNTRUSTED = frozenset({Phase.SEEN, Phase.ENROLLED, Phase.APPROVED})
_PERMITS = uuid.UUID("2f3b1d0e-5d0c-5c1e-8a57-3f7c5e1b9a40")
_PLANES = (Plane.MANAGEMENT, Plane.COROSYNC, Plane.STORAGE_PUBLIC, Plane.STORAGE_CLUSTER, Plane.MIGRATION)
_RACK_UNITS = 42


def machine_id(number: int) -> str:
    """``m-`` and ten letters, as the store makes them, but counted."""
    letters = [_ALPHABET[number >> shift & 31] for shift in range(45, -1, -5)]
    return f"m-{''.join(letters)}"


def machine(
    number: int,
    hardware: Hardware = EPYC,
    *,
    phase: Phase = Phase.READY,
    policy: Policy = Policy.USE,
    trouble: Trouble | None = None,
    expected: str = "",
    allocation: Allocation | None = None,
    installed_by: str = "",
    permits: tuple[str, ...] = (),
    neighbours: Mapping[int, tuple[Neighbour, ...]] | None = None,
    **inventory: Any,
) -> ObservedMachine:
    """Machine ``number`` (from 1) of a kind, new from the box: its disks are blank. ``neighbours`` is what LLDP hears, by
    index of the port; ``inventory`` replaces fields of the inventory. A machine that is not yet approved, or has not
    reported over mutual TLS since, has none."""
    nics = parts.ports(hardware, number, dict(neighbours or {}))
    facts: dict[str, Any] = {
        "environment": Environment.IMAGE,
        "architecture": hardware.architecture,
        "firmware": hardware.firmware,
        "board": parts.board(hardware, number),
        "cpu": hardware.cpu,
        "memory": Memory(total=hardware.memory - (hardware.memory >> 6), installed=hardware.memory),
        "nics": nics,
        "bmc": parts.bmc(hardware, number),
        "boot_mac": nics[0].mac if nics else "",
        **inventory,
    }
    if "disks" not in facts:
        facts["disks"] = parts.disks(hardware, number)
    return ObservedMachine(
        machine=Machine(id=machine_id(number), policy=policy, phase=phase, phase_since=0.0, trouble=trouble),
        inventory=None if phase in _UNTRUSTED else Inventory(**facts),
        expected=expected,
        allocation=allocation,
        installed_by=installed_by,
        permits=permits,
    )


def observed(machines: Iterable[ObservedMachine], images: tuple[tuple[str, str], ...] = IMAGES) -> Observed:
    """What the planner sees: these machines, and the root images that are built."""
    return Observed(machines=tuple(machines), images=images)


# ---------------------------------------------------------------- afterwards


def accepted(plan: Plan, seen: Observed) -> Observed:
    """What is observed once ``plan`` was accepted and carried out: machines with an install are deployed, their system
    disk carries our layout, every allocation is kept. Nothing else changes: disks that the layout assigns stay blank."""
    given = {allocation.machine: allocation for allocation in plan.allocations}
    installs = {step.machine: step for step in plan.steps if step.install is not None}
    return replace(
        seen,
        machines=tuple(
            _after(machine, given.get(machine.machine.id), installs.get(machine.machine.id), plan.hash)
            for machine in seen.machines
        ),
    )


def _after(machine: ObservedMachine, given: Allocation | None, step: Step | None, plan: str) -> ObservedMachine:
    if step is None or step.install is None or machine.inventory is None:
        return machine if given is None or machine.allocation == given else replace(machine, allocation=given)
    chosen, permit = step.install.disk, str(uuid.uuid5(_PERMITS, f"{plan}/{step.machine}"))
    content = installed_content(step.install.partitions, permit)
    disks = tuple(
        replace(disk, content=content) if (disk.serial, disk.wwn) == (chosen.serial, chosen.wwn) else disk
        for disk in machine.inventory.disks
    )
    return replace(
        machine,
        machine=replace(
            machine.machine,
            phase=Phase.DEPLOYED,
            name=step.name,
            profile=given.profile if given else "",
            generation=machine.machine.generation + 1,
        ),
        inventory=replace(
            machine.inventory, environment=Environment.INSTALLED, disks=disks, hostname=step.name, boot_mac=""
        ),
        allocation=given or machine.allocation,
        installed_by=plan,
        permits=(*machine.permits, permit),
    )


def installed_content(partitions: Sequence[PartitionSpec], permit: str) -> Content:
    """What the agent reports of a system disk that we wrote; a partition of size 0 took what was left (here 100 GiB)."""
    found, start = [], 1 << 20
    for spec in partitions:
        size = spec.size or 100 << 30
        signatures = (Signature(kind=spec.filesystem, uuid=spec.uuid),) if spec.filesystem else ()
        found.append(
            Partition(
                number=spec.number, start=start, size=size, guid=spec.guid, label=spec.label, signatures=signatures
            )
        )
        start += size
    return Content(
        table="gpt", table_id=permit, partitions=tuple(found), edges=permit.replace("-", "") * 2, boot=True, in_use=True
    )


# ---------------------------------------------------------------- whole sites


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A site and what is seen of it. ``faults`` says what is wrong with a machine, by its name in the site file."""

    site: Site
    observed: Observed
    faults: Mapping[str, Fault] = field(default_factory=dict)


def fleet(
    *,
    racks: int,
    per_rack: int,
    hardware: Sequence[Hardware] = (EPYC,),
    zones: int = 1,
    datacenters: int = 0,
    rows: int = 0,
    clusters: bool = True,
    ceph: bool = True,
    broken: float = 0.0,
    seed: int = 0,
) -> Fleet:
    """``racks`` × ``per_rack`` machines, all expected by serial, with a place and LLDP neighbours; kinds of ``hardware``
    take turns. Rows, datacenters and zones are as equal as they can be; 0 (zones: 1) leaves the level out. ``broken`` is
    the share of machines that have a `Fault`. `ValueError` when a level would be split by the one above it."""
    places = _racks(racks, per_rack, rows, datacenters, zones)
    machines: list[ObservedMachine] = []
    expected: list[ExpectedMachine] = []
    faults: dict[str, Fault] = {}
    limit, kinds = int(broken * (1 << 32)), tuple(Fault)
    for number in range(1, racks * per_rack + 1):
        rack, slot = places[(number - 1) // per_rack], (number - 1) % per_rack
        kind = hardware[(number - 1) % len(hardware)]
        name = f"n{number}"
        expected.append(ExpectedMachine(name=name, serial=parts.serial(kind, number), rack=rack.name, unit=slot + 1))
        found: ObservedMachine | None = machine(number, kind, expected=name, neighbours=_heard(kind, rack, slot))
        if found is not None and _draw(seed, number, "broken") < limit:
            faults[name] = kinds[_draw(seed, number, "fault") % len(kinds)]
            found = apply(faults[name], found, machines[-1] if machines else None)
        if found is not None:
            machines.append(found)
    site = _site(places, expected, hardware, clusters=clusters, ceph=ceph)
    return Fleet(site=site, observed=observed(machines), faults=faults)


def _draw(seed: int, number: int, what: str) -> int:
    """A number below 2^32 for one machine, whatever other machines there are."""
    return zlib.crc32(f"{seed}/{number}/{what}".encode())


def _racks(racks: int, per_rack: int, rows: int, datacenters: int, zones: int) -> tuple[Rack, ...]:
    levels = [count for count in (rows, datacenters, zones) if count > 1]
    if any(below % above for below, above in itertools.pairwise(levels)) or max(levels, default=0) > racks:
        raise ValueError(f"{racks} racks can't be nested in rows, datacenters, zones: {rows}, {datacenters}, {zones}")

    def bucket(prefix: str, count: int, index: int) -> str:
        return f"{prefix}{index * count // racks + 1}" if count else ""

    return tuple(
        Rack(
            name=f"rack{index + 1}",
            row=bucket("row", rows, index),
            datacenter=bucket("dc", datacenters, index),
            zone=bucket("az", zones if zones > 1 else 0, index),
            units=max(_RACK_UNITS, per_rack),
            power=("a", "b"),
            switches=(f"leaf{index + 1}a", f"leaf{index + 1}b"),
        )
        for index in range(racks)
    )


def _heard(kind: Hardware, rack: Rack, slot: int) -> dict[int, tuple[Neighbour, ...]]:
    """Both leaf switches of the rack, in turns over the ports; the switch port is numbered like the unit."""
    return {
        index: (Neighbour(chassis=f"leaf {switch}", port=f"Ethernet{slot + 1}/{index + 1}", system=switch),)
        for index, switch in ((index, rack.switches[index % 2]) for index in range(len(kind.ports)))
    }


def _site(
    racks: tuple[Rack, ...],
    expected: Sequence[ExpectedMachine],
    hardware: Sequence[Hardware],
    *,
    clusters: bool,
    ceph: bool,
) -> Site:
    """Networks are as large as the fleet needs: half of each is enough for all its machines."""
    prefix = min(24, 31 - math.ceil(math.log2(len(expected) + 8)))
    ranges = IPv4Network("10.0.0.0/8").subnets(new_prefix=prefix)
    boot = next(ranges)
    zones = {rack.zone for rack in racks if rack.zone}
    return Site(
        name="fleet",
        domain="fleet.internal",
        provisioning=ProvisioningNetwork(
            cidr=boot,
            appliance=boot[1],
            first=boot[boot.num_addresses // 2],
            last=boot[boot.num_addresses - 2],
        ),
        machines=tuple(expected),
        networks=tuple(
            Network(
                name=plane.value, plane=plane, cidr=cidr, vlan=100 + index, link=0 if plane is Plane.COROSYNC else None
            )
            for index, (plane, cidr) in enumerate(zip(_PLANES, ranges, strict=False))
        )
        if clusters or ceph
        else (),
        racks=racks,
        clusters=(ClusterSpec(name="pve"),) if clusters else (),
        ceph=CephSpec(groups=_groups(hardware), pools=_pools(len(zones))) if ceph else None,
        ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFleetFleetFleetFleetFleetFleetFleetFleetFle fleet",),
    )


def _pools(zones: int) -> tuple[PoolSpec, ...]:
    block = PoolSpec(name="vm", service=Service.BLOCK)
    wide = (PoolSpec(name="files", service=Service.FILE), PoolSpec(name="objects", service=Service.OBJECT))
    return (block, *wide) if zones >= 3 else (block,)


def _groups(hardware: Sequence[Hardware]) -> tuple[DriveGroup, ...]:
    """Where spinning disks have a faster device for their databases, what the profile's roles would not find."""
    shared = [kind.profile for kind in hardware if any(model is parts.DB_NVME for model, _ in kind.disks)]
    if not shared:
        return ()
    profiles = tuple(sorted(set(shared)))
    spinning = DriveGroup(
        name="spinning",
        profiles=profiles,
        data=DeviceFilter(rotational=True),
        db=DeviceFilter(model=parts.DB_NVME.model),
    )
    flash = DriveGroup(name="flash", profiles=profiles, data=DeviceFilter(model=parts.DATA_NVME.model))
    mixed = any(kind.profile in profiles and any(m is parts.DATA_NVME for m, _ in kind.disks) for kind in hardware)
    return (spinning, flash) if mixed else (spinning,)
