"""From a planned site to HEALTH_OK on real daemons, by the planner, the engine and the agent's own code."""

from __future__ import annotations

import os
from collections.abc import Iterator
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


def form(formation: Formation, seconds: float = 420) -> Plan:
    """Plan, apply, work; then Ceph is healthy and nothing is left to do."""
    made = formation.plan()
    formation.apply(made)
    formation.work(seconds)
    formation.healthy(120)
    again = formation.plan()
    assert [step.key for step in again.steps] == []
    assert not again.changes
    return made


def test_a_site_becomes_a_healthy_ceph_and_lives(formation: Formation) -> None:
    """Block, file and object are used for real (the plan's own verify steps write, read and compare). Then a disk is
    replaced, a host is lost and comes back, one more joins, one leaves; what was written in the beginning is read at the
    end."""
    lab = formation.lab
    first = form(formation)
    assert first.desired.ceph is not None
    assert len(first.desired.ceph.osds) == 8
    formation.write("precious", "what was written first\n")
    (speed,) = formation.measure(("vms",), 3.0)
    assert speed.promise.write_bound == speed.promise.read_bound == 50_000_000, "the first host's port"

    # Somebody wants a disk replaced while its OSD runs: drained and destroyed, then a new disk is waited for.
    osd = next(osd for osd in first.desired.ceph.osds if osd.data.serial == "LAB002D01")
    formation.want_replaced(osd)
    drain = form(formation)
    assert [step.key for step in drain.steps][:2] == [f"ceph-out/osd.{osd.number}", f"ceph-destroy/osd.{osd.number}"]
    waiting = formation.plan()
    assert [wait.reason for wait in waiting.waits] == [WaitReason.NEW_DISK]
    state = formation.door.observe()
    assert state is not None
    assert [one.number for one in state.osds if one.destroyed] == [osd.number]
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
    last = form(formation)
    assert last.desired.ceph is not None
    assert len(last.desired.ceph.osds) == 8
    assert formation.read("precious") == "what was written first\n"
