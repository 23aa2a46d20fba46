"""``/api/v1``: what is wanted of a Ceph that stands: disks that are replaced, hosts that leave, old OSDs."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.api.documents import instant
from appliance.api.route import FORBID, Api, Reply, appliance, asking
from appliance.operations import hosts, osdremovals, replacements
from appliance.operations.hosts import LeavingView
from appliance.operations.osdremovals import RemovalView
from appliance.operations.replacements import ReplacementView

api = Api("life", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskWish:
    """``disk`` is a serial, a WWN, or MACHINE/SERIAL."""

    __pydantic_config__ = FORBID
    disk: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementDocument:
    """A disk that is to be replaced. ``osds`` are the numbers that its OSDs had; ``state``: wanted, done (they are on
    another disk), cancelled; ``where`` its bus path; ``seconds`` how long its drain will take by what is known now, null
    when nothing has to be drained."""

    id: int
    machine: str
    name: str
    serial: str
    wwn: str
    model: str
    size: int
    where: str
    osds: tuple[int, ...]
    state: str
    asked: str | None
    asked_by: str
    ended: str | None
    ended_why: str
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacementList:
    """All that hold, the oldest first: wanted ones, and disks that were replaced and may not be used again."""

    replacements: tuple[ReplacementDocument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWish:
    """``instead`` is the machine that takes the place of the one that leaves, or empty."""

    __pydantic_config__ = FORBID
    instead: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeavingDocument:
    """A machine that leaves its Ceph: its OSDs (``down``: those that don't run), and how long the drain will take by what is
    known now, in seconds."""

    machine: str
    name: str
    instead: str
    osds: tuple[int, ...]
    down: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdWish:
    """``number`` is the OSD's in Ceph."""

    __pydantic_config__ = FORBID
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalDocument:
    """An OSD that is to be removed. ``uuid`` is what the map has there (empty: only the CRUSH tree has it), ``host`` where
    it hangs, ``kept`` why it is not removed now (empty: it is by the next plan)."""

    id: int
    number: int
    uuid: str
    host: str
    kept: str
    asked: str | None
    asked_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalList:
    """All that hold, the oldest first."""

    removals: tuple[RemovalDocument, ...]


@api.route_for("POST", "/replacements", status=201, errors=(401, 403, 404, 409), idempotent=True)
def replace_disk(body: DiskWish) -> Reply[ReplacementDocument]:
    """Want a disk replaced. Nothing happens before a plan is applied; the same wish again is the same wish. 409 says why
    not, with the numbers."""
    view = replacements.replace_disk(appliance(), asking(), body.disk)
    return Reply(value=_replacement(view), location="/api/v1/replacements")


@api.route_for("POST", "/replacements/cancel", errors=(401, 403, 404, 409), idempotent=True)
def cancel_replacement(body: DiskWish) -> ReplacementDocument:
    """Take such a wish back. 409 when its OSDs are destroyed already."""
    return _replacement(replacements.cancel(appliance(), asking(), body.disk))


@api.route_for("GET", "/replacements", errors=(401, 403))
def list_replacements() -> ReplacementList:
    """Disks that are to be replaced, or were."""
    found = replacements.list_replacements(appliance(), asking())
    return ReplacementList(replacements=tuple(map(_replacement, found)))


@api.route_for("POST", "/osd-removals", status=201, errors=(401, 403, 404, 409), idempotent=True)
def remove_osd(body: OsdWish) -> Reply[RemovalDocument]:
    """Want an OSD gone that no plan made: an old one that is down or empty, an id that waits for no disk, what is left in
    the CRUSH tree. Nothing happens before a plan is applied. 409 says why not."""
    view = osdremovals.remove_osd(appliance(), asking(), body.number)
    return Reply(value=_removal(view), location="/api/v1/osd-removals")


@api.route_for("POST", "/osd-removals/cancel", errors=(401, 403, 409), idempotent=True)
def keep_osd(body: OsdWish) -> RemovalDocument:
    """Take such a wish back. 409 when it is removed at this moment."""
    return _removal(osdremovals.keep_osd(appliance(), asking(), body.number))


@api.route_for("GET", "/osd-removals", errors=(401, 403))
def list_osd_removals() -> RemovalList:
    """OSDs that no plan made and that are to be removed."""
    return RemovalList(removals=tuple(map(_removal, osdremovals.list_removals(appliance(), asking()))))


@api.route_for("POST", "/machines/<machine>/leave", errors=(401, 403, 404, 409, 503), idempotent=True)
def remove_host(machine: str, body: HostWish) -> LeavingDocument:
    """Want a machine out of its Ceph (policy drain); with ``instead`` another one in its place. 409 says why not, with the
    numbers; then nothing is recorded."""
    return _leaving(hosts.remove_host(appliance(), asking(), machine, body.instead))


def _replacement(view: ReplacementView) -> ReplacementDocument:
    row = view.row
    return ReplacementDocument(
        id=row.seq,
        machine=row.machine,
        name=view.name,
        serial=row.serial,
        wwn=row.wwn,
        model=row.model,
        size=row.size,
        where=view.where,
        osds=row.osds,
        state=row.state.value,
        asked=instant(row.asked),
        asked_by=row.asked_by,
        ended=instant(row.ended),
        ended_why=row.ended_why,
        seconds=view.seconds,
    )


def _leaving(view: LeavingView) -> LeavingDocument:
    return LeavingDocument(
        machine=view.machine,
        name=view.name,
        instead=view.instead,
        osds=view.osds,
        down=view.down,
        seconds=view.seconds,
    )


def _removal(view: RemovalView) -> RemovalDocument:
    row = view.row
    return RemovalDocument(
        id=row.seq,
        number=row.number,
        uuid=row.uuid,
        host=view.host,
        kept=view.kept,
        asked=instant(row.asked),
        asked_by=row.asked_by,
    )
