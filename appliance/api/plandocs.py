"""Documents of plans, sites, sessions and timelines; see `appliance.api.documents`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.api.documents import MachineDocument, instant, machine_document
from appliance.api.route import FORBID
from appliance.model.plan import Desired, DiskChoice, LintFinding, Wait
from appliance.operations.layouts import Explanation
from appliance.operations.plans import PlanView, StepView
from appliance.operations.timeline import Timeline
from appliance.store.plans import PlanSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDocument:
    """One step. ``state``: planned, waiting, running, done, failed, cancelled. ``fraction`` is 0..1."""

    key: str
    kind: str
    machine: str
    name: str
    state: str
    reversible: bool
    error: str
    tries: int
    started: str | None
    deadline: str | None
    stage: str
    fraction: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDocument:
    """A plan. ``diff`` is its text for people; ``disks`` is every disk with its fate. ``current``: no other plan was
    accepted since it was made. ``changes``: there is something to apply; ``relaid``: it is only another layout, without
    steps (the layout has an address of its own). ``lint`` findings of severity error keep it from being applied."""

    hash: str
    parent: str
    state: str
    current: bool
    changes: bool
    relaid: bool
    diff: str
    steps: tuple[StepDocument, ...]
    waits: tuple[Wait, ...]
    disks: tuple[DiskChoice, ...]
    lint: tuple[LintFinding, ...]
    made: str | None
    made_by: str
    accepted: str | None
    accepted_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummaryDocument:
    """A plan in numbers: its steps and waits, the disks that it erases and assigns, and what lint found. The rest as in
    the plan itself."""

    hash: str
    parent: str
    state: str
    changes: bool
    relaid: bool
    steps: int
    waits: int
    erased: int
    assigned: int
    errors: int
    warnings: int
    made: str | None
    made_by: str
    accepted: str | None
    accepted_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanList:
    """A page of plans, the newest first."""

    plans: tuple[PlanSummaryDocument, ...]
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutDocument:
    """The layout of a plan: how everything is to be in the end. Sizes are bytes, rates bytes per second."""

    hash: str
    desired: Desired


@dataclass(frozen=True, slots=True, kw_only=True)
class CrushDocument:
    """A CRUSH map as text that ``crushtool -c`` compiles."""

    hash: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """What to explain: a machine (name, id, serial, MAC), a disk (serial, WWN, four letters of one, MACHINE/SERIAL), a
    step's key, a pool, a cluster, ``osd.N`` or ``backbone``."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainLine:
    """One line. ``kind``: heading, fact, why, create, change, destroy, assign, keep, wait, summary."""

    kind: str
    text: str
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainDocument:
    """Everything that a plan knows about ``what``; ``text`` is the lines as plain text."""

    hash: str
    what: str
    text: str
    lines: tuple[ExplainLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteText:
    """A site file to load; ``path`` is only for messages."""

    __pydantic_config__ = FORBID
    text: str
    path: str = "(site)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDocument:
    """The site file that holds, as it was written. ``site`` is its name, ``machines`` how many it names."""

    site: str
    machines: int
    sha256: str
    path: str
    loaded: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDocument:
    """Who the caller is, and how that was proved."""

    name: str
    role: str
    via: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntryDocument:
    seq: int
    at: str | None
    kind: str
    text: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingDocument:
    """The step that comes next, after what, and by when. ``overdue``: it should have come; then ``cause`` is the likely
    reason and ``action`` what to do."""

    step: str
    after: str
    since: str | None
    deadline: str | None
    overdue: bool
    cause: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineDocument:
    """Everything that happened to a machine, the oldest first, and the step that is missing."""

    machine: MachineDocument
    entries: tuple[TimelineEntryDocument, ...]
    missing: MissingDocument | None
    now: str | None


def plan_document(view: PlanView) -> PlanDocument:
    """A plan for the API."""
    return PlanDocument(
        hash=view.hash,
        parent=view.parent,
        state=view.state.value,
        current=view.current,
        changes=view.changes,
        relaid=view.relaid,
        diff=view.diff,
        steps=tuple(map(_step, view.steps)),
        waits=view.waits,
        disks=view.disks,
        lint=view.lint,
        made=instant(view.made),
        made_by=view.made_by,
        accepted=instant(view.accepted),
        accepted_by=view.accepted_by,
    )


def plan_summary(found: PlanSummary) -> PlanSummaryDocument:
    """A plan in a list."""
    counts = found.counts
    return PlanSummaryDocument(
        hash=found.hash,
        parent=found.parent,
        state=found.state.value,
        changes=counts.changes,
        relaid=counts.relaid,
        steps=counts.steps,
        waits=counts.waits,
        erased=counts.erased,
        assigned=counts.assigned,
        errors=counts.errors,
        warnings=counts.warnings,
        made=instant(found.made),
        made_by=found.made_by,
        accepted=instant(found.accepted),
        accepted_by=found.accepted_by,
    )


def explain_document(found: Explanation) -> ExplainDocument:
    """An explanation for the API."""
    lines = tuple(ExplainLine(kind=line.kind.value, text=line.text, machine=line.machine) for line in found.lines)
    return ExplainDocument(hash=found.hash, what=found.what, text=found.text, lines=lines)


def _step(view: StepView) -> StepDocument:
    return StepDocument(
        key=view.key,
        kind=view.kind.value,
        machine=view.machine,
        name=view.name,
        state=view.state,
        reversible=view.reversible,
        error=view.error,
        tries=view.tries,
        started=instant(view.started),
        deadline=instant(view.deadline),
        stage=str(view.progress.get("stage", "")),
        fraction=float(view.progress.get("fraction", 0.0)),
        message=str(view.progress.get("message", "")),
    )


def timeline_document(found: Timeline) -> TimelineDocument:
    """A timeline for the API."""
    missing = found.missing
    return TimelineDocument(
        machine=machine_document(found.machine),
        entries=tuple(
            TimelineEntryDocument(
                seq=entry.seq, at=instant(entry.at), kind=entry.kind, text=entry.text, data=dict(entry.data)
            )
            for entry in found.entries
        ),
        missing=MissingDocument(
            step=missing.step,
            after=missing.after,
            since=instant(missing.since),
            deadline=instant(missing.deadline),
            overdue=found.overdue,
            cause=missing.cause,
            action=missing.action,
        )
        if missing
        else None,
        now=instant(found.now),
    )
