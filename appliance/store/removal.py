"""Taking a record away that turned out to be another one, with everything that hangs on it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from appliance.store import evidence, schema

_LASTING = (schema.permit, schema.order, schema.step)


def has_history(connection: Connection, machine: str) -> bool:
    """Whether plans were made for this machine: then its record stays."""
    for table in _LASTING:
        query = select(func.count()).select_from(table).where(table.c.machine == machine)
        if connection.execute(query).scalar_one():
            return True
    return False


def remove_machine(connection: Connection, machine: str) -> None:
    """Delete a record whose events, enrolments and certificates were moved to another one."""
    evidence.clear(connection, machine)
    for table in (schema.inventory, schema.allocation, schema.enrolment, schema.certificate):
        connection.execute(delete(table).where(table.c.machine == machine))
    connection.execute(delete(schema.machine).where(schema.machine.c.id == machine))
