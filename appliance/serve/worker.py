"""The process that carries out plans and watches deadlines."""

from __future__ import annotations

import logging
import signal
import threading

from appliance.model.settings import Settings
from appliance.operations.work import run_worker
from appliance.serve import lifeline
from appliance.serve.prepare import open_appliance

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Until SIGTERM. A step that is at work then is taken up by the next worker: that is what its lease is for."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    appliance = open_appliance(settings)
    lifeline.notify("READY=1")
    log.info("step=worker why=started")
    try:
        run_worker(appliance, stop)
    finally:
        appliance.close()
