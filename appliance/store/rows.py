"""Small things that every table module needs: JSON columns and inserts that replace."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from agent.wire import canonical, to_data


def dump(value: Any) -> str:
    """A dataclass or plain data as canonical JSON text, for a document column."""
    return canonical(to_data(value)).decode()


def load(text: str) -> Any:
    """Plain data of a document column."""
    return json.loads(text)


def upsert(connection: Connection, table: Table, keep: tuple[str, ...] = (), /, **values: Any) -> None:
    """Insert one row, or replace it where the primary key is there already; columns in ``keep`` stay as they were."""
    keys = [column.name for column in table.primary_key.columns]
    changed = {name: value for name, value in values.items() if name not in keys and name not in keep}
    if connection.dialect.name == "postgresql":
        ours = postgresql.insert(table).values(**values)
        connection.execute(
            ours.on_conflict_do_update(index_elements=keys, set_=changed) if changed else ours.on_conflict_do_nothing()
        )
    else:
        lite = sqlite.insert(table).values(**values)
        connection.execute(
            lite.on_conflict_do_update(index_elements=keys, set_=changed) if changed else lite.on_conflict_do_nothing()
        )
