"""From a planned site to HEALTH_OK on real daemons, by the planner, the engine and the agent's own code."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.model.plan import DiskFate, Plan, WaitReason
from appliance.rehearsal.cephlab import drills
from appliance.rehearsal.cephlab.description import LabDisk, LabHost, even
from appliance.rehearsal.cephlab.lab import CephLab
from tests.net.ceph.formed import Formation

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")]


@pytest.fixture
def formation(ceph_image: Path, tmp_path: Path) -> Iterator[Formation]:
    """Four hosts with two disks each in two racks, their ports shaped; nothing of Ceph is there yet."""
    with CephLab(description=even(4, 2, racks=2, rate="400mbit"), image=ceph_image) as lab:
        formed = Formation(lab=lab, folder=tmp_path)
        try:
            yield formed
        finally:
            formed.close()


def form(formation: Formation, seconds: float = 420, drill: Callable[[Formation], None] | None = None) -> Plan:
    """Plan, apply (and what happens then), work; then Ceph is healthy and nothing is left to do."""
    made = formation.plan()
    formation.apply(made)
    if drill is not None:
        drill(formation)
    formation.work(seconds)
    formation.healthy(120)
    again = formation.plan()
    assert [step.key for step in again.steps] == []
    assert not again.changes
    return made


def too_full_for_a_while(formation: Formation) -> None:
    """While a host is drained, Ceph gets lower ratios: all OSDs are too full to take anything. The drain is taken back, says
    why, and goes on when there is room again. Nothing is moved meanwhile, so that it can't be over too soon."""
    ceph = formation.lab.host("h1")
    leaving = {osd.number for osd in formation.of_host("h4")}

    def inside() -> set[int]:
        return leaving & {osd.number for osd in formation.now().osds if osd.in_}

    ceph.run(["ceph", "osd", "set", "nobackfill"])
    formation.until(lambda: not inside(), 240)
    part = min(osd.used / osd.size for osd in formation.now().osds if osd.in_ and osd.size)
    for name, ratio in (("nearfull", 0.5 * part), ("backfillfull", 0.6 * part)):
        ceph.run(["ceph", "osd", f"set-{name}-ratio", f"{ratio:.6f}"])
    formation.until(lambda: inside() == leaving and "was taken back" in formation.report(), 240)
    assert all(f"paused/osd.{number}" in dict(formation.now().notes) for number in leaving)
    for name, ratio in (("backfillfull", 0.9), ("nearfull", 0.85)):
        ceph.run(["ceph", "osd", f"set-{name}-ratio", str(ratio)])
    ceph.run(["ceph", "osd", "unset", "nobackfill"])


def without_power_for_a_while(formation: Formation) -> None:
    """The host of an OSD that is drained loses its power. The OSD is not taken for empty, though Ceph counts nothing on it;
    when the host is back, the drain goes on. Nothing is copied before, so that it can't be over too soon."""
    ceph = formation.lab.host("h1")
    for flag in ("nobackfill", "norecover"):
        ceph.run(["ceph", "osd", "set", flag])
    formation.until(lambda: "still holds" in formation.report() or "being copied" in formation.report(), 240)
    drills.power_off(formation.lab, "h2")
    formation.until(lambda: "is down, not empty" in formation.report(), 240)
    for flag in ("nobackfill", "norecover"):
        ceph.run(["ceph", "osd", "unset", flag])
    formation.lab.boot("h2")


def namespaces(formation: Formation) -> tuple[str, ...] | None:
    """Those of the first pool; None while nobody could look."""
    return next((pool.namespaces for pool in formation.now().pools if pool.name == "vms"), None)


def an_old_osd(formation: Formation) -> int:
    """As somebody left it behind: in the map and the tree, below a host of its own, and without a disk."""
    ceph = formation.lab.host("h1")
    number = int(ceph.run(["ceph", "osd", "new", str(uuid.uuid4())]).stdout)
    ceph.run(["ceph", "osd", "crush", "add", f"osd.{number}", "0", "root=default", "host=h-old"])
    assert formation.plan().steps != (), "the drain"
    assert not any(step.key == f"ceph-purge/osd.{number}" for step in formation.plan().steps), (
        "nobody wants it gone yet"
    )
    return number


def test_a_site_becomes_a_healthy_ceph_and_lives(formation: Formation) -> None:
    """Block with namespaces, file and object are used for real (the plan's own verify steps write, read and compare). Then a
    disk is replaced (power fails in its drain), a host is lost and comes back, one more joins, one leaves, though OSDs
    become too full in the middle; what was written in the beginning is read at the end."""
    lab = formation.lab
    first = form(formation)
    assert first.desired.ceph is not None
    assert len(first.desired.ceph.osds) == 8
    formation.write("precious", "what was written first\n")
    (speed,) = formation.measure(("vms",), 3.0)
    assert speed.promise.write_bound == speed.promise.read_bound == 50_000_000, "the first host's port"
    formation.until(lambda: namespaces(formation) is not None, 300)
    assert namespaces(formation) == ("tenant-a", "tenant-b")
    assert any(step.key == "ceph-verify/vms/namespaces" for step in first.steps), "each was used with its own key"

    # Somebody wants a disk replaced while its OSD runs: drained (its host has no power for a while) and destroyed; then a
    # new disk is waited for.
    osd = next(osd for osd in first.desired.ceph.osds if osd.data.serial == "LAB002D01")
    formation.want_replaced(osd)
    drain = form(formation, drill=without_power_for_a_while)
    assert [step.key for step in drain.steps][:2] == [f"ceph-out/osd.{osd.number}", f"ceph-destroy/osd.{osd.number}"]
    waiting = formation.plan()
    assert [wait.reason for wait in waiting.waits] == [WaitReason.NEW_DISK]
    assert [one.number for one in formation.now().osds if one.destroyed] == [osd.number]
    assert "LAB002D01" in lab.host("h2").disks, "the old disk is still there, and left alone"

    # Then the disks are swapped: the id and the place stay.
    lab.pull_disk("h2", "LAB002D01")
    lab.add_disk("h2", LabDisk(serial="LAB002NEW"))
    second = form(formation)
    assert second.desired.ceph is not None
    new = next(osd for osd in second.desired.ceph.osds if osd.data.serial == "LAB002NEW")
    assert new.number == osd.number
    assert {choice.serial for choice in second.disks if choice.fate is DiskFate.ERASE} == {"LAB002NEW"}
    assert formation.wishes() == ["done"]
    assert formation.plan().waits == ()

    # A host is lost and comes back: the plan changes nothing meanwhile.
    drills.power_off(lab, "h3")
    assert formation.plan().steps == ()
    lab.boot("h3")
    formation.healthy(180)

    # One more host; then one leaves, drained before it goes.
    lab.add_host(LabHost(name="h5", rack="r1", disks=(LabDisk(serial="LAB005D01"), LabDisk(serial="LAB005D02"))))
    third = form(formation)
    assert third.desired.ceph is not None
    assert len(third.desired.ceph.osds) == 10
    formation.drain("h4")
    old = an_old_osd(formation)
    formation.removing = (old,)
    last = form(formation, drill=too_full_for_a_while)
    assert last.desired.ceph is not None
    state = formation.now()
    assert old not in {osd.number for osd in state.osds}
    assert not {"h-old", "h4"} & {bucket.name for bucket in state.buckets}
    assert len(last.desired.ceph.osds) == 8
    assert formation.read("precious") == "what was written first\n"
