"""Three bare servers become a Ceph cluster: network boot, install, and everything that the site file says of Ceph.

Ceph is Debian's own, on virtual machines with a kernel that has the device mapper, so OSDs are made as on real servers:
logical volumes by ceph-volume, databases on a second disk, one OSD encrypted. What was formed is asked of Ceph and of the
machines themselves, not of the appliance.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.rehearsal import local_api
from appliance.rehearsal.cephscenario import (
    BLOCK_POOL,
    ENCRYPTED,
    FILE_POOL,
    NAMES,
    SYSTEM,
    ceph_lines,
    ceph_rack,
    data_serial,
    database_serial,
)
from appliance.rehearsal.demo import ENROL_SECONDS, INSTALL_SECONDS
from appliance.rehearsal.lab import build_root
from appliance.rehearsal.session import Session
from tests.vm.shell import on

FORM_SECONDS = 3600.0
PROGRAMS = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds", "radosgw", "ceph-fuse", "ceph-volume", "lvm", "cryptsetup")
STATUS = """
import json, rados
with rados.Rados(conffile="/etc/ceph/ceph.conf") as cluster:
    answers = {}
    for prefix in ("status", "osd dump", "osd tree", "fs ls"):
        code, out, said = cluster.mon_command(json.dumps({"prefix": prefix, "format": "json"}), b"")
        assert code == 0, (prefix, said)
        answers[prefix] = json.loads(out)
    print(json.dumps(answers))
"""
"""With librados, as the agent asks; the `ceph` command costs an emulated machine three times as much."""


pytestmark = pytest.mark.nightly
"""With it the lane's budget of processor time would be spent."""


@pytest.fixture
def ceph_image(cache: Path) -> None:
    """The root image with Ceph, beside those that every scenario needs."""
    build_root(cache, SYSTEM)


@pytest.mark.usefixtures("ceph_image")
def test_three_servers_become_a_ceph_cluster(on_stage) -> None:  # type: ignore[no-untyped-def]
    with on_stage(ceph_rack(), by_rule=NAMES, more=ceph_lines()) as session:
        session.appliance.start()
        session.appliance.wait_ready()
        session.rack.power_on()
        session.until("every server is ready", ENROL_SECONDS, lambda: session.all_in("ready"))
        carry_out(session, "every server is deployed", INSTALL_SECONDS)
        assert session.all_in("deployed")
        check_the_image(session, NAMES[0])
        steps = carry_out(session, "Ceph is formed", FORM_SECONDS)
        assert {f"ceph-verify/{pool}" for pool in (BLOCK_POOL, FILE_POOL)} <= steps, steps
        check_ceph(session)
        for name in NAMES:
            check_volumes(session, name)
        again = session.appliance.command("plan", "--check", check=False)
        assert again.code == 0, again.output
        assert "no changes" in again.output.lower()


def carry_out(session: Session, goal: str, timeout: float) -> set[str]:
    """Make a plan, accept exactly that one, wait until it is done. The keys of its steps."""
    shown = session.appliance.command("plan").output
    plan = f"plans/{session.newest_plan()}"
    session.appliance.command("apply", session.newest_plan(), "--no-wait")
    document: dict[str, Any] = {}

    def done() -> bool:
        document.update(local_api.get(session.appliance.socket, plan))
        errors = {step["key"]: step["error"] for step in document["steps"] if step["error"]}
        assert document["state"] not in ("failed", "superseded"), f"{goal}: {document['state']}: {errors}\n{shown}"
        return bool(document["state"] == "done")

    session.until(goal, timeout, done, every=2.0)
    return {step["key"] for step in document["steps"]}


def check_the_image(session: Session, name: str) -> None:
    """Everything of Ceph is there, and nothing of it was started by the installation."""
    found = f"for program in {' '.join(PROGRAMS)}; do command -v $program; done"
    said = on(session, name, f"{found}; python3 -c 'import rados, rbd, cephfs'; modprobe dm-crypt")
    assert {Path(line).name for line in said.splitlines()} == set(PROGRAMS)
    running = on(session, name, "systemctl list-units --plain --no-legend --state=active,failed 'ceph*.service'")
    assert running.strip() == "", running


def check_ceph(session: Session) -> None:
    """What the monitors say: healthy, complete, and every host in the tree."""
    script = f"cat > /run/status.py <<'END'\n{STATUS}END\npython3 /run/status.py"
    said = json.loads(on(session, NAMES[0], script))
    status, dump = said["status"], said["osd dump"]
    assert status["health"]["status"] == "HEALTH_OK", status["health"]
    assert sorted(status["quorum_names"]) == sorted(NAMES)
    assert [(osd["up"], osd["in"]) for osd in dump["osds"]] == [(1, 1)] * len(NAMES)
    assert {node["name"] for node in said["osd tree"]["nodes"] if node["type"] == "host"} == set(NAMES)
    pools = {pool["pool_name"]: pool for pool in dump["pools"]}
    assert set(pools[BLOCK_POOL]["application_metadata"]) == {"rbd"}
    assert [filesystem["name"] for filesystem in said["fs ls"]] == [FILE_POOL]


def check_volumes(session: Session, name: str) -> None:
    """The OSD's data and its database are logical volumes on the planned disks, below dm-crypt where that was asked for."""
    fields = "lvs --reportformat json -o lv_tags,devices | tr -d '\\n'; echo; lsblk -Jo NAME,SERIAL,TYPE | tr -d '\\n'"
    volumes, tree = (json.loads(line) for line in on(session, name, fields).splitlines())
    disks = {disk["name"]: disk for disk in tree["blockdevices"]}
    found: dict[str, str] = {}
    for volume in volumes["report"][0]["lv"]:
        tags = dict(tag.split("=", 1) for tag in volume["lv_tags"].split(",") if "=" in tag)
        device = volume["devices"].split("(")[0].removeprefix("/dev/")
        found[tags["ceph.type"]] = disks[device]["serial"]
        assert (tags["ceph.encrypted"] == "1") is (name == ENCRYPTED), tags
        assert crypts(disks[device]) == (name == ENCRYPTED), disks[device]
    assert found == {"block": data_serial(name), "db": database_serial(name)}


def crypts(disk: dict[str, Any]) -> bool:
    """Whether dm-crypt stands on the disk."""
    return disk["type"] == "crypt" or any(crypts(child) for child in disk.get("children", ()))
