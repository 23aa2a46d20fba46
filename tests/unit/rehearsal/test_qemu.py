"""The QEMU command lines of the demo's kinds of machines, as goldens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.rehearsal.description import (
    DiskBus,
    DiskDescription,
    Firmware,
    MachineDescription,
    NetworkBoot,
    NicDescription,
    supermicro,
)
from appliance.rehearsal.qemu import MachineFiles, command

GIB = 1 << 30


def describe(name: str, **changes: Any) -> MachineDescription:
    values: dict[str, Any] = {
        "name": name,
        "firmware": Firmware.BIOS,
        "smbios": supermicro(1),
        "disks": (DiskDescription(serial="VD1", size=4 * GIB, bus=DiskBus.VIRTIO),),
        "nics": (NicDescription(mac="3c:ec:ef:00:00:01"),),
        "memory": 512,
    }
    return MachineDescription(**{**values, **changes})


MACHINES = {
    "bios": describe("n1"),
    "bios-plain-pxe": describe("n1", boot=NetworkBoot.PLAIN_PXE),
    "uefi-nvme": describe(
        "n2",
        firmware=Firmware.UEFI,
        disks=(DiskDescription(serial="NV1", size=4 * GIB, bus=DiskBus.NVME, wwn="0x5764904312223232"),),
    ),
    "uefi-http": describe("n2", firmware=Firmware.UEFI, boot=NetworkBoot.HTTP),
    "uefi-sata-scsi-clock": describe(
        "n3",
        firmware=Firmware.UEFI,
        clock="2000-01-01",
        disks=(
            DiskDescription(
                serial="SA1", size=4 * GIB, bus=DiskBus.SATA, model="MTFDDAK480TDS", wwn="0x500a0751e0000001"
            ),
            DiskDescription(serial="SS1", size=GIB, bus=DiskBus.SCSI, model="ST16000NM", wwn="0x5000c500a0000001"),
        ),
        nics=(NicDescription(mac="3c:ec:ef:00:00:03"), NicDescription(mac="3c:ec:ef:00:00:04", model="e1000e")),
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_command_line(name: str, golden: Any) -> None:
    machine = MACHINES[name]
    uefi = machine.firmware is Firmware.UEFI
    files = MachineFiles(
        disks={disk.serial: Path("/rack") / f"{disk.serial}.img" for disk in machine.disks},
        monitor=Path("/run/rack/m.qmp"),
        taps=tuple(f"tap{index}" for index, _ in enumerate(machine.nics)),
        code=Path("/ovmf/code.fd") if uefi else None,
        variables=Path("/rack/vars.fd") if uefi else None,
        plain_pxe=(40001, 40002) if machine.boot is NetworkBoot.PLAIN_PXE else None,
    )
    lines = " ".join(command(machine, files)).replace(" -", "\n-")
    golden.check(f"rehearsal/qemu-{name}.txt", lines + "\n")


def test_a_comma_in_a_string_is_doubled() -> None:
    machine = MACHINES["bios"]
    files = MachineFiles(disks={"VD1": Path("/d")}, monitor=Path("/m"), taps=("tap0",))
    assert "type=4,manufacturer=Advanced Micro Devices,, Inc.,version=AMD EPYC 7543P 32-Core Processor" in command(
        machine, files
    )


def test_what_qemu_could_not_do_is_refused() -> None:
    with pytest.raises(ValueError, match="can't boot by http"):
        describe("n1", boot=NetworkBoot.HTTP)
    with pytest.raises(ValueError, match="1 to 20 characters"):
        DiskDescription(serial="X" * 21, size=1, bus=DiskBus.SATA)
    with pytest.raises(ValueError, match="no WWN"):
        DiskDescription(serial="X", size=1, bus=DiskBus.VIRTIO, wwn="0x1")
