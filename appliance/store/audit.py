"""Who changed what, and when. Rows are only ever added, in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from appliance.store import rows, schema

_table = schema.audit


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """``verb`` is the operation (``machine.approve``), ``about`` its object, ``detail`` plain data without secrets."""

    seq: int
    at: float
    actor: str
    role: str
    verb: str
    about: str
    detail: Mapping[str, Any]


def add(
    connection: Connection,
    *,
    at: float,
    actor: str,
    role: str,
    verb: str,
    about: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Append one row."""
    connection.execute(
        insert(_table).values(
            at=at, actor=actor, role=role, verb=verb, about=about, detail=rows.dump(dict(detail or {}))
        )
    )


def before(connection: Connection, seq: int | None, limit: int) -> tuple[AuditRow, ...]:
    """The newest rows before ``seq`` (all when None), the newest first."""
    query = select(_table).order_by(_table.c.seq.desc()).limit(limit)
    if seq is not None:
        query = query.where(_table.c.seq < seq)
    return tuple(
        AuditRow(**{**row, "detail": rows.load(row["detail"])}) for row in connection.execute(query).mappings()
    )
