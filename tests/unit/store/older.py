"""Databases as older versions left them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from sqlalchemy import Connection, create_engine

from appliance.store import migrate


@contextmanager
def older(url: str, revision: str) -> Iterator[Connection]:
    """A new database at ``url``, brought to ``revision`` and no further."""
    engine = create_engine(url)
    with engine.begin() as connection:
        command.upgrade(migrate.configuration(connection), revision)
        yield connection
    engine.dispose()
