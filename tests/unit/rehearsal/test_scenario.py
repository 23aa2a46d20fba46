"""The demo's site file and the disk that must stay as it is."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from appliance.rehearsal.scenario import SYSTEM_DISK, demo_rack, make_foreign_disk, sha256_of, site_text
from appliance.site.load import load_text

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKY7ZgVhZtQkS0cBd5vD5yqfJw8hJcLWJkq5rZzqfW1u demo"


def test_the_site_file_is_short_and_right() -> None:
    text = site_text(demo_rack(Path("/foreign.img")), by_rule=("n1", "n2"), ssh_key=KEY)
    assert len(text.splitlines()) <= 20
    site = load_text(text)
    assert [machine.name for machine in site.machines] == ["n1", "n2", "n3"]
    assert {rule.serial for rule in site.approve} == {machine.serial for machine in site.machines[:2]}
    assert site.erase == ()


def test_without_rules_every_machine_waits_for_a_person() -> None:
    assert load_text(site_text(demo_rack(Path("/foreign.img")), by_rule=(), ssh_key=KEY)).approve == ()


@pytest.mark.parametrize("layout", [[(0, 5)], [(3 << 20, 7), (9 << 20, 1 << 20)], []])
def test_holes_count_as_zeros(tmp_path: Path, layout: list[tuple[int, int]]) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as image:
        image.truncate(12 << 20)
        for offset, size in layout:
            image.seek(offset)
            image.write(b"x" * size)
    assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.skipif(shutil.which("mke2fs") is None, reason="mke2fs is not installed")
def test_the_foreign_disk_is_recognised_when_one_byte_changes(tmp_path: Path) -> None:
    foreign = make_foreign_disk(tmp_path / "foreign.img")
    assert foreign.path.stat().st_size == SYSTEM_DISK
    with foreign.path.open("rb") as image:
        image.seek(1024 + 56)
        assert image.read(2) == b"\x53\xef", "no ext4 superblock"
    assert sha256_of(foreign.path) == foreign.sha256
    with foreign.path.open("r+b") as image:
        image.seek(SYSTEM_DISK - 1)
        image.write(b"\1")
    assert sha256_of(foreign.path) != foreign.sha256
