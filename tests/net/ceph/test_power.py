"""A host loses its power in the middle of a drain: what it holds is not taken for moved, and the drain goes on later."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.model.ceph import CephSpec, DeviceFilter
from appliance.rehearsal.cephlab import drills, inventory
from appliance.rehearsal.cephlab.description import even
from appliance.rehearsal.cephlab.lab import CephLab
from appliance.store import steps
from tests.net.ceph.formed import WANTED, Formation

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")]
LEAVES = "LAB002D02"


@pytest.fixture
def formation(ceph_image: Path, tmp_path: Path) -> Iterator[Formation]:
    """Three hosts with two disks each, in three racks; a pool for blocks."""
    with CephLab(description=even(3, 2, racks=3), image=ceph_image) as lab:
        spec = CephSpec(groups=(inventory.EVERY_DISK,), pools=WANTED[:1])
        formed = Formation(lab=lab, folder=tmp_path, spec=spec)
        try:
            yield formed
        finally:
            formed.close()


def carry_out(formation: Formation, seconds: float = 420) -> None:
    formation.apply(formation.plan())
    formation.work(seconds)
    formation.healthy(180)


def work_until(formation: Formation, reached: Callable[[], bool], seconds: float = 240) -> None:
    """The engine works; AssertionError with where every step stands."""
    engine, end = formation.engine(formation.door), time.monotonic() + seconds
    while not reached():
        if not engine.run_one():
            time.sleep(0.1)
        assert formation.state() == "accepted", formation.report()
        assert time.monotonic() < end, formation.report()


def test_a_drain_goes_on_after_its_host_was_without_power(formation: Formation) -> None:
    carry_out(formation)
    formation.write("precious", "what was written first\n")
    assert formation.accepted is not None and formation.accepted.desired.ceph is not None
    leaving = next(osd for osd in formation.accepted.desired.ceph.osds if osd.data.serial == LEAVES)
    names = [disk.serial for host in formation.lab.description.hosts for disk in host.disks if disk.serial != LEAVES]
    group = replace(inventory.EVERY_DISK, data=DeviceFilter(serials=tuple(names)))
    formation.spec = replace(formation.spec, groups=(group,))
    made = formation.plan()
    out, purge = f"ceph-out/osd.{leaving.number}", f"ceph-purge/osd.{leaving.number}"
    assert {out, purge} <= {step.key for step in made.steps}

    def row(key: str) -> steps.StepRow:
        with formation.app.store.read() as connection:
            found = steps.get(connection, made.hash, key)
        assert found is not None
        return found

    def says(words: str) -> bool:
        assert row(out).state == "running" or row(out).state == "waiting", f"{out} is {row(out).state}"
        return words in str(row(out).progress.get("message", ""))

    other = formation.lab.host("h1")
    other.run(["ceph", "osd", "set", "nobackfill"])  # so that it is not empty before the power goes
    formation.apply(made)
    work_until(formation, lambda: says("still holds"))
    drills.power_off(formation.lab, "h2")
    work_until(formation, lambda: says(f"osd.{leaving.number} is down, not empty"))
    assert row(purge).state == "waiting"
    other.run(["ceph", "osd", "unset", "nobackfill"])
    formation.lab.boot("h2")
    formation.work(420)
    formation.healthy(180)
    state = formation.door.observe()
    assert state is not None
    assert leaving.number not in {osd.number for osd in state.osds}
    assert len(state.osds) == 5
    assert formation.read("precious") == "what was written first\n"
    assert formation.plan().steps == ()
