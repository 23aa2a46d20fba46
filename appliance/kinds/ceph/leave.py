"""What to tell machines when something leaves. Nothing is stopped that data still needs."""

from __future__ import annotations

from collections.abc import Iterator

from agent.cephorder import CephAction, CephOrder, DiskName, Lamp, MonCommand
from appliance.kinds.ceph import commands
from appliance.kinds.ceph.capacity import drain_seconds
from appliance.kinds.ceph.keys import of_daemon
from appliance.kinds.ceph.names import osd_uuid
from appliance.kinds.ceph.orders import Act, Wait, addresses, answering, ask, folder_grants, slot_grants
from appliance.kinds.ceph.room import PAUSED, blocked, crowded, no_room, pause_note, still_paused, told, usage_known
from appliance.kinds.ceph.there import all_active, drained, just_down, live, numbered, runs
from appliance.model.ceph import CephArgs, CephVerb, OsdLayout
from appliance.model.cephstate import CephState, OsdState


def out(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Drain: mark it out (when what it holds fits elsewhere), then wait until it is empty. When others became too full to
    take more, it is taken in again: nothing moves there any more, and every further copy only makes it worse."""
    found = _found(args, state)
    if state is None or found is None:
        return ask(args, state, ())
    name = f"osd.{found.number}"
    if found.in_:
        why = _held(state, found, _together(args, found))
        if why:
            return Wait(text=f"{name} is not drained: {why}", room=usage_known(state))
        return ask(args, state, (*_note(args, found), *_out(state, found)))
    if found.pgs is None or (found.pgs == 0 and found.safe is None):
        return Wait(text=f"whether {name} is empty is not known: wait until a manager answers")
    if just_down(found, state):
        return Wait(text=f"{name} just went down: what it holds is known in a few seconds")
    if not found.up:
        text = (
            f"{name} is down, not empty: PGs are not clean without it. Its drain goes on when {found.host} runs again"
        )
        return Wait(text=f"{text}; if it never will, when the others have made the copies")
    full = crowded(state, found.device_class)
    if blocked(state, found.device_class):
        return ask(args, state, _take_back(state, found, _together(args, found)))
    minutes = round(drain_seconds(state, (found,), args.rate) / 60)
    when = f"in about {minutes} min" if minutes else "within a minute"
    more = f"; {told(full)}: nothing else is drained before there is room" if full else ""
    held = f"still holds {found.pgs} PGs" if found.pgs else "serves nothing any more, and what it holds is being copied"
    return Wait(text=f"{name} {held}; empty {when}{more}")


def _together(args: CephArgs, found: OsdState) -> frozenset[int]:
    """Everything that is drained at the same time: none of it takes what the others hold."""
    return frozenset({found.number, *(int(number) for number in args.daemons)})


def _held(state: CephState, found: OsdState, leave: frozenset[int]) -> str:
    """Why its drain does not begin, or does not go on after it was taken back."""
    if not usage_known(state):
        return "how full the OSDs are is not known: wait until a manager answers"
    return still_paused(state, found, leave) or no_room(state, found.device_class, leave)


def _out(state: CephState, found: OsdState) -> Iterator[MonCommand]:
    yield commands.command("osd out", ids=[str(found.number)])
    yield from _resumed(state, found)


def _resumed(state: CephState, found: OsdState) -> Iterator[MonCommand]:
    """What was noted when its drain was taken back holds no longer."""
    note = f"{PAUSED}osd.{found.number}"
    if note in dict(state.notes):
        yield commands.forget(note)


def _take_back(state: CephState, found: OsdState, leave: frozenset[int]) -> Iterator[MonCommand]:
    yield commands.note(f"{PAUSED}osd.{found.number}", pause_note(state, found, leave))
    yield commands.command("osd in", ids=[str(found.number)])


def free(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Destroy or purge. One that runs must be drained, and is stopped first; one that is down must not be missed by any
    placement group: all of them serve clients without it."""
    if args.old is None and state is not None and int(args.daemon) in dict(state.ghosts):
        return ask(args, state, _exorcise(int(args.daemon)))
    found = _found(args, state)
    if state is None or found is None:
        return ask(args, state, ())
    name = f"osd.{found.number}"
    if found.destroyed:
        return ask(args, state, (_purge(found, force=not drained(found)),))
    if found.up and not drained(found):
        return Wait(text=f"{name} runs and still holds data: it is drained first")
    if just_down(found, state) and not drained(found):
        return Wait(text=f"{name} just went down: whether PGs need it is known in a few seconds")
    empty = drained(found)
    if not empty and not all_active(state):
        return Wait(text=f"{name} is down and some PGs can't be used without it: bring it back, or what else is down")
    if found.up:
        return _stop(args, state, found)
    gone = _purge(found, "destroy" if args.verb is CephVerb.DESTROY else "purge", force=not empty)
    return ask(args, state, (*_note(args, found), gone, *_resumed(state, found)))


def _purge(found: OsdState, word: str = "purge", *, force: bool = False) -> MonCommand:
    """By the manager, which refuses what data still needs; of one that is down it can't tell, so we looked before."""
    return commands.command(f"osd {word}", manager=True, id=found.number, force=force, yes_i_really_mean_it=True)


def _exorcise(number: int) -> Iterator[MonCommand]:
    """What the tree and the keys still have of an OSD that is in the map no more."""
    yield commands.command("osd crush rm", name=f"osd.{number}", may_fail=(commands.GONE,))
    yield commands.command("auth rm", entity=f"osd.{number}", may_fail=(commands.GONE,))


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
    """By its uuid; one that no plan had by its number, too, for destroyed ones have the same."""
    if args.old is not None:
        return live(state, osd_uuid(args.fsid, args.old))
    found = numbered(state, int(args.daemon)) if args.daemon.isdigit() else None
    return found if found is not None and found.uuid == args.service else None


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
