"""The process that stays and asks the cluster: one connection for many questions, another one after anything went wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.act import cephcommands, cephfiles, cephtalk
from agent.errors import CephError
from agent.run import CommandError, Conversation
from agent.wire import MonCommand

RADOS = """
import json, os, time

class Rados:
    def __init__(self, conffile, name):
        self.facts = {"pid": os.getpid(), "name": name}
    def conf_set(self, name, value): pass
    def connect(self, timeout):
        Rados.count = getattr(Rados, "count", 0) + 1
    def mon_command(self, command, payload, timeout=0):
        what = json.loads(command)["prefix"]
        if what == "break":
            raise OSError("the network is gone")
        if what == "hang":
            time.sleep(60)
        if what == "refuse":
            return -22, b"", "no such thing"
        return 0, json.dumps({**self.facts, "connections": Rados.count}).encode(), ""
"""


@pytest.fixture
def stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Conversation]:
    """The script beside bindings that only say who asks."""
    script = tmp_path / "cephtalk.py"
    shutil.copyfile(Path(cephtalk.__file__), script)
    (tmp_path / "rados.py").write_text(RADOS)
    (tmp_path / "ceph.conf").write_text("[global]\n")
    monkeypatch.setattr(cephfiles, "CONF", tmp_path / "ceph.conf")
    made = Conversation([sys.executable, str(script), "--stay"])
    monkeypatch.setattr(cephcommands, "_stays", made)
    yield made
    made.close()


Ask = Callable[[str], dict[str, Any]]


@pytest.fixture
def ask(stays: Conversation) -> Ask:
    def one(prefix: str) -> dict[str, Any]:
        answer = cephcommands.send([MonCommand(command=json.dumps({"prefix": prefix}))])[0]
        return {"code": answer.code, "status": answer.status, **json.loads(answer.output or "{}")}

    return one


def test_many_questions_are_asked_over_one_connection(ask: Ask) -> None:
    said = [ask("status") for _ in range(5)]
    assert len({one["pid"] for one in said}) == 1
    assert {one["connections"] for one in said} == {1}
    assert said[0]["name"] == "client.admin"


def test_a_monitor_that_says_no_costs_no_connection(ask: Ask) -> None:
    first = ask("status")
    assert (ask("refuse")["code"], ask("refuse")["status"]) == (22, "no such thing")
    assert ask("status")["pid"] == first["pid"]


def test_another_configuration_needs_another_connection(ask: Ask, tmp_path: Path) -> None:
    first = ask("status")
    os.utime(tmp_path / "ceph.conf", (1, 1))
    assert ask("status")["pid"] != first["pid"]


def test_after_an_error_it_connects_anew(ask: Ask) -> None:
    first = ask("status")
    with pytest.raises(CephError, match="the network is gone"):
        ask("break")
    assert ask("status")["pid"] != first["pid"]


def test_one_that_was_killed_meanwhile_is_started_again(ask: Ask) -> None:
    first = ask("status")
    os.kill(first["pid"], signal.SIGKILL)
    assert ask("status")["pid"] != first["pid"]


def test_one_that_does_not_answer_is_killed(ask: Ask, stays: Conversation) -> None:
    first = ask("status")
    task = {"conf": str(cephfiles.CONF), "do": "commands", "entity": "client.admin", "options": {}}
    hang = {"command": json.dumps({"prefix": "hang"}), "payload": "", "manager": False, "may_fail": []}
    with pytest.raises(CommandError, match="did not answer in time"):
        stays.ask(json.dumps({**task, "commands": [hang]}).encode(), timeout=0.5)
    assert ask("status")["pid"] != first["pid"]


def test_bindings_that_are_not_there_are_said(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "rados.py").write_text("raise ImportError('No module named rados')\n")
    with pytest.raises(CephError, match="python3-rados"):
        ask("status")


def test_a_command_that_can_not_be_started_or_ends_is_said() -> None:
    with pytest.raises(CommandError, match="could not be started"):
        Conversation(["/nowhere/at/all"]).ask(b"{}", timeout=5)
    with pytest.raises(CommandError, match="ended without an answer"):
        Conversation(["/bin/true"]).ask(b"{}", timeout=5)
