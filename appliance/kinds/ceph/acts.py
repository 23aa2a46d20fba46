"""What to tell which machine now, so that a step's effect comes. Long work has several parts: each is one order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from agent.cephorder import CephAction, CephOrder, MonCommand
from appliance.kinds.ceph import commands, conf, leave, serve
from appliance.kinds.ceph.done import args_of, told_keys
from appliance.kinds.ceph.keys import admin_keyring, bootstrap_keyring, monitor_key
from appliance.kinds.ceph.names import LEAVING, osd_uuid
from appliance.kinds.ceph.orders import Act, Wait, addresses, answering, ask, configuration, osd_order
from appliance.kinds.ceph.there import live, misplaced, misweighed, noted
from appliance.model.ceph import CephArgs, CephHost, CephVerb, OsdLayout
from appliance.model.cephstate import CephState, OsdState
from appliance.model.plan import Step

__all__ = ["Act", "Wait", "act"]


def act(step: Step, state: CephState | None) -> Act | Wait:
    """The next order of a step that is not `done`, or what it waits for. The same arguments always give the same."""
    args = args_of(step)
    return _ACTS[args.verb](args, state)


def _on(args: CephArgs) -> CephHost:
    if args.host is None:
        raise ValueError(f"a step {args.verb} of {args.name} names no machine")
    return args.host


def _configure(args: CephArgs, _state: CephState | None) -> Act:
    """The file, and keyrings by need: the administrator's where a monitor is, ceph-volume's where OSDs are."""
    secrets = []
    if "mon" in args.daemons:
        secrets.append(admin_keyring(args.fsid))
    if "osd" in args.daemons:
        secrets.append(bootstrap_keyring(args.fsid))
    order = CephOrder(
        action=CephAction.CONFIGURE,
        fsid=args.fsid,
        kind=" ".join(args.daemons),
        address=_on(args).address,
        files=(configuration(args),),
        secrets=tuple(secrets),
    )
    return Act(machine=_on(args).machine, order=order)


def _monitor(args: CephArgs, state: CephState | None) -> Act | Wait:
    """The first planned one begins the cluster when none was ever seen; every other joins those that answer. In stretch mode
    they let nobody in of whom they do not know where he stands, so that is said before."""
    host, others = _on(args), answering(args, state)
    first = args.monitors[0].name == host.name
    if not others and not first:
        return Wait(text=f"{host.name} joins when another monitor answers: see the step of {args.monitors[0].name}")
    if state is not None and state.stretch and args.sites and host.name not in state.monitors:
        where = _standing(args, state, host.name)
        return ask(args, state, (commands.command("mon add", name=host.name, addr=host.address, location=[where]),))
    order = CephOrder(
        action=CephAction.MON,
        fsid=args.fsid,
        daemon=host.name,
        kind="mon",
        address=host.address,
        monitors=tuple(one.address for one in others if one.name != host.name),
        secrets=(monitor_key(args.fsid), admin_keyring(args.fsid)),
    )
    return Act(machine=host.machine, order=order)


def _standing(args: CephArgs, state: CephState, name: str) -> str:
    """Where a monitor is said to stand that is not (or no longer) the one that breaks ties: where it does when the tree has
    that place, else at a site that it has. Monitors of Ceph 18 end when one of them, at a place that the tree does not
    have, is out of the quorum (tracker 63861); only for the tiebreaker they make an exception."""
    there = {bucket.name for bucket in state.buckets}
    places = [f"{level}={where}" for who, level, where in args.sites if who == name and where in there]
    places += [f"{level}={where}" for _, level, where in args.sites if where in there]
    return places[0]


def _tree(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Keys, buckets and rules, all before the first OSD starts."""
    levels = {bucket.name: bucket.level for bucket in args.buckets}
    told: list[MonCommand] = []
    for entity, caps in told_keys(args).items():
        if not noted(state, entity, caps):
            told += commands.import_key(args.fsid, entity, caps)
    for bucket, parent in misplaced(state, args.buckets):
        told += commands.bucket(bucket, parent, levels.get(parent, ""))
    there = set(state.rules) if state else set()
    rules = [
        commands.rule_text(rule.number, rule.name, rule.erasure, rule.steps)
        for rule in args.rules
        if rule.name not in there
    ]
    return ask(args, state, told, rules)


def _osd(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Made and started on its machine; then put right what it did not get there."""
    osd, host = args.osd, _on(args)
    if osd is None:
        raise ValueError(f"a step osd of {host.name} names no OSD")
    if not answering(args, state):
        return ask(args, state, ())
    found = live(state, osd_uuid(args.fsid, osd))
    if found is not None and found.up:
        return ask(args, state, _right(osd, host, found, args.old))
    order = CephOrder(
        action=CephAction.OSD,
        fsid=args.fsid,
        daemon=str(osd.number),
        kind="osd",
        address=host.address,
        monitors=addresses(args, state),
        secrets=(bootstrap_keyring(args.fsid),),
        osd=osd_order(args.fsid, osd),
    )
    return Act(machine=host.machine, order=order)


def _right(osd: OsdLayout, host: CephHost, found: OsdState, old: OsdLayout | None) -> Iterator[MonCommand]:
    """The commands that make a running OSD what was planned."""
    if found.device_class != osd.device_class:
        yield from commands.class_of(found.number, osd.device_class, found.device_class)
    if found.host != host.name or misweighed(found, osd, old):
        yield commands.place_osd(found.number, osd.weight, conf.location(host))
    if not found.in_:
        yield commands.command("osd in", ids=[str(found.number)])
        yield commands.forget(f"{LEAVING}osd.{found.number}")


def _stretch(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Where each monitor stands, how they elect, then the mode itself; or, when it is on, which monitor breaks ties from now
    on. ``sites`` has the tiebreaker last."""
    name, level, where = args.sites[-1]
    if state is not None and state.stretch:
        return ask(args, state, _another_tiebreaker(args, state, name, f"{level}={where}"))
    told = [commands.command("mon set election_strategy", strategy="connectivity")]
    told += [commands.command("mon set_location", name=n, args=[f"{level}={where}"]) for n, level, where in args.sites]
    told.append(
        commands.command(
            "mon enable_stretch_mode", tiebreaker_mon=name, new_crush_rule=args.service, dividing_bucket=level
        )
    )
    return ask(args, state, told)


def _another_tiebreaker(args: CephArgs, state: CephState, name: str, where: str) -> Iterator[MonCommand]:
    """Its place is its own from now on; the one before is given one of the tree's, see `_standing`."""
    yield commands.command("mon set_location", name=name, args=[where])
    if state.tiebreaker in state.monitors:
        old = state.tiebreaker
        yield commands.command("mon set_location", name=old, args=[_standing(args, state, old)])
    yield commands.command("mon set_new_tiebreaker", name=name)


_ACTS: Mapping[CephVerb, Callable[[CephArgs, CephState | None], Act | Wait]] = {
    CephVerb.CONFIGURE: _configure,
    CephVerb.MON: _monitor,
    CephVerb.MGR: serve.daemon,
    CephVerb.MDS: serve.daemon,
    CephVerb.RGW: serve.daemon,
    CephVerb.TREE: _tree,
    CephVerb.OSD: _osd,
    CephVerb.STRETCH: _stretch,
    CephVerb.POOL: serve.pool,
    CephVerb.NAMESPACES: serve.namespaces,
    CephVerb.FILESYSTEM: serve.filesystem,
    CephVerb.SETTLE: serve.settle,
    CephVerb.VERIFY: serve.verify,
    CephVerb.PROVE: serve.prove,
    CephVerb.OUT: leave.out,
    CephVerb.DESTROY: leave.free,
    CephVerb.PURGE: leave.free,
    CephVerb.ZAP: leave.zap,
    CephVerb.LEAVE: leave.leave,
    CephVerb.LOCATE: leave.locate,
}
