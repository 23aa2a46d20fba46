"""A Ceph cluster on a rack: plans carried out, power taken away in the middle of a step, and what Ceph says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.wire import from_data
from appliance.kinds.ceph.names import osd_uuid
from appliance.model.ceph import OsdLayout
from appliance.rehearsal import local_api
from appliance.rehearsal.session import Session
from tests.vm.shell import on

FORM_SECONDS = 3600.0
CUT_SECONDS = 1800.0
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


def accept(session: Session) -> str:
    """Make a plan and accept exactly that one; where its document is."""
    session.appliance.command("plan")
    session.appliance.command("apply", session.newest_plan(), "--no-wait")
    return f"plans/{session.newest_plan()}"


def finish(session: Session, plan: str, goal: str, timeout: float) -> set[str]:
    """Wait until a plan is done. The keys of its steps."""
    document: dict[str, Any] = {}

    def done() -> bool:
        document.update(local_api.get(session.appliance.socket, plan))
        errors = {step["key"]: step["error"] for step in document["steps"] if step["error"]}
        assert document["state"] not in ("failed", "superseded"), (
            f"{goal}: {document['state']}: {errors}\n{document['diff']}"
        )
        return bool(document["state"] == "done")

    session.until(goal, timeout, done, every=2.0)
    return {step["key"] for step in document["steps"]}


def nothing_to_do(session: Session) -> None:
    """The planner sees no difference any more."""
    again = session.appliance.command("plan", "--check", check=False)
    assert again.code == 0, again.output
    assert "no changes" in again.output.lower()


def planned_osds(session: Session, plan: str) -> dict[str, OsdLayout]:
    """Every OSD of the plan's layout by its UUID."""
    ceph = local_api.get(session.appliance.socket, f"{plan}/layout")["desired"]["ceph"]
    return {osd_uuid(ceph["fsid"], osd): osd for osd in (from_data(OsdLayout, item) for item in ceph["osds"])}


def check_osds(session: Session, asked: str, osds: dict[str, OsdLayout]) -> dict[str, Any]:
    """Healthy, with exactly these OSDs under their planned numbers, all up and in; everything that the monitors said to the
    machine ``asked``."""
    said = ceph_says(session, asked)
    assert said["status"]["health"]["status"] == "HEALTH_OK", said["status"]["health"]
    found = said["osd dump"]["osds"]
    assert {osd["uuid"]: osd["osd"] for osd in found} == {uuid: osd.number for uuid, osd in osds.items()}
    assert all((osd["up"], osd["in"]) == (1, 1) for osd in found), found
    return said


def step_like(session: Session, plan: str, start: str) -> dict[str, Any]:
    """The step whose key begins so."""
    steps = local_api.get(session.appliance.socket, plan)["steps"]
    (found,) = [step for step in steps if step["key"].startswith(start)]
    return dict(found)


def cut_while(session: Session, plan: str, start: str, name: str, *stages: str, said: str = "") -> str:
    """Take the power from a machine as soon as the step is in one of these stages and its message has ``said``. The key."""
    seen: dict[str, Any] = {}

    def reached() -> bool:
        seen.update(step_like(session, plan, start))
        assert seen["state"] in ("waiting", "running"), f"{seen['key']} is {seen['state']}: it was too quick to be cut"
        return seen["stage"] in stages and said in seen["message"]

    session.until(f"{start} is in {' or '.join(stages)}", CUT_SECONDS, reached, every=0.1)
    session.rack.power_cut(name)
    return str(seen["key"])


def check_named(session: Session, plan: str, key: str, name: str) -> None:
    """The appliance says which machine a step waits for, and what to do, to whoever looks at the step, the machine or its
    timeline."""

    def silent() -> bool:
        trouble = session.machines[name].get("trouble") or {}
        return trouble.get("kind") == "silent" and step_like(session, plan, key)["stage"] == "silent"

    session.until(f"{name} is said to be silent", CUT_SECONDS, silent)
    said = step_like(session, plan, key)["message"]
    assert said.startswith(f"{name} says nothing for ") and "power-cycle it" in said, said
    timeline = session.appliance.command("timeline", name).output
    assert key in timeline.rpartition("silent: ")[2], timeline
    assert "missing: its next word" in timeline, timeline


def check_it_went_on(session: Session, key: str, name: str) -> None:
    """The machine has no trouble any more, and its story says that its order was given to the new boot."""
    assert not session.machines[name]["trouble"], session.machines[name]
    story = local_api.get(session.appliance.socket, f"machines/{session.machines[name]['id']}/timeline")["entries"]
    again = [entry for entry in story if entry["kind"] == "order" and entry["data"].get("step") == key]
    assert any("the machine was restarted" in entry["text"] for entry in again), again


def ceph_says(session: Session, name: str) -> dict[str, Any]:
    """What the monitors say, asked from a machine."""
    script = f"cat > /run/status.py <<'END'\n{STATUS}END\npython3 /run/status.py"
    return dict(json.loads(on(session, name, script)))


def check_volumes(session: Session, name: str, *, data: str, database: str, encrypted: bool) -> None:
    """The OSD's data and its database are logical volumes on the planned disks, below dm-crypt where that was asked for."""
    fields = "lvs --reportformat json -o lv_tags,devices | tr -d '\\n'; echo; lsblk -Jo NAME,SERIAL,TYPE | tr -d '\\n'"
    volumes, tree = (json.loads(line) for line in on(session, name, fields).splitlines())
    disks = {disk["name"]: disk for disk in tree["blockdevices"]}
    found: dict[str, str] = {}
    for volume in volumes["report"][0]["lv"]:
        tags = dict(tag.split("=", 1) for tag in volume["lv_tags"].split(",") if "=" in tag)
        device = volume["devices"].split("(")[0].removeprefix("/dev/")
        found[tags["ceph.type"]] = disks[device]["serial"]
        assert (tags["ceph.encrypted"] == "1") is encrypted, tags
        assert crypts(disks[device]) == encrypted, disks[device]
    assert found == {"block": data, "db": database}


def crypts(disk: dict[str, Any]) -> bool:
    """Whether dm-crypt stands on the disk."""
    return disk["type"] == "crypt" or any(crypts(child) for child in disk.get("children", ()))


def monitors_in_order(session: Session, plan: str) -> list[str]:
    """Names of the machines in the order in which the plan makes their monitors."""
    steps = local_api.get(session.appliance.socket, plan)["steps"]
    return [Path(step["key"]).name for step in steps if step["key"].startswith("ceph-mon/")]
