"""The demo's three machines and their site file. Pure but for `make_foreign_disk`, which writes one file."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.rehearsal.description import (
    NETWORK,
    DiskBus,
    DiskDescription,
    Firmware,
    MachineDescription,
    NicDescription,
    RackDescription,
    supermicro,
)

GIB = 1 << 30
SYSTEM_DISK = 5 * GIB
FOREIGN_DISK = 256 << 20
FOREIGN_SERIAL = "ZL2ARCHIVE01"
MEMORY = 896
"""MiB of a machine: kernel, agent image in RAM, and what unpacking and grub-install take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """The disk that must not be touched: its file, and the SHA-256 of every byte of it."""

    path: Path
    sha256: str


def bios_machine(name: str = "n1", number: int = 1) -> MachineDescription:
    """BIOS, one virtio disk."""
    return MachineDescription(
        name=name,
        firmware=Firmware.BIOS,
        smbios=supermicro(number),
        disks=(DiskDescription(serial=f"VDA{number:06d}", size=SYSTEM_DISK, bus=DiskBus.VIRTIO),),
        nics=(NicDescription(mac=f"3c:ec:ef:7a:00:{number:02x}"),),
        memory=MEMORY,
    )


def nvme_machine(name: str = "n2", number: int = 2) -> MachineDescription:
    """UEFI, one NVMe disk."""
    disk = DiskDescription(
        serial=f"S64GNE0R{number:06d}", size=SYSTEM_DISK, bus=DiskBus.NVME, wwn=f"0x36344e30526{number:05x}"
    )
    return replace(bios_machine(name, number), firmware=Firmware.UEFI, disks=(disk,))


def archive_machine(foreign: Path, name: str = "n3", number: int = 3) -> MachineDescription:
    """UEFI, a SATA disk for the system, a SAS disk full of somebody's data, and a clock that says 2000."""
    disks = (
        DiskDescription(
            serial=f"2201E5F8{number:04d}",
            size=SYSTEM_DISK,
            bus=DiskBus.SATA,
            model="MTFDDAK480TDS",
            wwn=f"0x500a0751e5f8{number:04x}",
        ),
        DiskDescription(
            serial=FOREIGN_SERIAL,
            size=FOREIGN_DISK,
            bus=DiskBus.SCSI,
            model="ST16000NM004J",
            wwn="0x5000c500e4a10001",
            content=foreign,
        ),
    )
    return replace(bios_machine(name, number), firmware=Firmware.UEFI, disks=disks, clock="2000-01-01")


def make_foreign_disk(path: Path) -> Foreign:
    """A disk image with an ext4-like superblock and data all over it, always the same bytes."""
    source = random.Random(20000101)  # noqa: S311 (content of a test disk, not a secret)
    digest = hashlib.sha256()
    with path.open("wb") as image:
        for number in range(FOREIGN_DISK >> 20):
            block = bytearray(source.randbytes(1 << 20))
            if number == 0:
                block[:2048] = _superblock()
            digest.update(block)
            image.write(block)
    return Foreign(path=path, sha256=digest.hexdigest())


def sha256_of(path: Path) -> str:
    """SHA-256 of a whole file."""
    with path.open("rb") as image:
        return hashlib.file_digest(image, "sha256").hexdigest()


def _superblock() -> bytes:
    """Boot block and XFS superblock magic with a UUID and a label: enough that blkid and a person see a filesystem."""
    block = bytearray(2048)
    block[0:4] = b"XFSB"
    block[4:8] = (4096).to_bytes(4, "big")
    block[8:16] = (FOREIGN_DISK // 4096).to_bytes(8, "big")
    block[32:48] = bytes.fromhex("5a1d0c5e7f3b4c1e9a6622b0f1d2a3c4")
    block[100:102] = (0xB4A5).to_bytes(2, "big")
    block[102:104] = (512).to_bytes(2, "big")
    block[108:120] = b"archive\0\0\0\0\0"
    return bytes(block)


def demo_rack(foreign: Path) -> RackDescription:
    """One BIOS and two UEFI machines, all dressed as Supermicro EPYC servers."""
    return RackDescription(machines=(bios_machine(), nvme_machine(), archive_machine(foreign)))


def site_text(rack: RackDescription, *, by_rule: tuple[str, ...], ssh_key: str) -> str:
    """The demo's site file. Machines named in ``by_rule`` are approved by their serial, the others by a person."""
    lines = [
        "schema: 1",
        "site: demo",
        "domain: demo.example",
        "networks:",
        f"  provisioning: {{cidr: {NETWORK.network}, appliance: {NETWORK.ip}}}",
        "machines:",
    ]
    lines += [f"  - {{name: {machine.name}, serial: {machine.smbios.serial}}}" for machine in rack.machines]
    lines.append("approve:")
    lines += [f"  - {{serial: {rack.machine(name).smbios.serial}}}" for name in by_rule]
    lines += ["ssh_keys:", f"  - {ssh_key}"]
    return "\n".join(lines) + "\n"
