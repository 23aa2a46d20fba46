"""The stream of everything that happened, for live pages and for clients that resume."""

from __future__ import annotations

from appliance.operations.context import Actor, Appliance, Role
from appliance.store import events
from appliance.store.events import EventRow

PAGE = 1000


def events_since(app: Appliance, actor: Actor, seq: int, limit: int = 100) -> tuple[EventRow, ...]:
    """Events after ``seq`` (0: from the beginning), the oldest first; at most ``limit`` (1..1000)."""
    actor.require(Role.VIEWER, "read events")
    with app.store.read() as connection:
        return events.since(connection, max(seq, 0), min(max(limit, 1), PAGE))


def last_event(app: Appliance, actor: Actor) -> int:
    """The newest sequence number: where a stream begins that wants no history."""
    actor.require(Role.VIEWER, "read events")
    with app.store.read() as connection:
        return events.last_seq(connection)
