"""Laws of the planner, on machines and sites that nobody would think of."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.wire import Board, Content, Cpu, Disk, Environment, Firmware, Inventory, Memory, Nic, Signature
from appliance.model.machine import Machine, Phase, Policy
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import DiskFate, Plan
from appliance.model.site import EraseGrant, ExpectedMachine, ProvisioningNetwork, Site
from appliance.plan.diff import render
from appliance.plan.lint import lint
from appliance.plan.make import plan
from appliance.plan.stale import changed_facts
from hwprofiles.loader import load_profiles
from hwprofiles.normal import serial_key

PROFILES = load_profiles()
LAWS = settings(derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
BLANK = Content(blank=True, edges="00")
FOREIGN = Content(signatures=(Signature(kind="xfs"),), edges="11")
SERIALS = [f"S{number}" for number in range(8)]

contents = st.sampled_from([BLANK, BLANK, FOREIGN, Content(edges="22")])


@st.composite
def disks(draw: st.DrawFn) -> Disk:
    transport = draw(st.sampled_from(["nvme", "sata", "sas", "virtio", "usb", ""]))
    return Disk(
        path=draw(st.sampled_from(["/dev/sda", "/dev/sdb", "/dev/nvme0n1", "/dev/vda"])),
        size=draw(st.sampled_from([10**9, 5 * 10**9, 480 * 10**9, 960 * 10**9, 4 * 10**12, 16 * 10**12])),
        serial=draw(st.sampled_from([*SERIALS, "", " s1 "])),
        wwn=draw(st.sampled_from(["", "", "0x5000c500e4a10001", "0x5000c500e4a10002"])),
        model=draw(st.sampled_from(["", "DELLBOSS VD", "MTFDDAK480TDS"])),
        transport=transport,
        rotational=draw(st.booleans()),
        removable=transport == "usb",
        read_only=draw(st.integers(0, 9)) == 0,
        bus_path=draw(st.sampled_from(["0000:41:00.0", "0000:c1:00.0", ""])),
        content=draw(contents),
    )


@st.composite
def machines(draw: st.DrawFn, number: int) -> ObservedMachine:
    mac = f"3c:ec:ef:00:00:{number:02x}"
    phase = draw(st.sampled_from([*Phase, *[Phase.READY] * 12]))
    inventory = Inventory(
        environment=Environment.IMAGE,
        architecture=draw(st.sampled_from(["x86_64", "x86_64", "x86_64", "aarch64"])),
        firmware=draw(st.sampled_from(Firmware)),
        memory=Memory(total=64 << 30),
        board=Board(
            vendor="Supermicro", name="H12SSW-NT", system_serial=draw(st.sampled_from(["", f"SN{number}", "SN"]))
        ),
        cpu=Cpu(model="AMD EPYC 7302"),
        disks=tuple(draw(st.lists(disks(), max_size=3))),
        nics=(Nic(name="eth0", mac=mac, bus_path="0000:03:00.0"),) if draw(st.integers(0, 9)) else (),
        boot_mac=mac,
    )
    return ObservedMachine(
        machine=Machine(
            id=f"m-{number}",
            policy=draw(st.sampled_from([*Policy, *[Policy.USE] * 8])),
            phase=phase,
            phase_since=0.0,
        ),
        inventory=inventory if phase is not Phase.SEEN else None,
        expected=draw(st.sampled_from(["", "", f"n{number}", "n1", "n2"])),
    )


@st.composite
def sites(draw: st.DrawFn) -> Site:
    expected = draw(st.lists(st.sampled_from(["n1", "n2", "n3", "node1"]), unique=True))
    fixed = draw(st.sampled_from([None, IPv4Address("10.0.0.3"), IPv4Address("10.0.0.6")]))
    granted = draw(st.lists(st.sampled_from(SERIALS), unique=True, max_size=4))
    protected = draw(st.lists(st.sampled_from(SERIALS), unique=True, max_size=3))
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
            for index, name in enumerate(expected)
        ),
        erase=tuple(EraseGrant(serial=serial) for serial in granted),
        protect=tuple(protected),
    )


scenes = st.tuples(
    sites(), st.integers(1, 4).flatmap(lambda count: st.tuples(*(machines(number) for number in range(count))))
)


def observed(found: tuple[ObservedMachine, ...]) -> Observed:
    return Observed(machines=found, images=(("debian-13", "5f" * 32),))


def make(site: Site, found: tuple[ObservedMachine, ...], parent: Plan | None = None) -> Plan:
    return plan(site, PROFILES, observed(found), parent)


def deployed(machine: ObservedMachine, made: Plan) -> ObservedMachine:
    """The machine after the plan was carried out."""
    if not any(step.machine == machine.machine.id for step in made.steps):
        return machine
    return replace(machine, machine=replace(machine.machine, phase=Phase.DEPLOYED), installed_by=made.hash)


@LAWS
@given(scenes, st.randoms(use_true_random=False))
def test_order_free_and_deterministic(scene: tuple[Site, tuple[ObservedMachine, ...]], random: object) -> None:
    site, found = scene
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
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
def test_nothing_is_destroyed_that_may_not_be(scene: tuple[Site, tuple[ObservedMachine, ...]]) -> None:
    site, found = scene
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
def test_every_disk_of_a_planned_machine_has_a_why(scene: tuple[Site, tuple[ObservedMachine, ...]]) -> None:
    site, found = scene
    made = make(site, found)
    planned = {step.machine for step in made.steps}
    for machine in found:
        if machine.machine.id in planned and machine.inventory:
            mine = [choice for choice in made.disks if choice.machine == machine.machine.id]
            assert len(mine) == len(machine.inventory.disks)
            assert all(choice.why and choice.now for choice in mine)
    assert render(made, observed(found)).endswith("\n")


@LAWS
@given(scenes)
def test_names_and_addresses_are_unique(scene: tuple[Site, tuple[ObservedMachine, ...]]) -> None:
    site, found = scene
    made = make(site, found)
    names = [allocation.name for allocation in made.allocations]
    addresses = [allocation.address for allocation in made.allocations if allocation.address]
    assert len(set(names)) == len(names)
    assert len(set(addresses)) == len(addresses)
    for address in addresses:
        value = IPv4Address(address)
        assert value in site.provisioning.cidr
        assert not site.provisioning.first <= value <= site.provisioning.last
        assert value != site.provisioning.appliance


@LAWS
@given(scenes)
def test_it_converges_to_the_empty_plan(scene: tuple[Site, tuple[ObservedMachine, ...]]) -> None:
    site, found = scene
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
@given(scenes, st.data())
def test_adding_a_machine_moves_nothing_that_stands(
    scene: tuple[Site, tuple[ObservedMachine, ...]], data: st.DataObject
) -> None:
    site, found = scene
    made = make(site, found)
    newcomer = data.draw(machines(7))
    newcomer = replace(newcomer, expected="")
    again = make(site, (*(deployed(machine, made) for machine in found), newcomer), made)
    before = {allocation.machine: allocation for allocation in made.allocations}
    after = {allocation.machine: allocation for allocation in again.allocations}
    assert all(after[machine] == allocation for machine, allocation in before.items())
    later = {machine.machine.id for machine in found} - {step.machine for step in made.steps}
    assert {step.machine for step in again.steps} <= {newcomer.machine.id} | later
