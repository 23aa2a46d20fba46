"""The worker's loop: it works until it is told to stop, and a broken database does not end it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from appliance.engine import engine as module
from appliance.operations import deadlines, housekeeping, plans, sites
from appliance.operations.context import Appliance
from appliance.operations.work import run_worker
from appliance.store.database import StoreUnavailable
from tests.unit.operations.lab import APPROVE_ANY, OPERATOR


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def test_it_works_until_it_is_stopped(app: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    looked: list[str] = []
    tidied: list[str] = []
    real = module.Engine.run_one

    def check(_: Appliance) -> int:
        checked.append(threading.current_thread().name)
        if len(checked) == 1:
            raise StoreUnavailable("the disk is full")
        return 0

    def tidy(_: Appliance) -> int:
        tidied.append("")
        return 0

    def run_one(engine: module.Engine) -> bool:
        looked.append("")
        if len(looked) < 3:
            raise StoreUnavailable("the disk is full")
        return real(engine)

    monkeypatch.setattr(deadlines, "check", check)
    monkeypatch.setattr(module.Engine, "run_one", run_one)
    monkeypatch.setattr(housekeeping, "tidy", tidy)
    monkeypatch.setattr(module, "RECOVERY_SECONDS", 0.01)
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr("appliance.operations.work.DEADLINE_SECONDS", 0.01)
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    assert plans.make_plan(app, OPERATOR).steps == ()
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(app, stop))
    thread.start()
    wait(lambda: len(looked) > 5 and len(checked) > 2)
    stop.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert set(checked) == {"deadlines"}
    assert len(tidied) == 1, "once an hour"
