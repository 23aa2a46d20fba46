"""Client certificates of machines. Only what is ``current`` or ``waiting`` here is accepted, whatever its dates say.

``waiting`` is the certificate of an installed system that has not reported in yet; its first report makes it current and
ends the certificate of the agent image that installed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, insert, select, update

from agent.wire import Environment
from appliance.store import schema

_table = schema.certificate


class CertificateState(StrEnum):
    CURRENT = "current"
    WAITING = "waiting"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """``serial`` is lower-case hex without leading zeros (`canonical_serial`); times are seconds."""

    serial: str
    machine: str
    environment: Environment
    pem: str
    key_sha256: str
    state: CertificateState
    not_after: float
    created: float


def canonical_serial(serial: str) -> str:
    """Hex in any spelling (``0A:1B``, ``0a1b``) → ``a1b``. Raises ValueError when it is not hex."""
    return format(int(serial.replace(":", ""), 16), "x")


def add(connection: Connection, row: CertificateRow) -> None:
    """Insert a certificate. Those of the same machine, environment and state are revoked: one of a kind is accepted."""
    connection.execute(
        update(_table)
        .where(_table.c.machine == row.machine, _table.c.environment == row.environment, _table.c.state == row.state)
        .values(state=CertificateState.REVOKED)
    )
    values = {name: getattr(row, name) for name in CertificateRow.__slots__}
    connection.execute(insert(_table).values({**values, "serial": canonical_serial(row.serial)}))


def get(connection: Connection, serial: str) -> CertificateRow | None:
    """The certificate with this serial number, whatever its state."""
    query = select(_table).where(_table.c.serial == canonical_serial(serial))
    row = connection.execute(query).mappings().first()
    return _row(row) if row else None


def of_key(connection: Connection, machine: str, key_sha256: str) -> CertificateRow | None:
    """The accepted certificate of a machine for one key."""
    query = select(_table).where(
        _table.c.machine == machine, _table.c.key_sha256 == key_sha256, _table.c.state != CertificateState.REVOKED
    )
    row = connection.execute(query.order_by(_table.c.created.desc())).mappings().first()
    return _row(row) if row else None


def of_machine(connection: Connection, machine: str) -> tuple[CertificateRow, ...]:
    """All certificates of a machine, the newest first."""
    query = select(_table).where(_table.c.machine == machine).order_by(_table.c.created.desc())
    return tuple(_row(row) for row in connection.execute(query).mappings())


def promote(connection: Connection, machine: str) -> bool:
    """The installed system has reported in: its waiting certificate becomes current, all others end.

    False when none was waiting.
    """
    query = select(_table.c.serial).where(
        _table.c.machine == machine,
        _table.c.environment == Environment.INSTALLED,
        _table.c.state == CertificateState.WAITING,
    )
    serial = connection.execute(query).scalar()
    if serial is None:
        return False
    revoke(connection, machine)
    connection.execute(update(_table).where(_table.c.serial == serial).values(state=CertificateState.CURRENT))
    return True


def revoke(connection: Connection, machine: str, environment: Environment | None = None) -> int:
    """Accept no certificate of the machine (of one environment) any more; returns how many ended."""
    query = update(_table).where(_table.c.machine == machine, _table.c.state != CertificateState.REVOKED)
    if environment is not None:
        query = query.where(_table.c.environment == environment)
    return connection.execute(query.values(state=CertificateState.REVOKED)).rowcount


def move(connection: Connection, source: str, target: str) -> None:
    """The (ended) certificates of ``source`` are kept with ``target``."""
    connection.execute(update(_table).where(_table.c.machine == source).values(machine=target))


def _row(row: RowMapping) -> CertificateRow:
    return CertificateRow(
        **{**row, "environment": Environment(row["environment"]), "state": CertificateState(row["state"])}
    )
