"""What one machine is: the inventory that the agent sends. Part of the wire contract (`agent.wire` gives it out again)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from agent.document import canonical, to_data

SCHEMA = 1


class Environment(StrEnum):
    """Where the agent runs: in RAM from the agent image, as a service of the installed system, or on the boot server beside
    the appliance itself (`agent.arbiter`)."""

    IMAGE = "image"
    INSTALLED = "installed"
    ARBITER = "arbiter"


class Firmware(StrEnum):
    """How the machine was started. ``devicetree`` is a board without ACPI and UEFI, such as a Raspberry Pi 5."""

    BIOS = "bios"
    UEFI = "uefi"
    DEVICETREE = "devicetree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """SMBIOS types 0-3, or the device tree. An absent field is the empty string.

    ``compatible``, ``model``, ``pi_serial`` (16 hex digits) and ``pi_revision`` (hex) come from the device tree.
    """

    vendor: str = ""
    name: str = ""
    version: str = ""
    serial: str = ""
    system_vendor: str = ""
    system_product: str = ""
    system_version: str = ""
    system_serial: str = ""
    system_sku: str = ""
    system_family: str = ""
    system_uuid: str = ""
    chassis_vendor: str = ""
    chassis_type: str = ""
    chassis_serial: str = ""
    chassis_asset: str = ""
    bios_vendor: str = ""
    bios_version: str = ""
    bios_date: str = ""
    model: str = ""
    compatible: tuple[str, ...] = ()
    pi_serial: str = ""
    pi_revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """All processors of the machine together. ``cores`` and ``threads`` are totals over all sockets."""

    model: str = ""
    vendor: str = ""
    sockets: int = 0
    cores: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """``total`` is what the kernel may use, ``installed`` the sum of SMBIOS type 17 (0 when unknown)."""

    total: int
    installed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Something that blkid or the agent's own probes recognised on a disk or partition.

    ``kind`` is blkid's name (``ext4``, ``LVM2_member``, ``zfs_member``, ``linux_raid_member``, ``ceph_bluestore``,
    ``ntfs`` ...). ``owner`` is who it belonged to where the signature says it: old Ceph fsid, volume group, pool.
    """

    kind: str
    uuid: str = ""
    label: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One row of a partition table. ``start`` and ``size`` are bytes; ``type`` is the GPT type GUID or MBR id."""

    number: int
    start: int
    size: int
    type: str = ""
    guid: str = ""
    label: str = ""
    signatures: tuple[Signature, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is on a disk now.

    ``table_id`` is the GPT disk GUID or the MBR disk id. ``blank`` means no table, no signature, and zeros in the first
    and last MiB. ``edges`` is the SHA-256 of the first and last MiB, so that data which nobody recognises is seen too.
    ``boot`` says that the disk carries a boot loader or an ESP, ``in_use`` that something is mounted or assembled on it.
    """

    table: str = ""
    table_id: str = ""
    partitions: tuple[Partition, ...] = ()
    signatures: tuple[Signature, ...] = ()
    blank: bool = False
    edges: str = ""
    boot: bool = False
    in_use: bool = False

    def __hash__(self) -> int:
        """Quick, because results are remembered by content: what differs is seen here first."""
        return hash((self.edges, self.table_id))

    def fingerprint(self) -> str:
        """SHA-256 over what a plan is bound to: table, partitions, signatures and edges; not ``in_use`` or ``boot``."""
        return _fingerprint(self)


@lru_cache(maxsize=1 << 10)
def _fingerprint(content: Content) -> str:
    """Most disks of a site are blank, and so all alike."""
    facts = to_data(content)
    del facts["boot"], facts["in_use"]
    return hashlib.sha256(canonical(facts)).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Smart:
    """SMART or NVMe health where the disk answers; volatile, never part of a plan."""

    healthy: bool | None = None
    temperature_celsius: int | None = None
    power_on_hours: int | None = None
    percentage_used: int | None = None
    reallocated: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One disk as a person would count it: path devices, partitions, CD drives and empty card readers are not disks.

    ``path`` is the kernel's node (``/dev/nvme0n1``), ``by_id`` udev's links without ``/dev/disk/by-id/``, sorted.
    ``wwn`` is a WWN, NGUID or EUI-64 as the kernel prints it, or empty. ``paths`` counts multipath legs.
    """

    path: str
    size: int
    serial: str = ""
    wwn: str = ""
    model: str = ""
    vendor: str = ""
    firmware: str = ""
    transport: str = ""
    rotational: bool = False
    removable: bool = False
    read_only: bool = False
    logical_sector: int = 512
    physical_sector: int = 512
    bus_path: str = ""
    paths: int = 1
    by_id: tuple[str, ...] = ()
    content: Content = Content()
    smart: Smart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One LLDP neighbour heard on a port (IEEE 802.1AB TLVs 1, 2, 4, 5, 8)."""

    chassis: str
    port: str
    system: str = ""
    port_description: str = ""
    management: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """One physical network port. ``mac`` is the permanent address; ``identifying`` is false for USB/CDC and locally
    administered addresses, which prove nothing about the machine. ``speed`` is Mbit/s, None while there is no link;
    ``max_speed`` is the fastest link mode that the port supports, in Mbit/s, None where the driver names none."""

    name: str
    mac: str
    driver: str = ""
    bus_path: str = ""
    speed: int | None = None
    max_speed: int | None = None
    carrier: bool = False
    identifying: bool = True
    firmware: str = ""
    neighbours: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bmc:
    """A baseboard management controller seen from the machine: its system interface, and LAN settings if it tells."""

    interface: str
    address: str = ""
    mac: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tpm:
    """``version`` is ``1.2`` or ``2.0``; ``ek`` the SHA-256 of the endorsement key's public part, empty if unreadable."""

    version: str
    ek: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFailure:
    """A probe that could not answer: the inventory is sent all the same, and says what is missing."""

    probe: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What one machine is. ``architecture`` is ``uname -m``. ``boot_mac`` is the port it was booted from, if known.
    ``uarts`` are serial ports that exist (``ttyS0``); none are named by an agent that did not look. ``addresses`` (without
    prefix length) and ``ceph``, the version of ceph-mon (``18.2.7``), are said by the appliance's own agent only."""

    schema: int = SCHEMA
    environment: Environment
    architecture: str
    firmware: Firmware
    secure_boot: bool | None = None
    board: Board = Board()
    cpu: Cpu = Cpu()
    memory: Memory
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    bmc: Bmc | None = None
    tpm: Tpm | None = None
    uarts: tuple[str, ...] = ()
    boot_mac: str = ""
    hostname: str = ""
    kernel: str = ""
    agent_version: str = ""
    addresses: tuple[str, ...] = ()
    ceph: str = ""
    failures: tuple[ProbeFailure, ...] = ()
