"""Site files that were loaded. The newest one holds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from appliance.store import rows, schema

_table = schema.site


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRow:
    """``text`` is the file as it was written; ``path`` where it came from; ``loaded`` seconds."""

    sha256: str
    text: str
    path: str
    loaded: float


def put(connection: Connection, row: SiteRow) -> None:
    """Load: this one holds from now on (also one that held before)."""
    rows.upsert(connection, _table, sha256=row.sha256, text=row.text, path=row.path, loaded=row.loaded)


def current(connection: Connection) -> SiteRow | None:
    """The site file that holds."""
    row = connection.execute(select(_table).order_by(_table.c.loaded.desc()).limit(1)).mappings().first()
    return SiteRow(**row) if row else None
