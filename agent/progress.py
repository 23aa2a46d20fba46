"""Telling the appliance and the console how far an order is."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent.client import AgentClient
from agent.console import Console
from agent.errors import OrderWithdrawnError, RefusedError, TransportError, UnauthorisedError
from agent.patience import Patience
from agent.wire import MonAnswer, Order, Progress, ProgressState

PERIOD = 3.0
"""Seconds between two reports within one stage."""
BEAT = 10.0
"""So often a machine says that it is at work still, whatever it waits for: silence means that something is wrong with it."""


@dataclass(slots=True, kw_only=True)
class Reporter:
    """Of one order. Reports on the way are best effort; the last word is repeated until it is acknowledged."""

    order: Order
    client: AgentClient
    console: Console
    patience: Patience
    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    _told: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def running(self, stage: str, fraction: float, message: str = "") -> None:
        """Raises `OrderWithdrawnError` when the appliance answers that it does not want this order any more."""
        with self._lock:
            self._running(stage, fraction, message)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Meanwhile what was said last is said again every `BEAT` seconds."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT * self.patience.scale):
                with self._lock, contextlib.suppress(TransportError):
                    if time.monotonic() - self._told >= BEAT * self.patience.scale and not over.is_set():
                        self._told = time.monotonic()
                        self.client.progress(self._progress(ProgressState.RUNNING, self.message))

        thread = threading.Thread(target=beat, name=f"beat {self.order.step}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _running(self, stage: str, fraction: float, message: str) -> None:
        changed = stage != self.stage or bool(message)
        if stage != self.stage or message:
            self.message = message
        self.stage, self.fraction = stage, max(self.fraction, min(1.0, fraction))
        self.console.progress(stage, self.fraction, message)
        if not changed and time.monotonic() - self._told < PERIOD:
            return
        self._told = time.monotonic()
        try:
            self.client.progress(self._progress(ProgressState.RUNNING, message))
        except UnauthorisedError:
            raise
        except RefusedError as error:
            raise OrderWithdrawnError(f"the appliance withdrew the order: {error.detail}") from error
        except TransportError as error:
            self.console.line(f"progress not delivered: {error}")

    def last(self, state: ProgressState, message: str, answers: tuple[MonAnswer, ...] = ()) -> Progress:
        """The last word on this order; `deliver` sends it."""
        if state is ProgressState.DONE:
            self.fraction = 1.0
        return self._progress(state, message, answers)

    def deliver(self, progress: Progress) -> bool:
        """Blocks until the appliance took it (True) or refused it (False). Raises `UnauthorisedError`."""
        while True:
            try:
                self.client.progress(progress)
            except UnauthorisedError:
                raise
            except RefusedError as error:
                self.console.line(f"the appliance did not take `{progress.state}`: {error.detail}")
                return False
            except TransportError as error:
                self.console.line(f"`{progress.state}` not delivered, trying again: {error}")
                self.patience.back_off()
            else:
                self.patience.reset()
                return True

    def _progress(self, state: ProgressState, message: str, answers: tuple[MonAnswer, ...] = ()) -> Progress:
        return Progress(
            order=self.order.id,
            fence=self.order.fence,
            state=state,
            stage=self.stage,
            fraction=self.fraction,
            message=message,
            answers=answers,
        )
