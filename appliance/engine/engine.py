"""The durable step engine: claim a step, look whether it is done, apply, look again, give it back.

Everything that matters is a row. A worker may die at any moment: its lease runs out, and another one (or itself, started
again) claims the step and begins with ``done()``. Three things end a step: it is done, it is abandoned (the handler says
that trying again cannot help, or exceptions came `TRIES` times in a row), or its deadline has passed. A step that is applied
but not yet done is no failure: it is looked at again.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from appliance.engine.registry import Failure, Handler, LeaseLost, Registry, Run, StepAbandoned, Tools
from appliance.engine.settlement import settle
from appliance.model.machine import TroubleKind
from appliance.store import events, steps
from appliance.store.database import StoreError
from appliance.store.events import Happening
from appliance.store.steps import StepRow, StepState

log = logging.getLogger(__name__)

TRIES = 6
BACKOFF_SECONDS, BACKOFF_LIMIT = 2.0, 60.0
LEASE_SECONDS = 30.0
IDLE_SECONDS = 0.5
RECOVERY_SECONDS = 5.0
"""How long to wait when the database cannot be used."""


class Verdict(StrEnum):
    DONE = "done"
    POLL = "poll"
    RETRY = "retry"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one look at a step."""

    verdict: Verdict
    failure: Failure | None = None


def backoff(tries: int) -> float:
    """Seconds until the next try after ``tries`` failures in a row."""
    return float(min(BACKOFF_LIMIT, BACKOFF_SECONDS * 2.0 ** (tries - 1)))


class Engine:
    """One worker. Any number of them may work on one database, in threads, processes or on several machines."""

    def __init__(self, tools: Tools, registry: Registry, *, lease: float = LEASE_SECONDS) -> None:
        self.tools = tools
        self.registry = registry
        self.lease = lease
        self.owner = f"{socket.gethostname()[:40]}/{os.getpid()}/{secrets.token_hex(4)}"

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. A database that cannot be used is waited for, it never ends the worker."""
        while not stop.is_set():
            try:
                busy = self.run_one()
            except StoreError as error:
                log.error("step=worker why=%s", error)
                busy = stop.wait(RECOVERY_SECONDS)
            if not busy:
                stop.wait(IDLE_SECONDS)

    def run_one(self) -> bool:
        """Claim one step and look at it once; False when no step may run now. Raises `StoreError`."""
        row = self._claim()
        if row is None:
            return False
        handler = self.registry[row.step.kind]
        run = Run(row=row, tools=self.tools)
        with self._heartbeat(row):
            outcome = self._look(handler, run)
        try:
            self._settle(handler, run, outcome)
        except StoreError:
            raise  # the lease runs out, and the step is looked at again
        except Exception as error:
            log.exception("machine=%s step=%s why=what follows from %s", row.machine, row.key, outcome.verdict)
            failure = Failure(kind=TroubleKind.STEP_FAILED, text=f"{type(error).__name__}: {error}")
            self._settle(handler, run, Outcome(verdict=Verdict.RETRY, failure=failure))
        return True

    def _claim(self) -> StepRow | None:
        now = self.tools.clock.now()
        with self.tools.store.read() as connection:
            if not steps.due(connection, now=now):
                return None
        with self.tools.store.write() as connection:
            row = steps.claim(connection, now=now, owner=self.owner, lease=self.lease)
            if row is not None and row.fence == 1:
                self._tell(connection, row, f"{row.key} begins")
        return row

    def _look(self, handler: Handler, run: Run) -> Outcome:
        try:
            if handler.done(run):
                return Outcome(verdict=Verdict.DONE)
            late = self._late(run.row)
            if late:
                return Outcome(verdict=Verdict.FAILED, failure=late)
            handler.apply(run)
            return Outcome(verdict=Verdict.DONE if handler.done(run) else Verdict.POLL)
        except LeaseLost:
            return Outcome(verdict=Verdict.LOST)
        except StepAbandoned as error:
            return Outcome(verdict=Verdict.FAILED, failure=Failure(kind=error.kind, text=str(error)))
        except Exception as error:
            log.exception("machine=%s step=%s why=exception", run.row.machine, run.row.key)
            text = f"{type(error).__name__}: {error}"
            failure = Failure(kind=TroubleKind.STEP_FAILED, text=text)
            final = run.row.tries + 1 >= TRIES
            return Outcome(verdict=Verdict.FAILED if final else Verdict.RETRY, failure=failure)

    def _late(self, row: StepRow) -> Failure | None:
        if row.deadline is None or self.tools.clock.now() <= row.deadline:
            return None
        text = (
            f"{row.key} was not done within {row.step.deadline:.0f} s; see the machine's timeline for where it stopped"
        )
        return Failure(kind=TroubleKind.DEADLINE, text=text)

    def _settle(self, handler: Handler, run: Run, outcome: Outcome) -> None:
        """Write down what came of it, in one transaction with everything that follows from it."""
        row, failure = run.row, outcome.failure
        with self.tools.store.write() as connection:
            now = self.tools.clock.now()
            if outcome.verdict is Verdict.POLL:
                steps.release(connection, row, state=StepState.RUNNING, not_before=now + handler.poll_seconds)
            elif outcome.verdict is Verdict.DONE and steps.release(connection, row, state=StepState.DONE):
                handler.finished(connection, run)
                self._tell(connection, row, f"{row.key} is done")
                settle(connection, row.plan, at=now)
            elif outcome.verdict is Verdict.RETRY and failure:
                self._put_off(connection, row, failure)
            elif outcome.verdict is Verdict.FAILED and failure and self._give_up(connection, row, failure):
                handler.failed(connection, run, failure)
                settle(connection, row.plan, at=now)

    def _put_off(self, connection: Connection, row: StepRow, failure: Failure) -> None:
        tries = row.tries + 1
        pause = backoff(tries)
        again = self.tools.clock.now() + pause
        if steps.release(connection, row, state=StepState.RUNNING, tries=tries, error=failure.text, not_before=again):
            self._tell(connection, row, f"{row.key} is tried again in {pause:.0f} s: {failure.text}")

    def _give_up(self, connection: Connection, row: StepRow, failure: Failure) -> bool:
        given = steps.release(connection, row, state=StepState.FAILED, tries=row.tries, error=failure.text)
        if given:
            self._tell(connection, row, f"{row.key} failed: {failure.text}")
        return given

    def _tell(self, connection: Connection, row: StepRow, text: str) -> None:
        data = {"plan": row.plan, "step": row.key, "fence": row.fence}
        at = self.tools.clock.now()
        events.add(connection, at=at, machine=row.machine, kind=Happening.STEP, text=text, data=data)
        log.info("machine=%s step=%s why=%s", row.machine, row.key, text)

    @contextmanager
    def _heartbeat(self, row: StepRow) -> Iterator[None]:
        """Extend the lease while the handler works, so that a slow one is not taken over."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self.lease / 3):
                try:
                    with self.tools.store.write() as connection:
                        if not steps.hold(connection, row, until=self.tools.clock.now() + self.lease):
                            return
                except StoreError as error:
                    log.error("machine=%s step=%s why=no heartbeat: %s", row.machine, row.key, error)

        thread = threading.Thread(target=beat, name=f"lease {row.key}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
