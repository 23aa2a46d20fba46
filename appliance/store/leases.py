"""DHCP leases, also expired ones: an address returns to the client that had it."""

from __future__ import annotations

from ipaddress import IPv4Address

from sqlalchemy import Connection, RowMapping, delete, or_, select

from appliance.store import rows, schema
from pxe.ports import Lease

_table = schema.lease


def everything(connection: Connection) -> tuple[Lease, ...]:
    """All leases, by address."""
    found = [_row(row) for row in connection.execute(select(_table)).mappings()]
    return tuple(sorted(found, key=lambda lease: lease.address))


def put(connection: Connection, leases: tuple[Lease, ...]) -> None:
    """Store leases. An address or a client that had another lease loses the old one."""
    for lease in leases:
        connection.execute(
            delete(_table).where(
                or_(_table.c.key == lease.key, _table.c.address == str(lease.address)),
            )
        )
        rows.upsert(
            connection,
            _table,
            address=str(lease.address),
            key=lease.key,
            mac=lease.mac,
            expires=lease.expires,
            hostname=lease.hostname,
        )


def of_address(connection: Connection, address: IPv4Address) -> Lease | None:
    """Who has, or had last, this address."""
    row = connection.execute(select(_table).where(_table.c.address == str(address))).mappings().first()
    return _row(row) if row else None


def block(connection: Connection, address: IPv4Address, *, until: float) -> None:
    """Keep an address out of the pool: it was declined, or a stranger uses it. Its key is ``declined:<address>``."""
    put(connection, (Lease(address=address, key=f"declined:{address}", mac="", expires=until),))


def _row(row: RowMapping) -> Lease:
    return Lease(
        address=IPv4Address(row["address"]),
        key=row["key"],
        mac=row["mac"],
        expires=row["expires"],
        hostname=row["hostname"],
    )
