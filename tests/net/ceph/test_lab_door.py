"""The lab's door: orders run in hosts, whoever lives or dies. What carries them out is a stand-in here, without Ceph."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import agent
from agent.cephorder import CephAction, CephOrder, DeviceGrant, MonAnswer, OsdOrder
from appliance.effects.cephdoor import CephDoor, DoorError, DoorResult, DoorState
from appliance.rehearsal.cephlab import inventory
from appliance.rehearsal.cephlab.description import even
from appliance.rehearsal.cephlab.door import LabDoor
from appliance.rehearsal.cephlab.lab import CephLab

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")]

FSID = "0b0d6f3c-6a4f-4a93-9f3c-2f1d5f0e8f77"
ACT = '''
"""Does what the order's daemon says."""
import socket
import time

from agent.cephorder import MonAnswer
from agent.errors import DiskRefusedError


def perform(order, machine, plan, disks, secrets, daemons, tell):
    print("this must not end up between the keys")
    tell(order.daemon, 0.5, "")
    if order.daemon == "refuse":
        raise DiskRefusedError("that is another disk")
    if order.daemon == "break":
        raise ZeroDivisionError("oh")
    if order.daemon == "wait":
        time.sleep(600)
    if order.daemon == "slow":
        time.sleep(2)
    words = [socket.gethostname(), machine, plan, ",".join(disk.serial for disk in disks())]
    osd = order.osd
    if osd is None:
        words.append(secrets("key/" + order.daemon))
    else:
        words += [osd.backend, osd.data.plan, osd.db.plan, str(osd.wal)]
    return " ".join(words), (MonAnswer(code=0, output="{}"),)
'''


@pytest.fixture(scope="module")
def lab(ceph_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CephLab]:
    code = tmp_path_factory.mktemp("code") / "agent"
    shutil.copytree(Path(agent.__file__).parent, code)
    (code / "act" / "ceph.py").write_text(ACT)
    with CephLab(description=even(2, 1), image=ceph_image, agent=code) as lab:
        yield lab


@pytest.fixture
def door(lab: CephLab) -> LabDoor:
    return LabDoor(lab=lab, secrets={"key/a": "s3cret", "key/slow": "late"}.__getitem__, look=lambda _ask: None)


def order(daemon: str) -> CephOrder:
    return CephOrder(action=CephAction.MGR, fsid=FSID, daemon=daemon)


def ended(door: CephDoor, step: str, plan: str = "p") -> DoorResult:
    end = time.monotonic() + 20
    while (result := door.result(plan, step)).state is DoorState.RUNNING:
        assert time.monotonic() < end
        time.sleep(0.05)
    return result


def test_an_order_runs_in_its_host_with_keys_and_disks(lab: CephLab, door: LabDoor) -> None:
    machine = inventory.machine_of(lab.description, "h2")
    assert door.result("p", "first").state is DoorState.NONE
    door.start(machine, "p", "first", order("a"))
    result = ended(door, "first")
    assert result == DoorResult(
        state=DoorState.DONE, message=f"h2 {machine} p LAB002D01 s3cret", answers=(MonAnswer(code=0, output="{}"),)
    )
    assert door.result("other plan", "first").state is DoorState.NONE


def test_a_key_that_is_not_there_fails_the_order(lab: CephLab, door: LabDoor) -> None:
    door.start(inventory.machine_of(lab.description, "h1"), "p", "no key", order("b"))
    assert ended(door, "no key") == DoorResult(state=DoorState.FAILED, message="the appliance has no key key/b")


@pytest.mark.parametrize(
    ("daemon", "state", "message"),
    [
        ("refuse", DoorState.REFUSED, "that is another disk"),
        ("break", DoorState.FAILED, "ZeroDivisionError: oh"),
    ],
)
def test_how_an_order_ends(lab: CephLab, door: LabDoor, daemon: str, state: DoorState, message: str) -> None:
    door.start(inventory.machine_of(lab.description, "h1"), "p", daemon, order(daemon))
    assert ended(door, daemon) == DoorResult(state=state, message=message)
    door.start(inventory.machine_of(lab.description, "h1"), "p", daemon, order("a"))  # told anew
    assert ended(door, daemon).state is DoorState.DONE


def test_a_host_gets_grants_of_the_plan_and_makes_osds_raw(lab: CephLab, door: LabDoor) -> None:
    machine = inventory.machine_of(lab.description, "h1")
    grant = DeviceGrant(machine=machine, plan="", serial="LAB001D01", wwn="", model="", size=1, fingerprint="0" * 64)
    osd = OsdOrder(number=0, uuid=FSID, device_class="ssd", data=grant, db=grant)
    door.start(machine, "p", "osd", replace(order("0"), osd=osd))
    assert ended(door, "osd").message.endswith("raw p p None")


def test_an_order_outlives_the_door_and_runs_once(lab: CephLab, door: LabDoor) -> None:
    """The lab stays; the process that gave the order does not, so a key that is asked for too late does not come."""
    machine = inventory.machine_of(lab.description, "h1")
    door.start(machine, "p", "again", order("slow"))
    other = LabDoor(lab=CephLab.attach(lab.folder), secrets={}.__getitem__, look=lambda _ask: None)
    other.start(machine, "p", "again", order("a"))  # has no effect: it runs
    assert other.result("p", "again").state is DoorState.RUNNING
    assert ended(other, "again").message.endswith("late")


def test_a_machine_that_dies_with_its_order(lab: CephLab, door: LabDoor) -> None:
    machine = inventory.machine_of(lab.description, "h2")
    door.start(machine, "p", "long", order("wait"))
    end = time.monotonic() + 20
    while "wait 50%" not in door.result("p", "long").message:
        assert time.monotonic() < end
        time.sleep(0.05)
    lab.host("h2").power_off()
    result = ended(door, "long")
    assert result.state is DoorState.FAILED
    assert "was gone while it carried out the order (wait 50%)" in result.message
    door.start(machine, "p", "long", order("a"))
    assert ended(door, "long") == DoorResult(state=DoorState.FAILED, message="host h2 is off: boot it first")
    lab.boot("h2")
    door.start(machine, "p", "long", order("a"))
    assert ended(door, "long").state is DoorState.DONE


def test_a_machine_does_one_order_at_a_time(lab: CephLab, door: LabDoor) -> None:
    machine = inventory.machine_of(lab.description, "h1")
    begin = time.monotonic()
    door.start(machine, "p", "one", order("slow"))
    door.start(machine, "p", "two", order("slow"))
    ended(door, "one"), ended(door, "two")
    assert time.monotonic() - begin > 4


def test_an_unknown_machine_is_said(door: LabDoor) -> None:
    with pytest.raises(DoorError, match="no host for machine m-nobody"):
        door.start("m-nobody", "p", "s", order("a"))
    assert door.observe() is None  # nobody has a monitor
