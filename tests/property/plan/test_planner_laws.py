"""Laws of the planner, on machines and sites that nobody would think of."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.wire import Board, Content, Cpu, Disk, Environment, Firmware, Inventory, Memory, Nic, Signature
from appliance.model.machine import Machine, Phase, Policy
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import DiskFate, Plan
from appliance.model.site import EraseGrant, ExpectedMachine, ProvisioningNetwork, Site
from appliance.plan.diff.text import render
from appliance.plan.lint import lint
from appliance.plan.make import plan
from appliance.plan.stale import changed_facts
from hwprofiles.loader import load_profiles
from hwprofiles.normal import serial_key

PROFILES = load_profiles()
LAWS = settings(derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
BLANK = Content(blank=True, edges="00")
FOREIGN = Content(signatures=(Signature(kind="xfs"),), edges="11")
SERIALS = [*(f"S{number}" for number in range(4)), *(f"M{number}" for number in range(8))]
"""S: extra disks, anywhere and also twice; M: each machine's usual system disk."""


def content(random: Random) -> Content:
    return random.choice([BLANK, BLANK, BLANK, FOREIGN, Content(edges="22")])


def usual_disk(random: Random, number: int) -> Disk:
    """What a sane machine has: one small disk, blank more often than not."""
    return Disk(
        path="/dev/sda",
        size=random.choice([5 * 10**9, 480 * 10**9]),
        serial=f"M{number}",
        transport=random.choice(["nvme", "virtio"]),
        content=content(random),
    )


def odd_disk(random: Random) -> Disk:
    """Anything: shared serials, none at all, WWNs that other disks have, sticks, read-only cards."""
    transport = random.choice(["nvme", "sata", "sas", "virtio", "usb", ""])
    return Disk(
        path=random.choice(["/dev/sda", "/dev/sdb", "/dev/nvme0n1", "/dev/vda"]),
        size=random.choice([10**9, 5 * 10**9, 960 * 10**9, 4 * 10**12, 16 * 10**12, 16 * 10**12]),
        serial=random.choice([*SERIALS, "", " s1 "]),
        wwn=random.choice(["", "", "0x5000c500e4a10001", "0x5000c500e4a10002"]),
        model=random.choice(["", "DELLBOSS VD", "MTFDDAK480TDS"]),
        transport=transport,
        rotational=random.random() < 0.5,
        removable=transport == "usb",
        read_only=random.random() < 0.1,
        bus_path=random.choice(["0000:41:00.0", "0000:c1:00.0", ""]),
        content=content(random),
    )


def machine(random: Random, number: int) -> ObservedMachine:
    """Mostly a machine that is ready; sometimes anything else."""
    mac = f"3c:ec:ef:00:00:{number:02x}"
    phase = Phase.READY if random.random() < 0.8 else random.choice(list(Phase))
    found = [usual_disk(random, number)] if random.random() < 0.9 else []
    found += [odd_disk(random) for _ in range(random.choice([0, 0, 1, 2]))]
    inventory = Inventory(
        environment=Environment.IMAGE,
        architecture="x86_64" if random.random() < 0.95 else "aarch64",
        firmware=random.choice(list(Firmware)),
        memory=Memory(total=64 << 30),
        board=Board(vendor="Supermicro", name="H12SSW-NT", system_serial=random.choice(["", f"SN{number}", "SN"])),
        cpu=Cpu(model="AMD EPYC 7302"),
        disks=tuple(found),
        nics=(Nic(name="eth0", mac=mac, bus_path="0000:03:00.0"),) if random.random() < 0.95 else (),
        boot_mac=mac,
    )
    policy = Policy.USE if random.random() < 0.9 else random.choice(list(Policy))
    return ObservedMachine(
        machine=Machine(id=f"m-{number}", policy=policy, phase=phase, phase_since=0.0),
        inventory=inventory if phase is not Phase.SEEN else None,
        expected=random.choice(["", "", f"n{number}", f"n{number}", "n1"]),
    )


def site(random: Random) -> Site:
    """A small network, some expected machines, grants and protected disks."""
    fixed = random.choice([None, IPv4Address("10.0.0.3"), IPv4Address("10.0.0.6")])
    names = random.sample(["n1", "n2", "n3", "node1"], random.randrange(5))
    granted = random.sample(SERIALS, random.randrange(7))
    return Site(
        name="law",
        domain="internal",
        provisioning=ProvisioningNetwork(
            cidr=IPv4Network("10.0.0.0/28"),
            appliance=IPv4Address("10.0.0.1"),
            first=IPv4Address("10.0.0.8"),
            last=IPv4Address("10.0.0.14"),
        ),
        machines=tuple(
            ExpectedMachine(name=name, serial=f"SN-{name}", address=fixed if index == 0 else None)
            for index, name in enumerate(names)
        ),
        erase=tuple(EraseGrant(serial=serial) for serial in granted),
        protect=tuple(random.sample(SERIALS, random.choice([0, 0, 1, 2]))),
    )


def scene(seed: int) -> tuple[Site, tuple[ObservedMachine, ...]]:
    """The seed makes the scene: with Hypothesis' own choices most scenes would be too odd to lead to any step."""
    random = Random(seed)
    return site(random), tuple(machine(random, number) for number in range(random.randrange(1, 7)))


Scene = tuple[Site, tuple[ObservedMachine, ...]]
scenes = st.integers(0, 2**32).map(scene)


def observed(found: tuple[ObservedMachine, ...]) -> Observed:
    return Observed(machines=found, images=(("debian-13", "5f" * 32),))


def test_the_scenes_are_worth_it() -> None:
    """Laws about plans prove little when few of the scenes lead to any step, or to none that needs a grant. Counted over
    seeds that are always the same: what Hypothesis draws is another thing after every edit."""
    count = {"all": 0, "steps": 0, "granted": 0, "refused": 0}
    for made in (make(*scene(seed)) for seed in range(200)):
        count["all"] += 1
        count["steps"] += bool(made.steps)
        count["granted"] += any(choice.fate is DiskFate.ERASE and choice.now != "blank" for choice in made.disks)
        count["refused"] += any(wait.reason in ("foreign-data", "too-many-disks") for wait in made.waits)
    assert count["steps"] * 2 >= count["all"], count
    assert count["granted"] >= 3, count
    assert count["refused"] >= 5, count


def make(site: Site, found: tuple[ObservedMachine, ...], parent: Plan | None = None) -> Plan:
    return plan(site, PROFILES, observed(found), parent)


def deployed(machine: ObservedMachine, made: Plan) -> ObservedMachine:
    """The machine after the plan was carried out."""
    if not any(step.machine == machine.machine.id for step in made.steps):
        return machine
    return replace(machine, machine=replace(machine.machine, phase=Phase.DEPLOYED), installed_by=made.hash)


@LAWS
@given(scenes, st.integers(0, 2**32))
def test_order_free_and_deterministic(given_scene: Scene, seed: int) -> None:
    site, found = given_scene
    shuffled = list(found)
    Random(seed).shuffle(shuffled)
    turned = tuple(
        replace(m, inventory=replace(m.inventory, disks=m.inventory.disks[::-1], nics=m.inventory.nics[::-1]))
        if m.inventory
        else m
        for m in shuffled
    )
    first = make(site, found)
    assert make(site, found) == first
    assert make(site, turned).hash == first.hash
    assert make(replace(site, machines=site.machines[::-1], erase=site.erase[::-1]), tuple(shuffled)) == first


@LAWS
@given(scenes)
def test_nothing_is_destroyed_that_may_not_be(given_scene: Scene) -> None:
    site, found = given_scene
    made = make(site, found)
    granted = {grant.serial for grant in site.erase}
    by_id = {machine.machine.id: machine for machine in found}
    every = [serial_key(disk.serial) for m in found if m.inventory for disk in m.inventory.disks]
    erased: dict[str, int] = {}
    for choice in made.disks:
        if choice.fate is not DiskFate.ERASE:
            continue
        erased[choice.machine] = erased.get(choice.machine, 0) + 1
        inventory = by_id[choice.machine].inventory
        assert inventory is not None
        fits = [
            disk
            for disk in inventory.disks
            if (disk.serial, disk.wwn, disk.model, disk.size) == (choice.serial, choice.wwn, choice.model, choice.size)
        ]
        assert len(fits) == 1, "the agent will find exactly this disk"
        serial = serial_key(choice.serial)
        assert serial not in site.protect
        assert not fits[0].read_only
        assert fits[0].content.blank or (serial in granted and every.count(serial) == 1)
        assert by_id[choice.machine].machine.phase is Phase.READY
        assert by_id[choice.machine].machine.policy is Policy.USE
    assert all(count == 1 for count in erased.values())
    installs = [step for step in made.steps if step.install]
    assert sorted(erased) == sorted(step.machine for step in installs)
    assert not [finding for finding in lint(site, made, observed(found), PROFILES) if finding.severity == "error"]


@LAWS
@given(scenes)
def test_every_disk_of_a_planned_machine_has_a_why(given_scene: Scene) -> None:
    site, found = given_scene
    made = make(site, found)
    planned = {step.machine for step in made.steps}
    for machine in found:
        if machine.machine.id in planned and machine.inventory:
            mine = [choice for choice in made.disks if choice.machine == machine.machine.id]
            assert len(mine) == len(machine.inventory.disks)
            assert all(choice.why and choice.now for choice in mine)
    assert render(made, observed(found)).endswith("\n")


def assert_unique(made: Plan) -> None:
    names = [allocation.name for allocation in made.allocations]
    addresses = [allocation.address for allocation in made.allocations if allocation.address]
    assert len(set(names)) == len(names)
    assert len(set(addresses)) == len(addresses)


@LAWS
@given(scenes)
def test_names_and_addresses_are_unique(given_scene: Scene) -> None:
    site, found = given_scene
    made = make(site, found)
    assert_unique(made)
    for allocation in made.allocations:
        value = IPv4Address(allocation.address)
        assert value in site.provisioning.cidr
        assert not site.provisioning.first <= value <= site.provisioning.last
        assert value != site.provisioning.appliance


@LAWS
@given(scenes)
def test_it_converges_to_the_empty_plan(given_scene: Scene) -> None:
    site, found = given_scene
    made = make(site, found)
    assert changed_facts(made, observed(found)) == ()
    after = tuple(deployed(machine, made) for machine in found)
    again = make(site, after, made)
    kept = {allocation.machine: allocation for allocation in again.allocations}
    assert all(kept[allocation.machine] == allocation for allocation in made.allocations)
    planned = {step.machine for step in made.steps}
    assert not planned & {step.machine for step in again.steps}
    if not again.steps:
        assert make(site, after, again).hash == again.hash


@LAWS
@given(scenes, st.integers(0, 2**32))
def test_adding_a_machine_moves_nothing_that_stands(given_scene: Scene, seed: int) -> None:
    site, found = given_scene
    made = make(site, found)
    newcomer = replace(machine(Random(seed), 7), expected="")
    again = make(site, (*(deployed(machine, made) for machine in found), newcomer), made)
    before = {allocation.machine: allocation for allocation in made.allocations}
    after = {allocation.machine: allocation for allocation in again.allocations}
    assert all(after[who] == allocation for who, allocation in before.items())
    later = {machine.machine.id for machine in found} - {step.machine for step in made.steps}
    assert {step.machine for step in again.steps} <= {newcomer.machine.id} | later
    assert_unique(again)


@LAWS
@given(scenes, st.integers(0, 2**32))
def test_a_retry_keeps_what_was_given(given_scene: Scene, seed: int) -> None:
    """Also when a machine has gone meanwhile whose name or address would now be the lowest that is free."""
    site, found = given_scene
    made = make(site, found)
    rest = list(found)
    rest.pop(Random(seed).randrange(len(rest)))
    again = make(site, (*rest, replace(machine(Random(seed), 7), expected="")), made)
    before = {allocation.machine: allocation for allocation in made.allocations}
    for allocation in again.allocations:
        earlier = before.get(allocation.machine, allocation)
        assert (allocation.name, allocation.address) == (earlier.name, earlier.address)
    assert_unique(again)
