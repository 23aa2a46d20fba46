"""Hardware to build fleets from: models that exist, with serials, WWNs and MACs that are never the same twice.

Boards and firmware texts are those of public dumps of such machines (`machine-identities.md`). What every machine of a kind
has in common is one object, so that ten thousand machines fit into little memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from agent.wire import Bmc, Board, Content, Cpu, Disk, Firmware, Neighbour, Nic

BLANK = Content(blank=True, edges="5647f05ec18958947d32874eeb788fa396a05d0bab7c1b71f112ceb7e9b31eee")
"""What the agent reports of a new disk; ``edges`` is the SHA-256 of two MiB of zeros."""

GB, TB, GIB = 10**9, 10**12, 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskModel:
    """A kind of disk. ``prefix`` begins its serials; ``wwn`` the kernel's wwid, which numbers fill up to 16 hex digits.
    ``data``: it holds users' data, so `Hardware.with_data` counts it."""

    model: str
    size: int
    transport: str
    prefix: str
    wwn: str
    vendor: str = ""
    firmware: str = ""
    rotational: bool = False
    sector: int = 4096
    data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PortModel:
    """A network port: ``oui`` are the first three octets of its MACs, ``speed`` is Mbit/s, ``bus`` its path."""

    driver: str
    speed: int
    oui: str
    bus: str
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A kind of machine. ``disks`` are models with their number, in the order of the slots; the first port is the one that
    it boots from. ``serials`` begins the serials of machines; ``memory`` is bytes. ``profile`` is the shipped profile that
    has to match it."""

    name: str
    profile: str
    architecture: str
    firmware: Firmware
    board: Board
    cpu: Cpu
    memory: int
    disks: tuple[tuple[DiskModel, int], ...]
    ports: tuple[PortModel, ...]
    serials: str
    bmc: bool = True

    def with_data(self, count: int) -> Hardware:
        """The same with ``count`` disks of each model that holds data."""
        return replace(self, disks=tuple((model, count if model.data else number) for model, number in self.disks))

    def with_memory(self, size: int) -> Hardware:
        """The same with ``size`` bytes of memory."""
        return replace(self, memory=size)


def serial(hardware: Hardware, number: int) -> str:
    """What is printed on machine ``number``; for a Raspberry Pi the 16 hex digits of its device tree."""
    if hardware.firmware is Firmware.DEVICETREE:
        return f"{hardware.serials}{number:0{16 - len(hardware.serials)}x}"
    return f"{hardware.serials}{number:06d}"


def board(hardware: Hardware, number: int) -> Board:
    """The board of machine ``number``: UUID, system and board serial are its own (Supermicro's UUIDs end in a MAC)."""
    if hardware.firmware is Firmware.DEVICETREE:
        return replace(hardware.board, pi_serial=serial(hardware, number))
    node = mac(hardware.ports[0], number, 0).replace(":", "")
    return replace(
        hardware.board,
        serial=f"ZM217S{number:06d}",
        system_serial=serial(hardware, number),
        system_uuid=f"{0x969EBC00 + number:08x}-fc71-11e9-8000-{node}",
        chassis_serial=f"C819U{number:06d}",
    )


def mac(port: PortModel, number: int, index: int) -> str:
    """The permanent MAC of port ``index`` (0..7) of machine ``number`` (below 2^21)."""
    low = f"{(number << 3 | index) & 0xFFFFFF:06x}"
    return f"{port.oui}:{low[:2]}:{low[2:4]}:{low[4:]}"


def ports(hardware: Hardware, number: int, heard: dict[int, tuple[Neighbour, ...]]) -> tuple[Nic, ...]:
    """The ports of machine ``number``, all with a link; ``heard`` are LLDP neighbours by index of the port."""
    return tuple(
        Nic(
            name=f"eth{index}",
            mac=mac(port, number, index),
            driver=port.driver,
            bus_path=port.bus,
            speed=port.speed,
            max_speed=port.speed,
            carrier=True,
            firmware=port.firmware,
            neighbours=heard.get(index, ()),
        )
        for index, port in enumerate(hardware.ports)
    )


def disks(hardware: Hardware, number: int, content: Content = BLANK) -> tuple[Disk, ...]:
    """The disks of machine ``number``, all with the same ``content``."""
    return tuple(
        Disk(
            path=path,
            size=model.size,
            serial=f"{model.prefix}{number:06d}{slot:02d}",
            wwn=f"{model.wwn}{number << 8 | slot:0{20 - len(model.wwn)}x}",
            model=model.model,
            vendor=model.vendor,
            firmware=model.firmware,
            transport=model.transport,
            rotational=model.rotational,
            physical_sector=model.sector,
            bus_path=bus,
            content=content,
        )
        for slot, (model, path, bus) in enumerate(_slots(hardware.disks))
    )


def bmc(hardware: Hardware, number: int) -> Bmc | None:
    """The BMC of machine ``number``, without LAN settings: nobody made any yet."""
    port = hardware.ports[0]
    return Bmc(interface="ipmi", mac=mac(port, number, 7), firmware="1.74") if hardware.bmc else None


@lru_cache(maxsize=256)
def _slots(models: tuple[tuple[DiskModel, int], ...]) -> tuple[tuple[DiskModel, str, str], ...]:
    """Model, device node and bus path of every slot."""
    found: list[tuple[DiskModel, str, str]] = []
    nvme = scsi = 0
    for model in (model for model, count in models for _ in range(count)):
        if model.transport == "nvme":
            found.append((model, f"/dev/nvme{nvme}n1", f"pci-0000:{0x81 + nvme:02x}:00.0-nvme-1"))
            nvme += 1
            continue
        where = f"0000:c1:00.0-sas-phy{scsi}-lun-0" if model.transport == "sas" else f"0000:47:00.0-ata-{scsi + 1}"
        found.append((model, f"/dev/sd{_letters(scsi)}", f"pci-{where}"))
        scsi += 1
    return tuple(found)


def _letters(number: int) -> str:
    """``a`` … ``z``, ``aa``, ``ab`` … as the kernel counts."""
    last = chr(ord("a") + number % 26)
    return f"{_letters(number // 26 - 1)}{last}" if number > 25 else last


# ---------------------------------------------------------------- what there is

BOOT_SSD = DiskModel(
    model="Micron_5300_MTFDDAV480TDS", size=480_103_981_056, transport="sata", prefix="2139", wwn="naa.500a0751"
)
BOOT_NVME = DiskModel(
    model="SAMSUNG MZVL2512HCJQ-00B00", size=512_110_190_592, transport="nvme", prefix="S64GNE0R", wwn="eui.0025385"
)
DATA_NVME = DiskModel(
    model="KIOXIA KCD6XLUL3T84", size=3_840_755_982_336, transport="nvme", prefix="71W0A0", wwn="eui.8ce38ee", data=True
)
DB_NVME = DiskModel(
    model="INTEL SSDPE2KE016T8", size=1_600_321_314_816, transport="nvme", prefix="PHLN", wwn="eui.5cd2e42"
)
DATA_HDD = DiskModel(
    model="ST16000NM001G",
    size=16_000_900_661_248,
    transport="sas",
    prefix="ZL2A",
    wwn="naa.5000c500",
    vendor="SEAGATE",
    rotational=True,
    data=True,
)
SMALL_SSD = DiskModel(
    model="KINGSTON SA400S37240G",
    size=240_057_409_536,
    transport="sata",
    prefix="50026B77",
    wwn="naa.50026b77",
    sector=512,
)
LARGE_SSD = DiskModel(
    model="Samsung SSD 870 EVO 2TB",
    size=2_000_398_934_016,
    transport="sata",
    prefix="S6P4NF0",
    wwn="naa.5002538f",
    sector=512,
    data=True,
)

_GIGABIT = tuple(
    PortModel(driver="igb", speed=1000, oui="3c:ec:ef", bus=f"0000:43:00.{port}", firmware="3.25, 0x800005cf")
    for port in range(2)
)
_FAST = tuple(
    PortModel(driver="mlx5_core", speed=25000, oui="b8:59:9f", bus=f"0000:41:00.{port}", firmware="14.32.1010")
    for port in range(2)
)
_SUPERMICRO = Board(
    vendor="Supermicro",
    name="H12SSW-NT",
    version="1.02",
    system_vendor="Supermicro",
    system_product="AS -2014S-TR",
    system_version="0123456789",
    chassis_vendor="Supermicro",
    chassis_type="Other",
    bios_vendor="American Megatrends Inc.",
    bios_version="2.4",
    bios_date="12/28/2021",
)

EPYC = Hardware(
    name="epyc",
    profile="epyc-compute",
    architecture="x86_64",
    firmware=Firmware.UEFI,
    board=_SUPERMICRO,
    cpu=Cpu(model="AMD EPYC 7713P 64-Core Processor", vendor="AuthenticAMD", sockets=1, cores=64, threads=128),
    memory=512 * GIB,
    disks=((BOOT_SSD, 1), (DATA_NVME, 11)),
    ports=(*_GIGABIT, *_FAST),
    serials="S411802X0C",
)
"""All flash, 12 disks."""
EPYC_HDD = replace(EPYC, name="epyc-hdd", disks=((BOOT_SSD, 1), (DATA_HDD, 12), (DB_NVME, 2)), serials="S411802X1C")
"""Spinning disks with two NVMe for their databases. The shipped profile has no role for either: a drive group has."""
ARM_STORAGE = Hardware(
    name="arm-storage",
    profile="arm-storage",
    architecture="aarch64",
    firmware=Firmware.UEFI,
    board=Board(
        vendor="GIGABYTE",
        name="MP32-AR1-00",
        version="01000100",
        system_vendor="GIGABYTE",
        system_product="E252-P30-00",
        system_version="0100",
        system_sku="01234567890123456789AB",
        system_family="Server",
        chassis_vendor="GIGABYTE",
        chassis_type="Rack Mount Chassis",
        bios_vendor="GIGABYTE",
        bios_version="F31k",
    ),
    cpu=Cpu(model="Ampere(R) Altra(R) Processor", vendor="Ampere(R)", sockets=1, cores=80, threads=80),
    memory=256 * GIB,
    disks=((BOOT_NVME, 1), (DATA_HDD, 12), (DB_NVME, 2)),
    ports=(
        *(replace(port, bus=f"0004:04:00.{index}", oui="18:c0:4d") for index, port in enumerate(_GIGABIT)),
        *(replace(port, bus=f"000d:01:00.{index}") for index, port in enumerate(_FAST)),
    ),
    serials="GKG6NP8212A",
)
"""Dedicated storage; Altra has several PCI segments."""
PI5 = Hardware(
    name="pi5",
    profile="raspberry-pi-5",
    architecture="aarch64",
    firmware=Firmware.DEVICETREE,
    board=Board(
        model="Raspberry Pi 5 Model B Rev 1.0",
        compatible=("raspberrypi,5-model-b", "brcm,bcm2712"),
        pi_revision="d04170",
    ),
    cpu=Cpu(model="Cortex-A76", vendor="ARM", sockets=1, cores=4, threads=4),
    memory=8 * GIB,
    disks=((BOOT_NVME, 1),),
    ports=(PortModel(driver="macb", speed=1000, oui="d8:3a:dd", bus="1f00100000.ethernet"),),
    serials="62511f5a",
    bmc=False,
)
GENERIC = Hardware(
    name="generic",
    profile="generic-x86-64",
    architecture="x86_64",
    firmware=Firmware.UEFI,
    board=Board(
        vendor="ASRock",
        name="N100DC-ITX",
        system_vendor="To Be Filled By O.E.M.",
        system_product="N100DC-ITX",
        bios_vendor="American Megatrends International, LLC.",
        bios_version="1.06",
    ),
    cpu=Cpu(model="Intel(R) N100", vendor="GenuineIntel", sockets=1, cores=4, threads=4),
    memory=32 * GIB,
    disks=((SMALL_SSD, 1), (LARGE_SSD, 1)),
    ports=(
        PortModel(driver="r8169", speed=1000, oui="a8:a1:59", bus="0000:02:00.0"),
        PortModel(driver="igc", speed=2500, oui="88:c9:b3", bus="0000:03:00.0"),
    ),
    serials="M80-",
    bmc=False,
)
HARDWARE = (EPYC, EPYC_HDD, ARM_STORAGE, PI5, GENERIC)
