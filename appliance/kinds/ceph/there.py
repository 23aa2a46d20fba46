"""What is there already, by what Ceph says. Steps, their end, and what to tell machines all look through here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

from agent.wire import WireError, decode
from appliance.kinds.ceph.keys import Caps, digest, tenants
from appliance.kinds.ceph.names import LEAVING, MANAGER_POOL, filesystems, osd_uuid, profile
from appliance.kinds.ceph.room import FULL_CHECKS, crowded, told
from appliance.model.ceph import Bucket, CephLayout, OsdLayout, PoolLayout
from appliance.model.cephstate import CephState, OsdState, PoolState

ALIKE = 0.1
"""Of a size: what two disks may differ by and be called alike."""
NAMESPACES = "namespaces/"
"""Notes about pools whose RBD namespaces are ours: these pools are looked at."""
LATE = 20.0
"""Seconds. The summary of PGs is older than the map: OSDs tell a manager every five seconds (``mgr_stats_period``), and it
tells the monitors every five (``mon_mgr_digest_period``). Twice that, for clocks that are not quite the same."""
SHARE = 0.001
"""Shares are told apart no finer: the plan rounds them to four places."""

SETTLED: Mapping[str, str] = {
    "AUTH_INSECURE_GLOBAL_ID_RECLAIM": "a client older than 2021 is connected; no daemon of ours is",
    "MON_DISK_LOW": "space of the system disk, which forming changes nothing about",
    "OSDMAP_FLAGS": "somebody set a flag (noout, noscrub) on purpose",
    "OSD_NO_DOWN_OUT_INTERVAL": "somebody set it on purpose",
    "PG_NOT_DEEP_SCRUBBED": "scrubs come with time",
    "PG_NOT_SCRUBBED": "scrubs come with time",
    "POOL_APP_NOT_ENABLED": "a pool that is not of the plan",
    "POOL_NO_REDUNDANCY": "a pool that is not of the plan: ours have at least two copies",
    "RECENT_CRASH": "something crashed in the last two weeks: shown, and over",
    "RECENT_MGR_MODULE_CRASH": "something crashed in the last two weeks: shown, and over",
    "MON_CLOCK_SKEW": "shown by doctor; monitors that agree in spite of it keep their quorum",
}
"""Health checks that a cluster may have when it has settled, with the reason. With any other it has not."""


def live(state: CephState | None, uuid: str) -> OsdState | None:
    """The OSD with this uuid; one that was destroyed is none."""
    if state is None:
        return None
    return next((osd for osd in state.osds if osd.uuid == uuid and not osd.destroyed), None)


def serving(fsid: str, osds: Iterable[OsdLayout], state: CephState | None) -> set[int]:
    """Numbers of those of ``osds`` that run and are in: what they hold has to move before they may go."""
    found = (live(state, osd_uuid(fsid, osd)) for osd in osds)
    return {osd.number for osd in found if osd is not None and osd.up and osd.in_}


def noted_leaving(state: CephState | None) -> tuple[OsdLayout, ...]:
    """OSDs that began to leave, by the notes that were left then: a later plan goes on, whatever its parent was. One that
    can't be read is none."""
    found = []
    for name, text in state.notes if state else ():
        if name.startswith(LEAVING):
            with contextlib.suppress(WireError):
                found.append(decode(OsdLayout, text))
    return tuple(found)


def numbered(state: CephState | None, number: int) -> OsdState | None:
    """Whatever has this number in the map."""
    return next((osd for osd in state.osds if osd.number == number), None) if state else None


def osd_made(state: CephState | None, fsid: str, osd: OsdLayout, host: str) -> bool:
    """Whether it was made, has started once (that is when it hangs itself into the tree), and is what was planned. One
    that is down now is made: starting it is not a plan's business."""
    found = live(state, osd_uuid(fsid, osd))
    return found is not None and osd_fits(found, osd, host)


def osd_fits(found: OsdState, osd: OsdLayout, host: str) -> bool:
    return found.host == host and found.device_class == osd.device_class


def osd_runs(state: CephState | None, fsid: str, osd: OsdLayout, host: str) -> bool:
    found = live(state, osd_uuid(fsid, osd))
    return osd_made(state, fsid, osd, host) and found is not None and found.up and found.in_


def misweighed(found: OsdState, osd: OsdLayout, old: OsdLayout | None) -> bool:
    """Whether an OSD that took the number of one on a disk of another size still has that one's weight: at its start Ceph
    keeps what is in the tree (``create-or-move``). An OSD counts its DB device, so a tenth is no difference."""
    if old is None or abs(old.data_size - osd.data_size) <= ALIKE * osd.data_size:
        return False
    return abs(found.weight - osd.weight) > ALIKE * osd.weight


def drained(osd: OsdState) -> bool:
    """Out, and nothing needs it any more, as Ceph says. Of one that is down it says so only when everything is clean
    without it."""
    return not osd.in_ and osd.pgs == 0 and osd.safe is True


def just_down(osd: OsdState, state: CephState) -> bool:
    """Whether it is down since so short a time that what is said about PGs may be from before."""
    return not osd.up and osd.down_since > 0 and abs(state.at - osd.down_since) < LATE


def all_active(state: CephState) -> bool:
    """Whether clients can use everything: no placement group is down, incomplete, stale or waiting for copies."""
    bad = {"down", "incomplete", "stale", "unknown", "peering", "inconsistent"}
    words = [set(name.split("+")) for name, count in state.pgs if count]
    return all("active" in found and not found & bad for found in words)


def pool_of(state: CephState | None, name: str) -> PoolState | None:
    return next((pool for pool in state.pools if pool.name == name), None) if state else None


def pool_made(state: CephState | None, pool: PoolLayout) -> bool:
    """All values as planned; more PGs than planned are the autoscaler's business."""
    found = pool_of(state, pool.name)
    return (
        found is not None
        and found.size == pool.size
        and found.min_size in (pool.min_size, pool.min_size // 2 if state and state.halved else pool.min_size)
        and found.rule == pool.rule
        and found.pg_num >= pool.pg_num
        and pool.application in found.applications
        and found.autoscale == "on"
        and same_share(pool, found)
        and found.erasure == (profile(pool) if pool.erasure else "")
    )


def namespaces_made(state: CephState | None, cluster: str, pool: PoolLayout, data: str) -> bool:
    """Whether each is there, with its key. While nobody can look (no manager, PGs that can't be used), the keys that were
    made known count: they come with the namespaces."""
    found = pool_of(state, pool.name)
    if found is None or not all(noted(state, who, caps) for who, caps in tenants(cluster, pool, data).items()):
        return not pool.namespaces
    return found.namespaces is None or set(pool.namespaces) <= set(found.namespaces)


def same_share(pool: PoolLayout, found: PoolState) -> bool:
    return abs(found.share - pool.share) <= SHARE


def tree_made(state: CephState | None, buckets: Iterable[Bucket], rules: Iterable[str]) -> bool:
    """Every bucket hangs where it should, and every rule is there."""
    return not misplaced(state, buckets) and state is not None and set(rules) <= set(state.rules)


def misplaced(state: CephState | None, buckets: Iterable[Bucket]) -> tuple[tuple[Bucket, str], ...]:
    """Buckets that are missing or hang elsewhere, with the name of the right parent; parents before their children."""
    planned = tuple(buckets)
    parents = parents_of(planned)
    found = {one.name: (one.level, one.parent) for one in (state.buckets if state else ())}
    return tuple(
        (one, parents.get(one.name, ""))
        for one in planned
        if found.get(one.name) != (one.level, parents.get(one.name, ""))
    )


def parents_of(buckets: Iterable[Bucket]) -> dict[str, str]:
    return {item: one.name for one in buckets for item in one.items}


def noted(state: CephState | None, entity: str, caps: Caps) -> bool:
    """Whether the monitors know the key of ``entity`` with these caps."""
    return state is not None and dict(state.notes).get(f"keys/{entity}") == digest(caps)


def known(state: CephState | None, entity: str) -> bool:
    """Whether the monitors know a key of ``entity`` that we made, with whatever caps."""
    return state is not None and f"keys/{entity}" in dict(state.notes)


def manager_known(state: CephState | None) -> bool:
    """Whether a manager answered what only it knows (how full OSDs are, which gateways run)."""
    return state is not None and any(osd.pgs is not None for osd in state.osds)


def filesystem_made(state: CephState | None, name: str, pools: Iterable[PoolLayout], standby: int = 0) -> bool:
    """With the planned pools. ``standby`` is only looked at by `settled`."""
    metadata, data, coded = filesystems(pools)[name]
    found = next((one for one in state.filesystems if one.name == name), None) if state else None
    return (
        found is not None
        and found.metadata == metadata
        and {data, coded} - {""} <= set(found.data)
        and found.standby >= standby
    )


def manager_rule(layout_rules: Iterable[str], pools: Iterable[PoolLayout]) -> str:
    """The rule that the manager's own pool should have: of a replicated pool, the largest first. With Ceph's rule, which
    takes no device class, it overlaps all others, and the autoscaler would leave every pool alone."""
    names = set(layout_rules)
    fit = [pool for pool in pools if pool.erasure is None and pool.rule in names]
    return max(fit, key=lambda pool: (pool.root == "default", pool.pg_num, pool.name)).rule if fit else ""


def manager_pool_right(state: CephState | None, rule: str) -> bool:
    found = pool_of(state, MANAGER_POOL)
    return found is None or not rule or found.rule == rule


def settled(state: CephState | None) -> bool:
    """Everything clean, every file system active, and no health check but those that may be."""
    return state is not None and not unsettled(state)


def unsettled(state: CephState) -> str:
    """What it still waits for, in words; empty when nothing."""
    dirty = [(name, count) for name, count in state.pgs if count and not _clean(name)]
    full = crowded(state, "")
    why = f"; {told(full)}: add disks, or delete data" if full else ""
    if dirty:
        return ", ".join(f"{count} PGs are {name}" for name, count in dirty) + why
    idle = [one.name for one in state.filesystems if not one.active]
    if idle:
        return f"no metadata server is active for {', '.join(idle)}"
    bad = [(code, text) for code, text in state.checks if code not in SETTLED]
    said = "; ".join(f"{code}: {text}" for code, text in bad)
    return said + (why if any(code in FULL_CHECKS for code, _ in bad) else "")


def _clean(name: str) -> bool:
    """Of a placement group's state; one that is stale says what was, not what is."""
    words = set(name.split("+"))
    return {"active", "clean"} <= words and not words & {"stale", "laggy", "wait", "inconsistent"}


def runs(state: CephState | None, kind: str, name: str) -> bool:
    """Whether the monitors see this daemon (a monitor: in the quorum)."""
    if state is None:
        return False
    seen = {
        "mon": state.quorum,
        "mgr": state.managers,
        "mds": state.metadata_servers,
        "rgw": state.gateways,
    }
    return name in seen[kind]


def stretched(layout: CephLayout, state: CephState | None, tiebreaker: str) -> bool:
    """Whether stretch mode is on, with this tiebreaker (where Ceph says which it has); or not wanted."""
    return not layout.stretch or (state is not None and state.stretch and state.tiebreaker in ("", tiebreaker))
