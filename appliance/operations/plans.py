"""Plans: made from what was observed, shown, accepted by their hash, and carried out by the worker.

A plan that was accepted is a promise: exactly its steps, on exactly the disks that it lists, as long as the facts that it
names are still true when it is accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from appliance.engine.orders import OrderError
from appliance.engine.settlement import settle
from appliance.kinds import ceph
from appliance.model.ceph import CephLayout
from appliance.model.observed import Observed
from appliance.model.plan import Desired, DiskChoice, DiskFate, LintFinding, Plan, Step, StepKind, Wait
from appliance.model.site import Site
from appliance.operations import audit, sites
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import Conflict, Invalid, NotFound, Unavailable
from appliance.operations.machines import observe, observe_appliance
from appliance.operations.osdremovals import end_removals, removing
from appliance.operations.rendering import operating_system, render_files
from appliance.operations.replacements import reconcile, replacing
from appliance.operations.secrets import make_keys
from appliance.plan import make
from appliance.plan.ceph.steps import written_keys
from appliance.plan.diff.layout import names_of
from appliance.plan.diff.text import render
from appliance.plan.lint import lint
from appliance.plan.stale import ChangedFact, changed_facts
from appliance.store import allocations, artefacts, cephstates, events, machines, orders, permits, plans, steps
from appliance.store.artefacts import ArtefactKind
from appliance.store.events import Happening
from appliance.store.permits import PermitState
from appliance.store.plans import PlanRow, PlanState, PlanSummary
from appliance.store.steps import StepRow, StepState

log = logging.getLogger(__name__)

SHORTEST = 6
"""Letters of a hash that a person must give at least."""
NEWEST = "newest"
"""Instead of a hash: the plan that was made last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step. ``state`` is ``planned`` before the plan is accepted; ``progress`` is what the agent or the engine said
    last (stage, fraction 0..1, message). Times are seconds since the epoch."""

    key: str
    kind: StepKind
    machine: str
    name: str
    state: str
    reversible: bool
    error: str = ""
    tries: int = 0
    started: float | None = None
    deadline: float | None = None
    progress: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """A plan for people. ``diff`` is its text, ``disks`` every disk with its fate, ``lint`` findings (an ``error`` stops
    `apply_plan`). ``current``: no other plan was accepted since this one was made. ``changes``: there is something to
    accept, steps or another layout than that of the plan before it. ``names`` are those that it gives machines, by id."""

    hash: str
    parent: str
    state: PlanState
    current: bool
    diff: str
    steps: tuple[StepView, ...]
    waits: tuple[Wait, ...]
    disks: tuple[DiskChoice, ...]
    lint: tuple[LintFinding, ...]
    made: float
    made_by: str
    accepted: float | None
    accepted_by: str
    changes: bool
    desired: Desired
    names: Mapping[str, str]

    @property
    def relaid(self) -> bool:
        """It is only another layout: no step does anything."""
        return self.changes and not self.steps


def make_plan(app: Appliance, actor: Actor) -> PlanView:
    """Plan from the site file and everything observed, and keep it as a draft.

    The same facts give the same hash: then the plan that is there already is shown. Raises `Unavailable` without a site.
    """
    actor.require(Role.OPERATOR, "make plans")
    with app.store.write() as connection:
        site, parent = site_in(connection), plans.get(connection, plans.last_accepted(connection))
        reconcile(connection, parent.plan.desired.ceph if parent else None, at=app.clock.now())
        end_removals(connection, at=app.clock.now())
        observed = observe_all(connection)
        made = make.plan(site, app.profiles, observed, parent.plan if parent else None)
        before = plans.get(connection, made.hash)
        if before is not None and before.state is PlanState.ACCEPTED:
            return _view(connection, before)
        standing = parent.plan.desired.ceph if parent else None
        findings = (*lint(site, made, observed, app.profiles), *_of_ceph(made, standing, observed))
        text = render(made, observed, parent.plan.desired if parent else None)
        plans.put_draft(connection, made, lint=findings, diff=text, made_by=actor.name, made=app.clock.now())
        log.info("machine=- step=plan why=%s made by %s: %d steps", made.hash[:12], actor.name, len(made.steps))
        return _view(connection, find_plan(connection, made.hash))


def _of_ceph(made: Plan, before: CephLayout | None, observed: Observed) -> tuple[LintFinding, ...]:
    """What is to be said about the Ceph that stands; it has to be the one of this layout."""
    layout, state = made.desired.ceph, observed.ceph
    if layout is None or state is None or state.fsid != layout.fsid:
        return ()
    return ceph.lint(layout, before, state)


def show_plan(app: Appliance, actor: Actor, hash_: str) -> PlanView:
    """A plan by its hash or the beginning of it. Raises `NotFound`."""
    actor.require(Role.VIEWER, "look at plans")
    with app.store.read() as connection:
        return _view(connection, find_plan(connection, hash_))


def list_plans(app: Appliance, actor: Actor, limit: int = 50) -> tuple[PlanSummary, ...]:
    """The newest plans first, in numbers."""
    actor.require(Role.VIEWER, "look at plans")
    with app.store.read() as connection:
        return plans.newest(connection, limit)


def apply_plan(app: Appliance, actor: Actor, hash_: str) -> PlanView:
    """Accept a plan: from here on the worker carries it out. Accepting it twice is the same as once.

    Raises `NotFound`, `Conflict` (another plan was accepted meanwhile, facts have changed, a machine is still busy with an
    earlier plan), `Invalid` (lint found errors), `Unavailable` (no site).
    """
    actor.require(Role.OPERATOR, "apply plans")
    with app.store.write() as connection:
        row = find_plan(connection, hash_)
        if row.state in (PlanState.ACCEPTED, PlanState.DONE):
            return _view(connection, row)
        again = row.state is PlanState.FAILED
        _check(connection, row, again=again)
        _supersede(app, connection, row.plan, again=again)
        _allocate(connection, row.plan)
        if not again:
            steps.forget(connection, row.hash)
        steps.add(connection, row.hash, row.plan.steps)
        now = app.clock.now()
        made = make_keys(app, connection, actor, row.plan)
        plans.accept(connection, row.hash, by=actor.name, at=now)
        text = f"plan {row.hash[:12]} was accepted by {actor.name}: {len(row.plan.steps)} steps"
        events.add(connection, at=now, machine="", kind=Happening.PLAN, text=text, data={"plan": row.hash})
        erased = [f"{disk.machine}/{disk.serial}" for disk in row.plan.disks if disk.fate is DiskFate.ERASE]
        audit.record(connection, app, actor, "plan.apply", row.hash, again=again, erases=erased, keys=made)
        settle(connection, row.hash, at=now)
        log.info("machine=- step=plan why=%s", text)
        return _view(connection, find_plan(connection, row.hash))


def _check(connection: Connection, row: PlanRow, *, again: bool) -> None:
    last = plans.last_accepted(connection)
    if last != (row.hash if again else row.plan.parent):
        raise Conflict(
            f"plan {row.hash[:12]} is stale: plan {last[:12] or '(none)'} was accepted since it was made; "
            "plan again: rackseed plan"
        )
    errors = tuple(finding for finding in row.lint if finding.severity == "error")
    if errors:
        problems = tuple((finding.about, f"{finding.rule}: {finding.text}") for finding in errors)
        raise Invalid(f"plan {row.hash[:12]} has errors: {problems[0][1]}", problems)
    _check_files(connection, row.plan)
    observed = observe_all(connection)
    changed = changed_facts(row.plan, observed)
    if again:
        changed = tuple(fact for fact in changed if _matters(connection, row, observed, fact))
    if changed:
        texts = "; ".join(fact.text for fact in changed)
        raise Conflict(f"facts have changed since plan {row.hash[:12]} was made: {texts}; plan again: rackseed plan")


def _check_files(connection: Connection, plan: Plan) -> None:
    """Nothing is left to fail later that can fail now: the files of every machine are rendered once before accepting."""
    for step in plan.steps:
        image = artefacts.get(connection, step.install.image) if step.install else None
        if step.install is None or image is None:
            continue  # an image that is gone is a changed fact
        try:
            render_files(image, step.install.host, step.install.partitions)
        except OrderError as error:
            raise Invalid(str(error), ((step.name, str(error)),)) from error


def _matters(connection: Connection, row: PlanRow, observed: Observed, fact: ChangedFact) -> bool:
    """Whether a changed fact stops a failed plan from going on where it stopped.

    It does not when the machine's install is done, or when the disk is our own interrupted install: it carries the marker
    of this plan's claimed permit, which the agent checks, too. Nor for the disk of an OSD whose step has begun: the agent
    knows what this very OSD makes of it, and refuses anything else.
    """
    head, _, what = fact.name.partition("/")
    found = [step for step in steps.of_plan(connection, row.hash) if step.machine == head]
    install = next((step for step in found if step.step.install), None)
    if install is None or install.step.install is None:
        return not _begun(connection, found, what)
    if install.state is StepState.DONE:
        return False
    permit = permits.of_step(connection, row.hash, install.key)
    if not what.startswith("disk/") or permit is None or permit.state is not PermitState.CLAIMED:
        return True
    chosen = install.step.install.disk
    seen = next((machine.inventory for machine in observed.machines if machine.machine.id == head), None)
    disks = [disk for disk in seen.disks if (disk.serial, disk.wwn) == (chosen.serial, chosen.wwn)] if seen else []
    return [disk.content.table_id.lower() for disk in disks] != [permit.id]


def _begun(connection: Connection, found: list[StepRow], what: str) -> bool:
    """Whether the fact is about a disk that a step of Ceph has begun to write, in this run of the plan or an earlier one."""
    told = [step for step in found if step.started is not None or orders.newest(connection, step.plan, step.key)]
    begun = [key for step in told for key in written_keys(step.step)]
    return what.removeprefix("disk/") in {f"{serial}/{wwn}" for _, serial, wwn in begun}


def _supersede(app: Appliance, connection: Connection, plan: Plan, *, again: bool) -> None:
    """Earlier plans: what has begun on a machine goes on, the rest is cancelled. A machine works for one plan at a time."""
    now, wanted = app.clock.now(), {step.machine for step in plan.steps}
    for earlier in plans.in_state(connection, PlanState.ACCEPTED):
        found = steps.of_plan(connection, earlier)
        busy = {step.machine for step in found if step.started is not None and step.state is not StepState.FAILED}
        busy &= {step.machine for step in found if step.state in steps.OPEN}
        busy |= _forming(found)
        both = sorted(busy & wanted)
        if both:
            raise Conflict(
                f"plan {earlier[:12]} is still at work on {', '.join(both)}; wait until it is done, then plan again"
            )
        idle = [step.key for step in found if step.state in steps.OPEN and step.machine not in busy]
        if idle:
            steps.cancel(connection, earlier, idle, why=f"superseded by plan {plan.hash[:12]}")
        if not busy:
            plans.set_state(connection, earlier, PlanState.SUPERSEDED)
    if not again:
        for machine in wanted:
            orders.void_of_machine(connection, machine, at=now)
            permits.void_of_machine(connection, machine)


def _forming(found: tuple[StepRow, ...]) -> set[str]:
    """Machines of a cluster that is just being formed: its steps are one work, over all of them."""
    own = [step for step in found if step.step.kind is StepKind.CEPH]
    begun = any(step.started is not None for step in own)
    return {step.machine for step in own if begun and step.state in steps.OPEN}


def _allocate(connection: Connection, plan: Plan) -> None:
    try:
        for allocation in plan.allocations:
            allocations.put(connection, allocation)
            now = machines.get(connection, allocation.machine)
            wanted = (allocation.name, allocation.profile)
            if now is not None and (now.machine.name, now.machine.profile) != wanted:
                machines.change(connection, allocation.machine, name=allocation.name, profile=allocation.profile)
    except IntegrityError as error:
        raise Conflict("a name or address of this plan belongs to another machine by now; plan again") from error


def site_in(connection: Connection) -> Site:
    """The site file that holds. Raises `Unavailable`."""
    site = sites.current_in(connection)
    if site is None:
        raise Unavailable("no site file is loaded: rackseed site load FILE")
    return site


def observe_all(connection: Connection) -> Observed:
    """What the planner sees now."""
    images = {
        operating_system(row): row.sha256
        for row in artefacts.everything(connection)
        if row.kind == ArtefactKind.OS_IMAGE and row.current
    }
    return Observed(
        machines=observe(connection),
        images=tuple(sorted(images.items())),
        ceph=cephstates.latest(connection),
        replacing=replacing(connection),
        arbiter=observe_appliance(connection),
        removing=removing(connection),
    )


def find_plan(connection: Connection, hash_: str) -> PlanRow:
    """A plan by its hash, the beginning of it, or the word ``newest``. Raises `NotFound`."""
    wanted = hash_.strip().lower()
    if wanted == NEWEST:
        newest = plans.newest(connection, 1)
        if not newest:
            raise NotFound("no plan was made yet: rackseed plan")
        wanted = newest[0].hash
    found = plans.find(connection, wanted) if len(wanted) >= SHORTEST else ()
    if len(found) > 1:
        raise NotFound(f"{hash_} is the beginning of several plans: give more letters")
    row = plans.get(connection, found[0]) if found else None
    if row is None:
        raise NotFound(f"there is no plan {hash_}: see rackseed plan")
    return row


def _view(connection: Connection, row: PlanRow) -> PlanView:
    rows = {step.key: step for step in steps.of_plan(connection, row.hash)} if row.state is not PlanState.DRAFT else {}
    last = plans.last_accepted(connection)
    return PlanView(
        hash=row.hash,
        parent=row.plan.parent,
        state=row.state,
        current=last in (row.plan.parent, row.hash),
        diff=row.diff,
        steps=tuple(_step(step, rows.get(step.key)) for step in row.plan.steps),
        waits=row.plan.waits,
        disks=row.plan.disks,
        lint=row.lint,
        made=row.made,
        made_by=row.made_by,
        accepted=row.accepted,
        accepted_by=row.accepted_by,
        changes=row.plan.changes,
        desired=row.plan.desired,
        names=names_of(row.plan.allocations, row.plan.desired),
    )


def _step(step: Step, row: StepRow | None) -> StepView:
    return StepView(
        key=step.key,
        kind=step.kind,
        machine=step.machine,
        name=step.name,
        state=row.state if row else "planned",
        reversible=step.reversible,
        error=row.error if row else "",
        tries=row.tries if row else 0,
        started=row.started if row else None,
        deadline=row.deadline if row else None,
        progress=dict(row.progress) if row else {},
    )
