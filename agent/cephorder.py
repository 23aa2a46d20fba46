"""What an installed machine may be told to do for Ceph. Part of the wire contract (`agent.wire` gives it out again).

An order is one small, idempotent thing: asked again after a power cut it looks first, and does what is missing. Keys never
travel in an order: it names secrets, and the agent fetches them over mutual TLS when it carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CephAction(StrEnum):
    """``configure``: files, keyrings, limits of the kernel, packages are there. ``mon``, ``mgr``, ``mds``, ``rgw``, ``osd``:
    make the daemon (when it is not there) and start it. ``stop``: stop and disable it, data stays. ``remove``: stop it and
    remove its data (an OSD's: only with a grant for its disk). ``zap``: make a granted disk blank. ``ask``: commands to the
    monitors; the answers come back. ``check``: write, read and compare through a client of the pool's service. ``prove``:
    see that the live map keeps the `PoolLaw` of every pool. ``measure``: how fast pools are. ``locate``: the lamp
    of a disk's slot."""

    CONFIGURE = "configure"
    MON = "mon"
    MGR = "mgr"
    MDS = "mds"
    RGW = "rgw"
    OSD = "osd"
    STOP = "stop"
    REMOVE = "remove"
    ZAP = "zap"
    ASK = "ask"
    CHECK = "check"
    PROVE = "prove"
    MEASURE = "measure"
    LOCATE = "locate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """A keyring to write: ``path`` absolute, ``entity`` (``mon.``, ``client.admin``), ``secret`` the name of its key at the
    appliance, ``caps`` pairs such as ``("mon", "allow *")``. An empty ``path`` writes no file: the key is only needed while
    the order runs (``mon.``, whose key lives in the monitor's own folder)."""

    path: str
    entity: str
    secret: str
    caps: tuple[tuple[str, str], ...] = ()
    mode: int = 0o600
    owner: str = "ceph"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonCommand:
    """A command to the monitors (or the active manager) as librados takes it: ``command`` is JSON with ``prefix``,
    ``payload`` its input. ``secret`` names a key whose text replaces ``{secret}`` in the payload. ``may_fail`` holds error
    numbers that are as good as success (17 exists, 2 is gone). With ``pool`` it is no command but a look: at the RBD
    namespaces of that pool, answered with ``{"pool": …, "namespaces": […]}``; it never ends an order."""

    command: str
    payload: str = ""
    secret: str = ""
    manager: bool = False
    may_fail: tuple[int, ...] = ()
    pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RbdNamespace:
    """An RBD namespace ``name`` of ``pool``. ``entity`` and ``secret`` are those of the key that may use it and nothing
    else: for its check only (without them a check only sees that the others' keys do not open it)."""

    pool: str
    name: str
    entity: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGrant:
    """Permission to write one disk for one OSD (or to zap it). Exactly one disk of the machine must fit ``serial``, ``wwn``,
    ``model`` and ``size`` together. Its content must have ``fingerprint``, or be what this very OSD (``osd_uuid``) made of
    it: then nothing is erased, the order goes on. ``shared``: a DB device that carries other OSDs' slots of this cluster
    (``fsid``), of which only free space is used."""

    machine: str
    plan: str
    serial: str
    wwn: str
    model: str
    size: int
    fingerprint: str
    osd_uuid: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdOrder:
    """One OSD. ``number`` is the id that it must get, ``uuid`` its own (the same after a retry). Sizes are bytes, 0 means
    the whole device. ``backend`` is ``lvm`` (ceph-volume lvm) or ``raw`` (no device mapper)."""

    number: int
    uuid: str
    device_class: str
    data: DeviceGrant
    data_size: int = 0
    db: DeviceGrant | None = None
    db_size: int = 0
    wal: DeviceGrant | None = None
    wal_size: int = 0
    encrypted: bool = False
    backend: str = "lvm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A file without secrets."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """For ``rgw`` and the check of objects. ``realm`` is also the name of its zone group and zone; ``pool`` where buckets'
    data go (empty: RGW's own choice). ``user`` is made when it is not there, with ``access`` as its access key and
    the text of the appliance's secret ``secret`` as its secret key."""

    realm: str = ""
    pool: str = ""
    user: str = ""
    access: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLaw:
    """What the live map must keep for one pool: ``size`` copies or chunks on OSDs of ``device_class`` below the bucket
    ``root``, at most ``per_domain`` of them in one bucket of ``level`` (``host``, ``rack`` …), and at least ``min_size``
    left without any one of these."""

    pool: str
    size: int
    min_size: int
    level: str
    per_domain: int
    root: str
    device_class: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOrder:
    """Large objects are written into each of ``pools``, then read, for ``seconds`` each and at most; the one who does it is
    the host ``host`` of the CRUSH tree. ``objects`` of ``size`` bytes are in a pool at most, ``depth`` on their way at a
    time."""

    pools: tuple[str, ...]
    host: str
    seconds: float = 10.0
    size: int = 4 << 20
    objects: int = 1024
    depth: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskName:
    """A disk that is only looked for; nothing on it is touched."""

    serial: str
    wwn: str
    model: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    """For ``locate``: the lamp of the slot of ``disk``, ``on`` or off. Off also puts out that of ``other``, the disk that
    took its place: the old one is not there any more to be found by."""

    on: bool
    disk: DiskName
    other: DiskName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CephOrder:
    """Body of a ``ceph`` order. ``daemon`` is the id without its type (``n1``; ``3`` for osd.3), ``kind`` its type for
    ``stop`` and ``remove``; for ``configure`` the types that will run here, with spaces between (``mon osd``).
    ``monitors`` are addresses of monitors that answer already (``10.0.0.1``), empty for the very first one. ``check`` is a
    pool or file system with ``service`` (`appliance.model.ceph.Service`) for ``check``; that of objects goes to the gateway
    at ``address`` (``10.0.0.1:7480``). ``files`` and ``secrets`` are written first by every action.
    ``rules`` (of an ``ask``, after its commands) are CRUSH rules in crushtool's language (``rule NAME { id … }``), put into
    the live map when it has none of that name: no command makes a rule of several ``choose`` steps, or one that says
    how often it may draw. ``laws`` are for ``prove``, ``measure`` is for the action of that name. ``namespaces`` are made
    where they are missing (of an ``ask``, after its commands), or used with their own keys (of a ``check``)."""

    action: CephAction
    fsid: str
    daemon: str = ""
    kind: str = ""
    address: str = ""
    monitors: tuple[str, ...] = ()
    files: tuple[ConfigFile, ...] = ()
    secrets: tuple[SecretFile, ...] = ()
    commands: tuple[MonCommand, ...] = ()
    osd: OsdOrder | None = None
    zap: tuple[DeviceGrant, ...] = ()
    check: str = ""
    service: str = ""
    store: ObjectStore | None = None
    rules: tuple[str, ...] = ()
    laws: tuple[PoolLaw, ...] = ()
    measure: MeasureOrder | None = None
    lamp: Lamp | None = None
    namespaces: tuple[RbdNamespace, ...] = ()

    @property
    def grants(self) -> tuple[DeviceGrant, ...]:
        """Every permission to write a disk that it carries."""
        osd = self.osd
        mine = () if osd is None else (osd.data, osd.db, osd.wal)
        return (*(grant for grant in mine if grant is not None), *self.zap)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonAnswer:
    """Answer to one command: 0 or a positive error number, the output (JSON text mostly), and what was said about it."""

    code: int
    output: str = ""
    status: str = ""
