"""The last trusted inventory of every machine, one for the agent image and one for the installed system."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, delete, select

from agent.wire import Environment, Inventory, decode, encode
from appliance.store import rows, schema

_table = schema.inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryRow:
    """``at`` is when it came (seconds), ``nonce`` of the boot that sent it, ``permit`` the marker of the disk that the
    installed system runs from (empty in the agent image)."""

    machine: str
    environment: Environment
    at: float
    nonce: str
    permit: str
    inventory: Inventory


def put(connection: Connection, machine: str, inventory: Inventory, *, at: float, nonce: str, permit: str = "") -> None:
    """Store what came over mutual TLS; replaces the one before."""
    rows.upsert(
        connection,
        _table,
        machine=machine,
        environment=inventory.environment,
        at=at,
        nonce=nonce,
        permit=permit,
        document=encode(inventory).decode(),
    )


def get(connection: Connection, machine: str, environment: Environment) -> InventoryRow | None:
    """The inventory of one environment."""
    query = select(_table).where(_table.c.machine == machine, _table.c.environment == environment)
    row = connection.execute(query).mappings().first()
    return _row(row) if row else None


def latest(connection: Connection, machine: str) -> InventoryRow | None:
    """The newest inventory of a machine, of either environment."""
    query = select(_table).where(_table.c.machine == machine).order_by(_table.c.at.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return _row(row) if row else None


def clear(connection: Connection, machine: str) -> None:
    """Forget the inventories of a machine."""
    connection.execute(delete(_table).where(_table.c.machine == machine))


def _row(row: RowMapping) -> InventoryRow:
    return InventoryRow(
        machine=row["machine"],
        environment=Environment(row["environment"]),
        at=row["at"],
        nonce=row["nonce"],
        permit=row["permit"],
        inventory=decode(Inventory, row["document"]),
    )
