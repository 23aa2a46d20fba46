"""Every dump of a real board gets the profile that a person would give it, with no tie."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent.wire import Board, Cpu, Disk, Environment, Firmware, Inventory, Memory
from hwprofiles.loader import load_profiles
from hwprofiles.match import match
from hwprofiles.normal import clean, known_bad_uuid, uuid_pair, vendor_key

PROFILES = load_profiles()


def sections(text: str, title: str) -> list[dict[str, str]]:
    """The structures of one kind in dmidecode's text, with their one-line fields."""
    found = []
    for block in re.split(r"\n(?=Handle 0x)", text):
        lines = block.splitlines()
        if len(lines) > 1 and lines[1].strip() == title:
            pairs = (line.strip().partition(":") for line in lines[2:] if line.startswith("\t") and line[1:2] != "\t")
            found.append({key: value.strip() for key, colon, value in pairs if colon})
    return found


def inventory_of(text: str) -> Inventory:
    """What the agent would send for a dmidecode dump (the disks and ports are not in it)."""
    system, board, chassis, bios = (
        (sections(text, title) or [{}])[0]
        for title in ("System Information", "Base Board Information", "Chassis Information", "BIOS Information")
    )
    cpus = [cpu for cpu in sections(text, "Processor Information") if "Unpopulated" not in cpu.get("Status", "")]
    cpu = next((cpu for cpu in cpus if clean(cpu.get("Version", ""))), {})
    arm = re.search(r"arm|ampere|bcm|raspberry", f"{cpu} {system}", re.IGNORECASE) is not None
    return Inventory(
        environment=Environment.IMAGE,
        architecture="aarch64" if arm else "x86_64",
        firmware=Firmware.UEFI,
        memory=Memory(total=64 << 30),
        cpu=Cpu(model=cpu.get("Version", ""), vendor=cpu.get("Manufacturer", ""), sockets=len(cpus)),
        board=Board(
            vendor=board.get("Manufacturer", ""),
            name=board.get("Product Name", ""),
            serial=board.get("Serial Number", ""),
            system_vendor=system.get("Manufacturer", ""),
            system_product=system.get("Product Name", ""),
            system_serial=system.get("Serial Number", ""),
            system_uuid=system.get("UUID", ""),
            chassis_type=chassis.get("Type", ""),
            bios_vendor=bios.get("Vendor", ""),
        ),
    )


def expected(text: str) -> str | None:
    """The right answer, read from the dump by a way of its own."""
    if re.search(r"Version: AMD EPYC", text):
        return "epyc-compute"
    if re.search(r"Version: Ampere", text):
        return "arm-storage"
    if "Raspberry Pi 5" in text:
        return "raspberry-pi-5"
    return None if re.search(r"raspberrypi", text) else "generic-x86-64"


def dumps(corpus: Path) -> list[Path]:
    found = sorted((corpus / "hardware" / "dmidecode").glob("*.txt"))
    assert found, "the corpus has no dmidecode dumps"
    return found


def test_every_dump_has_its_profile(corpus: Path) -> None:
    wrong = []
    count: dict[str | None, int] = {}
    for path in dumps(corpus):
        text = path.read_text(encoding="utf-8", errors="replace")
        result = match(inventory_of(text), PROFILES)
        name = result.profile.name if result.profile else None
        count[name] = count.get(name, 0) + 1
        if name != expected(text) or result.tie:
            wrong.append(f"{path.name}: {name} tie={result.tie}: {result.text}")
    assert not wrong, "\n".join(wrong)
    assert count["epyc-compute"] >= 50, count
    assert count["arm-storage"] == 3, count
    assert count["raspberry-pi-5"] == 1, count
    assert count[None] == 2, count


def test_epyc_boards_are_known_without_their_processor(corpus: Path) -> None:
    """Supermicro, ASRock Rack and Gigabyte boards that take nothing but EPYC match by their name alone."""
    seen = 0
    for path in dumps(corpus):
        text = path.read_text(encoding="utf-8", errors="replace")
        inventory = inventory_of(text.replace("Version: AMD EPYC", "Version: Unknown //"))
        known = vendor_key(inventory.board.vendor) in {"supermicro", "asrockrack", "gigabyte"}
        if expected(text) != "epyc-compute" or not known or "ROMED6U" in path.name:
            continue
        result = match(inventory, PROFILES)
        assert result.profile is not None, path.name
        assert result.profile.name == "epyc-compute", (path.name, result.reasons)
        seen += 1
    assert seen >= 25


def test_pi_4_is_a_near_miss_that_says_why(corpus: Path) -> None:
    path = next(path for path in dumps(corpus) if path.name.startswith("raspberrypi,4"))
    result = match(inventory_of(path.read_text(encoding="utf-8")), PROFILES)
    assert result.profile is None
    why = next(line for line in result.reasons if line.startswith("raspberry-pi-5"))
    assert "raspberry pi 4 model b rev 1.1" in why


def test_boards_are_never_placeholders(corpus: Path) -> None:
    """facts: board vendor and name are there in all dumps; the product name often is not."""
    products = 0
    for path in dumps(corpus):
        board = inventory_of(path.read_text(encoding="utf-8", errors="replace")).board
        assert clean(board.vendor), path.name
        assert clean(board.name), path.name
        products += bool(clean(board.system_product))
    assert products < len(dumps(corpus))


def test_ironlib_machines(corpus: Path) -> None:
    """lshw of real machines: UUIDs hold, and the Dell's disks are two equal small ones beside two large ones."""
    folder = corpus / "hardware" / "ironlib"
    text = (folder / "asrr" / "e3c246d4i-nl" / "dmidecode").read_text(encoding="utf-8")
    inventory = inventory_of(text)
    result = match(inventory, PROFILES)
    assert result.profile is not None
    assert result.profile.name == "generic-x86-64"
    assert not known_bad_uuid(inventory.board.system_uuid)
    assert len(set(uuid_pair(inventory.board.system_uuid))) == 1, "zeros in front: both orders are the same"
    dell = json.loads((folder / "dell" / "r6515" / "lshw.json").read_text(encoding="utf-8"))
    disks = [disk for disk in lshw_disks(dell[0] if isinstance(dell, list) else dell) if disk.size]
    assert sorted(disk.size for disk in disks) == [240057409536, 240057409536, 3840755982336, 3840755982336]


def lshw_disks(node: dict[str, object]) -> list[Disk]:
    found = []
    size = node.get("size")
    if node.get("class") == "disk" and isinstance(size, int):
        found.append(Disk(path=str(node.get("logicalname")), size=size, serial=str(node.get("serial", ""))))
    children = node.get("children")
    for child in children if isinstance(children, list) else []:
        found += lshw_disks(child)
    return found


def test_redfish_mockup_is_generic(corpus: Path) -> None:
    """A machine of an unknown vendor, as its BMC describes it."""
    systems = corpus / "hardware" / "redfish-mockup" / "public-rackmount1" / "Systems"
    path = next(iter(systems.glob("*/index.json")), None)
    if path is None:
        pytest.skip("the corpus is absent: no Redfish mock-up")
    data = json.loads(path.read_text(encoding="utf-8"))
    inventory = Inventory(
        environment=Environment.IMAGE,
        architecture="x86_64",
        firmware=Firmware.UEFI,
        memory=Memory(total=64 << 30),
        board=Board(system_vendor=data["Manufacturer"], system_product=data["Model"], system_uuid=data["UUID"]),
    )
    result = match(inventory, PROFILES)
    assert result.profile is not None
    assert result.profile.name == "generic-x86-64"
    assert len(uuid_pair(data["UUID"])) == 2
