"""Called by the worker every hour: what only fills the disk is removed, so that an appliance can run for years.

A machine without an operating system asks for its boot script every few minutes, and a plan that is made every night and
never accepted is a document of megabytes. What was decided, done, reported or refused is kept.
"""

from __future__ import annotations

import logging

from appliance.operations.context import Appliance
from appliance.store import events, plans
from pxe.ports import EventKind

log = logging.getLogger(__name__)

BOOT_SECONDS = 14 * 86400.0
"""Steps of a boot that are older are removed, but for the ``BOOT_EVENTS`` newest of each machine."""
BOOT_EVENTS = 200
DRAFT_SECONDS = 30 * 86400.0
"""Plans that nobody accepted are removed when they are older, but for the newest plan."""
BATCH = 2000
"""Others write in between: one transaction removes no more events than this."""


def tidy(app: Appliance) -> int:
    """Remove what is too old; returns how many rows."""
    now = app.clock.now()
    with app.store.read() as connection:
        old = events.old(connection, EventKind, before=now - BOOT_SECONDS, keep=BOOT_EVENTS)
    for start in range(0, len(old), BATCH):
        with app.store.write() as connection:
            events.remove(connection, old[start : start + BATCH])
    with app.store.write() as connection:
        drafts = plans.remove_drafts(connection, before=now - DRAFT_SECONDS)
    if old or drafts:
        log.info(
            "step=tidy why=%d old steps of boots and %d plans that were never accepted are removed", len(old), drafts
        )
    return len(old) + drafts
