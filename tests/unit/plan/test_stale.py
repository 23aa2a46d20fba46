"""Is a plan still right? A reboot changes nothing; a swapped, shrunk or written disk does, and is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.wire import Disk, Smart
from appliance.model.machine import Phase, Policy
from appliance.model.observed import ObservedMachine
from appliance.plan.stale import changed_facts


def with_disk(machine: ObservedMachine, **facts: Any) -> ObservedMachine:
    assert machine.inventory is not None
    first, *others = machine.inventory.disks
    return replace(machine, inventory=replace(machine.inventory, disks=(replace(first, **facts), *others)))


@pytest.fixture
def scene(workshop: Any) -> tuple[Any, ...]:
    site = workshop.site("machines: {n1: {serial: SN1}}")
    machine = workshop.machine(1, workshop.disk("D1"), workshop.disk("BIG1", 8000, workshop.foreign))
    return workshop, site, machine, workshop.plan(site, machine)


def changes(scene: tuple[Any, ...], machine: ObservedMachine | None) -> list[str]:
    workshop, site, _, made = scene
    machines = [machine] if machine else []
    found = changed_facts(made, workshop.observed(*machines))
    if machine is not None and machine.machine.phase is Phase.READY and machine.machine.policy is Policy.USE:
        again = workshop.plan(site, machine)
        assert bool(found) == (again.hash != made.hash), "the hash changes exactly when a fact does"
    return [change.text for change in found]


def test_a_reboot_changes_nothing(scene: tuple[Any, ...]) -> None:
    _, _, machine, _ = scene
    rebooted = with_disk(machine, path="/dev/sdz", smart=Smart(temperature_celsius=40), by_id=("x",))
    inventory = rebooted.inventory
    assert inventory is not None
    nics = tuple(replace(nic, carrier=not nic.carrier, name=f"x{nic.name}", speed=1000) for nic in inventory.nics)
    inventory = replace(
        inventory, nics=nics[::-1], disks=inventory.disks[::-1], kernel="7.0", boot_mac=inventory.boot_mac
    )
    state = replace(rebooted.machine, phase_since=99.0, boot_nonce="ff", last_contact=5.0, generation=8)
    assert changes(scene, replace(rebooted, inventory=inventory, machine=state)) == []


def test_a_shrunk_disk(scene: tuple[Any, ...]) -> None:
    _, _, machine, _ = scene
    found = changes(scene, with_disk(machine, size=machine.inventory.disks[0].size - 4096))
    assert "n1: what is on disk D1 changed, or its size did" in found


def test_a_swapped_disk(scene: tuple[Any, ...]) -> None:
    _, _, machine, _ = scene
    found = changes(scene, with_disk(machine, serial="OTHER"))
    assert found == ["n1: its disk D1 is gone", "n1: the set of its disks or their sizes changed"]


def test_a_written_disk(scene: tuple[Any, ...]) -> None:
    workshop, _, machine, _ = scene
    assert changes(scene, with_disk(machine, content=workshop.foreign)) == [
        "n1: what is on disk D1 changed, or its size did"
    ]


def test_another_disk_was_added(scene: tuple[Any, ...]) -> None:
    workshop, _, machine, _ = scene
    more = replace(machine.inventory, disks=(*machine.inventory.disks, workshop.disk("D9")))
    assert changes(scene, replace(machine, inventory=more)) == ["n1: the set of its disks or their sizes changed"]


def test_data_on_a_kept_disk_is_no_fact(scene: tuple[Any, ...]) -> None:
    """Nobody promised that kept disks stand still."""
    _, _, machine, _ = scene
    first, second = machine.inventory.disks
    moved: Disk = replace(second, content=replace(second.content, edges="99" * 32))
    assert changes(scene, replace(machine, inventory=replace(machine.inventory, disks=(first, moved)))) == []


def test_state_of_the_machine(scene: tuple[Any, ...]) -> None:
    _, _, machine, _ = scene
    assert changes(scene, replace(machine, machine=replace(machine.machine, policy=Policy.HOLD))) == [
        "n1: its policy is hold now"
    ]
    assert changes(scene, replace(machine, machine=replace(machine.machine, phase=Phase.DEPLOYED))) == [
        "n1: it is deployed now"
    ]
    gone = changes(scene, None)
    assert "n1: its inventory is gone" in gone
    assert "n1: its disk D1 is gone" in gone


def test_image(scene: tuple[Any, ...]) -> None:
    workshop, _, machine, made = scene
    workshop.images = (("debian-13", "aa" * 32),)
    assert [c.name for c in changed_facts(made, workshop.observed(machine))] == ["image/debian-13"]
    workshop.images = ()
    assert changed_facts(made, workshop.observed(machine))[0].text == "the root image debian-13 is gone"
