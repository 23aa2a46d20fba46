"""`rackseed serve` as root: the boot server's own agent starts when the site file wants a monitor there, enrols over the
socket, reports over mutual TLS, and ends when it is not wanted, or the appliance is killed."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from appliance.model.settings import Settings
from appliance.rehearsal.errors import ApplianceError
from appliance.rehearsal.local_api import get
from appliance.serve import arbiter
from appliance.serve.prepare import PrepareError
from tests.unit.web.serving import Serving, until

PLAIN = """\
site: lab
networks:
  provisioning: {cidr: 127.0.0.0/8, appliance: 127.0.0.1, pool: 127.0.1.1-127.0.1.200}
racks: {a: {datacenter: x}, b: {datacenter: y}}
"""
STRETCH = PLAIN + "ceph: {stretch: true, tiebreaker: appliance, pools: {vms: block}}\n"
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a monitor on the appliance does")


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    (tmp_path / "site.yaml").write_text(PLAIN)
    made = Serving(tmp_path, tmp_path / "site.yaml")
    made.start()
    try:
        made.wait_ready()
        yield made
    finally:
        made.stop()


def agents(serving: Serving) -> list[psutil.Process]:
    """Processes of this appliance's own agent."""
    folder = str(serving.state.with_name("state-arbiter"))
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "--arbiter" in words and folder in words:
            found.append(process)
    return found


def told(serving: Serving) -> dict[str, object] | None:
    """What the appliance knows of its own machine; None while there is no report."""
    try:
        found = get(serving.state / "run" / "api.sock", "machines/appliance")
    except ApplianceError:
        return None
    return found["inventory"]


@ROOT
def test_it_runs_while_it_is_wanted(serving: Serving) -> None:
    assert agents(serving) == []
    assert get(serving.state / "run" / "api.sock", "machines")["machines"] == []
    site = serving.state.parent / "stretch.yaml"
    site.write_text(STRETCH)
    assert serving.command("site", "load", str(site)).returncode == 0
    until(lambda: told(serving) is not None, "a report", serving.log)
    inventory = told(serving)
    assert inventory is not None
    assert (inventory["environment"], inventory["disks"]) == ("arbiter", [])
    assert get(serving.state / "run" / "api.sock", "machines")["machines"] == [], "it is no machine of the rack"
    folder = serving.state.with_name("state-arbiter")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == dict.fromkeys(
        ("agent.key", "agent.pem", "order-key.pem", "site.json"), 0o600
    )
    assert len(agents(serving)) == 1
    assert serving.command("site", "load", str(serving.site)).returncode == 0
    until(lambda: agents(serving) == [], "the end of the agent", serving.log)


@ROOT
def test_it_dies_with_the_appliance(serving: Serving) -> None:
    site = serving.state.parent / "stretch.yaml"
    site.write_text(STRETCH)
    assert serving.command("site", "load", str(site)).returncode == 0
    until(lambda: told(serving) is not None, "a report", serving.log)
    assert serving.process is not None
    os.kill(serving.process.pid, signal.SIGKILL)
    until(lambda: agents(serving) == [], "the end of the agent", serving.log)


def test_without_root_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    settings = Settings(state=tmp_path / "state", cache=tmp_path, address="127.0.0.1")  # type: ignore[arg-type]
    with pytest.raises(PrepareError, match="needs root"):
        arbiter.run(settings)
    assert list(tmp_path.iterdir()) == []
    assert arbiter.own_folder(settings) == tmp_path / "state-arbiter"
