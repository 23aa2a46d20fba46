"""What was seen of machines that says who they are; see `appliance.model.identity` for what it is worth."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, delete, select, update

from appliance.model.identity import Evidence, EvidenceKind
from appliance.store import rows, schema

_table = schema.evidence


_ours = schema.evidence.alias()
_OF_MACHINE = select(_table.c.kind, _table.c.value).where(_table.c.machine == bindparam("machine"))
_SHARING = (
    select(_table.c.machine, _table.c.kind, _table.c.value)
    .distinct()
    .join(_ours, _ours.c.machine == _table.c.machine)
    .where(_ours.c.kind.in_(bindparam("kinds", expanding=True)), _ours.c.value.in_(bindparam("texts", expanding=True)))
)
# Asked for every packet of every boot, so they are built once.


def of_machine(connection: Connection, machine: str) -> frozenset[Evidence]:
    """Everything that is known of one machine."""
    found = connection.execute(_OF_MACHINE, {"machine": machine})
    return frozenset(Evidence(EvidenceKind(kind), value) for kind, value in found)


def sharing(connection: Connection, evidence: Iterable[Evidence]) -> dict[str, frozenset[Evidence]]:
    """Every machine that shares at least one piece of ``evidence``, with all that is known of it."""
    pieces = frozenset(evidence)
    found: dict[str, set[Evidence]] = {}
    if not pieces:
        return {}
    asked = {"kinds": sorted({item.kind.value for item in pieces}), "texts": sorted({item.value for item in pieces})}
    for machine, kind, value in connection.execute(_SHARING, asked):
        found.setdefault(machine, set()).add(Evidence(EvidenceKind(kind), value))
    return {machine: frozenset(found[machine]) for machine in sorted(found) if found[machine] & pieces}


def last_seen(connection: Connection, kind: EvidenceKind, value: str) -> dict[str, float]:
    """Which machines were seen with this piece, and when last."""
    query = select(_table.c.machine, _table.c.last_seen).where(_table.c.kind == kind, _table.c.value == value)
    return {row.machine: row.last_seen for row in connection.execute(query)}


def add(connection: Connection, machine: str, evidence: Iterable[Evidence], *, at: float) -> None:
    """Note ``evidence`` as seen at ``at``; what is there already keeps the time when it was first seen."""
    for item in sorted(evidence):
        rows.upsert(
            connection,
            _table,
            ("first_seen",),
            kind=item.kind,
            value=item.value,
            machine=machine,
            first_seen=at,
            last_seen=at,
        )


def replace(connection: Connection, machine: str, evidence: frozenset[Evidence], *, at: float) -> None:
    """``evidence`` is a complete inventory: what it does not name any more is forgotten, except a person's decisions."""
    for gone in of_machine(connection, machine) - evidence:
        if gone.kind is not EvidenceKind.DISTINCT:
            remove(connection, machine, gone)
    add(connection, machine, evidence, at=at)


def remove(connection: Connection, machine: str, item: Evidence) -> None:
    """Forget one piece."""
    connection.execute(
        delete(_table).where(_table.c.machine == machine, _table.c.kind == item.kind, _table.c.value == item.value)
    )


def clear(connection: Connection, machine: str) -> None:
    """Forget everything about a machine, and every decision of a person about it."""
    connection.execute(delete(_table).where(_table.c.machine == machine))
    connection.execute(delete(_table).where(_table.c.kind == EvidenceKind.DISTINCT, _table.c.value == machine))


def touch(connection: Connection, machine: str, item: Evidence, *, at: float) -> None:
    """Seen again."""
    connection.execute(
        update(_table)
        .where(_table.c.machine == machine, _table.c.kind == item.kind, _table.c.value == item.value)
        .values(last_seen=at)
    )
