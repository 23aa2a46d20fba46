"""The appliance is killed around every single order of a formation, and of the replacement of a disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.model.plan import DiskFate
from appliance.rehearsal.cephlab.description import LabDisk, even
from appliance.rehearsal.cephlab.lab import CephLab
from tests.net.ceph.formed import Formation

pytestmark = [
    pytest.mark.net,
    pytest.mark.nightly,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def formation(ceph_image: Path, tmp_path: Path) -> Iterator[Formation]:
    with CephLab(description=even(3, 2, racks=3), image=ceph_image) as lab:
        formed = Formation(lab=lab, folder=tmp_path)
        try:
            yield formed
        finally:
            formed.close()


def carry_out(formation: Formation, seconds: float) -> list[str]:
    """The next plan, by workers that die at every point; where they died."""
    made = formation.plan()
    formation.apply(made)
    deaths = formation.folder / "deaths"
    deaths.write_text("", encoding="utf-8")
    argv = [sys.executable, "-m", "tests.net.ceph.victim", str(formation.folder), str(formation.lab.folder), made.hash]
    end = time.monotonic() + seconds
    while formation.state() == "accepted":
        left = end - time.monotonic()
        assert left > 0, f"not done within {seconds} s:\n{formation.report()}"
        done = subprocess.run(argv, cwd=ROOT, timeout=left, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    assert formation.state() == "done", formation.report()
    formation.healthy(180)
    points = deaths.read_text(encoding="utf-8").splitlines()
    for step in made.steps:
        if not step.key.startswith("ceph-settle"):
            assert f"before {step.key}" in points, (step.key, points)
            assert f"after {step.key}" in points, (step.key, points)
    again = formation.plan()
    assert again.steps == ()
    return points


def test_killed_around_every_order(formation: Formation) -> None:
    """Ids are what was planned, every OSD is there once, and what was written in the beginning is read at the end."""
    carry_out(formation, 1500)
    formation.write("precious", "what was written first\n")
    assert formation.accepted is not None
    layout = formation.accepted.desired.ceph
    assert layout is not None
    before = {osd.number: osd.uuid for osd in formation.now().osds}
    assert sorted(before) == sorted(osd.number for osd in layout.osds)

    osd = next(osd for osd in layout.osds if osd.data.serial == "LAB002D01")
    formation.lab.host("h2").daemon("stop", "osd", str(osd.number))
    formation.lab.pull_disk("h2", "LAB002D01")
    formation.lab.add_disk("h2", LabDisk(serial="LAB002NEW"))
    carry_out(formation, 900)
    after = {osd.number: osd.uuid for osd in formation.now().osds}
    assert after.keys() == before.keys()
    assert {number for number in before if after[number] != before[number]} == {osd.number}
    erased = {choice.serial for choice in formation.accepted.disks if choice.fate is DiskFate.ERASE}
    assert erased == {"LAB002NEW"}
    assert formation.read("precious") == "what was written first\n"
