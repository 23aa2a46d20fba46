"""A rack leaves nothing behind, however its owner ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from appliance.rehearsal import namespace as module
from appliance.rehearsal.namespace import Namespace, remove_stale

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")]

ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import subprocess, sys, time
from ipaddress import IPv4Interface
from appliance.rehearsal.namespace import Namespace
rack = Namespace.create(IPv4Interface("10.77.0.1/24"))
rack.add_tap()
child = subprocess.Popen(rack.command(["sleep", "600"]), start_new_session=True)
print(rack.name, child.pid, rack.run, flush=True)
time.sleep(600)
"""


def namespaces() -> str:
    return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout


def wait_until_gone(name: str, pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (name in namespaces() or Path(f"/proc/{pid}").exists()):
        time.sleep(0.1)
    assert name not in namespaces()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_owner_leaves_nothing(number: signal.Signals) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        name, pid, run = owner.stdout.readline().split()
        assert name in namespaces()
        os.killpg(owner.pid, number)
        owner.wait()
    wait_until_gone(name, int(pid))
    assert not Path(run).exists()


def test_only_racks_of_dead_owners_are_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUN", tmp_path / "racks")
    dead = subprocess.Popen(["sleep", "0"])
    dead.wait()
    folder = tmp_path / "racks" / "abc123"
    folder.mkdir(parents=True)
    owner = {"pid": dead.pid, "started": 1.0, "namespace": "rackseed-test-stale"}
    (folder / "owner.json").write_text(json.dumps(owner))
    subprocess.run(["ip", "netns", "add", "rackseed-test-stale"], check=True)
    living = Namespace.create(IPv4Interface("10.77.0.1/24"))
    try:
        assert "rackseed-test-stale" not in namespaces()
        assert not folder.exists()
        assert living.name in namespaces()
        assert remove_stale() == ()
        assert living.name in namespaces()
    finally:
        living.remove()
    assert living.name not in namespaces()
    assert not living.run.exists()
