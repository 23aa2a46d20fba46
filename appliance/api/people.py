"""``/api/v1``: what people and their programs may ask. Every handler is one operation; authorisation is the operation's."""

from __future__ import annotations

from pathlib import Path

from agent.wire import TimeReply
from appliance.api.documents import (
    Approval,
    ArbiterRequest,
    ArtefactDocument,
    ArtefactList,
    AuditList,
    EventList,
    MachineDetailDocument,
    MachineDocument,
    MachineList,
    Merge,
    NewArtefact,
    PolicyChange,
    Split,
    artefact_document,
    audit_document,
    detail_document,
    event_document,
    machine_document,
)
from appliance.api.paging import Page, cursor_of, paged, position, size
from appliance.api.route import Api, Reply, appliance, asking
from appliance.operations import arbiter, artefacts, audit, events, identities, machines, progress
from appliance.operations.arbiter import ArbiterPlace
from appliance.operations.errors import PermissionDenied
from appliance.operations.machines import MachineView

api = Api("people", __name__, url_prefix="/api/v1")


@api.route_for("GET", "/time")
def get_time() -> TimeReply:
    """The appliance's clock, for machines whose own is wrong. Public."""
    return TimeReply(time=appliance().clock.now())


# ------------------------------------------------------------ machines


@api.route_for("GET", "/machines", errors=(401, 403, 422))
def list_machines(query: Page) -> MachineList:
    """All machines, the oldest first."""
    found, following = paged(machines.list_machines(appliance(), asking()), query)
    busy = progress.progress_of(appliance(), asking(), (view.machine.id for view in found))
    shown = tuple(machine_document(view, busy.get(view.machine.id)) for view in found)
    return MachineList(machines=shown, next=following)


@api.route_for("GET", "/machines/<machine>", errors=(401, 403, 404))
def show_machine(machine: str) -> Reply[MachineDetailDocument]:
    """One machine, by id, name or MAC address, with its inventory."""
    detail = machines.show_machine(appliance(), asking(), machine)
    key = detail.view.machine.id
    busy = progress.progress_of(appliance(), asking(), (key,))
    return Reply(value=detail_document(detail, busy.get(key)), generation=detail.view.machine.generation)


@api.route_for("POST", "/machines/<machine>/approve", errors=(401, 403, 404, 409, 412), idempotent=True)
def approve_machine(machine: str, body: Approval, if_match: int | None) -> Reply[MachineDocument]:
    """Approve a machine's request to enrol, with the code of its console or knowingly without."""
    view = machines.approve(
        appliance(), asking(), machine, body.code, without_code=body.without_code, generation=if_match
    )
    return _machine(view)


@api.route_for("POST", "/machines/<machine>/policy", errors=(401, 403, 404, 409, 412), idempotent=True)
def set_policy(machine: str, body: PolicyChange, if_match: int | None) -> Reply[MachineDocument]:
    """Say what is wanted of a machine."""
    return _machine(machines.set_policy(appliance(), asking(), machine, body.policy, generation=if_match))


@api.route_for("POST", "/machines/<machine>/retire", errors=(401, 403, 404, 409, 412), idempotent=True)
def retire_machine(machine: str, if_match: int | None) -> Reply[MachineDocument]:
    """Take a machine out of use; its certificates end."""
    return _machine(machines.retire(appliance(), asking(), machine, generation=if_match))


@api.route_for("POST", "/machines/<machine>/merge", errors=(401, 403, 404, 409, 412), idempotent=True)
def merge_machines(machine: str, body: Merge, if_match: int | None) -> Reply[MachineDocument]:
    """Two records are one machine: this one stays. If-Match is of the one that goes."""
    return _machine(identities.merge(appliance(), asking(), machine, body.gone, generation=if_match))


@api.route_for("POST", "/machines/<machine>/split", errors=(401, 403, 404, 409, 412), idempotent=True)
def split_machine(machine: str, body: Split, if_match: int | None) -> Reply[MachineDocument]:
    """The record is a machine of its own, or one of its ports is."""
    if body.mac:
        return _machine(identities.detach(appliance(), asking(), machine, body.mac, generation=if_match))
    return _machine(identities.split(appliance(), asking(), machine, generation=if_match))


def _machine(view: MachineView) -> Reply[MachineDocument]:
    return Reply(value=machine_document(view), generation=view.machine.generation)


@api.route_for("POST", "/arbiter", errors=(401, 403, 413, 422))
def enrol_arbiter(body: ArbiterRequest) -> ArbiterPlace:
    """Whether the appliance's own agent is needed, and its certificate. Only over the Unix socket."""
    return arbiter.enrol(appliance(), asking(), body.csr)


# ------------------------------------------------------------ events, artefacts, audit


@api.route_for("GET", "/events", errors=(401, 403, 422))
def list_events(query: Page) -> EventList:
    """Everything that happened, the oldest first. The last page's ``next`` goes on where events are added."""
    found = events.events_since(appliance(), asking(), position(query), size(query))
    following = cursor_of(found[-1].seq) if found else query.cursor
    return EventList(events=tuple(event_document(row) for row in found), next=following)


@api.route_for("GET", "/artefacts", errors=(401, 403, 422))
def list_artefacts(query: Page) -> ArtefactList:
    """Files that machines fetch."""
    found, following = paged(artefacts.list_artefacts(appliance(), asking()), query)
    url = appliance().settings.public_url
    return ArtefactList(artefacts=tuple(artefact_document(row, url) for row in found), next=following)


@api.route_for("POST", "/artefacts", status=201, errors=(401, 403), limit=4 * 1024 * 1024)
def register_artefact(body: NewArtefact) -> Reply[ArtefactDocument]:
    """Make a built file of the appliance known. Only over the Unix socket: it names a path of this host."""
    actor = asking()
    if actor.via != "socket":
        raise PermissionDenied("files are registered on the appliance itself: rackseed image")
    row = artefacts.register(
        appliance(),
        body.kind,
        body.name,
        Path(body.path),
        sha256=body.sha256,
        size=body.size,
        document=body.document,
        actor=actor,
    )
    document = artefact_document(row, appliance().settings.public_url)
    return Reply(value=document, location=document.url)


@api.route_for("GET", "/audit", errors=(401, 403, 422))
def list_audit(query: Page) -> AuditList:
    """Who changed what, the newest first."""
    limit = size(query)
    found = audit.list_audit(appliance(), asking(), position(query) or None, limit)
    following = cursor_of(found[-1].seq) if len(found) == limit else ""
    return AuditList(entries=tuple(audit_document(row) for row in found), next=following)
