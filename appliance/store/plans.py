"""Plans: drafts, accepted ones, and what became of them. The document holds the plan and the findings of lint."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, delete, select, update

from agent.wire import from_data
from appliance.model.plan import LintFinding, Plan, PlanCounts, count
from appliance.store import rows, schema

_table = schema.plan


class PlanState(StrEnum):
    """``superseded``: a later plan was accepted before this one had started everything."""

    DRAFT = "draft"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """``made`` and ``accepted`` are seconds since the epoch; ``accepted`` is None for a plan that never was."""

    plan: Plan
    lint: tuple[LintFinding, ...]
    state: PlanState
    diff: str
    made_by: str
    made: float
    accepted_by: str
    accepted: float | None

    @property
    def hash(self) -> str:
        return self.plan.hash


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """A plan as a list shows it, read without its document. Fields as in `PlanRow`."""

    hash: str
    parent: str
    counts: PlanCounts
    state: PlanState
    made_by: str
    made: float
    accepted_by: str
    accepted: float | None


def put_draft(
    connection: Connection, plan: Plan, *, lint: tuple[LintFinding, ...], diff: str, made_by: str, made: float
) -> None:
    """Store a draft, or make a plan that is over a draft again: the same facts came back, the same steps are due."""
    document = rows.dump({"plan": plan, "lint": lint})
    rows.upsert(
        connection,
        _table,
        ("accepted_by", "accepted"),
        hash=plan.hash,
        parent=plan.parent,
        state=PlanState.DRAFT,
        document=document,
        counts=rows.dump(count(plan, lint)),
        diff=diff,
        made_by=made_by,
        made=made,
        accepted_by="",
        accepted=None,
    )


def get(connection: Connection, hash_: str) -> PlanRow | None:
    """The plan with this hash."""
    row = connection.execute(select(_table).where(_table.c.hash == hash_)).mappings().first()
    return _row(row) if row else None


def get_state(connection: Connection, hash_: str) -> PlanState | None:
    """Its state alone: the document of a large plan is megabytes."""
    found = connection.execute(select(_table.c.state).where(_table.c.hash == hash_)).scalar()
    return None if found is None else PlanState(found)


def find(connection: Connection, prefix: str) -> tuple[str, ...]:
    """Hashes that begin with ``prefix`` (lower-case hex, as a person abbreviates it); at most three."""
    query = select(_table.c.hash).where(_table.c.hash.startswith(prefix, autoescape=True)).order_by(_table.c.hash)
    return tuple(connection.execute(query.limit(3)).scalars())


def last_accepted(connection: Connection) -> str:
    """Hash of the plan that was accepted last: the parent of the next one. Empty before the first."""
    query = select(_table.c.hash).where(_table.c.accepted.is_not(None)).order_by(_table.c.accepted.desc()).limit(1)
    return connection.execute(query).scalar() or ""


def in_state(connection: Connection, state: PlanState) -> tuple[str, ...]:
    """Hashes of the plans in this state, the oldest acceptance first."""
    query = select(_table.c.hash).where(_table.c.state == state).order_by(_table.c.accepted, _table.c.hash)
    return tuple(connection.execute(query).scalars())


def newest(connection: Connection, limit: int) -> tuple[PlanSummary, ...]:
    """The newest plans first."""
    wanted = [_table.c[field.name] for field in fields(PlanSummary)]
    query = select(*wanted).order_by(_table.c.made.desc(), _table.c.hash).limit(limit)
    return tuple(_summary(row) for row in connection.execute(query).mappings())


def accept(connection: Connection, hash_: str, *, by: str, at: float) -> None:
    """Mark as accepted; ``at`` must be later than every earlier acceptance, so that parents stay in order."""
    latest = connection.execute(select(_table.c.accepted).order_by(_table.c.accepted.desc()).limit(1)).scalar()
    moment = max(at, (latest or 0.0) + 1e-3)
    connection.execute(
        update(_table).where(_table.c.hash == hash_).values(state=PlanState.ACCEPTED, accepted_by=by, accepted=moment)
    )


def set_state(connection: Connection, hash_: str, state: PlanState) -> None:
    """Mark what became of it."""
    connection.execute(update(_table).where(_table.c.hash == hash_).values(state=state))


def remove_drafts(connection: Connection, *, before: float) -> int:
    """Remove plans that were never accepted and are older than ``before``, but for the newest; returns how many."""
    newest = select(_table.c.hash).order_by(_table.c.made.desc(), _table.c.hash).limit(1).scalar_subquery()
    never = (_table.c.state == PlanState.DRAFT) & _table.c.accepted.is_(None)
    query = delete(_table).where(never, _table.c.made < before, _table.c.hash != newest)
    return connection.execute(query).rowcount


def _summary(row: RowMapping) -> PlanSummary:
    values = dict(row)
    return PlanSummary(
        **values | {"counts": from_data(PlanCounts, rows.load(row["counts"])), "state": PlanState(row["state"])}
    )


def _row(row: RowMapping) -> PlanRow:
    document = rows.load(row["document"])
    return PlanRow(
        plan=from_data(Plan, document["plan"]),
        lint=tuple(from_data(LintFinding, finding) for finding in document["lint"]),
        state=PlanState(row["state"]),
        diff=row["diff"],
        made_by=row["made_by"],
        made=row["made"],
        accepted_by=row["accepted_by"],
        accepted=row["accepted"],
    )
