"""The demo's three machines, their site file, and the disk that nobody may touch."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.run import CommandError, run
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
from appliance.rehearsal.errors import RehearsalError

LAB_KERNEL_ARGUMENTS = ("no_timer_check", "quiet")
"""For guests of QEMU's TCG: under load the kernel finds that its "IO-APIC + timer doesn't work" and panics; and every
character on an emulated serial line costs."""
CONSOLE = "ttyS0,115200n8"
"""The one serial port that these machines have. The profile of the boards that they are dressed as names a second one; the
kernel takes it for there and gives it /dev/console, and a login prompt would wait there for ever."""
GIB = 1 << 30
SYSTEM_DISK = 5 * GIB
BLOCK = 1 << 20
ZEROS = bytes(BLOCK)
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
            size=SYSTEM_DISK,
            bus=DiskBus.SCSI,
            model="ST16000NM004J",
            wwn="0x5000c500e4a10001",
            content=foreign,
        ),
    )
    return replace(bios_machine(name, number), firmware=Firmware.UEFI, disks=disks, clock="2000-01-01")


def make_foreign_disk(path: Path) -> Foreign:
    """A disk with an ext4 filesystem and a file in it, as large as the system disk: only its content speaks against it."""
    source = random.Random(20000101)  # noqa: S311 - content of a test disk, not a secret
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "photographs.tar").write_bytes(source.randbytes(32 << 20))
        path.unlink(missing_ok=True)
        with path.open("wb") as image:
            image.truncate(SYSTEM_DISK)
        try:
            run(["mke2fs", "-q", "-t", "ext4", "-L", "archive", "-d", folder, str(path)])
        except CommandError as error:
            raise RehearsalError(
                f"the foreign disk could not be made (mke2fs is in Debian's e2fsprogs): {error}"
            ) from error
    return Foreign(path=path, sha256=sha256_of(path))


def sha256_of(path: Path) -> str:
    """SHA-256 of a whole file. Holes are hashed as the zeros they are, without reading them: disks are sparse."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as image:
        size, at = path.stat().st_size, 0
        while at < size:
            data = _next_data(image.fileno(), at, size)
            _hash_zeros(digest, data - at)
            end = os.lseek(image.fileno(), data, os.SEEK_HOLE) if data < size else size
            os.lseek(image.fileno(), data, os.SEEK_SET)
            for start in range(data, end, BLOCK):
                digest.update(image.read(min(BLOCK, end - start)))
            at = end
    return digest.hexdigest()


def _next_data(descriptor: int, at: int, size: int) -> int:
    """Where the next data begin at or after ``at``; ``size`` when only a hole follows (ENXIO, lseek(2))."""
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size
        raise


def _hash_zeros(digest: Any, count: int) -> None:
    for start in range(0, count, BLOCK):
        digest.update(ZEROS[: min(BLOCK, count - start)])


def demo_rack(foreign: Path) -> RackDescription:
    """One BIOS and two UEFI machines, all dressed as Supermicro EPYC servers."""
    return RackDescription(machines=(bios_machine(), nvme_machine(), archive_machine(foreign)))


def site_text(rack: RackDescription, *, by_rule: tuple[str, ...], ssh_key: str, more: str = "") -> str:
    """The demo's site file. Machines named in ``by_rule`` are approved by their serial, the others by a person. ``more``
    are lines of other headings."""
    lines = [
        "schema: 1",
        "site: demo",
        "domain: demo.example",
        "networks:",
        f"  provisioning: {{cidr: {NETWORK.network}, appliance: {NETWORK.ip}}}",
        f"console: {CONSOLE}",
        f"kernel_arguments: [{', '.join(LAB_KERNEL_ARGUMENTS)}]",
        "machines:",
    ]
    lines += [f"  - {{name: {machine.name}, serial: {machine.smbios.serial}}}" for machine in rack.machines]
    if by_rule:
        lines.append("approve:")
        lines += [f"  - {{serial: {rack.machine(name).smbios.serial}}}" for name in by_rule]
    lines += ["ssh_keys:", f"  - {ssh_key}"]
    return "\n".join(lines) + "\n" + more
