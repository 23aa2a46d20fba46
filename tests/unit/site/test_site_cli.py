"""`rackseed site` without an appliance: examples, what keys mean, the schema, and what a check says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.cli import main
from appliance.cli.client import Client
from appliance.site.example import EXAMPLES
from appliance.site.load import load_text
from tests.conftest import Golden

Run = Callable[..., tuple[int, str, str]]
WITH_LIST = "site: s\nnetworks: {provisioning: {cidr: 10.0.0.0/24}}\nmanifest: list.csv\n"


@pytest.fixture
def rackseed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main.run(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("which", EXAMPLES)
def test_init_prints_files_that_check_takes(which: str, rackseed: Run, tmp_path: Path, golden: Golden) -> None:
    code, out, _ = rackseed("site", "init", "--name", "Berlin-1", "--example", which)
    assert code == 0
    assert out == EXAMPLES[which].replace("edge-1", "berlin-1")
    (tmp_path / "site.yaml").write_text(out)
    code, out, err = rackseed("site", "check", "site.yaml")
    assert (code, err) == (0, "")
    golden.check(f"site/check-{which}.txt", out)


def test_init_wants_a_host_name(rackseed: Run) -> None:
    code, _, err = rackseed("site", "init", "--name", "b e r")
    assert code == 2
    assert "--name: 'b e r' is no host name" in err


def test_check_as_json(rackseed: Run, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(EXAMPLES["cloud"] + "bmc: {user: admin, password: !secret bmc}\n")
    code, out, _ = rackseed("site", "check", "site.yaml", "--format", "json")
    assert code == 0
    told = json.loads(out)
    assert told["problems"] == []
    assert told["expected"] == {"epyc-compute": 8}
    assert told["pools"] == {"backup": "object", "vms": "block"}
    assert told["secrets"] == ["bmc"]
    (tmp_path / "site.yaml").write_text("site: s\nracks: {r1: {units: 0}}\n")
    code, out, _ = rackseed("site", "check", "site.yaml", "--format", "json")
    assert code == 2
    assert [(problem["line"], problem["column"]) for problem in json.loads(out)["problems"]] == [(1, 1), (2, 21)]


@pytest.mark.parametrize(
    "key", ["", "networks.storage-public.mtu", "ceph.pools", "ceph.pools.vms", "expect", "bmc.password"]
)
def test_explain(key: str, rackseed: Run, golden: Golden) -> None:
    code, out, _ = rackseed("site", "explain", *([key] if key else []))
    assert code == 0
    golden.check(f"site/explain-{key or 'all'}.txt", out)


def test_explain_unknown_keys(rackseed: Run) -> None:
    code, _, err = rackseed("site", "explain", "clusters.pve1.arbitr")
    assert code == 2
    assert err == "rackseed: there is no key 'arbitr' in clusters.NAME; did you mean 'arbiter'?\n"


def test_explain_as_json(rackseed: Run) -> None:
    code, out, _ = rackseed("site", "explain", "ceph.pools.vms.size", "--format", "json")
    assert code == 0
    assert json.loads(out) == {
        "key": "ceph.pools.NAME.size",
        "about": "copies",
        "value": "whole number",
        "default": "3, with stretch 4",
        "example": "size: 3",
        "keys": {},
    }


def test_schema(rackseed: Run) -> None:
    code, out, _ = rackseed("site", "schema")
    assert code == 0
    assert json.loads(out)["required"] == ["site", "networks"]


def test_load_sends_the_list_along(rackseed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    def post(self: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
        del self
        assert path == "/sites"
        sent.append(body)
        return {"site": "s"}

    monkeypatch.setattr(Client, "post", post)
    (tmp_path / "site.yaml").write_text(WITH_LIST)
    (tmp_path / "list.csv").write_text("name,serial\nn1,s1\n")
    code, out, _ = rackseed("site", "load", "site.yaml")
    assert (code, out) == (0, "site s is loaded; next: rackseed plan\n")
    assert [machine.name for machine in load_text(sent[0]["text"]).machines] == ["n1"]
    (tmp_path / "list.csv").write_text("name,serial\nn1,s1\nn2,s1\n")
    code, _, err = rackseed("site", "load", "site.yaml")
    assert code == 2
    assert "list.csv:3:2: serial: two machines have the serial 'S1'" in err
    assert len(sent) == 1, "nothing wrong is sent"


def test_a_file_without_a_list_is_sent_as_it_is(rackseed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a wrong one: the appliance's own profiles count."""
    sent: list[str] = []

    def post(self: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
        del self, path
        sent.append(body["text"])
        return {"site": "s"}

    monkeypatch.setattr(Client, "post", post)
    (tmp_path / "site.yaml").write_text("site: s # wrong\r\n", newline="")
    assert rackseed("site", "load", "site.yaml")[0] == 0
    assert sent == ["site: s # wrong\n"]
