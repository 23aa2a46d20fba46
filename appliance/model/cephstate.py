"""What Ceph itself says that it is, parsed from its monitors' answers. Sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdState:
    """One OSD of the map. ``uuid`` is its own; ``host`` its bucket in the tree or empty; ``destroyed``: its id waits for a
    new disk; ``pgs`` how many placement groups it serves (None: not known), and ``safe`` of one that is out: whether Ceph
    says that nothing would have fewer copies without it (``osd safe-to-destroy``; None: not known). ``filling`` is what the
    monitors say about its room: empty, ``nearfull``, ``backfillfull`` or ``full``. ``down_since`` is when it was last found
    down (seconds since the epoch, by the monitors' clocks; 0: never, or not known)."""

    number: int
    uuid: str
    host: str
    device_class: str
    up: bool
    in_: bool
    weight: float
    reweight: float = 1.0
    destroyed: bool = False
    used: int = 0
    size: int = 0
    pgs: int | None = None
    safe: bool | None = None
    filling: str = ""
    down_since: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """``namespaces`` are those of RBD (None: nobody was asked, or no answer came)."""

    number: int
    name: str
    size: int
    min_size: int
    rule: str
    pg_num: int
    applications: tuple[str, ...] = ()
    erasure: str = ""
    stored: int = 0
    autoscale: str = ""
    share: float = 0.0
    namespaces: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketState:
    """A bucket of the live CRUSH tree, with its parent's name (empty for a root, or one that hangs nowhere)."""

    name: str
    level: str
    parent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemState:
    name: str
    metadata: str
    data: tuple[str, ...]
    active: tuple[str, ...] = ()
    standby: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CephState:
    """``monitors`` are all of the map, ``quorum`` those in it. ``health`` is ``HEALTH_OK``, ``_WARN`` or ``_ERR``;
    ``checks`` pairs of code and summary. ``pgs`` counts by state name. ``at`` is when it was asked (seconds since the
    epoch). ``metadata_servers`` are all of them, active or standby. ``notes`` are what rackseed left in the monitors'
    store about things that Ceph does not show without showing secrets (``keys/mds.n1`` and a digest of its caps).
    ``tiebreaker`` is the monitor that breaks ties in stretch mode, ``halved``: a site is lost or not whole again, and Ceph
    itself asks for half of every pool's ``min_size`` meanwhile. ``recovering`` is objects per second. ``nearfull``,
    ``backfillfull`` and ``full`` are the parts of an OSD at which Ceph warns, moves nothing there any more, and stops
    writes. ``ghosts`` are OSDs of the tree that the map does not have, with the host below which they hang."""

    fsid: str
    release: str = ""
    monitors: tuple[str, ...] = ()
    quorum: tuple[str, ...] = ()
    managers: tuple[str, ...] = ()
    osds: tuple[OsdState, ...] = ()
    buckets: tuple[BucketState, ...] = ()
    rules: tuple[str, ...] = ()
    pools: tuple[PoolState, ...] = ()
    filesystems: tuple[FilesystemState, ...] = ()
    gateways: tuple[str, ...] = ()
    metadata_servers: tuple[str, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    stretch: bool = False
    tiebreaker: str = ""
    halved: bool = False
    health: str = ""
    checks: tuple[tuple[str, str], ...] = ()
    pgs: tuple[tuple[str, int], ...] = ()
    degraded: int = 0
    misplaced: int = 0
    recovering: float = 0.0
    nearfull: float = 0.85
    backfillfull: float = 0.90
    full: float = 0.95
    ghosts: tuple[tuple[int, str], ...] = ()
    at: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether every placement group is active and clean (also when there is none)."""
        return all(set(state.split("+")) >= {"active", "clean"} for state, count in self.pgs if count)
