"""The rack on which a Ceph cluster is formed: three bare servers, one spinning disk and one flash for its database in each.

They are dressed as Supermicro servers that boot from a SATA module (SuperDOM), as such storage servers do, so that nothing
has to be said about system disks. One OSD is encrypted.
"""

from __future__ import annotations

from dataclasses import replace

from appliance.rehearsal.description import (
    NETWORK,
    DiskBus,
    DiskDescription,
    Firmware,
    MachineDescription,
    RackDescription,
)
from appliance.rehearsal.scenario import GIB, SYSTEM_DISK, bios_machine

SYSTEM = "debian-13-ceph"
"""The root image that members of a dedicated Ceph get; see docs/images.md."""
NAMES = ("c1", "c2", "c3")
ENCRYPTED = "c3"
BLOCK_POOL, FILE_POOL = "vms", "files"
MEMORY = 5888
"""MiB: the planner wants 4 GiB for an OSD in 70 % of the memory. QEMU takes from the host what a machine has touched, about
2 GiB."""
DATA_DISK = 24 * GIB
DATABASE_DISK = 6 * GIB
"""The smallest that is no reason to refuse; files are sparse."""
SPARE = "c2"
"""The machine that has a second disk and OSD where `ceph_rack` is asked for one."""
FIRST_NUMBER = 11
"""Of the serials, so that no other scenario has them."""


def data_serial(name: str) -> str:
    """Serial of the disk that the OSD of a machine is on."""
    return f"ZCEPH{_number(name):06d}"


def database_serial(name: str) -> str:
    """Serial of the flash that the OSD's database is on."""
    return f"S64GDB0R{_number(name):06d}"


def spare_serial() -> str:
    """Serial of the second data disk."""
    return f"ZSPARE{_number(SPARE):06d}"


def ceph_machine(name: str, firmware: Firmware = Firmware.BIOS, *, spare: bool = False) -> MachineDescription:
    """One server; virtio disks say that they spin, NVMe that it does not. With ``spare`` twice of everything for OSDs."""
    number, times = _number(name), 1 + spare
    disks: tuple[DiskDescription, ...] = (
        DiskDescription(
            serial=f"SMC0515D{number:06d}",
            size=SYSTEM_DISK,
            bus=DiskBus.SATA,
            model="SuperMicro SuperDOM",
            wwn=f"0x5003048000c0{number:04x}",
        ),
        DiskDescription(serial=data_serial(name), size=DATA_DISK, bus=DiskBus.VIRTIO),
        DiskDescription(
            serial=database_serial(name),
            size=times * DATABASE_DISK,
            bus=DiskBus.NVME,
            wwn=f"0x36344e30527{number:05x}",
        ),
    )
    if spare:
        disks += (DiskDescription(serial=spare_serial(), size=DATA_DISK, bus=DiskBus.VIRTIO),)
    return replace(bios_machine(name, number), firmware=firmware, disks=disks, memory=times * MEMORY)


def ceph_rack(*, spare: bool = False) -> RackDescription:
    """The three servers; with ``spare`` one of them has a second disk for an OSD."""
    return RackDescription(machines=tuple(ceph_machine(name, spare=spare and name == SPARE) for name in NAMES))


def ceph_lines() -> str:
    """What the site file says more: monitors need equal clocks, every spinning disk is an OSD with its database on the
    flash, and one is encrypted."""
    sealed = f"data: {{serials: [{data_serial(ENCRYPTED)}]}}, db: {{serials: [{database_serial(ENCRYPTED)}]}}"
    lines = (
        f"time_servers: [{NETWORK.ip}]",
        "ceph:",
        "  osds:",
        "    open: {data: {rotational: true}, db: {model: NVMe}}",
        f"    locked: {{{sealed}, encrypted: true}}",
        f"  pools: {{{BLOCK_POOL}: block, {FILE_POOL}: file}}",
    )
    return "\n".join(lines) + "\n"


def _number(name: str) -> int:
    return FIRST_NUMBER + NAMES.index(name)
