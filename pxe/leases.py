"""Which address belongs to whom: an in-memory table of the pools. Nothing here touches the store or the network.

An OFFER reserves an address for a while; an ACK makes a lease, which the caller persists before it answers. A client gets
the address that it had, as long as nobody else took it; new addresses come first from the never used ones, then from the
one whose lease ended longest ago (RFC 2131 §4.3.1). `Table` keeps one holder per address, so two can't exist.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import islice

from pxe.ports import Lease, Pool

#: Longer than the longest pause of a PXE ROM between OFFER and REQUEST (it collects offers for 4, 8, 16 s).
RESERVE_SECONDS = 60.0


class Space:
    """The numbers of one pool: a cursor over the addresses that nobody ever held, and a heap of when holdings end."""

    __slots__ = ("broadcast", "cursor", "ends", "first", "kept_out", "last", "network", "pool")

    def __init__(self, pool: Pool) -> None:
        network = pool.subnet.network
        self.pool = pool
        self.network = int(network.network_address)
        self.broadcast = int(network.broadcast_address)
        self.first, self.last = int(pool.first), int(pool.last)
        self.cursor = self.first
        self.ends: list[tuple[float, int]] = []
        ours = (pool.subnet.ip, pool.router, *pool.dns, *pool.time_servers)
        self.kept_out = {self.network, self.broadcast} | {int(address) for address in ours if address is not None}

    def gives(self, address: int) -> bool:
        """Whether this is one of the pool's dynamic addresses."""
        return self.first <= address <= self.last and address not in self.kept_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A client as the table knows it; ``key`` and ``mac`` as in `Lease`."""

    key: str
    mac: str
    hostname: str = ""


@dataclass(slots=True, kw_only=True)
class Holding:
    """One address and its holder until a time; ``confirmed`` is false for a reservation."""

    address: int
    client: Holder
    until: float
    confirmed: bool


class Table:
    """The addresses of all pools. Times are seconds since the epoch and are given by the caller."""

    def __init__(self, pools: Iterable[Pool], leases: Iterable[Lease] = ()) -> None:
        self.by_address: dict[int, Holding] = {}
        self.by_key: dict[tuple[str, int], Holding] = {}
        self.blocked: dict[int, float] = {}
        self.stored: list[Lease] = sorted(leases, key=lambda lease: lease.expires)
        self.configure(pools)

    def configure(self, pools: Iterable[Pool]) -> None:
        """Take new pools; holders keep their addresses where these still belong to a pool."""
        kept = [
            Lease(
                address=IPv4Address(held.address),
                key=held.client.key,
                mac=held.client.mac,
                expires=held.until,
                hostname=held.client.hostname,
            )
            for held in self.by_address.values()
            if held.confirmed
        ]
        self.spaces = [Space(pool) for pool in pools]
        self.by_address.clear()
        self.by_key.clear()
        for lease in sorted([*self.stored, *kept], key=lambda lease: lease.expires):
            found = self._space(int(lease.address))
            if found is not None:
                client = Holder(key=lease.key, mac=lease.mac, hostname=lease.hostname)
                self._put(found, int(lease.address), client, lease.expires, confirmed=True)
        self.stored = []

    def pool_of(self, address: IPv4Address) -> Pool | None:
        """The pool whose subnet holds this address."""
        found = self._space(int(address))
        return found.pool if found else None

    def held(self, pool: Pool, key: str) -> Holding | None:
        """What this client holds or last held in the pool."""
        return self.by_key.get((key, self._of(pool).network))

    def holder(self, address: IPv4Address) -> Holding | None:
        """Who holds or last held this address."""
        return self.by_address.get(int(address))

    def reserve(
        self,
        pool: Pool,
        client: Holder,
        now: float,
        *,
        fixed: IPv4Address | None = None,
        wanted: IPv4Address | None = None,
    ) -> IPv4Address | None:
        """The address for an OFFER, reserved; None when the pool is exhausted. A fixed address that another client still
        holds is not given: the caller sees that from the result."""
        space = self._of(pool)
        key = client.key
        held = self.by_key.get((key, space.network))
        preferred = [int(fixed)] if fixed is not None and fixed in pool.subnet.network else []
        if held is not None and space.gives(held.address):
            preferred.append(held.address)
        if wanted is not None and space.gives(int(wanted)):
            preferred.append(int(wanted))
        address = self._choose(space, key, now, preferred)
        if address is None:
            return None
        if held is not None and held.address == address and held.until > now and held.confirmed:
            return IPv4Address(address)
        self._put(space, address, client, now + RESERVE_SECONDS, confirmed=False)
        return IPv4Address(address)

    def confirm(self, pool: Pool, client: Holder, address: IPv4Address, now: float) -> Lease | None:
        """The lease for an ACK, or None when the address is not free for this client (the caller says NAK)."""
        space = self._of(pool)
        number = int(address)
        if address not in pool.subnet.network or not self._free(number, client.key, now):
            return None
        until = now + pool.lease_seconds
        self._put(space, number, client, until, confirmed=True)
        return Lease(address=address, key=client.key, mac=client.mac, expires=until, hostname=client.hostname)

    def in_range(self, pool: Pool, address: IPv4Address) -> bool:
        """Whether the pool gives this address to anybody, not only as a fixed one."""
        return self._of(pool).gives(int(address))

    def release(self, pool: Pool, key: str, address: IPv4Address, now: float) -> Lease | None:
        """The client gives its address back; the lease to store, ended now. It gets the same address next time."""
        held = self.held(pool, key)
        if held is None or held.address != int(address) or held.until <= now:
            return None
        self._put(self._of(pool), held.address, held.client, now, confirmed=held.confirmed)
        return Lease(address=address, key=key, mac=held.client.mac, expires=now, hostname=held.client.hostname)

    def drop_reservation(self, pool: Pool, key: str, now: float) -> None:
        """The client took another server's offer."""
        held = self.held(pool, key)
        if held is not None and not held.confirmed:
            self._put(self._of(pool), held.address, held.client, now, confirmed=False)

    def block(self, address: IPv4Address, until: float) -> None:
        """Declined, or in use by a stranger: nobody gets it until then."""
        held = self.by_address.pop(int(address), None)
        if held is not None:
            space = self._space(held.address)
            if space is not None and self.by_key.get((held.client.key, space.network)) is held:
                del self.by_key[held.client.key, space.network]
        self.blocked[int(address)] = until

    def upcoming(self, pool: Pool, count: int, now: float) -> tuple[IPv4Address, ...]:
        """Addresses that would be given next to clients never seen: what the conflict probe should look at."""
        space = self._of(pool)
        return tuple(IPv4Address(number) for number in islice(self._fresh(space, now), count))

    # -- inside

    def _of(self, pool: Pool) -> Space:
        for space in self.spaces:
            if space.pool == pool:
                return space
        raise KeyError(f"no such pool: {pool.subnet}")

    def _space(self, address: int) -> Space | None:
        for space in self.spaces:
            if space.network <= address <= space.broadcast:
                return space
        return None

    def _taken(self, address: int, now: float) -> bool:
        """Ever held by anybody, or blocked: not a fresh address."""
        until = self.blocked.get(address)
        if until is not None:
            if until > now:
                return True
            del self.blocked[address]
        return address in self.by_address

    def _free(self, address: int, key: str, now: float) -> bool:
        if self.blocked.get(address, 0.0) > now:
            return False
        held = self.by_address.get(address)
        return held is None or held.client.key == key or held.until <= now

    def _choose(self, space: Space, key: str, now: float, preferred: Iterable[int]) -> int | None:
        for address in preferred:
            if self._free(address, key, now):
                return address
        return next(self._fresh(space, now), None) or self._oldest(space, now)

    def _fresh(self, space: Space, now: float) -> Iterator[int]:
        """Addresses that nobody ever held, in order."""
        while space.cursor <= space.last and (space.cursor in self.by_address or not space.gives(space.cursor)):
            space.cursor += 1
        for address in range(space.cursor, space.last + 1):
            if space.gives(address) and not self._taken(address, now):
                yield address

    def _oldest(self, space: Space, now: float) -> int | None:
        """The address whose lease or reservation ended longest ago. The heap holds old entries too; they are skipped."""
        while space.ends and space.ends[0][0] <= now:
            until, address = space.ends[0]
            held = self.by_address.get(address)
            if held is None or held.until != until or not space.gives(address):
                heapq.heappop(space.ends)
                continue
            if self.blocked.get(address, 0.0) > now:
                heapq.heappop(space.ends)
                continue
            return address
        return self._unblocked(space, now)

    def _unblocked(self, space: Space, now: float) -> int | None:
        """A blocked address whose time is over."""
        for address, until in list(self.blocked.items()):
            if until <= now and space.gives(address):
                del self.blocked[address]
                if address not in self.by_address:
                    return address
        return None

    def _put(self, space: Space, address: int, client: Holder, until: float, *, confirmed: bool) -> None:
        previous = self.by_address.get(address)
        if previous is not None and self.by_key.get((previous.client.key, space.network)) is previous:
            del self.by_key[previous.client.key, space.network]
        # An address that this client leaves for another one stays in its name until its lease ends: it may still use it.
        holding = Holding(address=address, client=client, until=until, confirmed=confirmed)
        self.by_address[address] = holding
        self.by_key[client.key, space.network] = holding
        heapq.heappush(space.ends, (until, address))
        if len(space.ends) > 64 + 4 * len(self.by_address):
            space.ends = [(held.until, held.address) for held in self.by_address.values() if space.gives(held.address)]
            heapq.heapify(space.ends)
