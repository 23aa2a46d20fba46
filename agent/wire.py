"""The contract between a machine and its appliance: what is sent over the wire, and how it is written as JSON.

Standard library only: this file is copied into the agent image and into every installed system. Sizes are bytes,
times are seconds since the epoch (UTC), MAC addresses are lower case with colons, UUIDs are lower case with hyphens in
the byte order that the kernel prints. Text that the firmware left as a placeholder is sent as it is; the appliance
decides what a placeholder is (``hwprofiles``).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from enum import StrEnum

from agent.cephorder import (
    CephAction,
    CephOrder,
    ConfigFile,
    DeviceGrant,
    MeasureOrder,
    MonAnswer,
    MonCommand,
    ObjectStore,
    OsdOrder,
    PoolLaw,
    RbdNamespace,
    SecretFile,
)
from agent.document import WireError, canonical, decode, encode, from_data, to_data
from agent.inventory import (
    SCHEMA,
    Bmc,
    Board,
    Content,
    Cpu,
    Disk,
    Environment,
    Firmware,
    Inventory,
    Memory,
    Neighbour,
    Nic,
    Partition,
    ProbeFailure,
    Signature,
    Smart,
    Tpm,
)

__all__ = [
    "CODE_ALPHABET",
    "SCHEMA",
    "Bmc",
    "Board",
    "CephAction",
    "CephOrder",
    "CertificateReply",
    "CertificateRequest",
    "ConfigFile",
    "Content",
    "Cpu",
    "DeviceGrant",
    "Disk",
    "DiskGrant",
    "EnrolmentReply",
    "EnrolmentRequest",
    "EnrolmentState",
    "Environment",
    "FileSpec",
    "Firmware",
    "ImageRef",
    "InstallOrder",
    "Inventory",
    "MeasureOrder",
    "Memory",
    "MonAnswer",
    "MonCommand",
    "Neighbour",
    "Nic",
    "ObjectStore",
    "Order",
    "OrderKind",
    "OsdOrder",
    "Partition",
    "PartitionSpec",
    "PermitClaim",
    "Poll",
    "PoolLaw",
    "ProbeFailure",
    "Progress",
    "ProgressState",
    "RbdNamespace",
    "RebootOrder",
    "Report",
    "ReportReply",
    "SecretFile",
    "SecretReply",
    "Signature",
    "SignedOrder",
    "SiteBundle",
    "Smart",
    "TimeReply",
    "Tpm",
    "WireError",
    "canonical",
    "decode",
    "encode",
    "enrolment_code",
    "from_data",
    "sign_payload",
    "to_data",
]

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
    CEPH = "ceph"


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
    ceph: CephOrder | None = None


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
    ``boot-order``); ``fraction`` 0..1 of the whole order; ``message`` says what went wrong and what to do. ``answers`` are
    the monitors' to a ``ceph`` order's commands, in their order, also when one of them failed."""

    order: str
    fence: int
    state: ProgressState
    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    answers: tuple[MonAnswer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReply:
    """``GET /agent/v1/secrets/<name>?order=<id>``: a secret that this machine's active order names. Never logged."""

    secret: str


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


def sign_payload(order: Order) -> str:
    """The ``payload`` of a `SignedOrder`."""
    return base64.b64encode(encode(order)).decode("ascii")
