"""``GET /api/v1/events/stream``: the event table as server-sent events (HTML standard, §9.2), resumed by Last-Event-ID.

One stream holds one thread, so at most `STREAMS` are open per process; one ends after `LONGEST` seconds and the browser
connects again, which also asks anew whether its session is still good.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from flask import Blueprint, Response, request
from pydantic import TypeAdapter

from appliance.api.documents import EventDocument, event_document
from appliance.api.route import appliance, asking
from appliance.operations import events, machines
from appliance.operations.context import Actor, Appliance
from appliance.operations.errors import Invalid, TooMany

STREAMS = 40
LONGEST = 900.0
POLL_SECONDS = 0.5
KEEPALIVE_SECONDS = 15.0
RETRY_MILLISECONDS = 2000

blueprint = Blueprint("stream", __name__, url_prefix="/api/v1")
_open = threading.BoundedSemaphore(STREAMS)
_adapter = TypeAdapter(EventDocument)


@blueprint.get("/events/stream")
def stream() -> Response:
    """Events after Last-Event-ID (or ``since``), or from now on; ``machine`` (id, name or MAC) limits them to one."""
    actor, app = asking(), appliance()
    since = _since(app, actor)
    key = request.args.get("machine", "")
    machine = machines.show_machine(app, actor, key).view.machine.id if key else ""
    if not _open.acquire(blocking=False):
        raise TooMany(f"there are {STREAMS} event streams already; close a page that is not needed", 30.0)
    response = Response(_stream(app, actor, since, machine), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.call_on_close(_open.release)
    return response


def _since(app: Appliance, actor: Actor) -> int:
    text = request.headers.get("Last-Event-ID", "") or request.args.get("since", "")
    if not text:
        return events.last_event(app, actor)
    if not text.isdecimal() or len(text) > 18:
        raise Invalid("Last-Event-ID must be a sequence number", (("Last-Event-ID", "must be a sequence number"),))
    return int(text)


def _stream(app: Appliance, actor: Actor, since: int, machine: str) -> Iterator[bytes]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    end = time.monotonic() + LONGEST
    said = time.monotonic()
    while time.monotonic() < end:
        found = events.events_since(app, actor, since, 200)
        for row in found:
            since = row.seq
            if machine in ("", row.machine):
                body = _adapter.dump_json(event_document(row))
                yield b"id: %d\nevent: happened\ndata: %s\n\n" % (row.seq, body)
                said = time.monotonic()
        if not found:
            if time.monotonic() - said > KEEPALIVE_SECONDS:
                yield b": still here\n\n"
                said = time.monotonic()
            time.sleep(POLL_SECONDS)
