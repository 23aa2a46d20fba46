"""Sessions of people in the browser. Only the SHA-256 of a session's cookie is stored."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from appliance.store import schema

_table = schema.session


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """``csrf`` is the value that every changing request of the session must carry; times are seconds."""

    id_sha256: str
    actor: str
    role: str
    csrf: str
    created: float
    expires: float


def add(connection: Connection, row: SessionRow) -> None:
    """Insert a session."""
    connection.execute(insert(_table).values({name: getattr(row, name) for name in SessionRow.__slots__}))


def get(connection: Connection, id_sha256: str) -> SessionRow | None:
    """The session whose cookie has this hash, also an expired one."""
    row = connection.execute(select(_table).where(_table.c.id_sha256 == id_sha256)).mappings().first()
    return SessionRow(**row) if row else None


def remove(connection: Connection, id_sha256: str) -> bool:
    """End a session; False when there was none."""
    return bool(connection.execute(delete(_table).where(_table.c.id_sha256 == id_sha256)).rowcount)


def remove_expired(connection: Connection, at: float) -> int:
    """Forget what expired before ``at``; returns how many."""
    return connection.execute(delete(_table).where(_table.c.expires <= at)).rowcount


def remove_of(connection: Connection, actor: str) -> int:
    """End all sessions of an actor; returns how many."""
    return connection.execute(delete(_table).where(_table.c.actor == actor)).rowcount
