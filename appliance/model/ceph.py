"""Ceph: what the site file wants of it, and the layout that is planned. Sizes are bytes, rates bytes per second."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.model.place import Level


class Service(StrEnum):
    """What a pool serves (the architecture draft's words: EBS, EFS, S3)."""

    BLOCK = "block"
    FILE = "file"
    OBJECT = "object"


class Spread(StrEnum):
    """Where copies may be: inside one availability zone, or across all of them. Default by service: block ``zone``; file
    and object ``zones``. A site without zones has one."""

    ZONE = "zone"
    ZONES = "zones"


class DeviceClass(StrEnum):
    HDD = "hdd"
    SSD = "ssd"
    NVME = "nvme"


class FilterLogic(StrEnum):
    """How the conditions of a device filter join (cephadm's ``filter_logic``)."""

    AND = "AND"
    OR = "OR"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """Which devices, with the meaning of cephadm's drive groups: ``size`` is exact (``4TB``) or a range (``1TB:4TB``,
    ``1TB:``, ``:4TB``), text conditions are substrings, ``limit`` 0 means no limit. ``serials`` is ours: exact serials."""

    all: bool = False
    model: str = ""
    vendor: str = ""
    size: str = ""
    rotational: bool | None = None
    limit: int = 0
    serials: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing was asked for."""
        return not (self.all or self.model or self.vendor or self.size or self.serials or self.rotational is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveGroup:
    """How disks of some machines become OSDs. Without ``profiles`` it holds for all members; an empty ``data`` means the
    disks of the profile's role ``osd`` (and an empty ``db`` those of role ``db``). ``db_size`` 0 means as large as the
    slots allow; ``db_slots`` 0 means by kind of device (`ceph.md` §4). ``device_class`` empty: by what the disk is."""

    name: str
    profiles: tuple[str, ...] = ()
    data: DeviceFilter = DeviceFilter()
    db: DeviceFilter = DeviceFilter()
    wal: DeviceFilter = DeviceFilter()
    filter_logic: FilterLogic = FilterLogic.AND
    osds_per_device: int = 1
    db_size: int = 0
    db_slots: int = 0
    device_class: str = ""
    encrypted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """Erasure coding: ``k`` data and ``m`` coding chunks."""

    k: int
    m: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """A pool of the site file. ``size`` 0: 3 copies (4 in stretch mode); ``min_size`` 0: size - 1, or k + 1. ``domain``
    None: the largest level that has enough buckets for it to heal, else enough to place. ``share`` is the part of the usable
    space that it will need, relative to the other pools. ``erasure`` instead of copies; without numbers (``k`` 0) they are
    chosen by the number of domains. ``namespaces`` (of block pools) each have a key of their own."""

    name: str
    service: Service
    device_class: str = ""
    size: int = 0
    min_size: int = 0
    erasure: Erasure | None = None
    spread: Spread | None = None
    domain: Level | None = None
    share: float = 1.0
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CephSpec:
    """The one Ceph of a site. Members: machines that ``machines`` names, or of ``profiles``, or (both empty) all members of
    Proxmox clusters, else every machine with a disk for it. ``monitors`` 0: 3, or 5 with stretch or ≥ 5 domains.
    ``stretch`` is two sites with a tiebreaker outside (``tiebreaker``: ``appliance``, a machine or a profile)."""

    name: str = "ceph"
    machines: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    groups: tuple[DriveGroup, ...] = ()
    pools: tuple[PoolSpec, ...] = ()
    encrypted: bool = False
    monitors: int = 0
    stretch: bool = False
    tiebreaker: str = ""
    public: str = ""
    cluster: str = ""
    frozen: str = ""


# ---------------------------------------------------------------- what is planned


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRef:
    """A disk of a machine by what does not change. ``fingerprint`` is that of its content when it was planned."""

    serial: str
    wwn: str
    model: str
    size: int
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdLayout:
    """One OSD. ``number`` is its planned id; Ceph gives the real one. ``data_size`` of the disk it takes (several OSDs may
    share a disk: ``part`` counts them from 0), ``db`` its DB device with ``db_size`` and ``slot`` (0 for the first), None
    when the DB lives on the data device; ``wal`` likewise, None when the WAL lives with the DB. ``weight`` is in TiB, as
    CRUSH counts. ``group`` is the drive group that chose it. ``replacing``: its disk is to be replaced and the new one is
    not there yet; number, place and slots are kept for it, and nothing is made on the old disk."""

    number: int
    machine: str
    data: DiskRef
    part: int = 0
    data_size: int
    device_class: str
    db: DiskRef | None = None
    db_size: int = 0
    slot: int = 0
    wal: DiskRef | None = None
    wal_size: int = 0
    wal_slot: int = 0
    encrypted: bool = False
    group: str = ""
    replacing: bool = False

    @property
    def weight(self) -> float:
        """TiB."""
        return self.data_size / (1 << 40)


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdBudget:
    """Memory (bytes) and threads of one machine for its OSDs. ``memory_target`` is what each OSD gets as
    ``osd_memory_target``; ``text`` has the numbers, also when ``fits`` is false and the plan refuses."""

    machine: str
    osds: int
    memory: int
    memory_target: int
    memory_needed: int
    threads: int
    threads_needed: int
    hyperconverged: bool
    fits: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLayout:
    """A CRUSH rule: ``steps`` as crushtool writes them, between ``{`` and ``}``."""

    number: int
    name: str
    erasure: bool
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLayout:
    """One pool. ``size`` is copies or k + m; ``domain`` what copies are spread over, ``domains`` how many of those there
    are, ``per_domain`` how many copies one of them holds at most. ``root`` is the bucket that the rule takes (``default``,
    or a zone's). ``share`` is its target_size_ratio. ``heals``: whether copies are complete again after the loss of one
    domain. ``why`` says how that was decided. ``namespaces`` are RBD's, in the pool that holds images' headers."""

    name: str
    service: Service
    application: str
    rule: str
    root: str
    device_class: str
    size: int
    min_size: int
    erasure: Erasure | None = None
    domain: Level
    domains: int
    per_domain: int = 1
    pg_num: int
    share: float
    heals: bool
    why: str = ""
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Bytes that users can store in one pool if it had its device class alone: now, when the first OSD is nearfull, and
    so that the loss of the largest ``level`` domain can heal (None: it can't)."""

    pool: str
    raw: int
    usable: int
    nearfull: int
    healable: int | None
    level: Level
    recovery_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Bytes per second of one pool: never above the bound, usually near the expectation (`ceph.md` §5). ``limit`` names
    what the bound comes from. ``recorded`` is what a comparable cluster was measured at, or empty."""

    pool: str
    write_bound: int
    write_expected: int
    read_bound: int
    read_expected: int
    limit: str
    recorded: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLayout:
    """Where a daemon runs: ``kind`` is ``mon``, ``mgr``, ``mds`` or ``rgw``; ``machine`` an id, or ``appliance``."""

    kind: str
    machine: str
    bucket: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket of the CRUSH tree: ``items`` are names of buckets, or ``osd.N``; ``level`` is its type's word
    (``root`` for the topmost). A host's bucket has the machine's host name."""

    name: str
    level: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CephLayout:
    """The whole cluster. ``members`` are machine ids, ``public`` and ``cluster`` network names. The CRUSH map's text is made
    from ``buckets``, ``osds`` and ``rules`` by `appliance.plan.crush.crushmap.text`, on demand. ``ports`` are machines with
    the bytes per second of their ports for copies, as far as these tell a speed."""

    name: str
    fsid: str
    members: tuple[str, ...]
    public: str
    cluster: str
    hyperconverged: bool
    stretch: bool = False
    services: tuple[ServiceLayout, ...] = ()
    osds: tuple[OsdLayout, ...] = ()
    budgets: tuple[OsdBudget, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    rules: tuple[RuleLayout, ...] = ()
    pools: tuple[PoolLayout, ...] = ()
    capacity: tuple[Capacity, ...] = ()
    throughput: tuple[Throughput, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()
    frozen: str = ""


# ---------------------------------------------------------------- steps


class CephVerb(StrEnum):
    """What a step does with Ceph. Forming: ``configure`` … ``settle`` (wait until everything is clean), ``prove`` (the live
    map keeps the laws of all pools) and ``verify`` (write, read and compare). Life: ``out`` (drain), ``destroy`` (the id
    and its place stay for a new disk), ``purge`` (id, key and place go), ``zap``, ``leave`` (daemons other than OSDs are
    removed from a machine, or empty buckets from the tree), ``locate`` (the lamp of a disk's slot: on with ``old`` alone,
    off with ``osd``, the one that took its place). ``stretch``: two sites with a tiebreaker. ``namespaces``: those of RBD
    in a pool, with keys."""

    CONFIGURE = "configure"
    MON = "mon"
    MGR = "mgr"
    TREE = "tree"
    OSD = "osd"
    STRETCH = "stretch"
    POOL = "pool"
    NAMESPACES = "namespaces"
    FILESYSTEM = "filesystem"
    MDS = "mds"
    RGW = "rgw"
    SETTLE = "settle"
    VERIFY = "verify"
    PROVE = "prove"
    OUT = "out"
    DESTROY = "destroy"
    PURGE = "purge"
    ZAP = "zap"
    LEAVE = "leave"
    LOCATE = "locate"


@dataclass(frozen=True, slots=True, kw_only=True)
class CephHost:
    """A machine of Ceph as steps need it: its host name, public address (without prefix length; IPv6 without brackets), and
    where it stands in the tree (``("rack", "r1")`` …, without its own bucket)."""

    machine: str
    name: str
    address: str
    location: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CephArgs:
    """Everything that a step of Ceph needs and that the plan decides. ``daemon`` is the id without its type.
    ``monitors`` are the planned ones, in order; the first is the one that begins. ``old`` is the OSD that is replaced
    or leaves. Fields that a verb does not need are empty. ``daemons`` are what will run on ``host`` (``mon``, ``osd``
    …; of a drain: the numbers of all OSDs that are drained together), ``realm`` is that of the object service, ``keys``
    names what users' keys are for (pools and file systems; of a check: namespaces), ``sites`` where monitors stand in
    stretch mode (name, level, bucket; the tiebreaker last), also of a step that makes a monitor, ``pools`` those of a
    proof. ``rate`` is how fast a drain is expected to be, in bytes per second (0: not known); the hash leaves it out."""

    verb: CephVerb
    name: str
    fsid: str
    host: CephHost | None = None
    daemon: str = ""
    monitors: tuple[CephHost, ...] = ()
    public_network: str = ""
    cluster_network: str = ""
    osd: OsdLayout | None = None
    old: OsdLayout | None = None
    pool: PoolLayout | None = None
    buckets: tuple[Bucket, ...] = ()
    rules: tuple[RuleLayout, ...] = ()
    memory_target: int = 0
    service: str = ""
    daemons: tuple[str, ...] = ()
    realm: str = ""
    keys: tuple[str, ...] = ()
    sites: tuple[tuple[str, str, str], ...] = ()
    pools: tuple[PoolLayout, ...] = ()
    rate: int = 0
