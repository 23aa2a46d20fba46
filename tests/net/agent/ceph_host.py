"""Runs inside a namespace with Debian 13's Ceph as its root: carries out the orders that come, one JSON document a line.

Standard library and the agent only. Daemons are plain processes of this process-id namespace: they die with it, as with a
machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.act import ceph, cephguard, cephmgr, cephvolumes
from agent.act.cephguard import Claim
from agent.document import from_data, to_data
from agent.probe.machine import look
from agent.wire import CephOrder, DeviceGrant, Disk

LOGS = Path("/var/log/ceph")


class Processes:
    """`Daemons` without systemd."""

    def __init__(self) -> None:
        self.made: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, kind: str, daemon: str) -> None:
        if self.running(kind, daemon):
            return
        argv = (
            ["radosgw", "-f", "--name", f"client.rgw.{daemon}"]
            if kind == "rgw"
            else [f"ceph-{kind}", "-f", "-i", daemon]
        )
        extra = cephmgr.environment(Path("/run/ceph-mgr")) if kind == "mgr" else {}
        with (LOGS / f"{kind}.{daemon}.out").open("ab") as out:
            self.made[f"{kind}.{daemon}"] = subprocess.Popen(
                [*argv, "--setuser", "ceph", "--setgroup", "ceph"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **extra},
            )

    def stop(self, kind: str, daemon: str) -> None:
        process = self.made.pop(f"{kind}.{daemon}", None)
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    def running(self, kind: str, daemon: str) -> bool:
        process = self.made.get(f"{kind}.{daemon}")
        return process is not None and process.poll() is None


DAEMONS = Processes()


def disks(described: list[list[Any]]) -> tuple[Disk, ...]:
    """``[path, serial, size]`` each."""
    return tuple(
        Disk(path=path, serial=serial, model="LOOPDISK", size=size, content=look(Path(path), False))
        for path, serial, size in described
    )


def perform(task: dict[str, Any], say: Any) -> dict[str, Any]:
    def tell(stage: str, _fraction: float, message: str) -> None:
        say({"stage": stage, "message": message})

    order = from_data(CephOrder, task["order"])
    try:
        message, answers = ceph.perform(
            order, "m1", "p", lambda: disks(task["disks"]), lambda name: task["keys"][name], DAEMONS, tell
        )
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"message": message, "answers": [to_data(item) for item in answers]}


def group(task: dict[str, Any], _say: Any) -> dict[str, Any]:
    """What the guard says of a disk while a volume group is made on it: before, with the physical volume, with the group."""
    claim = Claim(
        grant=from_data(DeviceGrant, task["grant"]),
        use=cephguard.Use.DATA,
        machine="m1",
        plan="p",
        fsid=task["fsid"],
        osd=task["osd"],
    )
    said = []

    def judged() -> Disk:
        found = disks(task["disks"])
        verdict = cephguard.judge(claim, found, cephvolumes.free())
        said.append([verdict.found, verdict.group])
        stranger = replace(claim, osd=task["stranger"], grant=replace(claim.grant, osd_uuid=task["stranger"]))
        said[-1].append(cephguard.judge(stranger, found, {}).refusal)
        return cephguard.locate(claim, found).disk or found[0]

    disk = judged()
    cephvolumes.run(["pvcreate", "--yes", "--norestorefile", "--uuid", claim.volume, disk.path])
    made = cephvolumes.make_group(claim, judged(), "")
    judged()
    cephvolumes.make_group(claim, disk, made)
    return {"said": said, "group": made, "wanted": claim.group, "free": cephvolumes.free().get(made, 0)}


def start(task: dict[str, Any], _say: Any) -> dict[str, Any]:
    """What systemd does at boot with a unit that is enabled."""
    DAEMONS.start(task["kind"], task["daemon"])
    return {}


def main() -> int:
    LOGS.mkdir(exist_ok=True)
    for line in sys.stdin:
        task = json.loads(line)

        def say(what: dict[str, Any]) -> None:
            print(json.dumps(what), flush=True)

        began = time.monotonic()
        say(
            {
                "end": {"perform": perform, "group": group, "start": start}[task["do"]](task, say),
                "seconds": time.monotonic() - began,
            }
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
