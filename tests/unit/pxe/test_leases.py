"""The table of addresses, step by step; the laws over random histories are in tests/property."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from pxe.leases import RESERVE_SECONDS, Holder, Table
from pxe.ports import Lease, Pool

POOL = Pool(
    subnet=IPv4Interface("10.0.0.1/24"),
    first=IPv4Address("10.0.0.1"),
    last=IPv4Address("10.0.0.4"),
    lease_seconds=100,
)


def ip(last: int) -> IPv4Address:
    return IPv4Address(f"10.0.0.{last}")


def client(key: str) -> Holder:
    return Holder(key=key, mac=key)


def lease(table: Table, key: str, now: float) -> IPv4Address:
    address = table.reserve(POOL, client(key), now)
    assert address is not None
    given = table.confirm(POOL, client(key), address, now)
    assert given is not None
    assert given.expires == now + 100
    return address


def test_our_own_address_is_not_given() -> None:
    table = Table([POOL])
    assert [lease(table, key, 0) for key in "abc"] == [ip(2), ip(3), ip(4)]
    assert table.reserve(POOL, client("d"), 0) is None


def test_a_retry_gets_the_same_address() -> None:
    table = Table([POOL])
    assert table.reserve(POOL, client("a"), 0) == table.reserve(POOL, client("a"), 10) == ip(2)
    assert table.reserve(POOL, client("b"), 11) == ip(3)


def test_a_reservation_ends_and_the_address_is_used_last() -> None:
    table = Table([POOL])
    table.reserve(POOL, client("a"), 0)
    assert table.reserve(POOL, client("b"), RESERVE_SECONDS + 1) == ip(3), "never used addresses come first"
    assert table.reserve(POOL, client("a"), RESERVE_SECONDS + 2) == ip(2)


def test_the_oldest_expired_is_taken_first() -> None:
    table = Table([POOL])
    for now, key in ((0, "a"), (10, "b"), (20, "c")):
        lease(table, key, now)
    assert table.reserve(POOL, client("d"), 99) is None
    assert table.reserve(POOL, client("d"), 100) == ip(2)
    assert table.reserve(POOL, client("e"), 119) == ip(3)
    assert table.reserve(POOL, client("c"), 200) == ip(4), "its own, though expired"


def test_a_wanted_address_is_given_when_free() -> None:
    table = Table([POOL])
    assert table.reserve(POOL, client("a"), 0, wanted=ip(4)) == ip(4)
    assert table.reserve(POOL, client("b"), 0, wanted=ip(4)) == ip(2)
    assert table.reserve(POOL, client("c"), 0, wanted=ip(200)) == ip(3), "not ours to give"


def test_fixed_addresses_may_lie_outside_the_range() -> None:
    table = Table([POOL])
    assert table.reserve(POOL, client("a"), 0, fixed=ip(77)) == ip(77)
    assert table.confirm(POOL, client("a"), ip(77), 0) is not None
    assert table.reserve(POOL, client("b"), 0, fixed=ip(77)) == ip(2), "another client still holds it"


def test_a_client_that_moves_keeps_its_old_address_until_the_lease_ends() -> None:
    table = Table([POOL])
    assert lease(table, "a", 0) == ip(2)
    assert table.reserve(POOL, client("a"), 1, fixed=ip(77)) == ip(77)
    assert [table.reserve(POOL, client(key), 2) for key in "bcd"] == [ip(3), ip(4), None]
    renewed = table.confirm(POOL, client("a"), ip(2), 3)
    assert renewed is not None, "it may still renew the old one"


def test_blocked_addresses_come_back_after_their_time() -> None:
    table = Table([POOL])
    lease(table, "a", 0)
    table.block(ip(2), until=50)
    assert table.confirm(POOL, client("a"), ip(2), 1) is None
    assert [table.reserve(POOL, client(key), 1) for key in "abc"] == [ip(3), ip(4), None]
    assert table.reserve(POOL, client("c"), 51) == ip(2)


def test_release_ends_the_lease_and_the_client_gets_it_again() -> None:
    table = Table([POOL])
    lease(table, "a", 0)
    assert table.release(POOL, "a", ip(3), 5) is None
    ended = table.release(POOL, "a", ip(2), 5)
    assert ended == Lease(address=ip(2), key="a", mac="a", expires=5)
    assert table.release(POOL, "a", ip(2), 6) is None
    assert table.reserve(POOL, client("a"), 7) == ip(2)


def test_a_restart_reads_the_leases_back() -> None:
    stored = [Lease(address=ip(4), key="a", mac="a", expires=50), Lease(address=ip(3), key="b", mac="b", expires=10)]
    table = Table([POOL], stored)
    assert table.reserve(POOL, client("a"), 60) == ip(4)
    assert table.reserve(POOL, client("c"), 20) == ip(2)
    assert table.confirm(POOL, client("x"), ip(4), 20) is None


def test_a_lease_of_an_older_holder_of_the_same_client_does_not_win() -> None:
    stored = [Lease(address=ip(2), key="a", mac="a", expires=50), Lease(address=ip(3), key="a", mac="a", expires=90)]
    assert Table([POOL], stored).reserve(POOL, client("a"), 0) == ip(3)


def test_new_pools_keep_holders_that_still_fit() -> None:
    table = Table([POOL])
    lease(table, "a", 0)
    wider = Pool(subnet=POOL.subnet, first=ip(1), last=ip(9), lease_seconds=100)
    table.configure([wider])
    held = table.held(wider, "a")
    assert held is not None
    assert held.address == int(ip(2))
    assert table.pool_of(ip(200)) == wider
    assert table.pool_of(IPv4Address("192.0.2.1")) is None


def test_upcoming_names_what_is_given_next() -> None:
    table = Table([POOL])
    assert table.upcoming(POOL, 2, 0) == (ip(2), ip(3))
    lease(table, "a", 0)
    assert table.upcoming(POOL, 5, 0) == (ip(3), ip(4))
