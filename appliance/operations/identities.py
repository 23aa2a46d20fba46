"""What a person decides about identities: two records are one machine, or one claim is a machine of its own."""

from __future__ import annotations

from sqlalchemy import Connection

from appliance.model.identity import Evidence, EvidenceKind
from appliance.model.machine import APPLIANCE, MachineEvent, Phase
from appliance.operations import audit, enrolment, identity, sites
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import Conflict
from appliance.operations.machines import MachineView, check_generation, find, view
from appliance.store import certificates, enrolments, events, evidence, lifecycle, machines, removal
from appliance.store.events import Happening

MERGEABLE = frozenset({Phase.SEEN, Phase.ENROLLED, Phase.RETIRED})


def merge(app: Appliance, actor: Actor, keep: str, gone: str, *, generation: int | None = None) -> MachineView:
    """Both records are one machine: ``keep`` stays as it is and takes over what is known of ``gone``.

    ``gone`` must not be in use (seen, enrolled or retired) and no plan may name it, else `Conflict`. ``generation`` is
    of ``gone``.
    """
    actor.require(Role.OPERATOR, "merge machines")
    with app.store.write() as connection:
        kept, other = find(connection, keep), find(connection, gone)
        check_generation(other, generation)
        if APPLIANCE in (kept.id, other.id):
            raise Conflict("the appliance itself is no other machine")
        if kept.id == other.id:
            raise Conflict(f"{keep} and {gone} are the same record already")
        if other.machine.phase not in MERGEABLE or removal.has_history(connection, other.id):
            raise Conflict(
                f"{other.id} is {other.machine.phase} and was used: retire it instead, or merge the other way"
            )
        now = app.clock.now()
        certificates.revoke(connection, other.id)
        enrolment.refuse_all(connection, other.id, f"this is {kept.id}: reboot the machine to ask again")
        enrolments.move(connection, other.id, kept.id)
        certificates.move(connection, other.id, kept.id)
        _take_over(app, connection, kept.id, other.id)
        text = f"{actor.name} decided: the record {other.id} is this machine"
        events.add(connection, at=now, machine=kept.id, kind=Happening.IDENTITY, text=text, data={"merged": other.id})
        audit.record(connection, app, actor, "machine.merge", kept.id, gone=other.id)
        machines.change(connection, kept.id)
        if not identity.conflicts_of(connection, kept.id):
            identity.release(connection, kept.id, at=now, why="the two records were merged")
        sites.recognise(connection, kept.id, at=now)
        return view(connection, find(connection, kept.id))


def split(app: Appliance, actor: Actor, key: str, *, generation: int | None = None) -> MachineView:
    """The record is a machine of its own, though it shares something unique with others (a cloned UUID).

    Ends its quarantine; what the two share never again counts as a conflict between them. Raises `Conflict` when the
    record is in no conflict.
    """
    actor.require(Role.OPERATOR, "split machines")
    with app.store.write() as connection:
        row = find(connection, key)
        check_generation(row, generation)
        others = identity.conflicts_of(connection, row.id)
        if not others:
            raise Conflict(f"{row.id} shares nothing with another machine: there is nothing to split")
        now = app.clock.now()
        for other in others:
            evidence.add(connection, row.id, [Evidence(EvidenceKind.DISTINCT, other)], at=now)
            evidence.add(connection, other, [Evidence(EvidenceKind.DISTINCT, row.id)], at=now)
            text = f"{actor.name} decided: {row.id} is another machine"
            events.add(connection, at=now, machine=other, kind=Happening.IDENTITY, text=text)
        text = f"{actor.name} decided: a machine of its own, not {', '.join(others)}"
        events.add(connection, at=now, machine=row.id, kind=Happening.IDENTITY, text=text)
        audit.record(connection, app, actor, "machine.split", row.id, others=list(others))
        identity.release(connection, row.id, at=now, why="a person decided that it is a machine of its own")
        sites.recognise(connection, row.id, at=now)
        enrolment.resume(app, connection, row.id, "a machine of its own")
        return view(connection, find(connection, row.id))


def detach(app: Appliance, actor: Actor, key: str, mac: str, *, generation: int | None = None) -> MachineView:
    """A network port was joined to the wrong machine: forget it there; it is a machine of its own until it enrols.

    Raises `Conflict` when the machine does not have this port. Returns the new record.
    """
    actor.require(Role.OPERATOR, "split machines")
    with app.store.write() as connection:
        row = find(connection, key)
        check_generation(row, generation)
        mac, now = mac.strip().lower(), app.clock.now()
        port = Evidence(EvidenceKind.PORT, mac)
        known = evidence.of_machine(connection, row.id)
        if port not in known:
            raise Conflict(f"{row.id} has no port {mac}")
        moved = known & {port, Evidence(EvidenceKind.MAC, mac)}
        for item in moved:
            evidence.remove(connection, row.id, item)
        new = machines.add(connection, at=now)
        evidence.add(connection, new, moved, at=now)
        machines.change(connection, row.id)
        for machine, text in ((row.id, f"port {mac} is {new} now"), (new, f"port {mac} was split from {row.id}")):
            events.add(connection, at=now, machine=machine, kind=Happening.IDENTITY, text=f"{text}, by {actor.name}")
        audit.record(connection, app, actor, "machine.detach", row.id, mac=mac, new=new)
        return view(connection, find(connection, new))


def _take_over(app: Appliance, connection: Connection, keep: str, gone: str) -> None:
    """Evidence and events of ``gone`` become those of ``keep``; the record ``gone`` disappears."""
    identity.absorb(connection, keep, gone, at=app.clock.now())
    row = machines.get(connection, keep)
    if row and row.machine.phase is Phase.SEEN and enrolments.of_machine(connection, keep):
        lifecycle.advance(connection, keep, MachineEvent.ENROL, at=app.clock.now(), why="merged with its enrolment")
