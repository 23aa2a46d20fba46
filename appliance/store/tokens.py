"""Access tokens of people and programs. Only their SHA-256 is stored: they are random, so no slow hash is needed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from appliance.store import schema

_table = schema.access_token


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """``revoked`` is when it ended (seconds), None while it is good."""

    sha256: str
    actor: str
    role: str
    created: float
    revoked: float | None = None


def add(connection: Connection, row: TokenRow) -> None:
    """Insert a token."""
    connection.execute(insert(_table).values({name: getattr(row, name) for name in TokenRow.__slots__}))


def get(connection: Connection, sha256: str) -> TokenRow | None:
    """The token with this hash, also a revoked one."""
    row = connection.execute(select(_table).where(_table.c.sha256 == sha256)).mappings().first()
    return TokenRow(**row) if row else None


def count(connection: Connection) -> int:
    """How many tokens were ever made."""
    return int(connection.execute(select(func.count()).select_from(_table)).scalar_one())


def revoke(connection: Connection, actor: str, *, at: float) -> int:
    """End all tokens of an actor; returns how many."""
    query = update(_table).where(_table.c.actor == actor, _table.c.revoked.is_(None))
    return connection.execute(query.values(revoked=at)).rowcount
