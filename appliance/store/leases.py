"""DHCP leases, also expired ones: an address returns to the client that had it."""

from __future__ import annotations

from ipaddress import IPv4Address

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, or_, select

from appliance.store import schema
from pxe.ports import Lease

_table = schema.lease


def everything(connection: Connection) -> tuple[Lease, ...]:
    """All leases, by address."""
    found = [_row(row) for row in connection.execute(select(_table)).mappings()]
    return tuple(sorted(found, key=lambda lease: lease.address))


_FORGET = delete(_table).where(or_(_table.c.key == bindparam("its_key"), _table.c.address == bindparam("its_address")))
_INSERT = insert(_table)


def put(connection: Connection, leases: tuple[Lease, ...]) -> None:
    """Store leases, a whole batch of ACKs with two statements. An address or a client that had another lease loses the
    old one; of two in one batch the later one counts."""
    batch: list[Lease] = []
    keys, addresses = set[str](), set[IPv4Address]()
    for lease in reversed(leases):
        if lease.key not in keys and lease.address not in addresses:
            batch.append(lease)
        keys.add(lease.key)
        addresses.add(lease.address)
    if not batch:
        return
    connection.execute(_FORGET, [{"its_key": lease.key, "its_address": str(lease.address)} for lease in batch])
    connection.execute(
        _INSERT,
        [
            {
                "address": str(lease.address),
                "key": lease.key,
                "mac": lease.mac,
                "expires": lease.expires,
                "hostname": lease.hostname,
            }
            for lease in batch
        ],
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
