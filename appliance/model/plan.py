"""A plan: immutable, totally ordered, and with nothing left to decide when it is executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.wire import PartitionSpec
from appliance.model.availability import Availability
from appliance.model.ceph import CephArgs, CephLayout
from appliance.model.cluster import ClusterLayout
from appliance.model.network import BackboneLayout, HostNetwork
from appliance.model.place import Place


class WaitReason(StrEnum):
    """Why the plan does not (yet) do something that the site file asks for. Closed set."""

    NOT_SEEN = "not-seen"
    NOT_APPROVED = "not-approved"
    NOT_INSPECTED = "not-inspected"
    HELD = "held"
    TROUBLE = "trouble"
    NO_PROFILE = "no-profile"
    AMBIGUOUS_PROFILE = "ambiguous-profile"
    NO_SYSTEM_DISK = "no-system-disk"
    TOO_MANY_DISKS = "too-many-disks"
    FOREIGN_DATA = "foreign-data"
    PROTECTED_DISK = "protected-disk"
    NOT_IDENTIFIABLE = "disk-not-identifiable"
    NOT_EXECUTABLE = "not-executable-yet"
    NO_ADDRESS = "no-address"
    NO_IMAGE = "no-image"
    NAME_TAKEN = "name-taken"
    IN_PROGRESS = "in-progress"
    MEMBERS_MISSING = "members-missing"
    TOO_FEW_MEMBERS = "too-few-members"
    NO_QUORUM = "no-quorum"
    NO_OSDS = "no-osds"
    TOO_LITTLE_MEMORY = "too-little-memory"
    TOO_FEW_DOMAINS = "too-few-domains"
    PORTS_MISSING = "ports-missing"
    LAYOUT = "layout"
    STANDS = "stands"
    NEW_DISK = "new-disk"
    DRAIN_REFUSED = "drain-refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """``about`` is a machine name or id; ``text`` says what to do."""

    about: str
    reason: WaitReason
    text: str


class DiskFate(StrEnum):
    """What the plan does with one disk. ``assign``: the layout gives it a role (an OSD's data or DB); it is written, and
    so erased, when its cluster is formed."""

    ERASE = "erase"
    ASSIGN = "assign"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskChoice:
    """One disk of one machine and what happens to it, with the reason (every disk has one). ``now`` describes what is on
    it in words. ``reversible`` is false exactly for erased disks."""

    machine: str
    serial: str
    wwn: str
    model: str
    size: int
    path: str
    role: str
    fate: DiskFate
    now: str
    why: str
    fingerprint: str


class StepKind(StrEnum):
    INSTALL = "install"
    FIRST_BOOT = "first-boot"
    CEPH = "ceph"


@dataclass(frozen=True, slots=True, kw_only=True)
class NicConfig:
    """One port of the installed system, matched by permanent MAC and given ``name`` by a udev link file.

    ``address`` is CIDR notation, empty for DHCP, ``gateway`` and ``dns`` may be empty.
    """

    mac: str
    name: str
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """What the files of the installed system are rendered from. ``console`` is a kernel ``console=`` value or empty."""

    hostname: str
    domain: str
    nics: tuple[NicConfig, ...]
    ssh_keys: tuple[str, ...] = ()
    time_servers: tuple[str, ...] = ()
    console: str = ""
    kernel_arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallArgs:
    """Everything that an install needs and that the plan decides. ``image`` is the SHA-256 of the root image; the permit
    and the order are made when the step runs."""

    disk: DiskChoice
    partitions: tuple[PartitionSpec, ...]
    image: str
    host: HostConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One durable step. ``key`` is deterministic (``install/<machine id>``); ``after`` are keys of earlier steps."""

    key: str
    kind: StepKind
    machine: str
    name: str
    after: tuple[str, ...] = ()
    deadline: float = 3600.0
    reversible: bool = True
    install: InstallArgs | None = None
    ceph: CephArgs | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What a machine keeps for ever once a plan was accepted: its name, its address, its NIC names (MAC → name), its
    number in the site (1.., 0 while it has none), its addresses by network name (without prefix length), the cluster
    (`ClusterLayout.name`) that it belongs to, and the permanent MAC of the port that it booted from (an installed system
    does not know it any more)."""

    machine: str
    name: str
    address: str
    profile: str
    nics: tuple[tuple[str, str], ...] = ()
    number: int = 0
    addresses: tuple[tuple[str, str], ...] = ()
    cluster: str = ""
    port: str = ""


UNWIRED = HostNetwork()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLayout:
    """One machine as it should be in the end: where it stands, and its whole network."""

    machine: str
    name: str
    number: int
    profile: str
    place: Place
    cluster: str = ""
    network: HostNetwork = UNWIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The layout of everything that is to be formed. It is part of the plan and of its hash; what of it is executed is in
    the steps. Nodes are in the order of their numbers."""

    nodes: tuple[NodeLayout, ...] = ()
    clusters: tuple[ClusterLayout, ...] = ()
    ceph: CephLayout | None = None
    backbone: BackboneLayout | None = None
    availability: Availability | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact that the plan depends on, by name, for example ``m-abc/disk/WD-123`` → fingerprint. Never volatile."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``hash`` is the SHA-256 of the canonical JSON of steps (without kernel device nodes, which a reboot may swap),
    ``desired`` and facts; ``parent`` the hash of the last accepted plan (empty for the first). ``changes``: it has steps,
    or its layout is not the parent's. ``waits`` do not count for the hash: they change nothing."""

    hash: str
    parent: str
    steps: tuple[Step, ...]
    waits: tuple[Wait, ...]
    disks: tuple[DiskChoice, ...]
    allocations: tuple[Allocation, ...]
    facts: tuple[Fact, ...]
    desired: Desired = Desired()
    changes: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LintFinding:
    """A named rule that the plan or the site breaks. ``severity`` is ``error`` (apply refuses) or ``warning``."""

    rule: str
    severity: str
    about: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCounts:
    """A plan in numbers, for lists: steps, waits, disks that it erases and assigns, findings of lint by severity.
    ``changes`` as in `Plan`."""

    steps: int
    waits: int
    erased: int
    assigned: int
    errors: int
    warnings: int
    changes: bool

    @property
    def relaid(self) -> bool:
        """It is only another layout: no step does anything."""
        return self.changes and not self.steps


def count(plan: Plan, lint: Sequence[LintFinding]) -> PlanCounts:
    """The numbers of a plan and of what lint found in it."""
    fates = Counter(disk.fate for disk in plan.disks)
    severities = Counter(finding.severity for finding in lint)
    return PlanCounts(
        steps=len(plan.steps),
        waits=len(plan.waits),
        erased=fates[DiskFate.ERASE],
        assigned=fates[DiskFate.ASSIGN],
        errors=severities["error"],
        warnings=severities["warning"],
        changes=plan.changes,
    )
