"""``ceph-…``: every step of Ceph. What it needs is decided by the pure kind (`appliance.kinds.ceph`); told, asked and heard
through the one door (`appliance.effects.cephdoor`). Here is only when (`appliance.engine.telling` keeps the books).

Done is what Ceph itself says, after the step's last order ended; only steps that leave nothing to see are done by their
order. The same order is told again after a while when its effect does not come; another one is the next part of the step.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import ClassVar, Protocol

from sqlalchemy import Connection

from agent.wire import encode
from appliance.effects.cephdoor import DoorError, DoorState
from appliance.engine.members import join
from appliance.engine.registry import Failure, Run
from appliance.engine.replaced import fulfil
from appliance.engine.telling import Memo, ended, keep, recall, reserve, say, take_time
from appliance.kinds import ceph
from appliance.kinds.ceph import Act, Wait
from appliance.model.cephstate import CephState
from appliance.model.machine import TroubleKind
from appliance.model.plan import Step
from appliance.store import lifecycle, machines, orders

AGAIN_SECONDS = 60.0
"""After an order was carried out, its effect may take so long (a manager loads modules); then the machine is told again."""
BLIND_SECONDS = 90.0
"""After so long without an answer from Ceph we act as if it had no monitor: perhaps ours has to be started again."""


class Kind(Protocol):
    """What is asked of a kind; `appliance.kinds.ceph` answers it."""

    def done(self, step: Step, state: CephState) -> bool: ...
    def by_order(self, step: Step) -> bool: ...
    def act(self, step: Step, state: CephState | None) -> Act | Wait: ...


class Ceph:
    poll_seconds: ClassVar[float] = 1.0

    def __init__(self, kind: Kind = ceph) -> None:
        self.kind = kind

    def done(self, run: Run) -> bool:
        memo = recall(run)
        if memo.open:
            return False
        if self.kind.by_order(run.row.step):
            return memo.well
        state = run.tools.ceph.observe()
        return state is not None and state.at >= memo.since and self.kind.done(run.row.step, state)

    def apply(self, run: Run) -> None:
        memo, now = recall(run), run.tools.clock.now()
        if memo.open:
            self._listen(run, memo)
            return
        state = run.tools.ceph.observe()
        if now < memo.again:
            return
        if state is not None and state.at < memo.since:
            if now - memo.since < BLIND_SECONDS:
                say(run, "observe", "waits for what Ceph says of itself")
                return
            state = None
        what = self.kind.act(run.row.step, state)
        if isinstance(what, Wait):
            say(run, "waiting", what.text)
            if what.room:
                take_time(run)
        else:
            _tell(run, memo, what, now if state is None else state.at)

    def _listen(self, run: Run, memo: Memo) -> None:
        result = run.tools.ceph.result(run.row.plan, run.row.key)
        if result.state is not DoorState.RUNNING:
            osd = run.row.step.ceph is not None and run.row.step.ceph.osd is not None
            ended(run, memo, result, TroubleKind.DISKS if osd else TroubleKind.STEP_FAILED)
        elif result.silence:
            say(run, "silent", result.silence)
        elif "fraction" not in run.row.progress:  # else the machine itself has said more
            say(run, "ordered", result.message)

    def finished(self, connection: Connection, run: Run) -> None:
        row, now = run.row, run.tools.clock.now()
        if machines.get(connection, row.machine) is not None:
            lifecycle.clear_trouble(connection, row.machine, at=now, why=f"{row.key} is done", step=row.key)
            join(connection, row, at=now)
        fulfil(connection, row, at=now)

    def failed(self, connection: Connection, run: Run, failure: Failure) -> None:
        row, now = run.row, run.tools.clock.now()
        orders.void_for(connection, row.key, at=now, plan=row.plan)
        if machines.get(connection, row.machine) is not None:
            lifecycle.set_trouble(connection, row.machine, failure.kind, failure.text, at=now, step=row.key)


def _tell(run: Run, memo: Memo, what: Act, seen: float) -> None:
    """Give the order. It is written down before: whatever happens then, its end is looked for. The same order is only given
    again when its effect was still missing at the time ``seen``, long after it ended."""
    digest = hashlib.sha256(what.machine.encode() + b"\n" + encode(what.order)).hexdigest()[:16]
    if memo.well and digest == memo.told and seen < memo.since + AGAIN_SECONDS:
        say(run, "effect", "the order was carried out; waits for its effect")
        return
    other = reserve(run, replace(memo, told=digest, machine=what.machine, open=True, well=False))
    if other:
        say(run, "waiting", f"its machine is busy with {other}")
        return
    try:
        run.tools.ceph.start(what.machine, run.row.plan, run.row.key, what.order)
    except DoorError as error:
        keep(run, memo)
        say(run, "waiting", str(error))
