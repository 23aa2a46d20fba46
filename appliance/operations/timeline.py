"""One timeline per machine: from the first DHCP packet to the installed system, and the step that is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from appliance.engine.silence import silence
from appliance.model.missing import BOOT_KINDS, Happened, Missing, missing_step
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.machines import MachineView, find, view
from appliance.store import events
from appliance.store.events import EventRow
from appliance.store.machines import MachineRow

ENTRIES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One thing that happened. ``seq`` orders; ``at`` is seconds since the epoch; ``kind`` as in the event table."""

    seq: int
    at: float
    kind: str
    text: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """``missing`` is the next step, None when none is expected; ``overdue``: it should have happened by ``now``."""

    machine: MachineView
    entries: tuple[TimelineEntry, ...]
    missing: Missing | None
    overdue: bool
    now: float


def timeline(app: Appliance, actor: Actor, key: str, limit: int = ENTRIES) -> Timeline:
    """The newest ``limit`` entries of a machine, the oldest first. Raises `NotFound`."""
    actor.require(Role.VIEWER, "read timelines")
    now = app.clock.now()
    with app.store.read() as connection:
        row = find(connection, key)
        happened = events.of_machine(connection, row.id, min(max(limit, 1), 10 * ENTRIES))
        missing = missing_of(app, connection, row)
        return Timeline(
            machine=view(connection, row),
            entries=tuple(_entry(event) for event in happened),
            missing=missing,
            overdue=missing is not None and missing.overdue(now),
            now=now,
        )


def missing_of(app: Appliance, connection: Connection, row: MachineRow) -> Missing | None:
    """The step that should come next for a machine: the next word of one that says nothing any more, unless it boots."""
    recent = events.of_machine(connection, row.id, 50)
    happened = [Happened(at=event.at, kind=event.kind, detail=_detail(event)) for event in recent]
    profile = next((p for p in app.profiles if p.name == row.machine.profile), None)
    found = missing_step(row.machine, happened, profile.deadline(row.machine.phase) if profile else None)
    silent = silence(connection, row.machine, now=app.clock.now())
    boots = found is not None and found.after in BOOT_KINDS and silent is not None and found.since > silent.since
    return found if silent is None or boots else silent


def _detail(event: EventRow) -> str:
    return str(event.data.get("action") or event.data.get("detail") or "")


def _entry(event: EventRow) -> TimelineEntry:
    return TimelineEntry(seq=event.seq, at=event.at, kind=event.kind, text=event.text, data=event.data)
