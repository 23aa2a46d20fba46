"""A machine of a Ceph cluster loses its power while its OSD is written, and another while one of its OSDs is drained.

A shorter scenario (`test_ceph`) cuts while a monitor joins and while ceph-volume activates. Here the OSD is
half made when the power goes, and the one that leaves still holds data: it may not be taken for empty because it is down.
"""

from __future__ import annotations

import pytest

from appliance.cli.errors import EXIT_WAITS
from appliance.model.ceph import OsdLayout
from appliance.rehearsal.cephscenario import BLOCK_POOL, NAMES, SPARE, ceph_lines, ceph_rack, spare_serial
from appliance.rehearsal.demo import ENROL_SECONDS, INSTALL_SECONDS
from appliance.rehearsal.session import Session
from tests.vm.cephcluster import (
    CUT_SECONDS,
    FORM_SECONDS,
    accept,
    ceph_says,
    check_it_went_on,
    check_osds,
    cut_while,
    finish,
    planned_osds,
    step_like,
)
from tests.vm.shell import on

pytestmark = [pytest.mark.nightly, pytest.mark.alone]
"""Another whole cluster: the lane's budget of processor time has no room for it."""

FIRST, SECOND, THIRD = NAMES
OBJECTS = 8
DATA = f"""
import hashlib, os, rados, sys
with rados.Rados(conffile="/etc/ceph/ceph.conf") as cluster, cluster.open_ioctx("{BLOCK_POOL}") as pool:
    names = [f"before-{{number}}" for number in range({OBJECTS})]
    if sys.argv[1] == "write":
        for name in names:
            pool.write_full(name, os.urandom(4 << 20))
    whole = hashlib.sha256()
    for name in names:
        whole.update(pool.read(name, 4 << 20))
    print(whole.hexdigest())
"""


@pytest.mark.usefixtures("ceph_image")
def test_power_fails_while_an_osd_is_made_and_while_one_is_drained(on_stage) -> None:  # type: ignore[no-untyped-def]
    with on_stage(ceph_rack(spare=True), by_rule=NAMES, more=ceph_lines()) as session:
        osds = form(session)
        written = data(session, "write")
        number = next(osd.number for osd in osds.values() if osd.data.serial == spare_serial())
        plan = leave(session)
        power_fails(session, plan, number)
        keys = finish(session, plan, "the OSD has left its disk", FORM_SECONDS)
        assert f"ceph-destroy/osd.{number}" in keys
        assert data(session, "read") == written
        check_the_rest(session, osds, number)


def form(session: Session) -> dict[str, OsdLayout]:
    """From bare machines to Ceph; the first machine's power goes while its OSD is written. The OSDs by their UUIDs."""
    session.appliance.start()
    session.appliance.wait_ready()
    session.rack.power_on()
    session.until("every server is ready", ENROL_SECONDS, lambda: session.all_in("ready"))
    finish(session, accept(session), "every server is deployed", INSTALL_SECONDS)
    plan = accept(session)
    key = cut_while(session, plan, f"ceph-osd/{FIRST}/", FIRST, "mkfs")
    session.rack.power_on(FIRST)
    finish(session, plan, "Ceph is formed", FORM_SECONDS)
    check_it_went_on(session, key, FIRST)
    osds = planned_osds(session, plan)
    check_osds(session, THIRD, osds)
    return osds


def leave(session: Session) -> str:
    """Somebody wants the spare disk replaced. No data move, so that its OSD is not empty before the power goes."""
    on(session, FIRST, "ceph osd set nobackfill; ceph osd set norecover")
    session.appliance.command("replace", "disk", spare_serial(), "--yes", "--no-wait")
    return f"plans/{session.newest_plan()}"


def power_fails(session: Session, plan: str, number: int) -> None:
    """In the middle of the drain; the appliance says which machine is missing, and that the OSD is not empty."""
    key = cut_while(session, plan, f"ceph-out/osd.{number}", SPARE, "ordered", "effect", "waiting")

    def named() -> bool:
        trouble = session.machines[SPARE].get("trouble") or {}
        return trouble.get("kind") == "silent" and "is down, not empty" in step_like(session, plan, key)["message"]

    session.until(f"{SPARE} is said to be silent, and its OSD not to be empty", CUT_SECONDS, named)
    on(session, FIRST, "ceph osd unset nobackfill; ceph osd unset norecover")
    session.rack.power_on(SPARE)


def check_the_rest(session: Session, osds: dict[str, OsdLayout], number: int) -> None:
    """The number is kept for a new disk, which the plan waits for; everything else is as it was, and well."""
    said = ceph_says(session, THIRD)
    assert said["status"]["health"]["status"] == "HEALTH_OK", said["status"]["health"]
    found = {osd["osd"]: osd for osd in said["osd dump"]["osds"]}
    assert "destroyed" in found[number]["state"], found[number]
    rest = {osd["uuid"]: (osd["osd"], osd["up"], osd["in"]) for osd in found.values() if osd["osd"] != number}
    assert rest == {uuid: (osd.number, 1, 1) for uuid, osd in osds.items() if osd.number != number}
    again = session.appliance.command("plan", "--check", check=False)
    assert again.code == EXIT_WAITS, again.output
    assert "new-disk" in again.output, again.output


def data(session: Session, what: str) -> str:
    """Write (or only read) some objects; the SHA-256 of all."""
    return on(session, FIRST, f"cat > /run/data.py <<'END'\n{DATA}END\npython3 /run/data.py {what}").strip()
