"""Rows of the machine table. Phases are only moved through `appliance.store.lifecycle`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, or_, select, update

from agent.wire import from_data
from appliance.model.machine import APPLIANCE, Machine, Phase, Policy, Trouble
from appliance.store import rows, schema

_GET = select(schema.machine).where(schema.machine.c.id == bindparam("machine"))
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """A machine with what only the appliance needs to know: ``expected`` is the name of the site file's entry that
    identifies it, ``installed_by`` the hash of the plan that installed it (both may be empty), ``created`` seconds."""

    machine: Machine
    expected: str
    installed_by: str
    created: float

    @property
    def id(self) -> str:
        return self.machine.id


def add(connection: Connection, *, at: float, policy: Policy = Policy.USE) -> str:
    """Make a machine in phase ``seen`` and return its new id."""
    machine_id = "m-" + "".join(secrets.choice(_ALPHABET) for _ in range(10))
    connection.execute(
        insert(schema.machine).values(
            id=machine_id, policy=policy, phase=Phase.SEEN, phase_since=at, created=at, last_contact=at, generation=1
        )
    )
    return machine_id


def add_appliance(connection: Connection, *, at: float) -> bool:
    """Make the row of the machine that the appliance runs on, when it is not there; whether it was made now. Nobody installs
    it: it is in service from the beginning."""
    if get(connection, APPLIANCE) is not None:
        return False
    connection.execute(
        insert(schema.machine).values(
            id=APPLIANCE,
            name=APPLIANCE,
            policy=Policy.USE,
            phase=Phase.DEPLOYED,
            phase_since=at,
            created=at,
            last_contact=at,
            generation=1,
        )
    )
    return True


def get(connection: Connection, machine_id: str) -> MachineRow | None:
    """The machine with this id."""
    row = connection.execute(_GET, {"machine": machine_id}).mappings().first()
    return _row(row) if row else None


def find(connection: Connection, key: str) -> MachineRow | None:
    """The machine with this id, name or MAC address (a name wins over an expected name)."""
    table, evidence = schema.machine, schema.evidence
    by_mac = select(evidence.c.machine).where(evidence.c.kind.in_(("mac", "port")), evidence.c.value == key.lower())
    query = select(table).where(or_(table.c.id == key, table.c.name == key, table.c.expected == key))
    found = list(connection.execute(query).mappings())
    if not found:
        found = list(connection.execute(select(table).where(table.c.id.in_(by_mac))).mappings())
    found.sort(key=lambda row: (row["id"] != key, row["name"] != key, row["phase"] == Phase.RETIRED, row["created"]))
    return _row(found[0]) if found else None


def everything(connection: Connection) -> tuple[MachineRow, ...]:
    """All machines, the oldest first; without the one that the appliance runs on (`get` has it)."""
    table = schema.machine
    query = select(table).where(table.c.id != APPLIANCE).order_by(table.c.created, table.c.id)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def count(connection: Connection, phase: Phase) -> int:
    """How many machines are in a phase."""
    query = select(func.count()).select_from(schema.machine).where(schema.machine.c.phase == phase)
    return int(connection.execute(query).scalar_one())


def expected_as(connection: Connection, name: str) -> str | None:
    """The machine (not retired) that was recognised as this entry of the site file."""
    table = schema.machine
    query = select(table.c.id).where(table.c.expected == name, table.c.phase != Phase.RETIRED)
    return connection.execute(query.order_by(table.c.created)).scalar()


def change(connection: Connection, machine_id: str, **values: Any) -> None:
    """Set columns and raise the generation. Phase and trouble belong to `appliance.store.lifecycle`."""
    connection.execute(
        update(schema.machine)
        .where(schema.machine.c.id == machine_id)
        .values(generation=schema.machine.c.generation + 1, **values)
    )


def touch(connection: Connection, machine_id: str, *, at: float, nonce: str | None = None) -> None:
    """Remember that the machine was heard; not a change that a person could conflict with."""
    values: dict[str, Any] = {"last_contact": at}
    if nonce is not None:
        values["boot_nonce"] = nonce
    connection.execute(update(schema.machine).where(schema.machine.c.id == machine_id).values(**values))


def _row(row: RowMapping) -> MachineRow:
    trouble = from_data(Trouble, rows.load(row["trouble"])) if row["trouble"] else None
    machine = Machine(
        id=row["id"],
        policy=Policy(row["policy"]),
        phase=Phase(row["phase"]),
        phase_since=row["phase_since"],
        trouble=trouble,
        name=row["name"],
        profile=row["profile"],
        last_contact=row["last_contact"],
        boot_nonce=row["boot_nonce"],
        generation=row["generation"],
    )
    return MachineRow(
        machine=machine, expected=row["expected"], installed_by=row["installed_by"], created=row["created"]
    )
