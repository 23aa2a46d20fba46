"""Secrets at rest: sealed under their name, with a key outside the database."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from appliance.effects.secrets import SecretBox, SecretError


def test_a_secret_comes_back_and_is_not_readable(tmp_path: Path) -> None:
    box = SecretBox.open(tmp_path / "state")
    sealed = box.seal("bmc/n1", b"hunter2")
    assert b"hunter2" not in sealed
    assert sealed != box.seal("bmc/n1", b"hunter2")
    assert SecretBox.open(tmp_path / "state").unseal("bmc/n1", sealed) == b"hunter2"
    key = tmp_path / "state" / "secret.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["secret.key"]


def test_another_key_is_named(tmp_path: Path) -> None:
    sealed = SecretBox.open(tmp_path / "a").seal("x", b"s")
    with pytest.raises(SecretError, match=r"was sealed with another key than .*secret\.key: restore the key file"):
        SecretBox.open(tmp_path / "b").unseal("x", sealed)


@pytest.mark.parametrize("position", [0, 5, 12, 25, -1])
def test_a_changed_byte_is_noticed(tmp_path: Path, position: int) -> None:
    box = SecretBox.open(tmp_path)
    sealed = bytearray(box.seal("x", b"some secret"))
    sealed[position] ^= 1
    with pytest.raises(SecretError):
        box.unseal("x", bytes(sealed))


def test_rows_cannot_be_swapped(tmp_path: Path) -> None:
    box = SecretBox.open(tmp_path)
    with pytest.raises(SecretError, match="changed outside"):
        box.unseal("bmc/n2", box.seal("bmc/n1", b"s"))
    with pytest.raises(SecretError, match="damaged"):
        box.unseal("x", b"\x01short")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    SecretBox.open(tmp_path)
    (tmp_path / "secret.key").chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        SecretBox.open(tmp_path)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    SecretBox.open(tmp_path)
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(SecretError, match="5 bytes instead of 32"):
        SecretBox.open(tmp_path)


def test_two_at_once_agree_on_one_key(tmp_path: Path) -> None:
    boxes: list[SecretBox] = []
    start = threading.Barrier(8)

    def open_it() -> None:
        start.wait()
        boxes.append(SecretBox.open(tmp_path))

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sealed = boxes[0].seal("x", b"s")
    assert [box.unseal("x", sealed) for box in boxes] == [b"s"] * 8
