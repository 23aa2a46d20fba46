"""OSDs that no plan made and that people want to be gone. A row is never deleted: it ends, done or taken back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, insert, select, update

from appliance.store import schema

_table = schema.osd_removal


class RemovalState(StrEnum):
    """``done``: nothing has the number any more, or something else has. ``cancelled``: taken back."""

    WANTED = "wanted"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalRow:
    """``number`` of the Ceph ``fsid``; ``uuid`` is what the map had there when somebody asked: empty for one that only hangs
    in the tree. Times are seconds since the epoch."""

    seq: int
    fsid: str
    number: int
    uuid: str
    state: RemovalState
    asked: float
    asked_by: str
    ended: float | None = None
    ended_why: str = ""


def add(connection: Connection, row: RemovalRow) -> int:
    """A new row; its ``seq`` is given, not taken."""
    values = {
        name: getattr(row, name) for name in ("fsid", "number", "uuid", "state", "asked", "asked_by", "ended_why")
    }
    key = connection.execute(insert(_table).values(**values)).inserted_primary_key
    return int(key[0]) if key else 0


def wanted(connection: Connection) -> tuple[RemovalRow, ...]:
    """What is wanted and neither done nor taken back, of any Ceph, the oldest first."""
    query = select(_table).where(_table.c.state == RemovalState.WANTED).order_by(_table.c.seq)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def end(connection: Connection, seq: int, state: RemovalState, *, at: float, why: str) -> None:
    connection.execute(update(_table).where(_table.c.seq == seq).values(state=state, ended=at, ended_why=why))


def _row(row: RowMapping) -> RemovalRow:
    return RemovalRow(**{**row, "state": RemovalState(row["state"])})
