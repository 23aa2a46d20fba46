"""Laws of the address table over random histories: no address has two live holders, retries and restarts change nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pxe.leases import Holder, Table
from pxe.ports import Lease, Pool

POOL = Pool(
    subnet=IPv4Interface("10.0.0.1/28"),
    first=IPv4Address("10.0.0.2"),
    last=IPv4Address("10.0.0.7"),
    lease_seconds=100,
)
keys = st.sampled_from([f"02:00:00:00:00:0{number}" for number in range(9)])
hosts = st.integers(0, 15).map(lambda last: IPv4Address(f"10.0.0.{last}"))


@dataclass
class Promise:
    """What a client was told: it may use the address until then."""

    address: IPv4Address
    until: float


@dataclass
class World:
    now: float = 1000.0
    promised: dict[str, Promise] = field(default_factory=dict)
    stored: dict[IPv4Address, Lease] = field(default_factory=dict)
    offered: dict[str, IPv4Address] = field(default_factory=dict)
    declined: dict[IPv4Address, float] = field(default_factory=dict)


class Addresses(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.world = World()
        self.table = Table([POOL])

    @rule(seconds=st.sampled_from([1, 30, 61, 101, 500]))
    def time_passes(self, seconds: int) -> None:
        self.world.now += seconds
        self.world.offered = {}

    @rule(key=keys, wanted=st.none() | hosts, fixed=st.none() | hosts)
    def discover(self, key: str, wanted: IPv4Address | None, fixed: IPv4Address | None) -> None:
        fixed = None if fixed in (POOL.subnet.ip, POOL.subnet.network.network_address) else fixed
        address = self.table.reserve(POOL, Holder(key=key, mac=key), self.world.now, wanted=wanted, fixed=fixed)
        if address is None:
            return
        assert address not in self.users(except_for=key), "offered what another one uses"
        assert self.world.declined.get(address, 0) <= self.world.now
        again = self.table.reserve(POOL, Holder(key=key, mac=key), self.world.now, wanted=wanted, fixed=fixed)
        assert again == address, "a retry gets the same"
        self.world.offered[key] = address

    @rule(key=keys)
    def request_the_offer(self, key: str) -> None:
        address = self.world.offered.get(key)
        if address is not None:
            assert self.confirm(key, address), "what was offered is confirmed"

    @rule(key=keys, address=hosts)
    def request_anything(self, key: str, address: IPv4Address) -> None:
        self.confirm(key, address)

    def confirm(self, key: str, address: IPv4Address) -> bool:
        lease = self.table.confirm(POOL, Holder(key=key, mac=key), address, self.world.now)
        if lease is None:
            return False
        assert address not in self.users(except_for=key), "confirmed what another one uses"
        self.world.promised[key] = Promise(address, lease.expires)
        self.world.stored[address] = lease
        self.world.offered = {other: given for other, given in self.world.offered.items() if given != address}
        return True

    @rule(key=keys)
    def release(self, key: str) -> None:
        promise = self.world.promised.get(key)
        if promise is None:
            return
        lease = self.table.release(POOL, key, promise.address, self.world.now)
        if lease is not None:
            del self.world.promised[key]
            self.world.stored[lease.address] = lease

    @rule(key=keys)
    def decline(self, key: str) -> None:
        promise = self.world.promised.pop(key, None)
        if promise is not None:
            self.table.block(promise.address, self.world.now + 200)
            self.world.declined[promise.address] = self.world.now + 200
            self.world.stored.pop(promise.address, None)
            self.world.offered = {k: given for k, given in self.world.offered.items() if given != promise.address}

    @rule()
    def restart(self) -> None:
        """kill -9: only what was stored comes back, and everybody who has an address keeps it."""
        self.table = Table([POOL], tuple(self.world.stored.values()))
        for address, until in self.world.declined.items():
            if until > self.world.now:
                self.table.block(address, until)
        self.world.offered = {}
        for key, promise in self.world.promised.items():
            if promise.until > self.world.now:
                assert self.table.confirm(POOL, Holder(key=key, mac=key), promise.address, self.world.now), (
                    "a renewal after a restart"
                )
                self.world.stored[promise.address] = Lease(
                    address=promise.address, key=key, mac=key, expires=self.world.now + POOL.lease_seconds
                )
                promise.until = self.world.now + POOL.lease_seconds

    def users(self, except_for: str) -> set[IPv4Address]:
        return {
            promise.address
            for key, promise in self.world.promised.items()
            if key != except_for and promise.until > self.world.now
        }

    @invariant()
    def nobody_shares(self) -> None:
        if not hasattr(self, "world"):
            return
        live = [promise.address for promise in self.world.promised.values() if promise.until > self.world.now]
        assert len(live) == len(set(live))


TestAddresses = Addresses.TestCase
TestAddresses.settings = settings(derandomize=True, deadline=None, max_examples=80, stateful_step_count=40)
