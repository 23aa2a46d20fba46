"""A hardware profile: which machines it is for, and how machines of that kind are booted, installed and watched."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

Bytes = NewType("Bytes", int)
"""A size in bytes; files may say ``480GB`` (powers of ten) or ``512MiB`` (powers of two)."""
Seconds = NewType("Seconds", float)
"""A duration in seconds; files may say ``90s``, ``15min``, ``2h``."""
LoaderFile = NewType("LoaderFile", str)
"""Name of a boot loader file, without folders."""


class Kind(StrEnum):
    """What a disk is, as far as choosing goes."""

    NVME = "nvme"
    SSD = "ssd"
    HDD = "hdd"
    ANY = "any"


class Content(StrEnum):
    """``free``: blank, ours, or granted by serial; ``any``: whatever is on it (foreign data still needs a grant)."""

    FREE = "free"
    ANY = "any"


class DiskRoleName(StrEnum):
    """What a disk is for. Only ``system`` is written by this version; the others are kept and named in the plan."""

    SYSTEM = "system"
    OSD = "osd"
    DB = "db"


class NicRoleName(StrEnum):
    """What a port is for. ``provisioning`` is the port that the machine boots from."""

    PROVISIONING = "provisioning"
    CLUSTER = "cluster"
    STORAGE = "storage"
    BACKBONE = "backbone"


class LocalMethod(StrEnum):
    """How a BIOS iPXE leaves for the local disk: back to the BIOS, or INT 13h where the BIOS forgets to go on."""

    EXIT = "exit"
    SANBOOT = "sanboot"


class ClientArchitecture(StrEnum):
    """The same words as `pxe.ports.Architecture`, which stands above this folder; a test compares them."""

    X86_BIOS = "x86-bios"
    X86_64_UEFI = "x86-64-uefi"
    IA32_UEFI = "ia32-uefi"
    ARM64_UEFI = "arm64-uefi"
    RASPBERRY_PI = "raspberry-pi"
    UNKNOWN = "unknown"


class WatchedPhase(StrEnum):
    """Phases that a deadline can be set for; the same words as `appliance.model.machine.DEADLINE_SECONDS`."""

    APPROVED = "approved"
    INSPECTED = "inspected"
    DEPLOYING = "deploying"
    LEAVING = "leaving"
    WIPING = "wiping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many disks of a kind, or network ports, the machine must have. Ends are included; no maximum is no end."""

    kind: Kind = Kind.ANY
    min: int = 0
    max: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to be of this profile: all given conditions must hold. Texts are patterns (``*`` and ``?``) compared with
    normalised text (`normal.text_key`; vendors with `normal.vendor_key`); a list means any of them."""

    board_vendor: tuple[str, ...] = ()
    board_name: tuple[str, ...] = ()
    compatible: tuple[str, ...] = ()
    system_vendor: tuple[str, ...] = ()
    system_product: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    architecture: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()
    disks: tuple[Count, ...] = ()
    nics: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSelector:
    """Which disks fit: all given conditions must hold. Sizes are ends that count as inside."""

    min_size: Bytes = Bytes(0)
    max_size: Bytes | None = None
    transport: tuple[str, ...] = ()
    rotational: bool | None = None
    model: tuple[str, ...] = ()
    content: Content = Content.ANY
    removable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRole:
    """``choose`` is tried in order: the first selector that fits any disk decides, and must fit exactly ``count``
    (0 means: all that fit). Fewer or more is refused, never guessed."""

    role: DiskRoleName
    choose: tuple[DiskSelector, ...]
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NicRole:
    """Ports of a role: by driver pattern and the least speed in Mbit/s that they can do. ``provisioning`` is always the
    boot port; the others take the first ``count`` (0: all) of the ports that fit and have no role yet."""

    role: NicRoleName
    driver: tuple[str, ...] = ()
    min_speed: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Which boot loader a client of this architecture gets instead of the usual one."""

    client: ClientArchitecture
    file: LoaderFile


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSettings:
    """``kernel_arguments`` are for the agent image and for the installed system."""

    loaders: tuple[Loader, ...] = ()
    local_method: LocalMethod = LocalMethod.EXIT
    kernel_arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """How long machines of this kind may stay in a phase."""

    phase: WatchedPhase
    after: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of hardware. ``console`` are kernel ``console=`` values; the last one becomes ``/dev/console``.

    ``minimum_memory`` is a warning below it, never a refusal. An empty ``match`` never matches by itself: the site
    file has to name the profile."""

    name: str
    description: str
    match: tuple[Rule, ...] = ()
    minimum_memory: Bytes = Bytes(0)
    disks: tuple[DiskRole, ...] = ()
    nics: tuple[NicRole, ...] = ()
    boot: BootSettings = field(default=BootSettings())
    console: tuple[str, ...] = ()
    deadlines: tuple[Deadline, ...] = ()

    def deadline(self, phase: str) -> float | None:
        """Seconds that this hardware may stay in ``phase`` (a phase's word), None for the usual time."""
        return next((float(entry.after) for entry in self.deadlines if entry.phase == phase), None)

    def disk_role(self, role: DiskRoleName) -> DiskRole | None:
        """The rule for a role of disks, if the profile has one."""
        return next((entry for entry in self.disks if entry.role is role), None)
