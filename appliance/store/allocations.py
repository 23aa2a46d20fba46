"""What a machine keeps for ever once a plan was accepted: name, address, NIC names."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from agent.wire import from_data
from appliance.model.plan import Allocation
from appliance.store import rows, schema

_table = schema.allocation


def put(connection: Connection, allocation: Allocation) -> None:
    """Keep it. Names and addresses are unique: SQLAlchemy's IntegrityError when another machine has one of them."""
    rows.upsert(
        connection,
        _table,
        machine=allocation.machine,
        name=allocation.name,
        address=allocation.address,
        document=rows.dump(allocation),
    )


def get(connection: Connection, machine: str) -> Allocation | None:
    """What this machine has."""
    text = connection.execute(select(_table.c.document).where(_table.c.machine == machine)).scalar()
    return _allocation(text) if text else None


def everything(connection: Connection) -> tuple[Allocation, ...]:
    """All allocations, by machine."""
    query = select(_table.c.document).order_by(_table.c.machine)
    return tuple(_allocation(text) for text in connection.execute(query).scalars())


def remove(connection: Connection, machine: str) -> None:
    """Free the name and the address of a machine."""
    connection.execute(delete(_table).where(_table.c.machine == machine))


def _allocation(text: str) -> Allocation:
    return from_data(Allocation, rows.load(text))
