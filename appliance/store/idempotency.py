"""Answers that were given to requests with an Idempotency-Key, so that asking twice does things once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from appliance.store import rows, schema

_table = schema.idempotency


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``request_sha256`` binds the key to one request; ``body`` is JSON text; ``at`` seconds."""

    key: str
    actor: str
    request_sha256: str
    status: int
    body: str
    at: float


def get(connection: Connection, key: str, actor: str) -> Answer | None:
    """What this actor was answered under this key."""
    query = select(_table).where(_table.c.key == key, _table.c.actor == actor)
    row = connection.execute(query).mappings().first()
    return Answer(**row) if row else None


def put(connection: Connection, answer: Answer) -> None:
    """Remember an answer; the first one stays."""
    values = {name: getattr(answer, name) for name in Answer.__slots__}
    rows.upsert(connection, _table, tuple(values), **values)


def remove_older(connection: Connection, at: float) -> int:
    """Forget answers from before ``at``; returns how many."""
    return connection.execute(delete(_table).where(_table.c.at < at)).rowcount
