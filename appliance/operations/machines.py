"""Machines as people see them and what people may do with them: list, show, approve, hold, retire, merge, split."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from agent.wire import EnrolmentState, Environment, Inventory, decode
from appliance.engine.settlement import withdraw
from appliance.model.identity import EvidenceKind, values
from appliance.model.machine import (
    APPLIANCE,
    NEXT_ACTION,
    RETIRED_HINT,
    LifecycleError,
    Machine,
    MachineEvent,
    Phase,
    Policy,
    TroubleKind,
    move,
)
from appliance.model.observed import ObservedMachine
from appliance.model.plan import Allocation
from appliance.operations import audit, enrolment, identity
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import Conflict, GenerationConflict, Invalid, NotFound
from appliance.store import (
    allocations,
    certificates,
    enrolments,
    events,
    evidence,
    inventories,
    lifecycle,
    machines,
    permits,
)
from appliance.store.enrolments import EnrolmentRow
from appliance.store.events import Happening
from appliance.store.machines import MachineRow
from hwprofiles.match import match
from hwprofiles.normal import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineView:
    """One line of the list. ``vendor``, ``product`` and ``serial`` are what the machine last said (``trusted`` when it
    came over mutual TLS), placeholders left out. ``pending``: an enrolment waits for a decision. ``conflicts``: ids of
    machines that claim the same identity. ``next_action`` is what a person should do, or what to wait for."""

    machine: Machine
    expected: str = ""
    installed_by: str = ""
    created: float = 0.0
    vendor: str = ""
    product: str = ""
    serial: str = ""
    macs: tuple[str, ...] = ()
    address: str = ""
    trusted: bool = False
    pending: bool = False
    conflicts: tuple[str, ...] = ()
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentView:
    """A request to enrol. ``code`` is empty for viewers. ``clock_offset`` is the seconds the clock was set by."""

    state: EnrolmentState
    code: str
    reason: str
    remote: str
    created: float
    approved_by: str
    clock_offset: float
    key_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A certificate that was issued to the machine; the PEM itself is no secret, but of no use here."""

    serial: str
    environment: Environment
    state: str
    key_sha256: str
    created: float
    not_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDetail:
    """Everything about one machine. ``inventory`` is the trusted one, or the claimed one before there is any (then
    ``view.trusted`` is false). ``profile_reasons`` say for every profile why it matches or not."""

    view: MachineView
    inventory: Inventory | None
    reported: float
    enrolments: tuple[EnrolmentView, ...]
    certificates: tuple[CertificateView, ...]
    profile_reasons: tuple[str, ...]
    allocation: Allocation | None


def list_machines(app: Appliance, actor: Actor) -> tuple[MachineView, ...]:
    """All machines, the oldest first; retired ones too. The one that the appliance runs on comes last, while it has a
    trouble."""
    actor.require(Role.VIEWER, "list machines")
    with app.store.read() as connection:
        own = machines.get(connection, APPLIANCE)
        shown = (*machines.everything(connection), *((own,) if own and own.machine.trouble else ()))
        return tuple(view(connection, row) for row in shown)


def show_machine(app: Appliance, actor: Actor, key: str) -> MachineDetail:
    """One machine by id, name, expected name or MAC address. Raises `NotFound`."""
    actor.require(Role.VIEWER, "look at machines")
    with app.store.read() as connection:
        row = find(connection, key)
        known, _ = _inventory(connection, row.id)
        latest = inventories.latest(connection, row.id)
        return MachineDetail(
            view=view(connection, row),
            inventory=known,
            reported=latest.at if latest else 0.0,
            enrolments=tuple(_enrolment(actor, item) for item in enrolments.of_machine(connection, row.id)),
            certificates=_certificates(connection, row.id),
            profile_reasons=match(known, app.profiles).reasons if known else (),
            allocation=allocations.get(connection, row.id),
        )


def approve(
    app: Appliance, actor: Actor, key: str, code: str = "", *, without_code: bool = False, generation: int | None = None
) -> MachineView:
    """Approve the pending request whose console shows ``code``, or the newest one without a code (audited as such).

    Raises `PermissionDenied`, `NotFound`, `Conflict` (nothing pending, quarantine), `GenerationConflict`, `Invalid`.
    """
    actor.require(Role.OPERATOR, "approve machines")
    if bool(code.strip()) == without_code:
        message = "give the code that the machine's console shows, or say that you approve without it"
        raise Invalid(message, (("code", message),))
    with app.store.write() as connection:
        row = find(connection, key)
        check_generation(row, generation)
        waiting = [r for r in enrolments.of_machine(connection, row.id) if r.state is EnrolmentState.PENDING]
        if not waiting:
            raise Conflict(f"{row.id} has no pending request: it is {row.machine.phase}; boot it to make it ask")
        chosen = waiting[0] if without_code else _by_code(waiting, code)
        enrolment.approve(app, connection, chosen, actor, "without its code" if without_code else "by its code")
        return view(connection, find(connection, row.id))


def set_policy(app: Appliance, actor: Actor, key: str, policy: Policy, *, generation: int | None = None) -> MachineView:
    """Say what is wanted of a machine. Raises `Conflict` when a quarantined machine shall be used."""
    actor.require(Role.OPERATOR, "change a machine's policy")
    with app.store.write() as connection:
        row = find(connection, key)
        check_generation(row, generation)
        change_policy(connection, app, actor, row, policy)
        return view(connection, find(connection, row.id))


def change_policy(connection: Connection, app: Appliance, actor: Actor, row: MachineRow, policy: Policy) -> None:
    """The same in a transaction that is open."""
    if row.id == APPLIANCE and policy not in (Policy.USE, Policy.HOLD):
        raise Conflict("the appliance is used, or on hold: name another 'tiebreaker' in the site file to free it")
    trouble = row.machine.trouble
    if trouble and trouble.kind is TroubleKind.IDENTITY_CONFLICT and policy is not Policy.HOLD:
        raise Conflict(f"{row.id} is in quarantine: merge or split it first")
    if row.machine.policy is not policy:
        machines.change(connection, row.id, policy=policy)
        text, now = f"policy {row.machine.policy} → {policy}, by {actor.name}", app.clock.now()
        events.add(connection, at=now, machine=row.id, kind=Happening.POLICY, text=text)
        audit.record(connection, app, actor, "machine.policy", row.id, was=row.machine.policy, now=policy)
        enrolment.apply_rules(app, connection, row.id)


def retire(app: Appliance, actor: Actor, key: str, *, generation: int | None = None) -> MachineView:
    """Take a machine out of use: no certificate of it is accepted any more, its name and address are free again.

    Raises `Conflict` from a phase that does not allow it.
    """
    actor.require(Role.OPERATOR, "retire machines")
    with app.store.write() as connection:
        row = find(connection, key)
        check_generation(row, generation)
        if row.id == APPLIANCE:
            raise Conflict("the appliance itself is not retired: name another 'tiebreaker' in the site file to free it")
        try:
            move(row.machine.phase, MachineEvent.RETIRE)
        except LifecycleError as error:
            raise Conflict(f"{row.id}: {error}") from error
        now, others = app.clock.now(), identity.conflicts_of(connection, row.id)
        withdraw(connection, row.id, at=now, why=f"{row.id} was retired by {actor.name}")
        certificates.revoke(connection, row.id)
        enrolment.refuse_all(connection, row.id, f"the machine was retired; {RETIRED_HINT}")
        allocations.remove(connection, row.id)
        lifecycle.clear_trouble(connection, row.id, at=now, why="the machine was retired")
        gone = {"policy": Policy.HOLD, "name": "", "expected": "", "profile": ""}
        lifecycle.advance(connection, row.id, MachineEvent.RETIRE, at=now, why=f"by {actor.name}", **gone)
        audit.record(connection, app, actor, "machine.retire", row.id, was=row.machine.phase)
        for other in others:
            if identity.recheck(connection, other, at=now, why=f"{row.id} was retired"):
                enrolment.resume(app, connection, other, f"{row.id} was retired")
        return view(connection, find(connection, row.id))


def check_generation(row: MachineRow, generation: int | None) -> None:
    """If-Match: raise `GenerationConflict` when the machine changed since the caller looked."""
    if generation is not None and generation != row.machine.generation:
        raise GenerationConflict(
            f"{row.id} has changed since you looked (generation {row.machine.generation}, not {generation}): look again"
        )


def find(connection: Connection, key: str) -> MachineRow:
    """The machine with this id, name, expected name or MAC. Raises `NotFound`."""
    row = machines.find(connection, key.strip())
    if row is None:
        raise NotFound(f"there is no machine {key!r}; see: rackseed machine list")
    return row


def observe(connection: Connection) -> tuple[ObservedMachine, ...]:
    """All machines that are not retired, as the planner sees them (trusted inventories only)."""
    found = []
    for row in machines.everything(connection):
        if row.machine.phase is Phase.RETIRED:
            continue
        latest = inventories.latest(connection, row.id)
        found.append(
            ObservedMachine(
                machine=row.machine,
                inventory=latest.inventory if latest else None,
                expected=row.expected,
                allocation=allocations.get(connection, row.id),
                installed_by=row.installed_by,
                permits=permits.markers(connection, row.id),
            )
        )
    return tuple(found)


def observe_appliance(connection: Connection) -> ObservedMachine | None:
    """The machine that the appliance runs on, once its agent was enrolled."""
    row = machines.get(connection, APPLIANCE)
    latest = inventories.get(connection, APPLIANCE, Environment.ARBITER) if row else None
    return ObservedMachine(machine=row.machine, inventory=latest.inventory if latest else None) if row else None


def view(connection: Connection, row: MachineRow) -> MachineView:
    """What people see of one machine."""
    inventory, trusted = _inventory(connection, row.id)
    board = inventory.board if inventory else None
    allocation = allocations.get(connection, row.id)
    known = evidence.of_machine(connection, row.id)
    pending = any(item.state is EnrolmentState.PENDING for item in enrolments.of_machine(connection, row.id))
    conflicts = identity.conflicts_of(connection, row.id)
    return MachineView(
        machine=row.machine,
        expected=row.expected,
        installed_by=row.installed_by,
        created=row.created,
        vendor=_first(board.vendor, board.system_vendor) if board else "",
        product=_first(board.name, board.system_product, board.model) if board else "",
        serial=_first(board.serial, board.system_serial, board.pi_serial) if board else "",
        macs=tuple(sorted(values(known, EvidenceKind.PORT))),
        address=allocation.address if allocation else "",
        trusted=trusted,
        pending=pending,
        conflicts=conflicts,
        next_action=_next_action(row, pending=pending),
    )


def _next_action(row: MachineRow, *, pending: bool) -> str:
    machine = row.machine
    if machine.trouble:
        return machine.trouble.text
    if machine.policy is Policy.HOLD:
        return "it is on hold: rackseed machine use MACHINE, when it shall be used".replace("MACHINE", machine.id)
    if pending and machine.phase is not Phase.ENROLLED:
        return f"it came back with a new key: rackseed machine approve {machine.id} --code CODE"
    return NEXT_ACTION[machine.phase].replace("MACHINE", machine.id)


def _inventory(connection: Connection, machine: str) -> tuple[Inventory | None, bool]:
    latest = inventories.latest(connection, machine)
    if latest:
        return latest.inventory, True
    claimed = enrolments.of_machine(connection, machine)
    return (decode(Inventory, claimed[0].inventory), False) if claimed else (None, False)


def _by_code(waiting: Iterable[EnrolmentRow], code: str) -> EnrolmentRow:
    """The request with this code; a person may leave out hyphens and case."""
    wanted = "".join(code.upper().replace("-", "").split()).encode()
    for row in waiting:
        if hmac.compare_digest(row.code.replace("-", "").encode(), wanted):
            return row
    message = "this is not the code of a pending request of this machine: read it again from its console"
    raise Invalid(message, (("code", message),))


def _enrolment(actor: Actor, row: EnrolmentRow) -> EnrolmentView:
    shown = EnrolmentView(
        state=row.state,
        code=row.code,
        reason=row.reason,
        remote=row.remote,
        created=row.created,
        approved_by=row.approved_by,
        clock_offset=row.clock_offset,
        key_sha256=row.key_sha256,
    )
    return shown if actor.may(Role.OPERATOR) else replace(shown, code="")


def _certificates(connection: Connection, machine: str) -> tuple[CertificateView, ...]:
    return tuple(
        CertificateView(
            serial=row.serial,
            environment=row.environment,
            state=row.state,
            key_sha256=row.key_sha256,
            created=row.created,
            not_after=row.not_after,
        )
        for row in certificates.of_machine(connection, machine)
    )


def _first(*texts: str) -> str:
    return next((text for text in map(clean, texts) if text), "")
