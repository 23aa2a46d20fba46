"""The agent of the boot server: what it says of itself, and that it removes nobody else's monitor."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import main
from agent.act import cephdaemons, cephmonitors
from agent.errors import CephError
from agent.probe import arbiter as probe
from agent.run import CommandError, Result
from agent.wire import CephAction, CephOrder, Environment
from tests.unit.agent.ceph_bare import FSID, OTHER, perform

REMOVE = CephOrder(action=CephAction.REMOVE, fsid=FSID, kind="mon", daemon="appliance")


def said(text: str) -> Result:
    return Result(argv=("ceph-mon", "--version"), code=0, stdout=text, stderr="")


def test_it_reports_addresses_and_ceph_and_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "ceph version 18.2.7 (6b0e988052ec84cf2d4a54ff9bbbc5e720b621ad) reef (stable)\n"
    monkeypatch.setattr(probe, "run", lambda *_argv, **_options: said(text))
    found = probe.ArbiterProbe().take()
    assert found.environment is Environment.ARBITER
    assert found.ceph == "18.2.7"
    assert found.disks == ()
    assert found.nics == ()
    assert found.memory.total > 0
    assert found.failures == ()
    assert "127.0.0.1" not in found.addresses


@pytest.mark.parametrize("missing", [True, False])
def test_a_ceph_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    def answer(argv: list[str], **_options: object) -> Result:
        if missing:
            raise CommandError(argv, "not found")
        return said("what?\n")

    monkeypatch.setattr(probe, "run", answer)
    found = probe.ArbiterProbe().take()
    assert found.ceph == ""
    (failure,) = found.failures
    assert failure.probe == "ceph-mon"


@pytest.mark.parametrize("fsid", [FSID, OTHER, ""])
def test_only_its_own_monitor_is_removed(home: Path, monkeypatch: pytest.MonkeyPatch, fsid: str) -> None:
    folder = home / "lib/mon/ceph-appliance"
    (folder / "store.db").mkdir(parents=True)
    monkeypatch.setattr(cephmonitors, "store_fsid", lambda _daemon, _folder: fsid)
    if fsid == FSID:
        perform(REMOVE)
        assert not folder.exists()
        perform(REMOVE)
        return
    with pytest.raises(CephError, match="left alone"):
        perform(REMOVE)
    assert (folder / "store.db").is_dir()


def test_a_running_monitor_of_another_cluster_is_not_even_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cephdaemons, "answer", lambda *_what: {"monmap": {"fsid": OTHER}, "rank": 0, "quorum": []})
    with pytest.raises(CephError, match="left alone"):
        cephmonitors.check_left(REMOVE)


def test_it_is_one_of_three_places(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["--installed", "--arbiter"])
    assert "not allowed with" in capsys.readouterr().err
