"""Group commit: leases are stored by a thread of their own, and their ACKs leave when they are on the disk.

While one commit waits for the disk, packets are answered and the next leases gather: the batches grow with the load, and no
OFFER waits for a disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from pxe.ports import Directory, DirectoryError, Lease

log = logging.getLogger("pxe.commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A lease, and what to do once it is stored (send the ACK)."""

    lease: Lease
    stored: Callable[[], None]


class GroupCommit:
    """`add` never blocks; `close` stores what is left. Without its lease stored, no ACK leaves: ``failed`` is told how
    many were withheld and why."""

    def __init__(
        self, directory: Directory, *, failed: Callable[[int, str], None], counted: Callable[[], None]
    ) -> None:
        self.directory = directory
        self.failed = failed
        self.counted = counted
        self.waiting: list[Pending] = []
        self.changed = threading.Condition()
        self.closing = False
        self.thread = threading.Thread(target=self._run, name="pxe-commit", daemon=True)
        self.thread.start()

    def add(self, batch: list[Pending]) -> None:
        """Store these leases soon, together with whatever else waits."""
        with self.changed:
            self.waiting += batch
            self.changed.notify()

    def alive(self) -> bool:
        """Whether the thread still runs."""
        return self.thread.is_alive()

    def close(self) -> None:
        """Store what waits and end the thread."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self.changed:
                while not self.waiting and not self.closing:
                    self.changed.wait()
                batch, self.waiting = self.waiting, []
            if not batch:
                return
            self._store(batch)

    def _store(self, batch: list[Pending]) -> None:
        # Of two leases of one client for one address in a batch the later one holds.
        leases = {(pending.lease.key, int(pending.lease.address)): pending.lease for pending in batch}
        try:
            self.directory.save_leases(tuple(leases.values()))
        except DirectoryError as error:
            self.failed(len(batch), str(error))
            return
        except Exception as error:
            log.exception("step=dhcp-ack why=a fault of the directory; %d ACKs withheld", len(batch))
            self.failed(len(batch), str(error))
            return
        self.counted()
        for pending in batch:
            try:
                pending.stored()
            except Exception:
                log.exception("machine=%s step=dhcp-ack why=a fault of the server", pending.lease.mac)
