"""What the people's API says and takes, as dataclasses: times are RFC 3339 in UTC, sizes bytes, absent things null."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent.wire import Inventory
from appliance.api.route import FORBID
from appliance.model.machine import Machine, Policy, TroubleKind
from appliance.operations.machines import CertificateView, EnrolmentView, MachineDetail, MachineView
from appliance.operations.progress import ProgressView
from appliance.store.artefacts import ArtefactRow
from appliance.store.audit import AuditRow
from appliance.store.events import EventRow


def instant(seconds: float | None) -> str | None:
    """Seconds since the epoch as RFC 3339 with milliseconds; None for never (0 or None)."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ------------------------------------------------------------ machines


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleDocument:
    """What is wrong; ``text`` says what to do, ``step`` is the step that it belongs to, or empty."""

    kind: TroubleKind
    text: str
    since: str | None
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDocument:
    """One machine. ``trusted``: what it says of itself came over mutual TLS. ``generation`` is for If-Match."""

    id: str
    name: str
    expected: str
    policy: Policy
    phase: str
    phase_since: str | None
    trouble: TroubleDocument | None
    profile: str
    vendor: str
    product: str
    serial: str
    macs: tuple[str, ...]
    address: str
    trusted: bool
    pending: bool
    conflicts: tuple[str, ...]
    next_action: str
    last_contact: str | None
    created: str | None
    installed_by: str
    generation: int
    progress: ProgressView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineList:
    """A page of machines. ``next`` is the cursor of the next page, empty at the end."""

    machines: tuple[MachineDocument, ...]
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentDocument:
    """A request to enrol. Its code is never told here: a person reads it from the machine's console."""

    state: str
    reason: str
    remote: str
    created: str | None
    approved_by: str
    clock_offset: float
    key_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateDocument:
    serial: str
    environment: str
    state: str
    created: str | None
    not_after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDetailDocument:
    """One machine with all that is known. ``inventory`` is untrusted while ``machine.trusted`` is false."""

    machine: MachineDocument
    inventory: Inventory | None
    reported: str | None
    enrolments: tuple[EnrolmentDocument, ...]
    certificates: tuple[CertificateDocument, ...]
    profile_reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """``code`` is what the machine's console shows. ``without_code`` approves the newest request unseen (audited)."""

    __pydantic_config__ = FORBID
    code: str = ""
    without_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    __pydantic_config__ = FORBID
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """``gone`` is the machine whose record ends; everything known of it goes over."""

    __pydantic_config__ = FORBID
    gone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """``mac``: this port was joined to the wrong machine. Without it the machine is declared one of its own."""

    __pydantic_config__ = FORBID
    mac: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """An empty body: ``{}``."""

    __pydantic_config__ = FORBID


def machine_document(view: MachineView, progress: ProgressView | None = None) -> MachineDocument:
    """A machine for the API."""
    machine = view.machine
    return MachineDocument(
        id=machine.id,
        name=machine.name,
        expected=view.expected,
        policy=machine.policy,
        phase=machine.phase.value,
        phase_since=instant(machine.phase_since),
        trouble=_trouble(machine),
        profile=machine.profile,
        vendor=view.vendor,
        product=view.product,
        serial=view.serial,
        macs=view.macs,
        address=view.address,
        trusted=view.trusted,
        pending=view.pending,
        conflicts=view.conflicts,
        next_action=view.next_action,
        last_contact=instant(machine.last_contact),
        created=instant(view.created),
        installed_by=view.installed_by,
        generation=machine.generation,
        progress=progress,
    )


def detail_document(detail: MachineDetail, progress: ProgressView | None = None) -> MachineDetailDocument:
    """A machine with everything for the API."""
    return MachineDetailDocument(
        machine=machine_document(detail.view, progress),
        inventory=detail.inventory,
        reported=instant(detail.reported),
        enrolments=tuple(map(_enrolment, detail.enrolments)),
        certificates=tuple(map(_certificate, detail.certificates)),
        profile_reasons=detail.profile_reasons,
    )


def _trouble(machine: Machine) -> TroubleDocument | None:
    trouble = machine.trouble
    if trouble is None:
        return None
    return TroubleDocument(kind=trouble.kind, text=trouble.text, since=instant(trouble.since), step=trouble.step)


def _enrolment(view: EnrolmentView) -> EnrolmentDocument:
    return EnrolmentDocument(
        state=view.state.value,
        reason=view.reason,
        remote=view.remote,
        created=instant(view.created),
        approved_by=view.approved_by,
        clock_offset=view.clock_offset,
        key_sha256=view.key_sha256,
    )


def _certificate(view: CertificateView) -> CertificateDocument:
    return CertificateDocument(
        serial=view.serial,
        environment=view.environment.value,
        state=view.state,
        created=instant(view.created),
        not_after=instant(view.not_after),
    )


# ------------------------------------------------------------ events, artefacts, audit


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDocument:
    """Something that happened. ``seq`` orders all events; ``machine`` is an id or empty."""

    seq: int
    at: str | None
    machine: str
    kind: str
    text: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventList:
    """A page of events, the oldest first."""

    events: tuple[EventDocument, ...]
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtefactDocument:
    """A file that machines fetch. ``url`` is its address on the plain HTTP listener."""

    sha256: str
    kind: str
    name: str
    size: int
    current: bool
    added: str | None
    url: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtefactList:
    artefacts: tuple[ArtefactDocument, ...]
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewArtefact:
    """Registers a file that lies on the appliance already (only from its own command line). ``path`` is absolute."""

    __pydantic_config__ = FORBID
    kind: str
    name: str
    path: str
    sha256: str
    size: int
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDocument:
    """Who changed what."""

    seq: int
    at: str | None
    actor: str
    role: str
    verb: str
    about: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbiterRequest:
    """A certificate request (PEM) of the boot server's own agent."""

    __pydantic_config__ = FORBID
    csr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditList:
    """A page of the audit trail, the newest first."""

    entries: tuple[AuditDocument, ...]
    next: str


def event_document(row: EventRow) -> EventDocument:
    """An event for the API."""
    return EventDocument(
        seq=row.seq, at=instant(row.at), machine=row.machine, kind=row.kind, text=row.text, data=dict(row.data)
    )


def artefact_document(row: ArtefactRow, public_url: str) -> ArtefactDocument:
    """An artefact for the API."""
    return ArtefactDocument(
        sha256=row.sha256,
        kind=row.kind,
        name=row.name,
        size=row.size,
        current=row.current,
        added=instant(row.added),
        url=f"{public_url}/artefacts/{row.sha256}/{row.name}",
        document=dict(row.document),
    )


def audit_document(row: AuditRow) -> AuditDocument:
    """An audit row for the API."""
    return AuditDocument(
        seq=row.seq,
        at=instant(row.at),
        actor=row.actor,
        role=row.role,
        verb=row.verb,
        about=row.about,
        detail=dict(row.detail),
    )
