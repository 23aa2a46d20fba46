"""What to tell machines when something leaves. Nothing is stopped that data still needs."""

from __future__ import annotations

from agent.cephorder import CephAction, CephOrder, DiskName, Lamp, MonCommand
from appliance.kinds.ceph import commands
from appliance.kinds.ceph.capacity import drain_seconds, no_space
from appliance.kinds.ceph.keys import of_daemon
from appliance.kinds.ceph.names import osd_uuid
from appliance.kinds.ceph.orders import Act, Wait, addresses, answering, ask, folder_grants, slot_grants
from appliance.kinds.ceph.there import all_active, drained, live, missed, runs
from appliance.model.ceph import CephArgs, CephVerb, OsdLayout
from appliance.model.cephstate import CephState, OsdState


def out(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Drain: mark it out (when what it holds fits elsewhere), then wait until it is empty."""
    found = _found(args, state)
    if state is None or found is None:
        return ask(args, state, ())
    name = f"osd.{found.number}"
    if found.in_:
        why = no_space(state, found.device_class, {found.number})
        if why:
            return Wait(text=f"{name} is not drained: {why}")
        return ask(args, state, (*_note(args, found), commands.command("osd out", ids=[str(found.number)])))
    if found.pgs is None:
        return Wait(text=f"whether {name} is empty is not known: wait until a manager answers")
    if missed(found, state):
        text = (
            f"{name} is down, not empty: PGs are not clean without it. Its drain goes on when {found.host} runs again"
        )
        return Wait(text=f"{text}; if it never will, when the others have made the copies")
    minutes = round(drain_seconds(state, (found,)) / 60)
    when = f"in about {minutes} min" if minutes else "within a minute"
    return Wait(text=f"{name} still holds {found.pgs} PGs; empty {when}")


def free(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Destroy or purge. One that runs must be drained, and is stopped first; one that is down must not be missed by any
    placement group: all of them serve clients without it."""
    found = _found(args, state)
    if state is None or found is None:
        return ask(args, state, ())
    name = f"osd.{found.number}"
    if found.up and not drained(found):
        return Wait(text=f"{name} runs and still holds data: it is drained first")
    if not drained(found) and not all_active(state):
        return Wait(text=f"{name} is down and some PGs can't be used without it: bring it back, or what else is down")
    if drained(found) and missed(found, state):
        return Wait(text=f"{name} is stopped and PGs are not clean: it is removed when they are")
    if found.up:
        return _stop(args, state, found)
    word = "destroy" if args.verb is CephVerb.DESTROY else "purge"
    told = commands.command(
        f"osd {word}", manager=True, id=found.number, force=not drained(found), yes_i_really_mean_it=True
    )
    return ask(args, state, (*_note(args, found), told))


def _note(args: CephArgs, found: OsdState) -> tuple[MonCommand, ...]:
    return (commands.note_leaving(args.old, found.number),) if args.old else ()


def _stop(args: CephArgs, state: CephState, found: OsdState) -> Act | Wait:
    if args.host is None:
        return Wait(text=f"osd.{found.number} runs on a machine that can't be told anything: stop it there")
    order = CephOrder(
        action=CephAction.STOP,
        fsid=args.fsid,
        daemon=str(found.number),
        kind="osd",
        address=args.host.address,
        monitors=addresses(args, state),
    )
    return Act(machine=args.host.machine, order=order)


def _found(args: CephArgs, state: CephState | None) -> OsdState | None:
    return live(state, osd_uuid(args.fsid, args.old)) if args.old else None


def zap(args: CephArgs, _state: CephState | None) -> Act | Wait:
    """Free the slots that a destroyed OSD had on devices of others. Its data disk is left as it is: whoever wants to use
    it again grants its erasure by serial."""
    if args.host is None or args.old is None:
        raise ValueError(f"a step zap of {args.name} names no OSD and no machine")
    order = CephOrder(
        action=CephAction.ZAP, fsid=args.fsid, daemon=args.daemon, kind="osd", zap=slot_grants(args.fsid, args.old)
    )
    return Act(machine=args.host.machine, order=order)


def locate(args: CephArgs, _state: CephState | None) -> Act | Wait:
    """The lamp of a slot: on for the disk that shall be found, off when another one has taken its place."""
    if args.host is None or args.old is None:
        raise ValueError(f"a step locate of {args.name} names no disk and no machine")
    lamp = Lamp(on=args.osd is None, disk=_named(args.old), other=_named(args.osd) if args.osd else None)
    return Act(
        machine=args.host.machine,
        order=CephOrder(action=CephAction.LOCATE, fsid=args.fsid, daemon=args.daemon, lamp=lamp),
    )


def _named(osd: OsdLayout) -> DiskName:
    return DiskName(serial=osd.data.serial, wwn=osd.data.wwn, model=osd.data.model, size=osd.data.size)


def leave(args: CephArgs, state: CephState | None) -> Act | Wait:
    """A daemon is removed from its machine, then from what the monitors know; an empty bucket from the tree. A monitor
    leaves the map first, so that the others never miss it; ``daemons`` are what its machine removes afterwards."""
    if args.service == "bucket":
        return ask(args, state, (commands.command("osd crush rm", name=args.daemon, may_fail=(commands.GONE,)),))
    if args.host is None:
        raise ValueError(f"a step leave of {args.name} names no machine")
    kind = args.service or next(iter(args.daemons), "")
    if args.service == "mon":
        if not _quorum_holds(args, state):
            return Wait(text=f"without {args.daemon} the monitors would have no quorum: bring the others back first")
        return ask(args, state, (commands.command("mon remove", name=args.daemon, may_fail=(commands.GONE,)),))
    if args.daemons or runs(state, kind, args.daemon):
        order = CephOrder(
            action=CephAction.REMOVE,
            fsid=args.fsid,
            daemon=args.daemon,
            kind=kind,
            address=args.host.address,
            monitors=addresses(args, state),
            zap=folder_grants(args.fsid, args.old) if args.old else (),
        )
        return Act(machine=args.host.machine, order=order)
    return ask(args, state, commands.remove_key(of_daemon(kind, args.daemon)[0]))


def _quorum_holds(args: CephArgs, state: CephState | None) -> bool:
    """Whether those that stay and answer are more than half of all that are in the map."""
    staying = [host for host in answering(args, state) if host.name != args.daemon]
    return state is not None and 2 * len(staying) > len(state.monitors)
