"""Matching: the most specific rule wins, a tie names both, everything says why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.wire import Board, Cpu, Disk, Environment, Firmware, Inventory, Memory, Nic
from appliance.model.machine import DEADLINE_SECONDS
from hwprofiles.document import DocumentError
from hwprofiles.loader import load_profiles
from hwprofiles.match import match
from hwprofiles.profile import ClientArchitecture, Count, DiskRoleName, Kind, Profile, Rule, WatchedPhase
from pxe.ports import Architecture

PROFILES = load_profiles()
BARE = Inventory(
    environment=Environment.IMAGE, architecture="x86_64", firmware=Firmware.UEFI, memory=Memory(total=64 << 30)
)


def board(**facts: str) -> Inventory:
    return replace(BARE, board=Board(**facts))


def named(inventory: Inventory, *profiles: Profile) -> str | None:
    found = match(inventory, profiles or PROFILES)
    return found.profile.name if found.profile else None


def test_words_are_those_of_the_layers_above() -> None:
    assert {entry.value for entry in ClientArchitecture} == {entry.value for entry in Architecture}
    assert {entry.value for entry in WatchedPhase} == {phase.value for phase in DEADLINE_SECONDS}


def test_shipped_profiles_are_complete() -> None:
    assert [profile.name for profile in PROFILES] == ["arm-storage", "epyc-compute", "generic-x86-64", "raspberry-pi-5"]
    for profile in PROFILES:
        assert profile.disk_role(DiskRoleName.SYSTEM) is not None
        assert profile.console
        assert profile.description
    epyc = next(profile for profile in PROFILES if profile.name == "epyc-compute")
    assert (epyc.deadline("deploying") or 0) > 5400
    assert epyc.deadline("leaving") is None


def test_machine_dressed_as_supermicro_epyc() -> None:
    """What the virtual rack shows: SMBIOS strings of a board, and the processor's name of QEMU's EPYC model."""
    inventory = replace(
        board(vendor="Supermicro", name="H12SSW-NTR", system_vendor="Supermicro", system_product="AS-1114S-WN10RT"),
        cpu=Cpu(model="AMD EPYC Processor", vendor="AuthenticAMD"),
    )
    found = match(inventory, PROFILES)
    assert found.profile is not None
    assert found.profile.name == "epyc-compute"
    assert "board name 'h12ssw-ntr' fits 'h12[ds]*'" in found.reasons[0]
    assert found.verdicts[1].profile == "generic-x86-64"
    assert found.verdicts[1].score


@pytest.mark.parametrize(
    ("inventory", "name"),
    [
        (replace(BARE, cpu=Cpu(model="AMD EPYC 9654 96-Core Processor")), "epyc-compute"),
        (replace(BARE, cpu=Cpu(model="AMD Ryzen Threadripper PRO 5995WX")), "generic-x86-64"),
        (board(vendor="Supermicro", name="X11DPH-T"), "generic-x86-64"),
        (board(system_vendor="Supermicro", system_product="AMD EPYC box"), "generic-x86-64"),
        (replace(board(model="Raspberry Pi 5 Model B Rev 1.0"), architecture="aarch64"), None),
        (
            replace(
                BARE,
                architecture="aarch64",
                firmware=Firmware.DEVICETREE,
                board=Board(
                    model="Raspberry Pi 5 Model B Rev 1.0", compatible=("raspberrypi,5-model-b", "brcm,bcm2712")
                ),
            ),
            "raspberry-pi-5",
        ),
        (
            replace(
                BARE,
                architecture="aarch64",
                firmware=Firmware.DEVICETREE,
                board=Board(model="Raspberry Pi 4 Model B", compatible=("raspberrypi,4-model-b", "brcm,bcm2711")),
            ),
            None,
        ),
        (replace(BARE, architecture="riscv64"), None),
        (replace(board(vendor="GIGABYTE", name="MP32-AR1-00"), architecture="aarch64"), "arm-storage"),
        (replace(BARE, architecture="aarch64", cpu=Cpu(model="Ampere(R) Altra(R) Processor")), "arm-storage"),
    ],
)
def test_shipped(inventory: Inventory, name: str | None) -> None:
    assert named(inventory) == name


def profile(name: str, **conditions: object) -> Profile:
    return Profile(name=name, description="", match=(Rule(**conditions),))  # type: ignore[arg-type]


def test_specificity() -> None:
    inventory = board(vendor="Supermicro", name="H12SSW-NT", system_vendor="RAUSCH", system_product="520012")
    any_board = profile("any", board_vendor=("super*",))
    literal = profile("literal", board_vendor=("Supermicro",))
    by_name = profile("name", board_name=("h12*",))
    product = profile("product", system_product=("520012",), system_vendor=("rausch",), architecture=("x86_64",))
    assert named(inventory, any_board, literal) == "literal"
    assert named(inventory, literal, by_name) == "name"
    assert named(inventory, product, any_board) == "any"


def test_a_tie_names_both() -> None:
    inventory = board(vendor="Supermicro", name="H12SSW-NT")
    first, second = profile("a", board_name=("h12*",)), profile("b", board_name=("*nt",))
    for profiles in ((first, second), (second, first)):
        found = match(inventory, profiles)
        assert found.profile is None
        assert found.tie == ("a", "b")
        assert "a and b match equally well" in found.text


def test_placeholders_never_match() -> None:
    rule = profile("trap", board_name=("*",))
    assert named(board(name="To be filled by O.E.M."), rule) is None
    assert named(board(name="H11SSL-i"), rule) == "trap"


def test_counts_by_kind() -> None:
    nvme = [Disk(path=f"/dev/nvme{n}n1", size=1, transport="nvme") for n in range(2)]
    hdd = [Disk(path="/dev/sda", size=1, transport="sas", rotational=True)]
    stick = [Disk(path="/dev/sdb", size=1, transport="usb", removable=True)]
    inventory = replace(BARE, disks=(*nvme, *hdd, *stick), nics=(Nic(name="eth0", mac="3c:ec:ef:00:00:01"),) * 2)
    two = profile("two", disks=(Count(kind=Kind.NVME, min=2, max=2), Count(kind=Kind.HDD, min=1)))
    assert named(inventory, two) == "two"
    assert named(replace(inventory, disks=tuple(hdd)), two) is None
    assert "0 nvme disks (2 to 2 wanted)" in match(replace(inventory, disks=tuple(hdd)), (two,)).reasons[0]
    ports = profile("ports", nics=Count(min=4))
    assert named(inventory, ports) is None
    assert named(replace(inventory, nics=inventory.nics * 2), ports) == "ports"


def test_order_of_profiles_does_not_matter() -> None:
    inventory = replace(BARE, cpu=Cpu(model="AMD EPYC 7302"))
    assert match(inventory, PROFILES) == match(inventory, PROFILES[::-1])


def test_a_folder_of_broken_profiles(tmp_path: Path, golden: object) -> None:
    (tmp_path / "one.yaml").write_text("name: two\ndescription: d\n")
    (tmp_path / "three.yaml").write_text(
        "name: three\ndescription: d\nmatch: [{borad_name: x}]\nminimum_memory: lots\n"
        "disks: [{role: sytem, choose: []}, {role: osd}]\nboot: {loaders: [{client: x86, file: ../x}]}\n"
        "deadlines: [{phase: deployed, after: soon}]\n"
    )
    (tmp_path / "four.yaml").write_text(
        "name: four\ndescription: d\ndisks: [{role: system, choose: []}, {role: osd, count: -1, choose: [{}]}]\n"
    )
    with pytest.raises(DocumentError) as caught:
        load_profiles(tmp_path)
    golden.check("hwprofiles/profile-errors.txt", str(caught.value).replace(f"{tmp_path}/", "") + "\n")  # type: ignore[attr-defined]
