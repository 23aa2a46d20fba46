"""Who takes part in the backbone, and what has to be plugged when that changes. Whoever is in it stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from appliance.model.network import BackboneLayout, CableLayout, Shape
from appliance.plan.network.cabling import Directory, Member, some
from appliance.plan.network.shape import WORDS, Pair, chain, cycle, wanted_pairs

SMALLEST = {Shape.SWITCH: 1, Shape.FABRIC: 1, Shape.MESH: 2, Shape.RING: 3}
"""So many machines make a backbone of this shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """``order`` are machine ids; in a ring it is the order of the ring. ``refused`` are members without enough ports:
    pairs of a name and what to do."""

    order: tuple[str, ...]
    refused: tuple[tuple[str, str], ...] = ()


def admit(shape: Shape, members: Mapping[str, Member], alive: Sequence[str]) -> Membership:
    """``members`` are machines with ports for the backbone in the order of their numbers, ``alive`` those who take part
    already. A full mesh of n needs n-1 ports on each machine, a ring two. A first mesh is all or nothing; one that
    stands takes as many as it can."""
    old = set(alive)
    new = [who for who in members if who not in old]
    if shape is not Shape.MESH:
        least = 2 if shape is Shape.RING else 1
        short = [who for who in new if len(members[who].ports) < least]
        texts = tuple((members[who].name, _too_few(members[who], shape, least)) for who in short)
        return Membership(order=(*alive, *(who for who in new if len(members[who].ports) >= least)), refused=texts)
    order = list(alive)
    least = min((len(members[who].ports) for who in alive if who in members), default=len(members))
    outside = []
    for who in new:
        own = len(members[who].ports)
        if min(least, own) >= len(order):
            order.append(who)
            least = min(least, own)
        else:
            outside.append(who)
    if not outside:
        return Membership(order=tuple(order))
    size = len(order) + 1 if alive else len(new)
    short = [who for who in (*alive, *new) if who in members and len(members[who].ports) < size - 1]
    ports = some([f"{members[who].name} has {len(members[who].ports)}" for who in short])
    text = (
        f"a full mesh of {size} needs {size - 1} ports for the backbone on each machine, and {ports}; "
        "add ports, or set backbone.shape to ring or switch"
    )
    refused = tuple((members[who].name, text) for who in (outside if alive else outside[:1]))
    return Membership(order=tuple(order) if alive else (), refused=refused)


def _too_few(member: Member, shape: Shape, least: int) -> str:
    return (
        f"a {WORDS[shape]} needs {least} ports for the backbone on each machine, and {member.name} has "
        f"{len(member.ports)}; add a port, or let a NIC role of profile {member.candidate.profile.name} choose more"
    )


def ring(
    order: Sequence[str], standing: Sequence[str], declared: Collection[Pair], heard: Collection[Pair]
) -> list[str]:
    """The order of a ring: as the site file's cables go, as it stands, as the cables go that were heard (all of them, or
    those of a first ring that has gaps); newcomers close it."""
    stated = cycle(order, declared)
    if stated:
        return stated
    if standing and set(order) == set(standing):
        return list(standing)
    found = cycle(order, heard)
    return found or (list(order) if standing else chain(order, heard))


def what_to_plug(
    directory: Directory,
    standing: BackboneLayout,
    order: Sequence[str],
    cables: Sequence[CableLayout],
    lay: Sequence[Pair],
) -> tuple[str, str] | None:
    """The machine's name that it is about, and which cable moves and which are new, when machines joined or left.
    ``lay`` are pairs that have to be cabled and of which no cable is known, ``cables`` those that are not needed now."""
    before, now = set(standing.members), set(order)
    joined = [who for who in order if who not in before]
    gone = [who for who in standing.members if who not in now]
    if not lay or not (joined or gone):
        return None
    new = [sorted(pair, key=directory.rank) for pair in lay]
    shape, parts = WORDS[standing.shape], []
    for cable in cables:
        # One plug of a cable that opens goes to a newcomer; the other one stays where it is.
        kept, target = next(
            (
                (end, other)
                for end in (cable.a, cable.b)
                for pair in new
                for other in pair
                if end in pair and other != end
            ),
            ("", ""),
        )
        if not kept:
            continue
        new.remove(sorted((kept, target), key=directory.rank))
        near, far = (cable.a, cable.a_mac), (cable.b, cable.b_mac)
        if kept != cable.a:
            near, far = far, near
        parts.append(
            f"move the cable {directory.label(near)} - {directory.label(far)} from {directory.label(far)} "
            f"to {directory.name(target)}"
        )
    if new:
        pairs = [f"{directory.name(a)} to {directory.name(b)}" for a, b in new]
        parts.append(f"lay {'a new cable' if len(new) == 1 else 'new cables'} from {some(pairs)}")
    what = ", and ".join(parts)
    if joined:
        names = some([directory.name(who) for who in joined])
        return directory.name(joined[0]), f"{names} {'joins' if len(joined) == 1 else 'join'} the {shape}: {what}"
    return directory.name(order[0]), f"{some([directory.name(who) for who in gone])} left the {shape}: {what}"


def expected_pairs(shape: Shape, order: Sequence[str]) -> set[frozenset[str]]:
    """`wanted_pairs` without direction."""
    return {frozenset(pair) for pair in wanted_pairs(shape, order)}
