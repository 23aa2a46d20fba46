"""Golden plans: whole sites, read as the text that a person approves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.wire import Board, Content, Firmware, Nic, Partition, ProbeFailure, from_data, to_data
from appliance.model.machine import Phase, Policy, Trouble, TroubleKind
from appliance.model.observed import ObservedMachine
from appliance.model.plan import Allocation, DiskFate, Plan, StepKind, WaitReason
from appliance.model.site import Site
from appliance.plan.diff.text import LineKind, lines, render, summary
from appliance.plan.disks.layout import partition_guids
from hwprofiles.profile import (
    DiskRole,
    DiskRoleName,
    DiskSelector,
    Profile,
    Rule,
)

Scene = tuple[Site, list[ObservedMachine], Plan | None]


def one_machine(w: Any) -> Scene:
    return w.site("machines: {n1: {serial: SN1}}"), [w.machine(1)], None


def three_like_the_demo(w: Any) -> Scene:
    site = w.site(
        "domain: demo.example",
        "kernel_arguments: [no_timer_check]",
        "console: ttyS0,115200n8",
        provisioning="cidr: 10.20.0.0/24, gateway: 10.20.0.254, dns: [10.20.0.254]",
    )
    small = {"size": 5.368709120, "model": ""}
    return (
        site,
        [
            w.machine(1, w.disk("VDA000001", transport="virtio", rotational=True, **small), firmware=Firmware.BIOS),
            w.machine(2, w.disk("S64GNE0R000002", transport="nvme", **small)),
            w.machine(
                3,
                w.disk("2201E5F80003", wwn="0x500a0751e5f80003", **small),
                w.disk("ZL2ARCHIVE01", 0.268, w.foreign, transport="sas", wwn="0x5000c500e4a10001"),
            ),
        ],
        None,
    )


def no_disk(w: Any) -> Scene:
    machine = w.machine(1)
    return w.site(), [replace(machine, inventory=replace(machine.inventory, disks=()))], None


def no_disk_fits(w: Any) -> Scene:
    disks = [
        w.disk("TINY1", 2),
        w.disk("STICK1", 64, transport="usb", removable=True),
        w.disk("CARD1", 64, read_only=True),
        w.disk("MID1", 3.9),
    ]
    return w.site(), [w.machine(1, *disks)], None


def two_equal_disks(w: Any) -> Scene:
    return w.site(), [w.machine(1, w.disk("D1A"), w.disk("D1B"))], None


def two_equal_disks_one_protected(w: Any) -> Scene:
    return w.site("protect: [d1b]"), [w.machine(1, w.disk("D1A"), w.disk("D1B"))], None


def foreign_without_grant(w: Any) -> Scene:
    return w.site(), [w.machine(1, w.disk("D1", content=w.foreign))], None


def foreign_with_grant(w: Any) -> Scene:
    return w.site("erase: [{serial: d1, reason: old}]"), [w.machine(1, w.disk(" D1 ", content=w.foreign))], None


def grant_for_a_serial_that_two_disks_have(w: Any) -> Scene:
    machines = [w.machine(1, w.disk("SAME", content=w.foreign)), w.machine(2, w.disk("SAME", content=w.foreign))]
    return w.site("erase: [{serial: SAME}]"), machines, None


def unrecognised_data(w: Any) -> Scene:
    return w.site(), [w.machine(1, w.disk("D1", content=Content(edges="cd" * 32)))], None


def only_a_protected_disk(w: Any) -> Scene:
    return w.site("protect: [D1]"), [w.machine(1)], None


def profile_tie(w: Any) -> Scene:
    twin = replace(next(p for p in w.profiles if p.name == "epyc-compute"), name="epyc-twin")
    w.profiles = (*w.profiles, twin)
    return w.site(), [w.machine(1)], None


def no_profile(w: Any) -> Scene:
    return w.site(), [w.machine(1, architecture="riscv64", phase=Phase.INSPECTED)], None


def arm_is_not_executable(w: Any) -> Scene:
    board = Board(vendor="GIGABYTE", name="MP32-AR1-00")
    disks = [w.disk("N1", transport="nvme"), *(w.disk(f"H{n}", 16000, transport="sas", rotational=True) for n in "12")]
    return w.site(), [w.machine(1, *disks, architecture="aarch64", board=board)], None


def addresses_too_few(w: Any) -> Scene:
    """The site file's own check sees only the machines that it names; these come unannounced."""
    site = w.site("machines: {}", provisioning="cidr: 10.20.0.0/28, hosts: 10.20.0.2-3")
    return site, [w.machine(n, expected="") for n in (1, 2, 3)], None


def bios_and_uefi(w: Any) -> Scene:
    return w.site(), [w.machine(1, firmware=Firmware.BIOS), w.machine(2, firmware=Firmware.UEFI)], None


def many_disks_and_roles(w: Any) -> Scene:
    disks = [
        w.disk("BOSS1", 240, w.foreign, model="DELLBOSS VD"),
        *(w.disk(f"NV{n}", 3840, transport="nvme", model="Micron_9300") for n in range(4)),
        w.disk("HD1", 16000, transport="sas", rotational=True),
        w.disk("STICK", 32, transport="usb", removable=True),
    ]
    return w.site("erase: [{serial: BOSS1, reason: old}]"), [w.machine(1, *disks)], None


def every_phase(w: Any) -> Scene:
    machines = [
        w.machine(n, phase=phase, expected="", seen=phase is not Phase.SEEN)
        for n, phase in enumerate(Phase, start=1)
        if phase is not Phase.READY
    ]
    conflict = Trouble(kind=TroubleKind.IDENTITY_CONFLICT, text="its UUID is also that of m-1", since=1.0)
    machines.append(w.machine(40, phase=Phase.SEEN, policy=Policy.HOLD, trouble=conflict, expected=""))
    machines.append(w.machine(41, policy=Policy.HOLD, expected=""))
    failed = (ProbeFailure(probe="disks", message="OSError: no /sys"),)
    machines.append(w.machine(42, expected="", failures=failed))
    return w.site("machines: {n9: {serial: SN9}}"), machines, None


def two_machines_for_one_entry(w: Any) -> Scene:
    return w.site(), [w.machine(1), w.machine(2, expected="n1")], None


def no_image(w: Any) -> Scene:
    w.images = ()
    return w.site(), [w.machine(1)], None


def names_and_addresses_are_kept(w: Any) -> Scene:
    """m-2 is deployed as node1 with .2; m-1 and m-3 come later; n3 is fixed."""
    before = Allocation(machine="m-2", name="node1", address="10.20.0.2", profile="epyc-compute")
    deployed = replace(w.machine(2, phase=Phase.DEPLOYED, expected="", installed_by="ab" * 32), allocation=before)
    site = w.site("machines: {n3: {serial: SN3, address: 10.20.0.3}}")
    return site, [w.machine(1, expected=""), deployed, w.machine(3)], None


def name_taken(w: Any) -> Scene:
    before = Allocation(machine="m-2", name="n1", address="10.20.0.2", profile="epyc-compute")
    deployed = replace(w.machine(2, phase=Phase.DEPLOYED, expected=""), allocation=before)
    return w.site("machines: {n1: {serial: SN1}}"), [w.machine(1), deployed], None


def proxy_mode(w: Any) -> Scene:
    return w.site(provisioning="cidr: 10.20.0.0/24, mode: proxy"), [w.machine(1)], None


def disk_without_identity(w: Any) -> Scene:
    return w.site(), [w.machine(1, w.disk("")), w.machine(2, w.disk("S"), w.disk("S", 0.1))], None


def after_a_failed_install(w: Any) -> Scene:
    """The disk carries the partitions that we made; no grant is needed to do it again."""
    machine = w.machine(1)
    disk = machine.inventory.disks[0]
    guids = partition_guids("m-1", disk)
    rows = tuple(Partition(number=n, start=n << 20, size=1 << 30, guid=guid) for n, guid in enumerate(guids, 1))
    ours = replace(disk, content=Content(table="gpt", table_id="77" * 16, partitions=rows, edges="ee" * 32))
    permit = "0f0e0d0c-0000-4000-8000-000000000001"
    return (
        w.site(),
        [w.machine(1, ours), w.machine(2, w.disk("D2", content=w.foreign), permits=(permit.upper(),))],
        None,
    )


SCENES: list[Callable[[Any], Scene]] = [
    one_machine,
    three_like_the_demo,
    no_disk,
    no_disk_fits,
    two_equal_disks,
    two_equal_disks_one_protected,
    foreign_without_grant,
    foreign_with_grant,
    grant_for_a_serial_that_two_disks_have,
    unrecognised_data,
    only_a_protected_disk,
    profile_tie,
    no_profile,
    arm_is_not_executable,
    addresses_too_few,
    bios_and_uefi,
    many_disks_and_roles,
    every_phase,
    two_machines_for_one_entry,
    no_image,
    names_and_addresses_are_kept,
    name_taken,
    proxy_mode,
    disk_without_identity,
    after_a_failed_install,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_golden_plans(scene: Callable[[Any], Scene], workshop: Any, golden: Any) -> None:
    site, machines, parent = scene(workshop)
    made = workshop.plan(site, *machines, parent=parent)
    text = render(made, workshop.observed(*machines))
    allocations = "".join(f"{a.machine} {a.name} {a.address or 'dhcp'} {dict(a.nics)}\n" for a in made.allocations)
    facts = "".join(f"{fact.name} {fact.value}\n" for fact in made.facts)
    golden.check(
        f"plan/{scene.__name__.replace('_', '-')}.txt", f"{text}\n# allocations\n{allocations}\n# facts\n{facts}"
    )
    assert workshop.plan(site, *machines[::-1], parent=parent) == made, "the order of machines does not matter"
    assert from_data(Plan, to_data(made)) == made, "a plan survives being stored"


def test_steps_of_an_install(workshop: Any) -> None:
    site, machines, _ = three_like_the_demo(workshop)
    made = workshop.plan(site, *machines)
    assert [step.key for step in made.steps] == [
        f"{kind}/m-{number}" for number in (1, 2, 3) for kind in ("install", "first-boot")
    ]
    install = made.steps[0]
    assert install.kind is StepKind.INSTALL
    assert not install.reversible
    assert install.deadline == 7200
    assert made.steps[1].after == (install.key,)
    assert install.install is not None
    host = install.install.host
    assert host.console == "ttyS0,115200n8"
    assert host.kernel_arguments == ("no_timer_check",)
    assert [(nic.name, nic.address, nic.gateway, nic.dns) for nic in host.nics] == [
        ("nic1", "10.20.0.2/24", "10.20.0.254", ("10.20.0.254",))
    ]
    assert [(spec.role, spec.size >> 20) for spec in install.install.partitions] == [
        ("bios-boot", 1),
        ("esp", 512),
        ("root", 0),
    ]
    assert made.disks[-1].serial == "ZL2ARCHIVE01"
    assert made.disks[-1].fate is DiskFate.KEEP


def test_it_converges(workshop: Any) -> None:
    """Once all is deployed the next plan is empty, and says so."""
    site, machines, _ = three_like_the_demo(workshop)
    first = workshop.plan(site, *machines)
    done = [replace(m, machine=replace(m.machine, phase=Phase.DEPLOYED), installed_by=first.hash) for m in machines]
    second = workshop.plan(site, *done, parent=first)
    assert (second.steps, second.waits, second.disks, second.facts) == ((), (), (), ())
    assert second.allocations == first.allocations
    assert summary(second) == "No changes."
    assert second.parent == first.hash


def test_a_machine_that_is_being_installed_is_left_alone(workshop: Any) -> None:
    site = workshop.site("machines: {n1: {serial: SN1}, n2: {serial: SN2}}")
    machines = [workshop.machine(1), workshop.machine(2)]
    first = workshop.plan(site, *machines)
    busy = replace(machines[0], machine=replace(machines[0].machine, phase=Phase.DEPLOYING))
    second = workshop.plan(site, busy, machines[1], parent=first)
    assert {step.machine for step in second.steps} == {"m-2"}
    assert [(wait.about, wait.reason) for wait in second.waits] == [("n1", WaitReason.IN_PROGRESS)]
    assert second.allocations == first.allocations


def test_a_retry_makes_the_same_plan(workshop: Any) -> None:
    site, machines, _ = three_like_the_demo(workshop)
    first = workshop.plan(site, *machines)
    again = workshop.plan(site, *machines, parent=first)
    assert again.hash == first.hash
    assert again.steps == first.steps


def test_a_retired_machine_lets_its_name_go(workshop: Any) -> None:
    site = workshop.site("machines: {n1: {serial: SN1}}")
    first = workshop.plan(site, workshop.machine(1))
    retired = workshop.machine(1, phase=Phase.RETIRED)
    successor = workshop.machine(7, expected="n1")
    made = workshop.plan(site, retired, successor, parent=first)
    assert [(a.machine, a.name, a.address) for a in made.allocations] == [("m-7", "n1", "10.20.0.2")]
    assert not made.waits


def test_ports_keep_their_names(workshop: Any) -> None:
    """A card that comes later sorts before the old ones on the bus, but takes no name from them."""
    site = workshop.site("machines: {n1: {serial: SN1}}")
    machine = workshop.machine(1)
    first = workshop.plan(site, machine)
    card = Nic(name="eth9", mac="b4:96:91:00:00:99", bus_path="0000:01:00.0")
    inventory = replace(machine.inventory, nics=(*machine.inventory.nics, card))
    second = workshop.plan(site, replace(machine, inventory=inventory), parent=first)
    assert dict(second.allocations[0].nics) == {**dict(first.allocations[0].nics), card.mac: "nic2"}


def test_mirrored_pair_is_planned_for_a_later_version(workshop: Any) -> None:
    pair = Profile(
        name="pair",
        description="",
        match=(Rule(board_name=("h12ssw-ntr",)),),
        disks=(DiskRole(role=DiskRoleName.SYSTEM, choose=(DiskSelector(),), count=2),),
    )
    workshop.profiles = (pair,)
    two = workshop.plan(workshop.site(), workshop.machine(1, workshop.disk("A1"), workshop.disk("B1")))
    assert [wait.reason for wait in two.waits if wait.about == "n1"] == [WaitReason.NOT_EXECUTABLE]
    one = workshop.plan(workshop.site(), workshop.machine(1))
    assert [wait.reason for wait in one.waits if wait.about == "n1"] == [WaitReason.NO_SYSTEM_DISK]
    three = [workshop.disk(serial) for serial in ("A1", "B1", "C1")]
    many = workshop.plan(workshop.site(), workshop.machine(1, *three))
    assert [wait.reason for wait in many.waits if wait.about == "n1"] == [WaitReason.TOO_MANY_DISKS]
    for made in (two, one, many):
        assert not made.steps
        assert all(choice.fate is DiskFate.KEEP for choice in made.disks)


def test_lines_have_kinds_for_colours(workshop: Any) -> None:
    site, machines, _ = three_like_the_demo(workshop)
    made = workshop.plan(site, *machines)
    found = lines(made, workshop.observed(*machines))
    assert [line.machine for line in found if line.kind is LineKind.DESTROY] == ["m-1", "m-2", "m-3"]
    assert "ZL2ARCHIVE01" in next(line.text for line in found if line.kind is LineKind.KEEP)


def test_a_console_on_a_port_that_is_not_there_is_left_out(workshop: Any) -> None:
    site = workshop.site("machines: {n1: {serial: SN1}}")

    def console(*uarts: str) -> tuple[str, tuple[str, ...]]:
        step = workshop.plan(site, workshop.machine(1, uarts=uarts)).steps[0]
        return step.install.host.console, step.install.host.kernel_arguments

    assert console() == ("ttyS1,115200n8", ("console=ttyS0,115200n8",))
    assert console("ttyS0", "ttyS1") == console()
    assert console("ttyS0") == ("ttyS0,115200n8", ())
    assert console("ttyAMA0") == console()
