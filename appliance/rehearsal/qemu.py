"""The QEMU command line of one machine. Pure: paths and names in, a list of arguments out.

What is done and why (all of it was measured, see docs on the virtual lab):

- ``-cpu EPYC,-cx16`` and one processor: QEMU 7.2's TCG lets Debian 13's kernel panic at random with cmpxchg16b.
- UEFI machines get no ``bootindex``: it overrides the boot order in the firmware's variables on every start, and that
  order is what an install changes. ``romfile=`` is empty, because QEMU's option ROM hides the firmware's own PXE.
- BIOS machines stay network-first for ever (``-boot order=nc`` without ``once``), and start over after 10 s when nothing
  could be booted, as servers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.rehearsal.description import (
    DiskBus,
    DiskDescription,
    Firmware,
    MachineDescription,
    NetworkBoot,
    NicDescription,
    Smbios,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFiles:
    """Where the machine's parts are. ``disks`` maps serial to raw image. ``code`` and ``variables`` are OVMF's two
    flash images (None on BIOS); the second is private to the machine and written by its firmware. ``monitor`` is the
    Unix socket of QMP; ``taps`` are in the order of the description's NICs; ``plain_pxe`` is our and QEMU's UDP port of the
    first NIC when its frames pass through `plain_pxe.PlainPxe`."""

    disks: dict[str, Path]
    monitor: Path
    taps: tuple[str, ...]
    code: Path | None = None
    variables: Path | None = None
    plain_pxe: tuple[int, int] | None = None


def command(machine: MachineDescription, files: MachineFiles) -> list[str]:
    """Arguments that start the machine with its serial console on standard output."""
    argv = ["qemu-system-x86_64", "-name", machine.name, "-machine", f"q35,accel={machine.accelerator}"]
    argv += ["-cpu", machine.cpu, "-smp", "1", "-m", str(machine.memory)]
    argv += ["-nodefaults", "-nographic", "-serial", "stdio"]
    argv += ["-qmp", f"unix:{files.monitor},server=on,wait=off"]
    argv += ["-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0"]
    argv += ["-rtc", f"base={machine.clock or 'utc'},clock=host"]
    argv += _firmware(machine, files)
    argv += _smbios(machine.smbios)
    argv += _controllers(machine)
    for index, disk in enumerate(machine.disks):
        argv += _disk(index, disk, files.disks[disk.serial])
    for index, nic in enumerate(machine.nics):
        argv += _nic(index, nic, machine, files)
    return argv


def _firmware(machine: MachineDescription, files: MachineFiles) -> list[str]:
    if machine.firmware is Firmware.BIOS:
        return ["-boot", "order=nc,reboot-timeout=10000"]
    argv = ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={files.code}"]
    argv += ["-drive", f"if=pflash,unit=1,format=raw,file={files.variables}"]
    closed = ["IPv6PXESupport"]
    if machine.boot is NetworkBoot.HTTP:
        closed += ["IPv4PXESupport", "IPv6Support"]
    for name in closed:
        argv += ["-fw_cfg", f"name=opt/org.tianocore/{name},string=n"]
    return argv


def _smbios(smbios: Smbios) -> list[str]:
    tables: tuple[tuple[int, tuple[tuple[str, str], ...]], ...] = (
        (0, (("vendor", smbios.bios_vendor), ("version", smbios.bios_version))),
        (
            1,
            (
                ("manufacturer", smbios.manufacturer),
                ("product", smbios.product),
                ("serial", smbios.serial),
                ("uuid", smbios.uuid),
                ("sku", smbios.sku),
                ("family", smbios.family),
            ),
        ),
        (
            2,
            (("manufacturer", smbios.manufacturer), ("product", smbios.board), ("serial", smbios.board_serial)),
        ),
        (
            3,
            (("manufacturer", smbios.manufacturer), ("serial", smbios.chassis_serial), ("asset", smbios.asset)),
        ),
        (4, (("manufacturer", "Advanced Micro Devices, Inc."), ("version", smbios.processor))),
    )
    argv: list[str] = []
    for number, fields in tables:
        # QEMU splits at commas; a doubled comma is one that belongs to the text.
        text = [f"{key}={value.replace(',', ',,')}" for key, value in fields if value]
        argv += ["-smbios", ",".join([f"type={number}", *text])]
    return argv


def _controllers(machine: MachineDescription) -> list[str]:
    if any(disk.bus is DiskBus.SCSI for disk in machine.disks):
        return ["-device", "megasas-gen2,id=sas0"]
    return []


def _disk(index: int, disk: DiskDescription, path: Path) -> list[str]:
    # cache=unsafe: a power cut here is a SIGKILL of QEMU, after which the host's page cache still has every write.
    drive = f"if=none,id=disk{index},format=raw,cache=unsafe,discard=unmap,file={path}"
    device = {
        DiskBus.VIRTIO: f"virtio-blk-pci,drive=disk{index},serial={disk.serial}",
        DiskBus.NVME: f"nvme,id=nvme{index},serial={disk.serial}",
        DiskBus.SATA: f"ide-hd,bus=ide.{index},drive=disk{index},serial={disk.serial}",
        DiskBus.SCSI: f"scsi-hd,bus=sas0.0,drive=disk{index},serial={disk.serial}",
    }[disk.bus]
    argv = ["-drive", drive]
    if disk.bus is DiskBus.NVME:
        namespace = f"nvme-ns,bus=nvme{index},drive=disk{index},nsid=1"
        return [*argv, "-device", device, "-device", namespace + (f",eui64={disk.wwn}" if disk.wwn else "")]
    if disk.wwn:
        device += f",wwn={disk.wwn}"
    if disk.model:
        device += f",{'product' if disk.bus is DiskBus.SCSI else 'model'}={disk.model}"
    if disk.bus in (DiskBus.SATA, DiskBus.SCSI):
        device += ",rotation_rate=1"
    return [*argv, "-device", device]


def _nic(index: int, nic: NicDescription, machine: MachineDescription, files: MachineFiles) -> list[str]:
    netdev = f"tap,id=net{index},ifname={files.taps[index]},script=no,downscript=no"
    if index == 0 and files.plain_pxe is not None:
        ours, qemus = files.plain_pxe
        netdev = f"socket,id=net0,udp=127.0.0.1:{ours},localaddr=127.0.0.1:{qemus}"
    device = f"{nic.model},netdev=net{index},mac={nic.mac}"
    if machine.firmware is Firmware.UEFI or index > 0:
        device += ",romfile="
    return ["-netdev", netdev, "-device", device]
