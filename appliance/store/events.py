"""The event table: one row for everything that happened, in the order in which it was committed.

Kinds are `pxe.ports.EventKind` for the steps of a boot, and `Happening` for the rest. Never put a secret or a code here:
every viewer may read events, and they are streamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, select, update

from appliance.store import rows, schema


class Happening(StrEnum):
    """What can happen beside the steps of a boot. Closed set."""

    SEEN = "seen"
    IDENTITY = "identity"
    ENROLMENT = "enrolment"
    APPROVAL = "approval"
    CERTIFICATE = "certificate"
    REPORT = "report"
    PHASE = "phase"
    POLICY = "policy"
    TROUBLE = "trouble"
    CLEARED = "cleared"
    SITE = "site"
    PLAN = "plan"
    STEP = "step"
    ORDER = "order"
    PERMIT = "permit"
    PROGRESS = "progress"


BATCH_SECONDS = 60.0
"""No process keeps what it saw for longer before it writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """``seq`` grows without gaps that matter; ``machine`` is an id or empty; ``data`` holds plain JSON data."""

    seq: int
    at: float
    machine: str
    kind: str
    text: str
    data: Mapping[str, Any]


def add(
    connection: Connection, *, at: float, machine: str, kind: str, text: str, data: Mapping[str, Any] | None = None
) -> int:
    """Append one event and return its sequence number."""
    result = connection.execute(
        insert(schema.event)
        .values(at=at, machine=machine, kind=str(kind), text=text, data=rows.dump(dict(data or {})))
        .returning(schema.event.c.seq)
    )
    return int(result.scalar_one())


def add_all(connection: Connection, found: Sequence[EventRow]) -> None:
    """Append many at once; their ``seq`` is given by the database."""
    if found:
        connection.execute(
            insert(schema.event),
            [
                {"at": e.at, "machine": e.machine, "kind": str(e.kind), "text": e.text, "data": rows.dump(dict(e.data))}
                for e in found
            ],
        )


def since(connection: Connection, seq: int, limit: int) -> tuple[EventRow, ...]:
    """Events after ``seq``, the oldest first."""
    query = select(schema.event).where(schema.event.c.seq > seq).order_by(schema.event.c.seq).limit(limit)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def of_machine(connection: Connection, machine: str, limit: int = 500) -> tuple[EventRow, ...]:
    """The newest ``limit`` events of a machine, the oldest first; see `in_order`."""
    table = schema.event
    query = select(table).where(table.c.machine == machine).order_by(table.c.seq.desc()).limit(limit)
    return in_order(reversed([_row(row) for row in connection.execute(query).mappings()]))


def in_order(found: Iterable[EventRow]) -> tuple[EventRow, ...]:
    """As they happened. Processes write what they saw in batches, so an event may be written some seconds after one that
    came later; ``found`` is in the order of writing, which counts where the clock itself was set back."""
    story: list[EventRow] = []
    for event in found:
        at = len(story)
        while at and 0 < story[at - 1].at - event.at < BATCH_SECONDS:
            at -= 1
        story.insert(at, event)
    return tuple(story)


def last_seq(connection: Connection) -> int:
    """The newest sequence number, 0 when nothing happened yet."""
    return int(connection.execute(select(func.max(schema.event.c.seq))).scalar() or 0)


def old(connection: Connection, kinds: Iterable[str], *, before: float, keep: int) -> tuple[int, ...]:
    """Events of these kinds that are older than ``before``, but for the ``keep`` newest of them of each machine."""
    table = schema.event
    age = func.row_number().over(partition_by=table.c.machine, order_by=table.c.seq.desc()).label("age")
    ranked = select(table.c.seq, table.c.at, age).where(table.c.kind.in_([str(kind) for kind in kinds])).subquery()
    query = select(ranked.c.seq).where(ranked.c.age > keep, ranked.c.at < before)
    return tuple(connection.execute(query).scalars())


def remove(connection: Connection, found: Iterable[int]) -> None:
    """Remove events by their sequence numbers."""
    connection.execute(
        delete(schema.event).where(schema.event.c.seq == bindparam("its")), [{"its": seq} for seq in found]
    )


def move(connection: Connection, source: str, target: str) -> None:
    """All events of ``source`` become events of ``target`` (two records turned out to be one machine)."""
    connection.execute(update(schema.event).where(schema.event.c.machine == source).values(machine=target))


def _row(row: RowMapping) -> EventRow:
    return EventRow(
        seq=row["seq"],
        at=row["at"],
        machine=row["machine"],
        kind=row["kind"],
        text=row["text"],
        data=rows.load(row["data"]),
    )
