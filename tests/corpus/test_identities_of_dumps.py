"""What the firmware of real servers says of itself must never make two of them one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import wire
from appliance.model import identity
from appliance.model.identity import EvidenceKind
from appliance.operations.identity import join_inventory
from appliance.store import machines
from appliance.store.database import Store

SECTIONS = {"System Information": "system", "Base Board Information": "board"}


def _dmi(text: str) -> dict[str, str]:
    """``board/Serial Number`` and the like; the first table of each kind counts."""
    found: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        if not line.startswith("\t"):
            section = SECTIONS.get(line.strip(), "")
        elif section and line.startswith("\t") and not line.startswith("\t\t"):
            name, _, value = line.strip().partition(":")
            found.setdefault(f"{section}/{name}", value.strip())
    return found


def _inventory(number: int, text: str) -> wire.Inventory:
    dmi = _dmi(text)
    board = wire.Board(
        vendor=dmi.get("board/Manufacturer", ""),
        name=dmi.get("board/Product Name", ""),
        serial=dmi.get("board/Serial Number", ""),
        system_serial=dmi.get("system/Serial Number", ""),
        system_uuid=dmi.get("system/UUID", ""),
    )
    mac = f"b4:96:91:{number >> 8:02x}:{number & 255:02x}:01"
    return wire.Inventory(
        environment=wire.Environment.IMAGE,
        architecture="x86_64",
        firmware=wire.Firmware.UEFI,
        board=board,
        memory=wire.Memory(total=1),
        nics=(wire.Nic(name="eth0", mac=mac),),
        boot_mac=mac,
    )


@pytest.fixture
def inventories(corpus: Path) -> list[wire.Inventory]:
    hardware = corpus / "hardware"
    files = sorted(hardware.glob("dmidecode/*.dmidecode.txt")) + sorted(hardware.glob("ironlib/asrr/*/dmidecode"))
    assert len(files) > 50
    return [_inventory(number, path.read_text(encoding="utf-8", errors="replace")) for number, path in enumerate(files)]


def test_no_two_dumps_become_one_machine(inventories: list[wire.Inventory], tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'x.db'}")
    with store.write() as connection:
        for at, inventory in enumerate(inventories):
            join_inventory(connection, inventory, at=at * 1000.0)
        found = machines.everything(connection)
    store.close()
    assert len(found) == len(inventories)
    assert [row.id for row in found if row.machine.trouble] == []


def test_what_identifies_is_never_a_placeholder(inventories: list[wire.Inventory]) -> None:
    """A value that two dumps of different makes share is a constant, so it must have been thrown away."""
    makers: dict[identity.Evidence, set[str]] = {}
    for inventory in inventories:
        for item in identity.of_inventory(inventory):
            if item.kind in (EvidenceKind.UUID, EvidenceKind.BOARD_SERIAL, EvidenceKind.SYSTEM_SERIAL):
                makers.setdefault(item, set()).add(f"{inventory.board.vendor} {inventory.board.name}")
    assert makers, "no dump has an identity: the parser is broken"
    assert {item: names for item, names in makers.items() if len(names) > 1} == {}
