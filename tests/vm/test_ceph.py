"""Three bare servers become a Ceph cluster: network boot, install, and everything that the site file says of Ceph.

Ceph is Debian's own, on virtual machines with a kernel that has the device mapper, so OSDs are made as on real servers:
logical volumes by ceph-volume, databases on a second disk, one OSD encrypted. What was formed is asked of Ceph and of the
machines themselves, not of the appliance. The same again by night, where two machines lose their power on the way: one while
its monitor joins, one while ceph-volume activates its OSD.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.rehearsal.cephscenario import (
    BLOCK_POOL,
    ENCRYPTED,
    FILE_POOL,
    NAMES,
    ceph_lines,
    ceph_rack,
    data_serial,
    database_serial,
)
from appliance.rehearsal.demo import ENROL_SECONDS, INSTALL_SECONDS
from appliance.rehearsal.session import Session
from tests.vm.cephcluster import (
    FORM_SECONDS,
    accept,
    check_it_went_on,
    check_named,
    check_osds,
    check_volumes,
    cut_while,
    finish,
    monitors_in_order,
    nothing_to_do,
    planned_osds,
)
from tests.vm.shell import on

pytestmark = pytest.mark.alone
"""Six emulated machines at once on two cores are too many: those of other scenarios run into time-outs of systemd."""

PROGRAMS = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds", "radosgw", "ceph-fuse", "ceph-volume", "lvm", "cryptsetup")


@pytest.mark.usefixtures("ceph_image")
def test_three_servers_become_a_ceph_cluster(on_stage) -> None:  # type: ignore[no-untyped-def]
    with on_stage(ceph_rack(), by_rule=NAMES, more=ceph_lines()) as session:
        install(session)
        check_the_image(session, NAMES[0])
        plan = accept(session)
        check(session, plan, finish(session, plan, "Ceph is formed", FORM_SECONDS))


@pytest.mark.nightly
@pytest.mark.usefixtures("ceph_image")
def test_power_fails_while_a_monitor_joins_and_an_osd_is_activated(on_stage) -> None:  # type: ignore[no-untyped-def]
    with on_stage(ceph_rack(), by_rule=NAMES, more=ceph_lines()) as session:
        install(session)
        plan = accept(session)
        joining = monitors_in_order(session, plan)[1]
        monitor = cut_while(session, plan, f"ceph-mon/{joining}", joining, "quorum", f"mon.{joining}")
        check_named(session, plan, monitor, joining)
        session.rack.power_on(joining)
        osd = cut_while(session, plan, f"ceph-osd/{ENCRYPTED}/", ENCRYPTED, "start")
        check_named(session, plan, osd, ENCRYPTED)
        session.rack.power_on(ENCRYPTED)
        steps = finish(session, plan, "Ceph is formed", FORM_SECONDS)
        check_it_went_on(session, monitor, joining)
        check_it_went_on(session, osd, ENCRYPTED)
        check(session, plan, steps)


def install(session: Session) -> None:
    """From bare servers to installed ones."""
    session.appliance.start()
    session.appliance.wait_ready()
    session.rack.power_on()
    session.until("every server is ready", ENROL_SECONDS, lambda: session.all_in("ready"))
    finish(session, accept(session), "every server is deployed", INSTALL_SECONDS)
    assert session.all_in("deployed")


def check(session: Session, plan: str, steps: set[str]) -> None:
    """Everything that was planned is there and was tried, and nothing is left to do."""
    assert {f"ceph-verify/{pool}" for pool in (BLOCK_POOL, FILE_POOL)} <= steps, steps
    check_ceph(session, plan)
    for name in NAMES:
        encrypted = name == ENCRYPTED
        check_volumes(session, name, data=data_serial(name), database=database_serial(name), encrypted=encrypted)
    nothing_to_do(session)


def check_the_image(session: Session, name: str) -> None:
    """Everything of Ceph is there, and nothing of it was started by the installation."""
    found = f"for program in {' '.join(PROGRAMS)}; do command -v $program; done"
    said = on(session, name, f"{found}; python3 -c 'import rados, rbd, cephfs'; modprobe dm-crypt")
    assert {Path(line).name for line in said.splitlines()} == set(PROGRAMS)
    running = on(session, name, "systemctl list-units --plain --no-legend --state=active,failed 'ceph*.service'")
    assert running.strip() == "", running


def check_ceph(session: Session, plan: str) -> None:
    """What the monitors say: healthy, complete, every OSD the planned one, and every host in the tree."""
    said = check_osds(session, NAMES[0], planned_osds(session, plan))
    assert len(said["osd dump"]["osds"]) == len(NAMES)
    assert sorted(said["status"]["quorum_names"]) == sorted(NAMES)
    assert {node["name"] for node in said["osd tree"]["nodes"] if node["type"] == "host"} == set(NAMES)
    pools = {pool["pool_name"]: pool for pool in said["osd dump"]["pools"]}
    assert set(pools[BLOCK_POOL]["application_metadata"]) == {"rbd"}
    assert [filesystem["name"] for filesystem in said["fs ls"]] == [FILE_POOL]
