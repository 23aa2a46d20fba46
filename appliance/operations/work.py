"""The worker process: the step engine, and beside it the deadlines of machines that do not get on, what Ceph says, and what
is too old to keep."""

from __future__ import annotations

import logging
import threading
import time

from appliance.engine.engine import Engine
from appliance.engine.orderdoor import OrderDoor
from appliance.engine.registry import registry
from appliance.operations import deadlines, housekeeping
from appliance.operations.context import Appliance
from appliance.operations.orders import tools_of
from appliance.store.database import StoreError

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 10.0
CEPH_SECONDS = 60.0
"""What Ceph says of itself is at most about so old when a plan is made."""
TIDY_SECONDS = 3600.0


def run_worker(app: Appliance, stop: threading.Event) -> None:
    """Work until ``stop`` is set. Several workers may run; a killed one is replaced by whoever claims its steps."""
    watch = threading.Thread(target=_watch, args=(app, stop), name="deadlines", daemon=True)
    watch.start()
    Engine(tools_of(app), registry()).run(stop)
    watch.join(timeout=DEADLINE_SECONDS)


def _watch(app: Appliance, stop: threading.Event) -> None:
    door = OrderDoor(store=app.store, clock=app.clock, authority=app.authority)
    tidied = -TIDY_SECONDS
    while not stop.is_set():
        try:
            deadlines.check(app)
            door.observe(CEPH_SECONDS)
            if time.monotonic() - tidied >= TIDY_SECONDS:
                housekeeping.tidy(app)
                tidied = time.monotonic()
        except StoreError as error:
            log.error("step=deadlines why=%s", error)
        stop.wait(DEADLINE_SECONDS)
