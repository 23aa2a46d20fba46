"""Two datacenters in stretch mode, the tiebreaker on the appliance: formed the product's way, and one of them is lost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.model.ceph import CephSpec, PoolSpec, Service
from appliance.model.cephstate import CephState
from appliance.model.machine import APPLIANCE
from appliance.model.plan import Plan
from appliance.rehearsal.cephlab import drills, inventory
from appliance.rehearsal.cephlab.description import LabHost, even
from appliance.rehearsal.cephlab.lab import CephLab
from appliance.store import orders
from tests.net.ceph.own import OwnFormation

pytestmark = [
    pytest.mark.net,
    pytest.mark.nightly,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
]
SPEC = CephSpec(
    groups=(inventory.EVERY_DISK,),
    pools=(PoolSpec(name="vms", service=Service.BLOCK),),
    stretch=True,
    tiebreaker="appliance",
)
FIRST, SECOND = ("h1", "h3"), ("h2", "h4")
"""Hosts of the two datacenters."""


@pytest.fixture
def formation(ceph_image: Path, tmp_path: Path) -> Iterator[OwnFormation]:
    with CephLab(description=even(4, 1, racks=2, datacenters=2), image=ceph_image) as lab:
        formed = OwnFormation(lab=lab, folder=tmp_path, spec=SPEC)
        try:
            yield formed
        finally:
            formed.close()


def form(formation: OwnFormation, seconds: float = 900) -> Plan:
    """Plan, apply, work; then Ceph is healthy and nothing is left to do."""
    made = formation.plan()
    assert made.steps, made.waits
    formation.apply(made)
    formation.work(seconds)
    formation.healthy(600)
    again = formation.plan()
    assert [step.key for step in again.steps] == []
    assert not again.changes
    return made


def until(formation: OwnFormation, what: Callable[[CephState], bool], seconds: float = 600) -> CephState:
    """What Ceph says of itself, once it is so."""
    end = time.monotonic() + seconds
    while True:
        state = formation.look()
        if state is not None and what(state):
            return state
        said = state and (state.quorum, state.health, state.checks, state.pgs)
        assert time.monotonic() < end, said
        time.sleep(0.5)


def given(formation: OwnFormation, plan: Plan) -> list[str]:
    """Steps of the plan that the appliance's own agent was told and that it did."""
    with formation.app.store.read() as connection:
        found = [orders.newest(connection, plan.hash, step.key) for step in plan.steps]
    return [row.step for row in found if row and row.machine == APPLIANCE and row.state == "done"]


def test_a_datacenter_is_lost_and_comes_back(formation: OwnFormation) -> None:
    before = formation.plan()
    assert before.steps == ()
    assert any("the appliance's own agent has not reported" in wait.text for wait in before.waits)
    formation.switch_on()
    made = form(formation)
    assert given(formation, made) == ["ceph-configure/appliance", "ceph-mon/appliance"]
    state = until(formation, lambda state: len(state.quorum) == 5)
    assert state.stretch
    assert state.tiebreaker == "appliance"
    formation.put("h1", "precious", "what was written first\n")

    # A datacenter is lost: three of five monitors, two of four copies; data are read and written.
    for host in FIRST:
        drills.power_off(formation.lab, host)
    until(formation, lambda state: set(state.quorum) == {*SECOND, "appliance"})
    assert formation.get("h2", "precious") == "what was written first\n"
    formation.put("h2", "meanwhile", "written by one datacenter\n")
    meanwhile = {step.key for step in formation.plan().steps}
    lost = {f"ceph-{what}/{host}" for what in ("configure", "mon", "mgr") for host in FIRST}
    assert meanwhile <= {*lost, "ceph-settle", "ceph-prove"}, "what was lost is made again, and nothing else is touched"

    # It comes back: everything is whole again, and nothing is left to do.
    for host in FIRST:
        formation.lab.boot(host)
    until(formation, lambda state: len(state.quorum) == 5)
    formation.healthy(600)
    assert formation.get("h1", "meanwhile") == "written by one datacenter\n"
    again = formation.plan()
    assert again.steps == ()
    assert not again.changes

    # The appliance is switched off: four of five monitors, nobody misses it.
    formation.lab.appliance.daemon("stop", "mon", "appliance")
    until(formation, lambda state: len(state.quorum) == 4)
    formation.put("h3", "alone", "written without the appliance\n")
    assert formation.get("h4", "alone") == "written without the appliance\n"


def test_the_tiebreaker_moves_to_a_machine_and_back(formation: OwnFormation) -> None:
    """The site file names a machine without disks instead: it joins, breaks ties, and the boot server's monitor leaves
    with all that it had. And back."""
    formation.switch_on()
    form(formation)
    formation.put("h1", "precious", "what was written first\n")
    formation.lab.add_host(LabHost(name="h5"))
    formation.spec = CephSpec(groups=SPEC.groups, pools=SPEC.pools, stretch=True, tiebreaker="h5")
    moved = form(formation)
    assert "ceph-clean/mon/appliance" in given(formation, moved)
    state = until(formation, lambda state: len(state.quorum) == 5)
    assert (state.tiebreaker, set(state.quorum)) == ("h5", {*FIRST, *SECOND, "h5"})
    assert formation.lab.appliance.run(["ls", "/var/lib/ceph/mon"]).stdout.split() == []
    formation.spec = SPEC
    form(formation)
    state = until(formation, lambda state: len(state.quorum) == 5)
    assert (state.tiebreaker, set(state.quorum)) == ("appliance", {*FIRST, *SECOND, "appliance"})
    assert formation.get("h1", "precious") == "what was written first\n"
