"""What is read from serial consoles."""

from __future__ import annotations

import os
import time
from pathlib import Path

from agent.wire import enrolment_code
from appliance.rehearsal.console import Console, clean, find_code, gave_up, is_tcg_panic


def test_escape_sequences_and_overprints_are_removed() -> None:
    assert clean(b"\x1b[2J\x1b[01;01H\x1b[=3h>>Start PXE over IPv4.\x1b[0m\r") == ">>Start PXE over IPv4."
    assert clean(b"10%\r50%\r100% done\r\n") == "100% done"
    assert clean(b"caf\xc3\xa9 \xff \x07bell") == "café \ufffd bell"


def test_the_newest_code_is_found_and_nothing_else() -> None:
    first, second = enrolment_code(b"a", b"ca"), enrolment_code(b"b", b"ca")
    text = f"enrolment code: {first}\nUUID ABCD-1234-XYZ\n  Code  {second}  type it\nserial WXYZ-5678-ABC\n"
    assert find_code(text) == second
    assert find_code("nothing here ABCD-1234-XYZ") == ""


def test_only_a_panic_of_the_emulation_is_recognised() -> None:
    double_fault = "Oops: double fault: 0000 [#1]\nRIP: __kmalloc_noprof+0x1\n" + "x\n" * 20
    assert is_tcg_panic(double_fault + "Kernel panic - not syncing: Fatal exception in interrupt")
    assert is_tcg_panic("Kernel panic - not syncing: IO-APIC + timer doesn't work!  Boot with apic=debug")
    assert not is_tcg_panic("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)")
    assert not is_tcg_panic(double_fault)


def test_lines_are_kept_with_their_time(tmp_path: Path) -> None:
    read, write = os.pipe()
    console = Console(os.fdopen(read, "rb", buffering=0), tmp_path / "n1.log", time.monotonic())
    os.write(write, b"SeaBIOS\r\nhalf a li")
    os.write(write, b"ne\r\n\x1b[0m\r\nno newline at the end")
    os.close(write)
    console.join()
    assert console.text().splitlines() == ["SeaBIOS", "half a line", "", "no newline at the end"]
    assert console.last() == "no newline at the end"
    logged = (tmp_path / "n1.log").read_text().splitlines()
    assert [line[11:] for line in logged] == console.text().splitlines()
    assert all(float(line[:9]) < 5 for line in logged)


def test_a_firmware_that_gave_up_is_seen_by_its_prompt(tmp_path: Path) -> None:
    read, write = os.pipe()
    console = Console(os.fdopen(read, "rb", buffering=0), tmp_path / "n1.log", time.monotonic())
    os.write(write, b"UEFI Interactive Shell v2.2\r\n\x1b[1mShell> \x1b[0m")
    deadline = time.monotonic() + 5
    while not gave_up(console) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert console.prompt() == "Shell>"
    assert console.text().endswith("\nShell>")
    assert gave_up(console)
    os.write(write, b"\r\nBdsDxe: starting\r\n")
    while gave_up(console) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not gave_up(console)
    os.close(write)
    console.join()
