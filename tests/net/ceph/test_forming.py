"""From a planned site to HEALTH_OK on real daemons, by the planner, the engine and the agent's own code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.rehearsal.cephlab.description import even
from appliance.rehearsal.cephlab.lab import CephLab
from tests.net.ceph.formed import Formation

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")]


@pytest.fixture
def formation(ceph_image: Path, tmp_path: Path) -> Iterator[Formation]:
    """Four hosts with two disks each in two racks; nothing of Ceph is there yet."""
    with CephLab(description=even(4, 2, racks=2), image=ceph_image) as lab:
        formed = Formation(lab=lab, folder=tmp_path)
        try:
            yield formed
        finally:
            formed.close()


def test_a_site_becomes_a_healthy_ceph(formation: Formation) -> None:
    """Block, file and object are used for real (the plan's own verify steps write, read and compare), and then there is
    nothing left to do."""
    first = formation.plan()
    assert first.desired.ceph is not None
    assert len(first.desired.ceph.osds) == 8
    formation.apply(first)
    formation.work(420)
    state = formation.door.observe()
    assert state is not None
    assert state.health == "HEALTH_OK", state.checks
    assert state.clean
    assert {osd.number: osd.up and osd.in_ for osd in state.osds} == dict.fromkeys(range(8), True)
    again = formation.plan()
    assert [step.key for step in again.steps] == []
    assert not again.changes
