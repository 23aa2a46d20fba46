"""What a virtual rack is made of: frozen data, no effects. `qemu` turns it into a command line, `rack` into machines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface
from pathlib import Path

NETWORK = IPv4Interface("10.77.0.1/24")
"""The rack's own network: it ends at the namespace, so every rack may have the same one."""


class Firmware(StrEnum):
    """``bios`` is SeaBIOS, ``uefi`` is OVMF with its own variable store, so its own boot order is what counts."""

    BIOS = "bios"
    UEFI = "uefi"


class NetworkBoot(StrEnum):
    """How the firmware asks the network. ``pxe``: QEMU's iPXE ROM on BIOS, the firmware's own PXE on UEFI;
    ``plain-pxe``: BIOS with a ROM that says nothing of iPXE (a server's ordinary PXE ROM); ``http``: UEFI HTTP Boot."""

    PXE = "pxe"
    PLAIN_PXE = "plain-pxe"
    HTTP = "http"


class DiskBus(StrEnum):
    """What the disk hangs on. ``scsi`` is a SAS controller (LSI megasas)."""

    VIRTIO = "virtio"
    NVME = "nvme"
    SATA = "sata"
    SCSI = "scsi"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskDescription:
    """One disk. ``size`` is bytes; ``serial`` has at most 20 characters (ATA, NVMe and virtio allow no more); ``wwn`` is
    16 hex digits with ``0x`` for sata and scsi, an EUI-64 for nvme, and must be empty for virtio, which has none.
    ``content`` is a file that is copied to the start of the disk before the machine is switched on."""

    serial: str
    size: int
    bus: DiskBus
    model: str = ""
    wwn: str = ""
    content: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.serial) <= 20:
            raise ValueError(f"a disk's serial has 1 to 20 characters, not {self.serial!r}")
        if self.wwn and self.bus is DiskBus.VIRTIO:
            raise ValueError(f"disk {self.serial}: virtio disks have no WWN")


@dataclass(frozen=True, slots=True, kw_only=True)
class NicDescription:
    """One network port on the rack's bridge. ``model`` is QEMU's name of the device."""

    mac: str
    model: str = "virtio-net-pci"


@dataclass(frozen=True, slots=True, kw_only=True)
class Smbios:
    """SMBIOS strings of types 0 to 4, as `dmidecode` prints them. ``uuid`` is the system's (type 1)."""

    manufacturer: str
    product: str
    serial: str
    uuid: str
    board: str
    board_serial: str
    chassis_serial: str
    asset: str = ""
    sku: str = ""
    family: str = ""
    bios_vendor: str = "American Megatrends Inc."
    bios_version: str = "2.7"
    processor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDescription:
    """One machine. ``memory`` is MiB. ``clock`` is what its battery-less clock says at power-on (``2000-01-01``), empty
    for the right time. ``accelerator`` is ``tcg`` or ``kvm``."""

    name: str
    firmware: Firmware
    smbios: Smbios
    disks: tuple[DiskDescription, ...]
    nics: tuple[NicDescription, ...]
    memory: int
    boot: NetworkBoot = NetworkBoot.PXE
    clock: str = ""
    cpu: str = "EPYC,-cx16"
    accelerator: str = "tcg"

    def __post_init__(self) -> None:
        fits = {NetworkBoot.PLAIN_PXE: Firmware.BIOS, NetworkBoot.HTTP: Firmware.UEFI}
        if fits.get(self.boot, self.firmware) is not self.firmware:
            raise ValueError(f"machine {self.name}: {self.firmware} can't boot by {self.boot}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RackDescription:
    """Machines on one bridge; ``network`` is the appliance's address on it with the prefix length."""

    machines: tuple[MachineDescription, ...]
    network: IPv4Interface = NETWORK

    def machine(self, name: str) -> MachineDescription:
        """The machine of this name; KeyError when there is none."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)


def supermicro(number: int) -> Smbios:
    """The strings of a Supermicro AS-1114S-WN10RT with an H12SSW-NTR board, number ``number`` of the rack.

    Seen in `dmidecode` dumps of such machines: the system's serial is on the label, the board has its own.
    """
    return Smbios(
        manufacturer="Supermicro",
        product="AS -1114S-WN10RT",
        serial=f"S414368X{number:07d}",
        uuid=f"3c19a800-6c7f-11ec-8000-3cecef00{number:04x}",
        board="H12SSW-NTR",
        board_serial=f"WM21CS{number:06d}",
        chassis_serial=f"C1160LL{number:08d}",
        asset=f"RACK1-U{number:02d}",
        sku="091715D9",
        family="SMC H12",
        processor="AMD EPYC 7543P 32-Core Processor",
    )
