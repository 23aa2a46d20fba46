"""The parts of an install that need no disk: files of the target, boot entries, the order of things."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from agent import deploy
from agent.act import boot_entry, mounts, target
from agent.console import Console
from agent.errors import InstallError
from agent.glyphs import GLYPHS, large
from agent.probe.tree import Tree
from agent.run import Result
from agent.wire import CODE_ALPHABET, FileSpec, SiteBundle

SITE = SiteBundle(enrol_url="https://10.0.0.1:8443", agent_url="https://10.0.0.1:8444", public_url="http://x", ca="PEM")


def test_rendered_files_with_modes_through_absolute_links(fake_root: Path) -> None:
    (fake_root / "run/resolve").mkdir(parents=True)
    (fake_root / "etc").mkdir()
    (fake_root / "etc/resolv.conf").symlink_to("/run/resolve/stub.conf")
    (fake_root / "var").symlink_to("/srv/var")
    target.write_files(
        fake_root,
        [
            FileSpec(path="/etc/resolv.conf", mode=0o644, content="nameserver 10.0.0.1\n"),
            FileSpec(path="/root/.ssh/authorized_keys", mode=0o600, content="ssh-ed25519 A\n"),
            FileSpec(path="/var/lib/x", mode=0o640, content="ä\n"),
        ],
    )
    assert not (fake_root / "etc/resolv.conf").is_symlink()
    assert stat.S_IMODE((fake_root / "root/.ssh/authorized_keys").stat().st_mode) == 0o600
    assert (fake_root / "srv/var/lib/x").read_text() == "ä\n"
    assert not Path("/srv/var/lib/x").exists()
    assert [path.name for path in fake_root.rglob("*.rackseed")] == []


@pytest.mark.parametrize("path", ["etc/hostname", "/etc/../../etc/passwd", "relative"])
def test_paths_outside_are_refused(fake_root: Path, path: str) -> None:
    with pytest.raises(InstallError, match="not an absolute path"):
        target.write_files(fake_root, [FileSpec(path=path, mode=0o644, content="")])


def test_links_that_climb_stay_inside(fake_root: Path) -> None:
    (fake_root / "up").symlink_to("../../../../../..")
    assert target.inside(fake_root, PurePosixPath("/up/etc/passwd")) == fake_root / "etc/passwd"
    (fake_root / "loop").symlink_to("loop")
    with pytest.raises(InstallError, match="too many links"):
        target.inside(fake_root, PurePosixPath("/loop/x"))


def test_the_agent_installs_itself(fake_root: Path) -> None:
    who = target.Identity(site=SITE, key="KEY", certificate="CERT", order_key="ORDER", permit="p-1")
    home = fake_root / "usr/lib/rackseed/agent"
    for _ in range(2):
        target.install_agent(fake_root, who)
        (home / "stale.py").write_text("left over from before")
    target.install_agent(fake_root, who)
    assert (home / "act/guard.py").exists() and (home / "__main__.py").exists()
    assert {path.relative_to(home) for path in home.rglob("*.py")} == {
        path.relative_to(Path(deploy.__file__).parent) for path in Path(deploy.__file__).parent.rglob("*.py")
    }
    configuration = fake_root / "etc/rackseed"
    assert stat.S_IMODE((configuration / "agent.key").stat().st_mode) == 0o600
    assert (configuration / "permit").read_text() == "p-1\n"
    unit = fake_root / "etc/systemd/system/multi-user.target.wants/rackseed-agent.service"
    assert str(unit.readlink()) == "/etc/systemd/system/rackseed-agent.service"
    assert "--installed" in (fake_root / "etc/systemd/system/rackseed-agent.service").read_text()


def test_mounts_of_a_killed_agent_are_released(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()

    def mount(place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=False, capture_output=True).returncode:
            pytest.skip("needs root to mount a tmpfs")

    beside = tmp_path / "target-beside"
    try:
        for place in (target, target / "boot/efi", target / "dev", beside):
            mount(place)
        mounts.release(target, Tree())
        assert not target.is_mount() and list(target.iterdir()) == []
        assert beside.is_mount()
        mounts.release(target, Tree())
    finally:
        subprocess.run(["umount", "-R", "-q", target, beside], check=False, capture_output=True)


class FakeFirmware:
    """efibootmgr and its variables. ``stubborn``: new entries are put last, as some firmware does."""

    def __init__(self, *, stubborn: bool = False, deaf: bool = False) -> None:
        self.order = ["0000", "0001"]
        self.entries = {
            "0000": "UiApp\tFvVol(7cb8bdc9)/FvFile(462caa21)",
            "0001": "UEFI PXEv4 (MAC:525400000001)\tPciRoot(0x0)/Pci(0x2,0x0)/MAC(525400000001,1)/IPv4(0.0.0.0)",
        }
        self.stubborn, self.deaf, self.next = stubborn, deaf, ""
        self.log: list[str] = []

    def run(self, argv: Sequence[str], **_: Any) -> Result:
        words = list(argv)
        self.log.append(" ".join(words))
        if "-c" in words:
            number = f"{max(int(item, 16) for item in self.entries) + 1:04X}"
            loader = words[words.index("-l") + 1]
            label = words[words.index("-L") + 1]
            self.entries[number] = f"{label}\tHD(2,GPT,{GUID},0x1000,0x100000)/{loader}"
            self.order.insert(len(self.order) if self.stubborn else 0, number)
        elif "-B" in words:
            number = words[words.index("-b") + 1]
            del self.entries[number]
            self.order.remove(number)
        elif "-o" in words and not self.deaf:
            self.order = words[words.index("-o") + 1].split(",")
        elif "-n" in words:
            self.next = words[words.index("-n") + 1]
        rows = [f"Boot{number}* {text}" for number, text in sorted(self.entries.items())]
        text = "\n".join(["BootCurrent: 0001", "Timeout: 0 seconds", f"BootOrder: {','.join(self.order)}", *rows])
        return Result(argv=tuple(argv), code=0, stdout=text + "\n", stderr="")


GUID = "22222222-2222-4222-8222-222222222222"


def use(firmware: FakeFirmware, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeFirmware:
    (tmp_path / "BootOrder-8be4df61").write_text("")
    monkeypatch.setattr(boot_entry, "EFIVARS", tmp_path)
    monkeypatch.setattr(boot_entry, "run", firmware.run)
    return firmware


@pytest.mark.parametrize("stubborn", [False, True])
def test_our_entry_is_first_and_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stubborn: bool) -> None:
    firmware = use(FakeFirmware(stubborn=stubborn), monkeypatch, tmp_path)
    loader = "\\EFI\\debian\\shimx64.efi"
    assert boot_entry.put_first("/dev/vda", 2, GUID.upper(), loader) == "BootOrder 0000,0001 -> 0002,0000,0001"
    again = boot_entry.put_first("/dev/vda", 2, GUID, loader)
    assert again == "BootOrder 0002,0000,0001 -> 0002,0000,0001"
    assert sum(GUID in text for text in firmware.entries.values()) == 1


def test_firmware_that_ignores_the_order_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(FakeFirmware(stubborn=True, deaf=True), monkeypatch, tmp_path)
    with pytest.raises(InstallError, match="does not put Boot0002 first"):
        boot_entry.put_first("/dev/vda", 2, GUID, "x")


def test_network_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    firmware = use(FakeFirmware(), monkeypatch, tmp_path)
    assert boot_entry.network_next("52:54:00:00:00:01") == "BootNext 0001"
    assert firmware.next == "0001"
    del firmware.entries["0001"]
    with pytest.raises(InstallError, match="no boot entry for a network port"):
        boot_entry.network_next("52:54:00:00:00:01")


def test_every_letter_of_the_code_has_a_glyph() -> None:
    assert set(CODE_ALPHABET) | {"-"} == set(GLYPHS)
    assert all(re.fullmatch(r"([01]{5} ){4}[01]{5}", dots) for dots in GLYPHS.values())
    assert len(set(GLYPHS.values())) == len(GLYPHS)
    assert max(len(row) for row in large("MMMM-MMMM-MMM")) <= 78


def test_console_is_short_and_does_not_repeat_itself(lines: Any) -> None:
    console = Console(sinks=[lines])
    for _ in range(3):
        console.line("waiting")
    console.header([("machine", "H12SSL-i"), ("serial", "")])
    for step in range(1000):
        console.progress("image", step / 1000)
    console.progress("boot-order", 1.0, "BootOrder 1 -> 2")
    shown = lines.text.splitlines()
    assert shown.count("rackseed: waiting") == 1
    assert "serial" not in lines.text
    assert len(shown) < 70
    assert max(len(line) for line in shown) <= 100
    assert shown[-1] == f"rackseed: [{'#' * 30}] 100% boot-order: BootOrder 1 -> 2"
    assert lines.text.isascii()
