"""Ceph's map tools run from their own folder, with their own libraries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from images import cephtools
from images.cache import Cache
from images.errors import MirrorError
from images.unpacked import run_unpacked
from tests.oracle.crush import Oracle


def test_the_programs_run(oracle: Oracle) -> None:
    said = run_unpacked(oracle.tools, "usr/bin/osdmaptool", "--version")
    assert re.match(r"ceph version \d+\.\d+\.\d+ ", said.stdout), said
    assert said.stdout.split()[2] in cephtools.ceph_version(oracle.tools)
    assert "--show-bad-mappings" in run_unpacked(oracle.tools, "usr/bin/crushtool", "-h").stdout


def test_only_what_is_needed_is_kept(oracle: Oracle) -> None:
    size = sum(path.stat().st_size for path in oracle.tools.rglob("*"))
    assert size < 40 << 20
    assert (oracle.tools / "copyright.ceph-base").is_file()


def test_without_a_mirror_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_arguments: object) -> None:
        raise MirrorError("no Debian mirror: set RACKSEED_MIRROR to one that has trixie")

    monkeypatch.setattr(cephtools, "ceph_tools", none)
    monkeypatch.setenv("RACKSEED_CACHE", str(tmp_path))
    assert cephtools.main() == 1
    assert capsys.readouterr().err == "ceph tools: no Debian mirror: set RACKSEED_MIRROR to one that has trixie\n"


def test_from_the_cache_it_is_quick(oracle: Oracle, capsys: pytest.CaptureFixture[str]) -> None:
    assert cephtools.ceph_tools(Cache()) == oracle.tools
    assert cephtools.main() == 0
    assert "18." in capsys.readouterr().out
