"""Registered build results: which file is what, by content hash. The files themselves lie in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, select, update

from appliance.store import rows, schema

_table = schema.artefact


class ArtefactKind(StrEnum):
    AGENT_KERNEL = "agent-kernel"
    AGENT_INITRD = "agent-initrd"
    OS_IMAGE = "os-image"
    LOADER = "loader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtefactRow:
    """``path`` is absolute; ``document`` plain data (the manifest of an image); ``current``: use this one now."""

    sha256: str
    kind: str
    name: str
    path: str
    size: int
    document: Mapping[str, Any]
    current: bool
    added: float


def put(connection: Connection, row: ArtefactRow) -> None:
    """Register. The new current one replaces the old: kernels and initrds by kind, loaders and images by name."""
    if row.current:
        query = update(_table).where(_table.c.kind == row.kind)
        if row.kind in (ArtefactKind.LOADER, ArtefactKind.OS_IMAGE):
            query = query.where(_table.c.name == row.name)
        connection.execute(query.values(current=0))
    rows.upsert(
        connection,
        _table,
        ("added",),
        sha256=row.sha256,
        kind=row.kind,
        name=row.name,
        path=row.path,
        size=row.size,
        document=rows.dump(dict(row.document)),
        current=int(row.current),
        added=row.added,
    )


def get(connection: Connection, sha256: str) -> ArtefactRow | None:
    """The artefact with this content."""
    row = connection.execute(select(_table).where(_table.c.sha256 == sha256)).mappings().first()
    return _row(row) if row else None


def current(connection: Connection, kind: str, name: str | None = None) -> ArtefactRow | None:
    """The artefact of this kind (and name) to use now."""
    query = select(_table).where(_table.c.kind == kind, _table.c.current == 1)
    if name is not None:
        query = query.where(_table.c.name == name)
    row = connection.execute(query.order_by(_table.c.added.desc()).limit(1)).mappings().first()
    return _row(row) if row else None


def everything(connection: Connection) -> tuple[ArtefactRow, ...]:
    """All artefacts, by kind, name and age."""
    query = select(_table).order_by(_table.c.kind, _table.c.name, _table.c.added.desc())
    return tuple(_row(row) for row in connection.execute(query).mappings())


def _row(row: RowMapping) -> ArtefactRow:
    return ArtefactRow(**{**row, "document": rows.load(row["document"]), "current": bool(row["current"])})
