"""Whether a step's effect is there, by what Ceph says alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from appliance.kinds.ceph.keys import BOOTSTRAP, BOOTSTRAP_ENTITY, Caps, block_caps, file_caps, of_daemon
from appliance.kinds.ceph.names import osd_uuid, user
from appliance.kinds.ceph.there import (
    drained,
    just_down,
    known,
    live,
    manager_pool_right,
    misweighed,
    namespaces_made,
    noted,
    numbered,
    osd_runs,
    pool_made,
    pool_of,
    runs,
    settled,
    tree_made,
)
from appliance.model.ceph import CephArgs, CephVerb
from appliance.model.cephstate import CephState
from appliance.model.plan import Step

BY_ORDER = frozenset({CephVerb.CONFIGURE, CephVerb.VERIFY, CephVerb.PROVE, CephVerb.ZAP, CephVerb.LOCATE})


class NotCephError(ValueError):
    """A step of another kind was given."""


def args_of(step: Step) -> CephArgs:
    """What the step says. Raises `NotCephError`."""
    if step.ceph is None:
        raise NotCephError(f"{step.key} is no step of Ceph")
    return step.ceph


def by_order(step: Step) -> bool:
    """Whether nothing of the step can be seen in what Ceph says: it is done when its order has ended well."""
    args = args_of(step)
    return args.verb in BY_ORDER or (args.verb is CephVerb.LEAVE and bool(args.daemons))


def done(step: Step, state: CephState | None) -> bool:
    """Whether the effect of the step is there. Always false for steps that are done `by_order`."""
    args = args_of(step)
    check = _CHECKS.get(args.verb)
    if state is None or check is None or by_order(step):
        return False
    return check(args, state)


def told_keys(args: CephArgs) -> dict[str, Caps]:
    """The keys that the tree's step makes known."""
    found: dict[str, Caps] = {BOOTSTRAP_ENTITY: BOOTSTRAP}
    for word in args.keys:
        kind, name, *data = word.split(":")
        found[user(args.name, name)] = block_caps(name, *data) if kind == "block" else file_caps(name)
    return found


def _daemon(args: CephArgs, state: CephState) -> bool:
    return runs(state, args.service, args.daemon)


def _tree(args: CephArgs, state: CephState) -> bool:
    keys = all(noted(state, entity, caps) for entity, caps in told_keys(args).items())
    return keys and tree_made(state, args.buckets, (rule.name for rule in args.rules))


def _osd(args: CephArgs, state: CephState) -> bool:
    if args.osd is None or args.host is None or not osd_runs(state, args.fsid, args.osd, args.host.name):
        return False
    found = live(state, osd_uuid(args.fsid, args.osd))
    return found is not None and not misweighed(found, args.osd, args.old)


def _stretch(args: CephArgs, state: CephState) -> bool:
    return state.stretch and state.tiebreaker in ("", args.sites[-1][0])


def _pool(args: CephArgs, state: CephState) -> bool:
    return args.pool is not None and pool_made(state, args.pool)


def _namespaces(args: CephArgs, state: CephState) -> bool:
    """Seen, not believed: also where a look was not possible before."""
    found = pool_of(state, args.pool.name) if args.pool else None
    seen = found is not None and found.namespaces is not None
    return seen and args.pool is not None and namespaces_made(state, args.name, args.pool, args.service)


def _filesystem(args: CephArgs, state: CephState) -> bool:
    metadata, data, coded = args.keys
    found = next((one for one in state.filesystems if one.name == args.service), None)
    return found is not None and found.metadata == metadata and {data, coded} - {""} <= set(found.data)


def _settle(args: CephArgs, state: CephState) -> bool:
    return manager_pool_right(state, args.service) and settled(state)


def _out(args: CephArgs, state: CephState) -> bool:
    """Empty; or no longer there. One that is down has no PGs either, whatever lies on it."""
    found = live(state, osd_uuid(args.fsid, args.old)) if args.old else None
    return found is None or (drained(found) and not just_down(found, state))


def _freed(args: CephArgs, state: CephState) -> bool:
    """Destroyed (its number waits for a new disk) or purged. Of one that no plan had, ``service`` is its uuid, or nothing
    when only the tree still has it."""
    if args.old is None:
        number = int(args.daemon)
        found = numbered(state, number)
        return (found is None or found.uuid != args.service) and number not in dict(state.ghosts)
    return live(state, osd_uuid(args.fsid, args.old)) is None


def _leave(args: CephArgs, state: CephState) -> bool:
    if args.service == "bucket":
        return all(bucket.name != args.daemon for bucket in state.buckets)
    if args.service == "mon":
        return args.daemon not in state.monitors
    entity, _ = of_daemon(args.service, args.daemon)
    return not runs(state, args.service, args.daemon) and not known(state, entity)


_CHECKS: Mapping[CephVerb, Callable[[CephArgs, CephState], bool]] = {
    CephVerb.MON: _daemon,
    CephVerb.MGR: _daemon,
    CephVerb.MDS: _daemon,
    CephVerb.RGW: _daemon,
    CephVerb.TREE: _tree,
    CephVerb.OSD: _osd,
    CephVerb.STRETCH: _stretch,
    CephVerb.POOL: _pool,
    CephVerb.NAMESPACES: _namespaces,
    CephVerb.FILESYSTEM: _filesystem,
    CephVerb.SETTLE: _settle,
    CephVerb.OUT: _out,
    CephVerb.DESTROY: _freed,
    CephVerb.PURGE: _freed,
    CephVerb.LEAVE: _leave,
}
