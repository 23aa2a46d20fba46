"""What is removed with time, and what never is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.effects.clock import FakeClock
from appliance.operations import housekeeping, plans, sites
from appliance.operations.context import Appliance
from appliance.operations.errors import NotFound
from appliance.operations.housekeeping import BOOT_EVENTS, BOOT_SECONDS, DRAFT_SECONDS
from appliance.store import events
from appliance.store import plans as table
from appliance.store.events import EventRow
from pxe.ports import EventKind
from tests.unit.operations.lab import APPROVE_ANY, OPERATOR


def boots(machine: str, count: int, at: float) -> list[EventRow]:
    return [
        EventRow(seq=0, at=at + number, machine=machine, kind=EventKind.SCRIPT, text=f"{number}", data={})
        for number in range(count)
    ]


def told(app: Appliance, machine: str) -> list[str]:
    with app.store.read() as connection:
        return [event.text for event in events.of_machine(connection, machine, 10 * BOOT_EVENTS)]


def test_a_machine_that_boots_for_ever_does_not_fill_the_disk(
    app: Appliance, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 7)
    long_ago, lately = clock.now() - BOOT_SECONDS - 5000, clock.now() - BOOT_SECONDS + 60
    with app.store.write() as connection:
        events.add(connection, at=long_ago, machine="m-loops", kind="phase", text="it is ready")
        events.add_all(connection, boots("m-loops", BOOT_EVENTS + 50, long_ago))
        events.add_all(connection, boots("m-rests", BOOT_EVENTS, long_ago))
        events.add_all(connection, boots("m-busy", BOOT_EVENTS + 50, lately))
    assert housekeeping.tidy(app) == 50
    assert told(app, "m-loops") == ["it is ready", *(f"{number}" for number in range(50, BOOT_EVENTS + 50))]
    assert len(told(app, "m-rests")) == BOOT_EVENTS
    assert len(told(app, "m-busy")) == BOOT_EVENTS + 50
    assert housekeeping.tidy(app) == 0


def test_a_plan_that_nobody_accepted_is_forgotten(app: Appliance, clock: FakeClock) -> None:
    sites.load_site_text(app, OPERATOR, APPROVE_ANY, "lab.yaml")
    accepted = plans.apply_plan(app, OPERATOR, plans.make_plan(app, OPERATOR).hash).hash
    drafts = ("1" * 64, "2" * 64)
    with app.store.write() as connection:
        row = table.get(connection, accepted)
        assert row is not None
        for hash_ in drafts:
            clock.advance(1.0)
            plan = replace(row.plan, hash=hash_, parent=accepted)
            table.put_draft(connection, plan, lint=(), diff="", made_by="otto", made=clock.now())
    assert housekeeping.tidy(app) == 0
    clock.advance(DRAFT_SECONDS + 10)
    assert housekeeping.tidy(app) == 1
    with pytest.raises(NotFound):
        plans.show_plan(app, OPERATOR, drafts[0])
    assert plans.show_plan(app, OPERATOR, drafts[1]).hash == drafts[1], "the newest is what people look at"
    assert plans.show_plan(app, OPERATOR, accepted).hash == accepted
