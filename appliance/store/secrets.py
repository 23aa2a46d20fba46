"""Secrets by name, sealed before they come here (`appliance.effects.secrets`). Nothing in this table can be read without
the key file beside the database."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, insert, select

from appliance.store import schema

_table = schema.secret


def missing(connection: Connection, names: Iterable[str]) -> tuple[str, ...]:
    """Those of ``names`` that there is no secret for, in their order, each once."""
    wanted = tuple(dict.fromkeys(names))
    known = set(connection.execute(select(_table.c.name).where(_table.c.name.in_(wanted))).scalars())
    return tuple(name for name in wanted if name not in known)


def add(connection: Connection, name: str, sealed: bytes, *, at: float) -> None:
    """Keep a new secret. One that is there already is never replaced: whoever has it would be locked out."""
    connection.execute(insert(_table).values(name=name, sealed=sealed, created=at))


def get(connection: Connection, name: str) -> bytes | None:
    """The sealed value."""
    return connection.execute(select(_table.c.sealed).where(_table.c.name == name)).scalar()
