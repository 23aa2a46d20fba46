"""What a step that works through orders keeps between two looks: what it told which machine last, and how that ended.

It is written down before a machine is told anything, under the claim, and together with the question whether the machine is
free: so one machine is never told two things at once, whoever dies in between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from appliance.effects.cephdoor import DoorResult, DoorState
from appliance.engine.registry import Run, StepAbandoned
from appliance.model.machine import TroubleKind
from appliance.store import events, steps
from appliance.store.events import Happening

ORDERS = 5
"""So many failed orders in a row end a step."""
PAUSE_SECONDS, PAUSE_LIMIT = 5.0, 60.0
RECENT_SECONDS = 30.0
"""What was seen longer before a step began says nothing for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """``told`` is the digest of the last order, ``machine`` who was told. ``open``: its end was not seen yet; ``well``: it
    ended well. ``since``: what the cluster says of itself counts when it is younger (seconds since the epoch). ``again``:
    nothing is told before. ``failures`` in a row."""

    told: str = ""
    machine: str = ""
    open: bool = False
    well: bool = False
    since: float = 0.0
    again: float = 0.0
    failures: int = 0

    def plain(self) -> dict[str, Any]:
        """As it is stored."""
        return {name: getattr(self, name) for name in Memo.__slots__}


def recall(run: Run) -> Memo:
    """The memo as it is now: the row of the claim is older than what this look has written."""
    with run.tools.store.read() as connection:
        kept = steps.memo_of(connection, run.row.plan, run.row.key)
        return Memo(**kept) if kept else Memo(since=_since(connection, run))


def _since(connection: Connection, run: Run) -> float:
    """For a step that told nobody anything yet: what showed that the steps before it were done shows where it begins."""
    started = run.row.started or 0.0
    before = [steps.memo_of(connection, run.row.plan, key) for key in run.row.step.after]
    ends = [Memo(**kept).since for kept in before if kept]
    return max(*ends, started - RECENT_SECONDS) if ends else started


def keep(run: Run, memo: Memo, told: str = "") -> None:
    """Write it down under the claim, with a line in the machine's story. Raises `LeaseLost`."""
    with run.tools.store.write() as connection:
        run.guard(connection)
        steps.set_memo(connection, run.row, memo.plain())
        if told:
            data, at = {"plan": run.row.plan, "step": run.row.key}, run.tools.clock.now()
            events.add(connection, at=at, machine=run.row.machine, kind=Happening.STEP, text=told, data=data)


def reserve(run: Run, memo: Memo) -> str:
    """Write down that ``memo.machine`` is about to be told; or which other step it is busy with. Raises `LeaseLost`."""
    with run.tools.store.write() as connection:
        run.guard(connection)
        other = _busy(connection, run, memo.machine)
        if not other:
            steps.set_memo(connection, run.row, memo.plain())
    return other


def _busy(connection: Connection, run: Run, machine: str) -> str:
    for plan, key, memo in steps.memos(connection, run.row.step.kind):
        if memo.get("open") and memo.get("machine") == machine and (plan, key) != (run.row.plan, run.row.key):
            return key
    return ""


def say(run: Run, stage: str, message: str) -> None:
    """What people see of the step. Raises `LeaseLost`."""
    told = {"stage": stage, "message": message}
    if run.row.progress == told:
        return
    with run.tools.store.write() as connection:
        run.guard(connection)
        steps.set_progress(connection, run.row.plan, run.row.key, told)


def take_time(run: Run) -> None:
    """The step waits for people: its deadline counts from the next look that finds no such wait. Raises `LeaseLost`."""
    with run.tools.store.write() as connection:
        run.guard(connection)
        steps.forget_deadline(connection, run.row)


def ended(run: Run, memo: Memo, result: DoorResult, refused: TroubleKind) -> None:
    """The last order has ended, or was withdrawn or lost (then it is told again). ``refused`` is the trouble of a machine
    that will not do it. Raises `StepAbandoned` when another order makes no sense."""
    row, now = run.row, run.tools.clock.now()
    over = replace(memo, open=False, since=now, well=result.state is DoorState.DONE)
    if result.state is DoorState.REFUSED:
        keep(run, over)
        raise StepAbandoned(refused, f"{row.step.name} refused {row.key}: {result.message}")
    if result.state is not DoorState.FAILED:
        keep(run, replace(over, failures=0 if over.well else memo.failures))
        return
    failures = memo.failures + 1
    pause = min(PAUSE_LIMIT, PAUSE_SECONDS * 2.0 ** (failures - 1))
    text = f"{row.key} is told again in {pause:.0f} s: {result.message}"
    keep(run, replace(over, failures=failures, again=now + pause), "" if failures >= ORDERS else text)
    if failures >= ORDERS:
        raise StepAbandoned(TroubleKind.STEP_FAILED, f"{row.key} failed {failures} times, at last: {result.message}")
