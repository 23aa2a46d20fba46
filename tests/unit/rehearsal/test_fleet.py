"""The generator of fleets: real enough for the shipped profiles, the same every time, and cheap."""

from __future__ import annotations

from collections import Counter

import pytest

from agent.wire import Environment, Inventory, Neighbour, encode
from appliance.model.expected import expected_entry
from appliance.model.identity import of_inventory
from appliance.model.machine import Phase, Policy
from appliance.model.observed import Observed
from appliance.model.place import Level
from appliance.plan.disks.content import is_ours
from appliance.plan.make import plan
from appliance.rehearsal.faults import Fault, apply
from appliance.rehearsal.fleet import accepted, fleet, machine, machine_id, observed
from appliance.rehearsal.fleetparts import ARM_STORAGE, EPYC, EPYC_HDD, GENERIC, HARDWARE, PI5, Hardware
from hwprofiles.loader import load_profiles
from hwprofiles.match import match
from hwprofiles.normal import identifying_mac, known_bad_uuid, serial_key
from hwprofiles.profile import DiskRoleName

PROFILES = load_profiles()


def inventories(seen: Observed) -> list[Inventory]:
    return [machine.inventory for machine in seen.machines if machine.inventory]


@pytest.mark.parametrize("hardware", HARDWARE, ids=lambda hardware: hardware.name)
def test_the_shipped_profiles_know_every_kind(hardware: Hardware) -> None:
    one = machine(7, hardware)
    assert one.inventory is not None
    found = match(one.inventory, PROFILES)
    assert found.profile is not None
    assert found.profile.name == hardware.profile
    assert found.profile.disk_role(DiskRoleName.SYSTEM) is not None
    assert sum(count for _, count in hardware.disks) == len(one.inventory.disks)


@pytest.mark.parametrize("hardware", [EPYC, EPYC_HDD, GENERIC], ids=lambda hardware: hardware.name)
def test_a_new_machine_can_be_installed(hardware: Hardware) -> None:
    scene = fleet(racks=1, per_rack=3, hardware=(hardware,), clusters=False, ceph=False)
    made = plan(scene.site, PROFILES, scene.observed, None)
    assert len([step for step in made.steps if step.install]) == 3
    assert not made.waits


def test_nothing_is_there_twice() -> None:
    seen = fleet(racks=5, per_rack=40, hardware=HARDWARE).observed
    disks = [disk for inventory in inventories(seen) for disk in inventory.disks]
    for values in (
        [one.machine.id for one in seen.machines],
        [serial_key(disk.serial) for disk in disks],
        [disk.wwn for disk in disks],
        [nic.mac for inventory in inventories(seen) for nic in inventory.nics],
        [i.board.system_uuid or i.board.pi_serial for i in inventories(seen)],
        [serial_key(i.board.system_serial) or i.board.pi_serial for i in inventories(seen)],
    ):
        assert not [value for value, count in Counter(values).items() if count > 1]
        assert all(values)
    assert all(len(disk.wwn) == 20 for disk in disks)
    assert all(identifying_mac(nic.mac) for inventory in inventories(seen) for nic in inventory.nics)
    assert not any(known_bad_uuid(i.board.system_uuid) for i in inventories(seen) if i.board.system_uuid)
    for inventory in inventories(seen):
        assert len({disk.path for disk in inventory.disks}) == len(inventory.disks)
        assert len({disk.bus_path for disk in inventory.disks}) == len(inventory.disks)


def test_large_numbers_fit_their_places() -> None:
    """Ten thousand machines, and the last one that serials and MACs have room for."""
    for number in (10_000, 999_999):
        one = machine(number, EPYC)
        assert one.inventory is not None
        assert {len(disk.wwn) for disk in one.inventory.disks} == {20}
        assert {len(nic.mac) for nic in one.inventory.nics} == {17}
        assert len(machine_id(number)) == 12


def test_the_site_file_expects_exactly_these_machines() -> None:
    scene = fleet(racks=2, per_rack=5, hardware=HARDWARE)
    for one in scene.observed.machines:
        assert one.inventory is not None
        entry = expected_entry(scene.site, of_inventory(one.inventory))
        assert entry is not None
        assert entry.name == one.expected


def test_the_same_call_gives_the_same_fleet() -> None:
    one, other = (fleet(racks=3, per_rack=4, hardware=HARDWARE, broken=0.4, seed=5) for _ in range(2))
    assert one == other
    assert encode(one.observed) == encode(other.observed)
    assert fleet(racks=3, per_rack=4, hardware=HARDWARE, broken=0.4, seed=6).faults != one.faults
    larger = fleet(racks=4, per_rack=4, hardware=HARDWARE)
    smaller = fleet(racks=3, per_rack=4, hardware=HARDWARE)
    assert larger.observed.machines[:12] == smaller.observed.machines


def test_levels_are_nested_and_equal() -> None:
    racks = fleet(racks=12, per_rack=1, rows=6, datacenters=3, zones=3).site.racks
    assert Counter(rack.zone for rack in racks) == {"az1": 4, "az2": 4, "az3": 4}
    assert Counter(rack.row for rack in racks) == {f"row{number}": 2 for number in range(1, 7)}
    parents: dict[str, set[str]] = {}
    for rack in racks:
        parents.setdefault(rack.row, set()).add(rack.datacenter)
        parents.setdefault(rack.datacenter, set()).add(rack.zone)
    assert all(len(above) == 1 for above in parents.values())
    assert {rack.row for rack in fleet(racks=2, per_rack=1).site.racks} == {""}
    assert Level.ZONE == "zone"


@pytest.mark.parametrize("levels", [{"rows": 3, "datacenters": 2}, {"zones": 5}])
def test_levels_that_do_not_nest_are_refused(levels: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="can't be nested"):
        fleet(racks=4, per_rack=1, **levels)


@pytest.mark.parametrize("count", [1, 100, 3000])
def test_networks_have_room_for_all(count: int) -> None:
    site = fleet(racks=1, per_rack=count, hardware=(PI5,)).site
    boot = site.provisioning
    assert int(boot.last) - int(boot.first) + 1 >= count
    assert int(boot.first) - int(boot.appliance) - 1 >= count
    assert boot.last in boot.cidr
    ranges = [boot.cidr, *(network.cidr for network in site.networks if network.cidr)]
    assert len(ranges) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(ranges) for b in ranges[i + 1 :])
    assert all(network.num_addresses >= count + 2 for network in ranges)


def test_what_is_given_goes_before() -> None:
    heard = (Neighbour(chassis="c", port="7", system="sw1"),)
    one = machine(3, PI5, policy=Policy.HOLD, expected="arbiter", neighbours={0: heard}, hostname="pi", disks=())
    assert one.inventory is not None
    assert (one.expected, one.machine.policy, one.inventory.hostname, one.inventory.disks) == (
        "arbiter",
        Policy.HOLD,
        "pi",
        (),
    )
    assert one.inventory.nics[0].neighbours == heard
    assert machine(3, phase=Phase.ENROLLED).inventory is None
    few = EPYC.with_data(4).with_memory(64 << 30)
    changed = machine(3, few).inventory
    assert changed is not None
    assert len(changed.disks) == 5
    assert changed.memory.installed == 64 << 30
    assert len(fleet(racks=1, per_rack=1, clusters=False, ceph=False).site.networks) == 0


def test_groups_are_only_there_where_profiles_have_no_roles_for_it() -> None:
    def groups(*hardware: Hardware) -> list[str]:
        ceph = fleet(racks=1, per_rack=2, hardware=hardware).site.ceph
        return [group.name for group in ceph.groups] if ceph else []

    assert groups(EPYC) == []
    assert groups(EPYC_HDD) == ["spinning"]
    assert groups(EPYC, EPYC_HDD) == ["spinning", "flash"]
    assert groups(EPYC, ARM_STORAGE) == ["spinning"]
    wide = fleet(racks=3, per_rack=1, zones=3).site.ceph
    assert wide is not None
    assert [pool.name for pool in wide.pools] == ["vm", "files", "objects"]


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_changes_the_machine_or_hides_it(fault: Fault) -> None:
    one, other = machine(2), machine(1)
    broken = apply(fault, one, other)
    assert broken != one
    assert (broken is None) == (fault is Fault.NOT_SEEN)


@pytest.mark.parametrize("fault", [Fault.NO_DISK, Fault.DUPLICATE_SERIAL, Fault.READ_ONLY])
def test_what_has_not_reported_has_no_broken_parts(fault: Fault) -> None:
    hidden = machine(2, phase=Phase.SEEN)
    assert apply(fault, hidden, machine(1)) == hidden


def test_a_share_is_broken_and_plans_all_the_same() -> None:
    scene = fleet(racks=20, per_rack=40, broken=0.25, seed=1, clusters=False, ceph=False)
    assert 150 <= len(scene.faults) <= 250
    assert set(scene.faults.values()) == set(Fault)
    unseen = [name for name, fault in scene.faults.items() if fault is Fault.NOT_SEEN]
    assert len(scene.observed.machines) == 800 - len(unseen)
    made = plan(scene.site, PROFILES, scene.observed, None)
    planned = {step.name for step in made.steps}
    assert not planned & set(unseen)
    sound = {f"n{number}" for number in range(1, 801)} - set(scene.faults)
    assert sound <= planned, "what is wrong with one machine keeps no other from being installed"
    assert len({wait.reason for wait in made.waits}) >= 6


def test_after_a_plan_everything_is_installed_and_ours() -> None:
    scene = fleet(racks=2, per_rack=4, hardware=HARDWARE, broken=0.2)
    made = plan(scene.site, PROFILES, scene.observed, None)
    after = accepted(made, scene.observed)
    installs = {step.machine: step for step in made.steps if step.install}
    assert installs
    for before, now in zip(scene.observed.machines, after.machines, strict=True):
        step = installs.get(now.machine.id)
        if step is None or step.install is None or now.inventory is None:
            assert now.inventory == before.inventory
            assert now.machine == before.machine
            continue
        assert now.machine.phase is Phase.DEPLOYED
        assert now.installed_by == made.hash
        assert now.allocation is not None
        assert now.allocation.name == now.inventory.hostname == step.name
        assert now.inventory.environment is Environment.INSTALLED
        ours = [disk.serial for disk in now.inventory.disks if is_ours(now, disk)]
        assert ours == [step.install.disk.serial]
        assert before.inventory is not None
        others = [disk for disk in now.inventory.disks if disk.serial not in ours]
        assert others == [disk for disk in before.inventory.disks if disk.serial not in ours]
    again = plan(scene.site, PROFILES, after, made)
    assert again.steps == ()
    assert accepted(again, after) == after


def test_observed_takes_any_order() -> None:
    machines = [machine(number) for number in (1, 2)]
    assert observed(machines).machines == tuple(machines)
    assert dict(observed(machines).images).keys() == {"debian-13", "debian-13-ceph"}
