"""The system disk, also when it is mirrored. Single disks are in the golden plans (test_plans.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.wire import Disk
from appliance.model.plan import DiskFate, WaitReason
from appliance.plan.disks.system import DiskPlan, choose, claims
from hwprofiles.profile import Bytes, DiskRole, DiskRoleName, DiskSelector, Profile

MIRROR = Profile(
    name="mirror",
    description="",
    disks=(
        DiskRole(role=DiskRoleName.SYSTEM, count=2, choose=(DiskSelector(max_size=Bytes(10**12)),)),
        DiskRole(role=DiskRoleName.OSD, count=0, choose=(DiskSelector(min_size=Bytes(10**12)),)),
    ),
)


def chosen(w: Any, *disks: Disk, site: tuple[str, ...] = (), profile: Profile = MIRROR) -> DiskPlan:
    machine = w.machine(1, *disks)
    return choose(machine, "n1", profile, claims(w.site(*site), [machine]))


def text(found: DiskPlan) -> str:
    lines = [f"systems: {', '.join(disk.serial for disk in found.systems) or 'none'}"]
    for choice in found.choices:
        lines += [f"{choice.fate} {choice.role or '-'} {choice.serial}", f"    why: {choice.why}"]
    return "\n".join([*lines, f"! {found.wait.reason}: {found.wait.text}" if found.wait else "no wait", ""])


def scenes(w: Any) -> dict[str, tuple[list[Disk], tuple[str, ...]]]:
    one, two, three = w.disk("M1"), w.disk("M2"), w.disk("M3")
    return {
        "mirror": ([one, two, w.disk("BIG", 4000)], ()),
        "mirror-of-the-two-that-are-alike": ([w.disk("OLD", 240, model="SSDSC2"), one, two], ()),
        "mirror-of-unlike-disks": ([w.disk("OLD", 240, model="SSDSC2"), one], ()),
        "mirror-with-three-alike": ([one, two, three], ()),
        "mirror-with-two-pairs": ([one, two, w.disk("P1", 240), w.disk("P2", 240)], ()),
        "mirror-with-one-disk": ([one, w.disk("BIG", 4000)], ()),
        "mirror-with-foreign-data": ([one, w.disk("M2", content=w.foreign)], ()),
        "mirror-with-a-grant": ([one, w.disk("M2", content=w.foreign)], ("erase: [{serial: M2}]",)),
        "mirror-with-twins": ([one, replace(one, path="/dev/other")], ()),
        "mirror-beside-a-protected-disk": ([one, two, three], ("protect: [M3]",)),
    }


NAMES = [
    "mirror",
    "mirror-of-the-two-that-are-alike",
    "mirror-of-unlike-disks",
    "mirror-with-three-alike",
    "mirror-with-two-pairs",
    "mirror-with-one-disk",
    "mirror-with-foreign-data",
    "mirror-with-a-grant",
    "mirror-with-twins",
    "mirror-beside-a-protected-disk",
]


@pytest.mark.parametrize("name", NAMES)
def test_mirror(name: str, workshop: Any, golden: Any) -> None:
    disks, site = scenes(workshop)[name]
    found = chosen(workshop, *disks, site=site)
    assert found.system is None
    assert not any(choice.fate is DiskFate.ERASE for choice in found.choices)
    golden.check(f"disks/{name}.txt", text(found))


def test_every_mirror_is_tested(workshop: Any) -> None:
    assert sorted(NAMES) == sorted(scenes(workshop))


def test_a_mirror_names_both_disks(workshop: Any) -> None:
    found = chosen(workshop, workshop.disk("M2"), workshop.disk("M1"))
    assert found.wait is not None
    assert found.wait.reason is WaitReason.NOT_EXECUTABLE
    assert [choice.role for choice in found.choices] == ["system", "system"]


def test_a_single_system_disk_is_one_of_systems(workshop: Any) -> None:
    profile = next(profile for profile in workshop.profiles if profile.name == "epyc-compute")
    found = chosen(workshop, workshop.disk("M1"), workshop.disk("BIG", 4000), profile=profile)
    assert found.system is not None
    assert found.systems == (found.system,)
    assert found.system_choices == tuple(choice for choice in found.choices if choice.role == "system")


def test_the_same_disks_are_chosen_in_any_order(workshop: Any) -> None:
    for name in NAMES:
        disks, site = scenes(workshop)[name]
        if name != "mirror-with-twins":
            there, back = (chosen(workshop, *some, site=site) for some in (disks, list(reversed(disks))))
            assert (there.choices, there.systems, there.wait) == (back.choices, back.systems, back.wait)
