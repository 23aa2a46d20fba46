"""Group commit: no ACK before its lease is stored, batches that grow while the disk works, nothing sent when it fails."""

from __future__ import annotations

import threading
from ipaddress import IPv4Address
from typing import Any

from pxe.commit import GroupCommit, Pending
from pxe.ports import Lease


def lease(last: int) -> Lease:
    return Lease(address=IPv4Address(f"10.0.0.{last}"), key=f"k{last}", mac=f"k{last}", expires=1.0)


def test_acks_leave_after_their_lease_and_in_batches(memory_directory: Any) -> None:
    release, entered = threading.Event(), threading.Event()
    save = memory_directory.save_leases

    def slow(leases: tuple[Lease, ...]) -> None:
        entered.set()
        assert release.wait(5)
        save(leases)

    memory_directory.save_leases = slow
    sent: list[int] = []
    commit = GroupCommit(memory_directory, failed=lambda _count, _why: None, counted=lambda: None)
    commit.add([Pending(lease=lease(1), stored=lambda: sent.append(1))])
    assert entered.wait(5)
    for last in (2, 3, 4):
        commit.add([Pending(lease=lease(last), stored=lambda last=last: sent.append(last))])
    assert sent == [], "the disk has not answered yet"
    release.set()
    commit.close()
    assert sent == [1, 2, 3, 4]
    assert [len(batch) for batch in memory_directory.saved] == [1, 3]


def test_nothing_is_sent_when_the_store_fails(memory_directory: Any) -> None:
    memory_directory.broken = True
    sent: list[int] = []
    failures: list[tuple[int, str]] = []
    commit = GroupCommit(memory_directory, failed=lambda *what: failures.append(what), counted=lambda: None)
    commit.add([Pending(lease=lease(1), stored=lambda: sent.append(1))])
    commit.add([Pending(lease=lease(2), stored=lambda: sent.append(2))])
    commit.close()
    assert sent == []
    assert sum(count for count, _ in failures) == 2
    assert all("disk is full" in why for _, why in failures)
