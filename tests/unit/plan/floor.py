"""A floor of machines for tests of placement: sites and candidates with few words."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from agent.wire import Board, Environment, Firmware, Inventory, Memory, Neighbour, Nic
from appliance.model.machine import Machine, Phase, Policy
from appliance.model.observed import ObservedMachine
from appliance.model.place import Place, Rack
from appliance.model.plan import Allocation
from appliance.model.site import ExpectedMachine, ProvisioningNetwork, Site
from appliance.plan.candidate import Candidate
from hwprofiles.loader import load_profiles

PROFILES = {profile.name: profile for profile in load_profiles()}
EPYC, ARM, PI, GENERIC = "epyc-compute", "arm-storage", "raspberry-pi-5", "generic-x86-64"
ARCHITECTURES = {EPYC: "x86_64", GENERIC: "x86_64", ARM: "aarch64", PI: "aarch64"}
GIB = 1 << 30


def site(**fields: Any) -> Site:
    """A site with a provisioning network and whatever is given."""
    provisioning = ProvisioningNetwork(
        cidr=IPv4Network("10.0.0.0/16"),
        appliance=IPv4Address("10.0.0.1"),
        first=IPv4Address("10.0.200.1"),
        last=IPv4Address("10.0.250.1"),
    )
    return Site(**{"name": "floor", "domain": "internal", "provisioning": provisioning, **fields})


def racks(number: int, *, rows: int = 0, datacenters: int = 0, zones: int = 0, power: str = "ab") -> tuple[Rack, ...]:
    """``r1`` … dealt out to ``row1`` …, ``dc1`` …, ``z1`` … one after the other; ``power`` has a letter per feed."""

    def name(word: str, index: int, among: int) -> str:
        return f"{word}{index % among + 1}" if among else ""

    return tuple(
        Rack(
            name=f"r{index + 1}",
            row=name("row", index, rows),
            datacenter=name("dc", index, datacenters),
            zone=name("z", index, zones),
            power=tuple(power),
            switches=(f"sw-r{index + 1}",),
        )
        for index in range(number)
    )


def place(rack: Rack, unit: int = 0) -> Place:
    return Place(zone=rack.zone, datacenter=rack.datacenter, row=rack.row, rack=rack.name, unit=unit)


def inventory(architecture: str = "x86_64", memory: int = 256 * GIB, **facts: Any) -> Inventory:
    return Inventory(
        environment=Environment.IMAGE,
        architecture=architecture,
        firmware=Firmware.UEFI,
        memory=Memory(total=memory),
        **facts,
    )


def machine(
    name: str,
    at: Rack | Place | None = None,
    profile: str = EPYC,
    *,
    phase: Phase = Phase.READY,
    policy: Policy = Policy.USE,
    expected: bool = False,
    **facts: Any,
) -> Candidate:
    """Machine ``m-<name>`` called ``name``; ``expected`` when the site file names it; ``facts`` are the inventory's."""
    given = {"architecture": ARCHITECTURES[profile], **facts}
    if profile == PI:
        given = {"memory": 8 * GIB, "board": Board(compatible=("raspberrypi,5-model-b", "brcm,bcm2712")), **given}
    reported = inventory(**given)
    observed = ObservedMachine(
        machine=Machine(id=f"m-{name}", policy=policy, phase=phase, phase_since=1.0),
        inventory=reported,
        expected=name if expected else "",
    )
    where = place(at) if isinstance(at, Rack) else at or Place()
    return Candidate(
        machine=observed,
        inventory=reported,
        profile=PROFILES[profile],
        place=where,
        given=Allocation(machine=f"m-{name}", name=name, address="", profile=profile),
    )


def machines(number: int, among: tuple[Rack, ...] = (), profile: str = EPYC, first: int = 1) -> list[Candidate]:
    """``n1`` … dealt out to the racks one after the other."""
    return [
        machine(f"n{index}", among[(index - first) % len(among)] if among else None, profile)
        for index in range(first, first + number)
    ]


def entries(*names: str, **fields: Any) -> tuple[ExpectedMachine, ...]:
    return tuple(ExpectedMachine(name=name, serial=f"SN-{name}", **fields) for name in names)


def changed(candidate: Candidate, **fields: Any) -> Candidate:
    """The same machine with other fields of its lifecycle (phase, policy)."""
    moved = replace(candidate.machine, machine=replace(candidate.machine.machine, **fields))
    return replace(candidate, machine=moved)


def hears(*pairs: tuple[str, str]) -> Inventory:
    """An inventory whose ports hear (system name, port) each."""
    nics = tuple(
        Nic(
            name=f"eth{i}", mac=f"3c:ec:ef:00:01:{i:02x}", neighbours=(Neighbour(chassis="", port=port, system=system),)
        )
        for i, (system, port) in enumerate(pairs)
    )
    return inventory(nics=nics)
