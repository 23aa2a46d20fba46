"""What the boot servers saw, handed to the directory in batches by a thread of its own: no packet waits for a timeline."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from pxe.ports import BootEvent, Directory, DirectoryError

log = logging.getLogger("pxe.journal")
FLUSH_SECONDS = 0.2
#: The directory's writes wait for each other: a short batch lets the leases of waiting ACKs through in between.
LARGEST_BATCH = 30
PAUSE_SECONDS = 0.03
#: When the directory can't be asked for so long that this many wait, the oldest are dropped and counted.
WAITING = 50_000


class Journal:
    """Collects events. `add` never blocks; `close` writes what is left."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        #: Appending and popping are atomic; no lock is taken for each packet.
        self.waiting: deque[BootEvent] = deque()
        self.closing = threading.Event()
        self.dropped = 0
        self.thread = threading.Thread(target=self._run, name="pxe-journal", daemon=True)
        self.thread.start()

    def add(self, *events: BootEvent) -> None:
        """Note events for the timelines."""
        self.waiting.extend(events)
        while len(self.waiting) > WAITING:
            self.waiting.popleft()
            self.dropped += 1

    def close(self) -> None:
        """Write what is left and end the thread."""
        self.closing.set()
        self.thread.join(timeout=10)

    def _run(self) -> None:
        while not self.closing.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while batch := self._take():
            started = time.monotonic()
            for attempt in (1, 2, 3):
                try:
                    self.directory.observe(batch)
                    break
                except DirectoryError as error:
                    log.warning("step=journal why=%s attempt=%d events=%d", error, attempt, len(batch))
                    self.closing.wait(1.0)
            else:
                self.dropped += len(batch)
            # Half of the directory's time at most: boots go before their history.
            self.closing.wait(max(PAUSE_SECONDS, time.monotonic() - started))

    def _take(self) -> tuple[BootEvent, ...]:
        batch: list[BootEvent] = []
        while len(batch) < LARGEST_BATCH:
            try:
                batch.append(self.waiting.popleft())
            except IndexError:
                break
        return tuple(batch)
