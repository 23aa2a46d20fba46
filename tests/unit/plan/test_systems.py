"""Which operating system a machine gets: the site's, and with Ceph in it where Debian's own Ceph will run."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model.plan import DiskFate, Plan, WaitReason

PLAIN, CEPH = "5f" * 32, "ce" * 32
MACHINES = "machines: {n1: {serial: SN1}, n2: {serial: SN2}, n3: {serial: SN3}}"


def images(made: Plan) -> dict[str, str]:
    return {step.name: step.install.image for step in made.steps if step.install is not None}


def machines(workshop: Any, *numbers: int) -> list[Any]:
    """Each with a system disk, and one of 4 TB for an OSD."""
    return [
        workshop.machine(n, workshop.disk(f"S{n}"), workshop.disk(f"O{n}", 4000, transport="nvme"))
        for n in numbers or (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), (PLAIN, PLAIN, PLAIN)),
        (("ceph:",), (CEPH, CEPH, CEPH)),
        (("ceph: {machines: [n1, n3]}",), (CEPH, PLAIN, CEPH)),
        (("operating_system: debian-13-ceph",), (CEPH, CEPH, CEPH)),
        (("operating_system: debian-13-ceph", "ceph:"), (CEPH, CEPH, CEPH)),
        (("clusters: {pve: {}}", "ceph:"), (PLAIN, PLAIN, PLAIN)),
        (("clusters: {pve: {machines: [n1]}}", "ceph: {machines: [n1, n2]}"), (PLAIN, CEPH, PLAIN)),
    ],
    ids=["none", "all", "named", "site", "site-and-ceph", "proxmox", "both"],
)
def test_members_of_a_dedicated_ceph_get_it(workshop: Any, lines: tuple[str, ...], expected: tuple[str, ...]) -> None:
    made = workshop.plan(workshop.site(MACHINES, *lines), *machines(workshop))
    assert images(made) == dict(zip(("n1", "n2", "n3"), expected, strict=True))
    facts = {fact.name: fact.value for fact in made.facts if fact.name.startswith("image/")}
    assert set(facts.values()) == set(expected), "the plan depends on the images that it installs, and on no other"


def test_also_while_ceph_waits_for_other_members(workshop: Any) -> None:
    """The first machine of three is installed alone: with Ceph in it, since an operating system is chosen once."""
    made = workshop.plan(workshop.site(MACHINES, "ceph:"), *machines(workshop, 1))
    assert WaitReason.MEMBERS_MISSING in {wait.reason for wait in made.waits}
    assert images(made) == {"n1": CEPH}


def test_a_tiebreaker_gets_it(workshop: Any) -> None:
    racks = "racks: {a: {datacenter: x}, b: {datacenter: y}}"
    who = "machines: {n1: {serial: SN1, rack: a}, n2: {serial: SN2, rack: b}, n3: {serial: SN3}}"
    ceph = "ceph: {machines: [n1, n2], stretch: true, tiebreaker: n3}"
    made = workshop.plan(workshop.site(who, racks, ceph), *machines(workshop))
    assert images(made) == {"n1": CEPH, "n2": CEPH, "n3": CEPH}


def test_without_its_image_only_that_machine_waits(workshop: Any) -> None:
    workshop.images = (("debian-13", PLAIN),)
    made = workshop.plan(workshop.site(MACHINES, "ceph: {machines: [n1, n2]}"), *machines(workshop))
    assert images(made) == {"n3": PLAIN}
    waits = {wait.about: wait.text for wait in made.waits if wait.reason is WaitReason.NO_IMAGE}
    assert waits == dict.fromkeys(
        ("n1", "n2"), "the root image of debian-13-ceph is not built: rackseed image root --os debian-13-ceph"
    )
    erased = {choice.machine for choice in made.disks if choice.fate is DiskFate.ERASE}
    assert erased == {"m-3"}, "nothing is erased on a machine that waits"
