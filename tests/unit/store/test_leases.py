"""Leases in the store: a batch, its collisions, and what a batch of one replaces."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from appliance.store import leases
from appliance.store.database import Store
from pxe.ports import Lease


def lease(last: int, key: str, expires: float = 1.0) -> Lease:
    return Lease(address=IPv4Address(f"10.0.0.{last}"), key=key, mac=key, expires=expires)


def test_a_batch_replaces_by_address_and_by_client(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'db'}")
    with store.write() as connection:
        leases.put(connection, ())
        leases.put(connection, (lease(1, "a"), lease(2, "b"), lease(3, "c")))
        leases.put(connection, (lease(1, "b"), lease(9, "d"), lease(9, "e"), lease(5, "f"), lease(6, "f", 2.0)))
    with store.read() as connection:
        found = {(str(each.address), each.key, each.expires) for each in leases.everything(connection)}
    assert found == {("10.0.0.1", "b", 1.0), ("10.0.0.3", "c", 1.0), ("10.0.0.9", "e", 1.0), ("10.0.0.6", "f", 2.0)}
    store.close()
