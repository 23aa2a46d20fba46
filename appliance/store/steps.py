"""Durable steps: one row per step of an accepted plan. Claims are leases with a fence, so that a worker that was gone for
a while cannot overwrite what another one did in the meantime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, case, delete, func, insert, select, update

from agent.wire import from_data
from appliance.model.plan import Step, StepKind
from appliance.store import rows, schema
from appliance.store.plans import PlanState

_table = schema.step


class StepState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (StepState.WAITING, StepState.RUNNING)
OVER = (StepState.FAILED, StepState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """``tries`` counts failures in a row, ``fence`` claims. Times are seconds since the epoch; ``started`` and
    ``deadline`` are None before the first claim, ``deadline`` also while a step waits for people. ``progress`` is plain
    data for people (stage, fraction, message), ``memo`` what the step's own code keeps between two looks."""

    step: Step
    plan: str
    position: int
    state: StepState
    tries: int
    fence: int
    owner: str
    lease_until: float
    not_before: float
    started: float | None
    deadline: float | None
    error: str
    progress: Mapping[str, Any]
    memo: Mapping[str, Any]

    @property
    def key(self) -> str:
        return self.step.key

    @property
    def machine(self) -> str:
        return self.step.machine


def add(connection: Connection, plan: str, steps: Iterable[Step]) -> None:
    """Insert the steps of a plan. Rows of an earlier run of the same plan start anew, unless they are done or running."""
    for position, step in enumerate(steps):
        here = (_table.c.plan == plan, _table.c.key == step.key)
        state = connection.execute(select(_table.c.state).where(*here)).scalar()
        if state in (StepState.DONE, *OPEN):
            continue
        connection.execute(delete(_table).where(*here))
        connection.execute(
            insert(_table).values(
                key=step.key,
                plan=plan,
                position=position,
                kind=step.kind,
                machine=step.machine,
                after=rows.dump(step.after),
                document=rows.dump(step),
                state=StepState.WAITING,
            )
        )


def forget(connection: Connection, plan: str) -> None:
    """Remove the rows of a plan that is over and is going to be accepted again."""
    connection.execute(delete(_table).where(_table.c.plan == plan))


def get(connection: Connection, plan: str, key: str) -> StepRow | None:
    """One step."""
    row = connection.execute(select(_table).where(_table.c.plan == plan, _table.c.key == key)).mappings().first()
    return _row(row) if row else None


def of_plan(connection: Connection, plan: str) -> tuple[StepRow, ...]:
    """All steps of a plan in their order."""
    query = select(_table).where(_table.c.plan == plan).order_by(_table.c.position)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def of_machine(connection: Connection, plan: str, machine: str) -> tuple[StepRow, ...]:
    """The steps of a plan for one machine, in their order."""
    query = select(_table).where(_table.c.plan == plan, _table.c.machine == machine).order_by(_table.c.position)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def unfinished(connection: Connection, machine: str | None = None) -> tuple[StepRow, ...]:
    """Steps that wait or run (of one machine), in no particular order of plans."""
    query = select(_table).where(_table.c.state.in_(OPEN)).order_by(_table.c.plan, _table.c.position)
    if machine is not None:
        query = query.where(_table.c.machine == machine)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def due(connection: Connection, *, now: float) -> bool:
    """Whether a step could be claimed; asked before the write lock is taken, because mostly the answer is no."""
    return any(True for _ in _ready(connection, now))


def claim(connection: Connection, *, now: float, owner: str, lease: float) -> StepRow | None:
    """Take the step that has waited longest among those that may run, for ``lease`` seconds; None when there is none.

    A step may run when its plan is accepted, nobody holds it, its time has come, and all steps in ``after`` are done.
    """
    for row in _ready(connection, now):
        if _take(connection, row, now=now, owner=owner, lease=lease):
            return get(connection, row["plan"], row["key"])
    return None


def _ready(connection: Connection, now: float) -> Iterator[RowMapping]:
    """Steps that may run, in their order. Without their documents, and with two queries, however many steps wait."""
    accepted = schema.plan.c.state == PlanState.ACCEPTED
    joined = _table.join(schema.plan, schema.plan.c.hash == _table.c.plan)
    query = (
        select(_table.c.plan, _table.c.key, _table.c.fence, _table.c.after)
        .select_from(joined)
        .where(accepted, _table.c.state.in_(OPEN), _table.c.lease_until <= now, _table.c.not_before <= now)
        .order_by(_table.c.not_before, schema.plan.c.accepted, _table.c.position)
    )
    found = connection.execute(query).mappings().all()
    if not found:
        return
    over = select(_table.c.plan, _table.c.key).select_from(joined).where(accepted, _table.c.state == StepState.DONE)
    done = {(plan, key) for plan, key in connection.execute(over)}
    yield from (row for row in found if all((row["plan"], key) in done for key in rows.load(row["after"])))


def _take(connection: Connection, row: RowMapping, *, now: float, owner: str, lease: float) -> bool:
    """Conditional on the fence, so that two workers on a database without a global write lock cannot both have it."""
    here = (_table.c.plan == row["plan"], _table.c.key == row["key"])
    document = connection.execute(select(_table.c.document).where(*here)).scalar_one()
    taken = connection.execute(
        update(_table)
        .where(*here, _table.c.fence == row["fence"])
        .values(
            state=StepState.RUNNING,
            owner=owner,
            fence=_table.c.fence + 1,
            lease_until=now + lease,
            started=func.coalesce(_table.c.started, now),
            deadline=func.coalesce(_table.c.deadline, now + from_data(Step, rows.load(document)).deadline),
        )
    )
    return taken.rowcount == 1


def hold(connection: Connection, row: StepRow, *, until: float | None = None) -> bool:
    """Whether this claim is still the valid one; extends the lease to ``until`` when it is."""
    longer = (
        _table.c.lease_until
        if until is None
        else case((_table.c.lease_until > until, _table.c.lease_until), else_=until)
    )
    return connection.execute(update(_table).where(*_mine(row)).values(lease_until=longer)).rowcount == 1


def release(
    connection: Connection, row: StepRow, *, state: StepState, tries: int = 0, error: str = "", not_before: float = 0.0
) -> bool:
    """Give the step back in ``state``. False (and nothing changed) when another worker has claimed it since."""
    values = {"state": state, "tries": tries, "error": error, "not_before": not_before, "owner": "", "lease_until": 0.0}
    return connection.execute(update(_table).where(*_mine(row)).values(**values)).rowcount == 1


def forget_deadline(connection: Connection, row: StepRow) -> None:
    """The deadline counts anew from the next claim."""
    connection.execute(update(_table).where(*_mine(row)).values(deadline=None))


def set_progress(
    connection: Connection, plan: str, key: str, progress: Mapping[str, Any], *, wake: bool = False
) -> None:
    """What people see of a running step. ``wake`` lets the engine look at it at once."""
    values: dict[str, Any] = {"progress": rows.dump(dict(progress))}
    if wake:
        values["not_before"] = 0.0
    connection.execute(update(_table).where(_table.c.plan == plan, _table.c.key == key).values(**values))


def set_memo(connection: Connection, row: StepRow, memo: Mapping[str, Any]) -> None:
    """What the step's code keeps between two looks; gone when the step starts anew."""
    connection.execute(update(_table).where(*_mine(row)).values(memo=rows.dump(dict(memo))))


def memo_of(connection: Connection, plan: str, key: str) -> Mapping[str, Any]:
    """What the step's code kept; empty when it kept nothing yet, or there is no such step."""
    found = connection.execute(select(_table.c.memo).where(_table.c.plan == plan, _table.c.key == key)).scalar()
    memo: Mapping[str, Any] = rows.load(found) if found else {}
    return memo


def memos(connection: Connection, kind: StepKind) -> tuple[tuple[str, str, Mapping[str, Any]], ...]:
    """Plan, key and memo of all running steps of a kind that keep one; without their documents, which may be many."""
    query = select(_table.c.plan, _table.c.key, _table.c.memo).where(
        _table.c.kind == kind, _table.c.state == StepState.RUNNING, _table.c.memo != "{}"
    )
    return tuple((plan, key, rows.load(memo)) for plan, key, memo in connection.execute(query))


def wake(connection: Connection, plan: str, kind: StepKind) -> None:
    """Let the engine look at the running steps of a kind at once: something that they wait for has happened."""
    here = (_table.c.plan == plan, _table.c.kind == kind, _table.c.state == StepState.RUNNING)
    connection.execute(update(_table).where(*here).values(not_before=0.0))


def at_work(connection: Connection, machine: str, kind: StepKind) -> bool:
    """Whether an accepted plan has steps of this kind for this machine that wait or run."""
    query = (
        select(_table.c.key)
        .join(schema.plan, schema.plan.c.hash == _table.c.plan)
        .where(
            schema.plan.c.state == PlanState.ACCEPTED,
            _table.c.machine == machine,
            _table.c.kind == kind,
            _table.c.state.in_(OPEN),
        )
    )
    return connection.execute(query.limit(1)).first() is not None


def cancel(connection: Connection, plan: str, keys: Iterable[str], *, why: str) -> int:
    """Steps that wait or run will not go on. The fence rises: a worker that is at it right now cannot give it back."""
    values = {"state": StepState.CANCELLED, "error": why, "owner": "", "lease_until": 0.0, "fence": _table.c.fence + 1}
    query = update(_table).where(_table.c.plan == plan, _table.c.key.in_(tuple(keys)), _table.c.state.in_(OPEN))
    return connection.execute(query.values(**values)).rowcount


def _mine(row: StepRow) -> tuple[Any, ...]:
    return (
        _table.c.plan == row.plan,
        _table.c.key == row.key,
        _table.c.owner == row.owner,
        _table.c.fence == row.fence,
        _table.c.state == StepState.RUNNING,
    )


def _row(row: RowMapping) -> StepRow:
    return StepRow(
        step=from_data(Step, rows.load(row["document"])),
        plan=row["plan"],
        position=row["position"],
        state=StepState(row["state"]),
        tries=row["tries"],
        fence=row["fence"],
        owner=row["owner"],
        lease_until=row["lease_until"],
        not_before=row["not_before"],
        started=row["started"],
        deadline=row["deadline"],
        error=row["error"],
        progress=rows.load(row["progress"]),
        memo=rows.load(row["memo"]),
    )
