"""Machines that look alike are planned once, and get exactly what each would get alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.wire import Content, Disk, Smart
from appliance.model.ceph import DeviceFilter, DriveGroup
from appliance.model.plan import Plan
from appliance.model.site import EraseGrant, Site
from appliance.plan.disks import system
from appliance.plan.disks.looks import looks
from appliance.plan.disks.system import claims
from appliance.plan.disks.verdict import in_order
from appliance.plan.make import plan
from appliance.plan.osd import machine
from appliance.rehearsal import fleet
from appliance.rehearsal.faults import FOREIGN
from appliance.rehearsal.fleet import ARM_STORAGE, EPYC, EPYC_HDD
from appliance.rehearsal.fleetparts import HARDWARE
from hwprofiles.loader import load_profiles

PROFILES = load_profiles()
ANY, SPINNING, FLASH = (
    DeviceFilter(all=True),
    DeviceFilter(rotational=True),
    DeviceFilter(rotational=False),
)
GROUPS = {
    "by profile": (),
    "split and encrypted": (DriveGroup(name="all", data=ANY, osds_per_device=2, encrypted=True),),
    "with DB": (DriveGroup(name="slow", data=SPINNING, db=FLASH), DriveGroup(name="fast", data=FLASH)),
    "with WAL and a limit": (
        DriveGroup(name="few", data=replace(FLASH, limit=3), wal=replace(FLASH, limit=1)),
        DriveGroup(name="slow", data=SPINNING),
    ),
    "by serial": (DriveGroup(name="one", data=DeviceFilter(serials=("71W0A000000102",))),),
}


@pytest.mark.parametrize("groups", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize(
    "facts",
    [
        {"racks": 4, "per_rack": 5},
        {"racks": 4, "per_rack": 5, "hardware": (EPYC_HDD, ARM_STORAGE)},
        {"racks": 6, "per_rack": 5, "hardware": HARDWARE, "zones": 3},
    ],
    ids=["epyc", "spinning", "all"],
)
def test_the_plan_is_the_same_as_of_each_alone(facts: Any, groups: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = fleet.fleet(**facts)
    assert scene.site.ceph is not None
    odd = scene.observed.machines[3].inventory
    assert odd is not None
    site = replace(
        scene.site,
        ceph=replace(scene.site.ceph, groups=groups) if groups else scene.site.ceph,
        protect=(odd.disks[-1].serial,),
        erase=(EraseGrant(serial=odd.disks[0].serial),),
    )
    together = plan(site, PROFILES, scene.observed, None)
    with monkeypatch.context() as alone:
        alone.setattr(system, "looks", lambda _disks, _claimed: None)
        assert plan(site, PROFILES, scene.observed, None) == together


def planned_alone(site: Site, seen: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, int]:
    """The plan, and of how many machines the OSDs were planned without a pattern."""
    count, real = 0, machine._Machine

    def counted(*facts: Any) -> Any:
        nonlocal count
        count += 1
        return real(*facts)

    with monkeypatch.context() as watched:
        watched.setattr(machine, "_Machine", counted)
        return plan(site, PROFILES, seen, None), count


def test_a_kind_of_machine_is_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = fleet.fleet(racks=5, per_rack=10, hardware=(EPYC, EPYC_HDD))
    made, count = planned_alone(scene.site, scene.observed, monkeypatch)
    assert made.desired.ceph is not None
    assert len(made.desired.ceph.budgets) == 50
    assert count == 2


SPECIAL: dict[str, Callable[[Disk], Disk]] = {
    "carries something": lambda disk: replace(disk, content=FOREIGN),
    "could not be read": lambda disk: replace(disk, content=Content()),
    "is failing": lambda disk: replace(disk, smart=Smart(healthy=False)),
    "has no serial": lambda disk: replace(disk, serial=""),
}


@pytest.mark.parametrize("change", SPECIAL.values(), ids=SPECIAL)
def test_a_disk_that_is_a_case_of_its_own_makes_its_machine_one(change: Callable[[Disk], Disk]) -> None:
    scene = fleet.fleet(racks=1, per_rack=2)
    known = claims(scene.site, scene.observed.machines)
    first, second = ((one.inventory.disks if one.inventory else ()) for one in scene.observed.machines)
    one, other = looks(in_order(first), known), looks(in_order(tuple(reversed(second))), known)
    assert one is not None and other is not None
    assert one.kind == other.kind
    assert looks([change(first[0]), *first[1:]], known) is None


def test_so_does_what_the_site_file_says_of_its_serial_and_a_serial_that_two_have() -> None:
    scene = fleet.fleet(racks=1, per_rack=2)
    first = scene.observed.machines[0].inventory
    assert first is not None
    serial = first.disks[2].serial
    named = replace(scene.site, protect=(serial.lower(),)), replace(scene.site, erase=(EraseGrant(serial=serial),))
    for site in named:
        assert looks(first.disks, claims(site, scene.observed.machines)) is None
    assert looks(first.disks, claims(scene.site, (*scene.observed.machines, scene.observed.machines[0]))) is None
    known = claims(scene.site, scene.observed.machines)
    assert looks([*first.disks, first.disks[0]], known) is None


def test_more_memory_or_another_size_is_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = fleet.fleet(racks=2, per_rack=10, hardware=(EPYC, EPYC.with_memory(1 << 40), EPYC.with_data(4)))
    _, count = planned_alone(scene.site, scene.observed, monkeypatch)
    assert count == 3
