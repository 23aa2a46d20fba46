"""The contract between a machine and its appliance: what is sent over the wire, and how it is written as JSON.

Standard library only: this file is copied into the agent image and into every installed system. Sizes are bytes,
times are seconds since the epoch (UTC), MAC addresses are lower case with colons, UUIDs are lower case with hyphens in
the byte order that the kernel prints. Text that the firmware left as a placeholder is sent as it is; the appliance
decides what a placeholder is (``hwprofiles``).
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import types
import typing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

SCHEMA = 1
T = TypeVar("T")


class WireError(ValueError):
    """A document does not fit its type. ``at`` is the path of the offending value, for example ``disks/2/size``."""

    def __init__(self, at: str, message: str) -> None:
        super().__init__(f"{at or '(document)'}: {message}")
        self.at = at
        self.message = message


class Environment(StrEnum):
    """Where the agent runs: in RAM from the agent image, or as a service of the installed system."""

    IMAGE = "image"
    INSTALLED = "installed"


class Firmware(StrEnum):
    """How the machine was started. ``devicetree`` is a board without ACPI and UEFI, such as a Raspberry Pi 5."""

    BIOS = "bios"
    UEFI = "uefi"
    DEVICETREE = "devicetree"


# ---------------------------------------------------------------- inventory


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

    def fingerprint(self) -> str:
        """SHA-256 over what a plan is bound to: table, partitions, signatures and edges; not ``in_use`` or ``boot``."""
        facts = to_data(self)
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
    administered addresses, which prove nothing about the machine. ``speed`` is Mbit/s, None while there is no link."""

    name: str
    mac: str
    driver: str = ""
    bus_path: str = ""
    speed: int | None = None
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
    """What one machine is. ``architecture`` is ``uname -m``. ``boot_mac`` is the port it was booted from, if known."""

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
    boot_mac: str = ""
    hostname: str = ""
    kernel: str = ""
    agent_version: str = ""
    failures: tuple[ProbeFailure, ...] = ()


# ---------------------------------------------------------------- enrolment (HTTPS, server authenticated)


class EnrolmentState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRequest:
    """``POST /api/v1/enrolments``. ``csr`` is PEM; ``nonce`` 32 hex digits made at every start of the agent;
    ``clock_offset`` the seconds by which the machine's clock was set (appliance minus machine); the inventory is
    untrusted and only shown to the person who approves."""

    csr: str
    nonce: str
    clock_offset: float
    inventory: Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentReply:
    """Answer to the request above and to ``GET /api/v1/enrolments/<token>``; ``interval`` is when to ask again.

    ``certificate`` (PEM) and ``machine`` are set once ``state`` is approved. ``order_key`` is the PEM public key that
    orders are signed with; it comes over the authenticated channel, never with the image.
    """

    token: str
    state: EnrolmentState
    interval: float
    reason: str = ""
    machine: str = ""
    certificate: str = ""
    order_key: str = ""


# ---------------------------------------------------------------- after approval (mutual TLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``POST /agent/v1/report``: the inventory that plans are made from. ``permit`` is the install permit whose marker
    the running system disk carries (GPT disk GUID), empty in the agent image."""

    nonce: str
    inventory: Inventory
    permit: str = ""
    clock_offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReply:
    """``interval``: seconds until the next poll for orders; ``report_interval``: until the next report."""

    machine: str
    interval: float
    report_interval: float


class OrderKind(StrEnum):
    INSTALL = "install"
    REBOOT = "reboot"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSpec:
    """One partition to make. ``size`` 0 means the rest of the disk. ``role`` is ``bios-boot``, ``esp`` or ``root``.

    ``guid`` is the partition's GUID, ``uuid`` the filesystem's (``ABCD-0123`` for vfat): planned, so that a resumed
    install makes the same ones and files can name them. Empty ``filesystem`` means no filesystem.
    """

    number: int
    role: str
    size: int
    guid: str
    filesystem: str = ""
    uuid: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskGrant:
    """Permission to write one disk of one machine, for one plan.

    The agent refuses unless exactly one disk of the machine fits ``wwn``, ``serial``, ``model`` and ``size`` together,
    and its content's fingerprint is ``fingerprint`` or its GPT disk GUID is the order's permit (an interrupted install).
    """

    machine: str
    plan: str
    serial: str
    wwn: str
    model: str
    size: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """A root image to stream: a zstd-compressed tar cut into chunks of ``chunk_size`` bytes (the last one shorter).

    ``sha256`` is of the whole file; ``chunks`` the SHA-256 of each chunk, so that nothing unverified is unpacked.
    ``unpacked`` is the sum of file sizes, for progress and for the check that it fits.
    """

    name: str
    url: str
    size: int
    sha256: str
    chunk_size: int
    chunks: tuple[str, ...]
    unpacked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSpec:
    """A file to write into the installed system. ``path`` is absolute inside it, ``mode`` permission bits, text UTF-8."""

    path: str
    mode: int
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOrder:
    """Body of an ``install`` order. ``permit`` is a UUID; it becomes the GPT disk GUID before anything else is written,
    and so the marker of an interrupted install. ``files`` are rendered by the appliance and written after the image was
    unpacked; ``hostname`` is for the console and the progress only."""

    permit: str
    hostname: str
    grant: DiskGrant
    partitions: tuple[PartitionSpec, ...]
    image: ImageRef
    files: tuple[FileSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootOrder:
    """Body of a ``reboot`` order. ``netboot`` asks for one network boot (BootNext) on UEFI."""

    netboot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One thing to do. Signed as a whole. The agent refuses an order for another machine or another boot (``nonce``),
    and any ``fence`` lower than the highest it has seen; the same ``id`` twice is the same order, done once."""

    id: str
    machine: str
    plan: str
    step: str
    fence: int
    nonce: str
    kind: OrderKind
    install: InstallOrder | None = None
    reboot: RebootOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOrder:
    """``payload`` is base64 of the order's canonical JSON, ``signature`` base64 of the Ed25519 signature over it."""

    payload: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """``GET /agent/v1/order?nonce=…``: the order to work on now, if any, and when to ask again."""

    interval: float
    order: SignedOrder | None = None


class ProgressState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """``POST /agent/v1/progress``. ``stage`` is a short noun (``partition``, ``image``, ``configure``, ``boot-loader``,
    ``boot-order``); ``fraction`` 0..1 of the whole order; ``message`` says what went wrong and what to do."""

    order: str
    fence: int
    state: ProgressState
    stage: str = ""
    fraction: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitClaim:
    """``POST /agent/v1/permits/<id>/claim``: asked right before the first write; a refusal (409) means: do not write."""

    order: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """``POST /agent/v1/certificate``: a certificate for the key of the installed system (the old one stays valid
    until the installed system reports in)."""

    csr: str
    order: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReply:
    certificate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeReply:
    """``GET /api/v1/time``: the appliance's clock. Asked over TLS with the CA checked and certificate dates ignored."""

    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteBundle:
    """``/etc/rackseed/site.json`` of the second cpio: how to reach the appliance, and what to trust. ``ca`` is PEM."""

    enrol_url: str
    agent_url: str
    public_url: str
    ca: str


# ---------------------------------------------------------------- the code on the console

CODE_ALPHABET = "ABCDEFGHJKMNPQRSTUVWXYZ123456789"
"""32 characters without I, L, O and 0: what a person can read from a serial console and type."""


def enrolment_code(agent_key: bytes, ca_key: bytes) -> str:
    """The code that proves to a person that this console and that enrolment are one machine, talking to one appliance.

    Both arguments are DER SubjectPublicKeyInfo. 55 bits of SHA-256(agent key ‖ CA key) as ``XXXX-XXXX-XXX``.
    """
    number = int.from_bytes(hashlib.sha256(agent_key + ca_key).digest()[:7], "big") >> 1
    letters = "".join(CODE_ALPHABET[number >> shift & 31] for shift in range(50, -1, -5))
    return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"


# ---------------------------------------------------------------- JSON


def to_data(value: Any) -> Any:
    """Dataclass → plain JSON data (dict, list, str, int, float, bool, None)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_data(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_data(item) for key, item in value.items()}
    if isinstance(value, StrEnum):
        return value.value
    return value


def canonical(data: Any) -> bytes:
    """The one byte string for JSON data: sorted keys, no spaces, UTF-8, no NaN. What hashes and signatures cover."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def encode(value: Any) -> bytes:
    """Dataclass → canonical JSON bytes."""
    return canonical(to_data(value))


def decode(type_: type[T], raw: bytes | str) -> T:
    """JSON bytes → ``type_``. Strict: unknown and missing keys, wrong types and broken JSON are `WireError`."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise WireError("", f"not JSON: {error}") from error
    return from_data(type_, data)


def from_data(type_: type[T], data: Any) -> T:
    """Plain JSON data → ``type_`` (a dataclass of this module); see `decode`."""
    return typing.cast(T, _convert(type_, data, ""))


def sign_payload(order: Order) -> str:
    """The ``payload`` of a `SignedOrder`."""
    return base64.b64encode(encode(order)).decode("ascii")


_HINTS: dict[type, dict[str, Any]] = {}


def _convert(want: Any, data: Any, at: str) -> Any:
    origin = typing.get_origin(want)
    if origin in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(want) if option is not type(None)]
        return None if data is None else _convert(options[0], data, at)
    if origin is tuple:
        return _convert_tuple(typing.get_args(want)[0], data, at)
    if dataclasses.is_dataclass(want):
        return _convert_dataclass(typing.cast(type, want), data, at)
    if isinstance(want, type) and issubclass(want, StrEnum):
        return _convert_enum(want, data, at)
    if want is float and type(data) is int:
        return float(data)
    if type(data) is not want:
        raise WireError(at, f"expected {want.__name__}, got {type(data).__name__}")
    return data


def _convert_tuple(item: Any, data: Any, at: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise WireError(at, f"expected a list, got {type(data).__name__}")
    return tuple(_convert(item, value, f"{at}/{index}" if at else str(index)) for index, value in enumerate(data))


def _convert_enum(want: type[StrEnum], data: Any, at: str) -> StrEnum:
    try:
        return want(data)
    except ValueError:
        allowed = ", ".join(member.value for member in want)
        raise WireError(at, f"expected one of {allowed}; got {data!r}") from None


def _convert_dataclass(want: type, data: Any, at: str) -> Any:
    if not isinstance(data, dict):
        raise WireError(at, f"expected an object, got {type(data).__name__}")
    if want not in _HINTS:
        _HINTS[want] = typing.get_type_hints(want)
    fields = {field.name: field for field in dataclasses.fields(want)}
    prefix = f"{at}/" if at else ""
    for key in data:
        if key not in fields:
            raise WireError(f"{prefix}{key}", "unknown key")
    values = {name: _convert(_HINTS[want][name], data[name], f"{prefix}{name}") for name in fields if name in data}
    for name, field in fields.items():
        if name not in data and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise WireError(f"{prefix}{name}", "is missing")
    return want(**values)
