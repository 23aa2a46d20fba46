"""Disks that people want replaced. A row is never deleted: it ends, by a new disk or by somebody who takes it back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, insert, select, update

from appliance.store import rows, schema

_table = schema.replacement


class ReplacementState(StrEnum):
    """``wanted``: nothing or not all of it is done. ``done``: its OSDs are on another disk; the old one stays out of use.
    ``cancelled``: taken back."""

    WANTED = "wanted"
    DONE = "done"
    CANCELLED = "cancelled"


HOLDS = (ReplacementState.WANTED, ReplacementState.DONE)
"""States in which the disk is not used for anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementRow:
    """``osds`` are the numbers that the disk's OSDs had when somebody asked. Times are seconds since the epoch."""

    seq: int
    machine: str
    serial: str
    wwn: str
    model: str
    size: int
    osds: tuple[int, ...]
    state: ReplacementState
    asked: float
    asked_by: str
    ended: float | None = None
    ended_why: str = ""


def add(connection: Connection, row: ReplacementRow) -> int:
    """A new row; its ``seq`` is given, not taken."""
    result = connection.execute(
        insert(_table).values(
            machine=row.machine,
            serial=row.serial,
            wwn=row.wwn,
            model=row.model,
            size=row.size,
            osds=rows.dump(list(row.osds)),
            state=row.state,
            asked=row.asked,
            asked_by=row.asked_by,
            ended=None,
            ended_why="",
        )
    )
    key = result.inserted_primary_key
    return int(key[0]) if key else 0


def holding(connection: Connection) -> tuple[ReplacementRow, ...]:
    """Those that hold, the oldest first."""
    query = select(_table).where(_table.c.state.in_(HOLDS)).order_by(_table.c.seq)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def end(connection: Connection, seq: int, state: ReplacementState, *, at: float, why: str) -> None:
    """It is done, or taken back."""
    connection.execute(update(_table).where(_table.c.seq == seq).values(state=state, ended=at, ended_why=why))


def fulfil(connection: Connection, machine: str, serial: str, wwn: str, *, at: float, why: str) -> bool:
    """The OSDs of this disk are on another one: whoever wanted that has it. Says whether anybody did."""
    mine = (_table.c.machine == machine, _table.c.serial == serial, _table.c.wwn == wwn)
    change = update(_table).where(*mine, _table.c.state == ReplacementState.WANTED)
    return connection.execute(change.values(state=ReplacementState.DONE, ended=at, ended_why=why)).rowcount > 0


def _row(row: RowMapping) -> ReplacementRow:
    return ReplacementRow(**{**row, "osds": tuple(rows.load(row["osds"])), "state": ReplacementState(row["state"])})
