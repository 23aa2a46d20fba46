"""Hands observations of the HTTP listener to the directory from a thread of its own: no download waits for a commit."""

from __future__ import annotations

import logging
import queue
import threading
import time

from pxe.ports import BootEvent, Directory, DirectoryError

WAITING = 1000
GATHER_SECONDS = 0.2

log = logging.getLogger(__name__)


class Recorder:
    """One per process. ``add`` never blocks: with `WAITING` events unwritten, more are dropped and counted."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.dropped = 0
        self._events: queue.Queue[BootEvent] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write, name="recorder", daemon=True)
        self._thread.start()

    def add(self, event: BootEvent) -> None:
        """Remember one event."""
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self.dropped += 1

    def flush(self, seconds: float = 5.0) -> None:
        """Wait until everything that was added is written (tests)."""
        deadline = time.monotonic() + seconds
        while self._events.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write(self) -> None:
        while True:
            batch = [self._events.get()]
            time.sleep(GATHER_SECONDS)
            while not self._events.empty():
                batch.append(self._events.get_nowait())
            try:
                self.directory.observe(tuple(batch))
            except DirectoryError as error:
                log.warning("step=http-file why=%d events are lost: %s", len(batch), error)
            for _ in batch:
                self._events.task_done()
