"""The Ceph rack's site file gives the planner what the scenario promises."""

from __future__ import annotations

from pathlib import Path

from appliance.plan.osd.budget import budget
from appliance.rehearsal.cephscenario import (
    ENCRYPTED,
    MEMORY,
    NAMES,
    SYSTEM,
    ceph_lines,
    ceph_rack,
    data_serial,
    database_serial,
)
from appliance.rehearsal.scenario import demo_rack, site_text
from appliance.site.load import load_text, operating_systems
from tests.unit.rehearsal.test_scenario import KEY


def test_the_site_file_is_short_and_right() -> None:
    text = site_text(ceph_rack(), by_rule=NAMES, ssh_key=KEY, more=ceph_lines())
    assert len(text.splitlines()) <= 26
    site = load_text(text)
    assert site.ceph is not None
    groups = {group.name: group for group in site.ceph.groups}
    assert [groups[name].encrypted for name in ("locked", "open")] == [True, False]
    assert groups["locked"].data.serials == (data_serial(ENCRYPTED),)
    assert groups["locked"].db.serials == (database_serial(ENCRYPTED),)
    assert [str(server) for server in site.time_servers] == ["10.77.0.1"], "monitors need equal clocks"


def test_no_serial_and_no_mac_is_there_twice_nor_in_the_demo() -> None:
    machines = [*ceph_rack().machines, *demo_rack(Path("/foreign.img")).machines]
    for values in (
        [machine.smbios.serial for machine in machines],
        [machine.smbios.uuid for machine in machines],
        [nic.mac for machine in machines for nic in machine.nics],
        [disk.serial for machine in machines for disk in machine.disks],
        [disk.wwn for machine in machines for disk in machine.disks if disk.wwn],
    ):
        assert len(set(values)) == len(values)


def test_memory_is_what_the_planner_wants_of_one_osd() -> None:
    assert budget("c1", MEMORY << 20, 1, ["hdd"], hyperconverged=False).fits


def test_the_image_is_one_of_ours() -> None:
    assert SYSTEM in operating_systems()
