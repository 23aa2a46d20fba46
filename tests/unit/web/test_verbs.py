"""The verbs as an operator meets them, on a Ceph that stands: commands, the API behind them, and buttons of pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.cli import flow
from appliance.engine.engine import Engine
from appliance.engine.registry import registry
from appliance.model.cephstate import OsdState
from appliance.model.machine import Policy
from appliance.operations import orders, plans, replacements, sessions
from appliance.operations.context import SYSTEM, Appliance, Role
from appliance.operations.machines import show_machine
from tests.conftest import Golden
from tests.unit.operations.lab import VIEWER
from tests.unit.operations.life import Standing, app, standing, stood
from tests.unit.web.conftest import HOST, Person
from tests.unit.web.test_access import sign_in
from tests.unit.web.test_cli import Result, rackseed, served
from tests.unit.web.test_pages import page, send

__all__ = ["app", "rackseed", "served", "standing", "stood"]
Command = Callable[..., Result]


@pytest.fixture
def worked(standing: Standing, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    """The worker and the agents run beside the commands; a drive that an order writes carries Ceph's label then."""
    monkeypatch.setattr(flow, "LOOK_SECONDS", 0.02)
    stop = threading.Event()

    def work() -> None:
        engine = Engine(orders.tools_of(standing.app), registry())
        while not stop.wait(0.01):
            while engine.run_one():
                pass
            for order in standing.agents():
                if order.ceph is not None and order.ceph.osd is not None:
                    standing.carries(order.machine, order.ceph.osd.data.serial, standing.label("8"))
            standing.clock.advance(1.0)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield standing
    stop.set()
    thread.join()


def test_replacing_a_disk_from_the_wish_to_the_end(rackseed: Command, served: None, worked: Standing) -> None:
    number, m2 = worked.osd_of("N21"), worked.machine(2)
    only = rackseed("replace", "disk", "N21", "--plan-only")
    assert only.code == 4, only.err
    assert only.out.startswith(
        f"disk N21 of node2 (osd.{number}) shall be replaced; its drain takes less than a minute\n"
    )
    assert f"drain osd.{number} [reversible]" in only.out
    assert "new-disk: " in only.out
    assert "to an end" not in only.out
    assert worked.sim.osds[number].in_, "nothing was applied"

    drained = rackseed("replace", "disk", "n21", "--yes")
    assert (drained.code, drained.err) == (3, ""), "it waits for the new disk"
    assert f"ceph-destroy/osd.{number}  done" in drained.out
    assert worked.sim.osds[number].destroyed
    assert rackseed("replace", "disk", "N21", "--yes").code == 3, "asked again, it still waits"
    assert "is wanted replaced" in rackseed("replace", "list").out

    worked.put_in(m2, "NEW")
    done = rackseed("replace", "disk", "N21", "--yes", "--format", "json")
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert (said["wanted"]["osds"], said["plan"]["state"]) == ([number], "done")
    assert worked.sim.osds[number].up
    assert "was replaced: " in rackseed("replace", "list").out
    assert rackseed("replace", "disk", "N21", "--cancel", "--plan-only").code in {3, 4}, "it is a disk like any other"
    assert rackseed("replace", "list").out == "no disk is being replaced\n"


def test_a_person_agrees_to_exactly_this_plan(
    rackseed: Command, served: None, standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.prompt", lambda text, **_: asked.append(text) or "yes")
    no = rackseed("replace", "disk", "N11")
    assert no.code == 4
    assert no.out.endswith("nothing was applied; what is wanted stays recorded\n")
    newest = plans.show_plan(standing.app, VIEWER, "newest")
    assert newest.state == "draft"
    assert asked == [f"To apply exactly this plan, type {newest.hash[:6]}"]
    monkeypatch.setattr("click.prompt", lambda *_, **__: newest.hash[:6].upper())
    left = rackseed("replace", "disk", "N11", "--no-wait")
    assert (left.code, left.err) == (3, "")
    assert f"see: rackseed plan show {newest.hash[:12]}" in left.out
    assert plans.show_plan(standing.app, VIEWER, newest.hash).state == "accepted"


def test_without_a_terminal_nobody_is_asked_and_nothing_applied(
    rackseed: Command, served: None, standing: Standing
) -> None:
    for more in ((), ("--format", "json")):
        assert rackseed("replace", "disk", "N11", *more).code == 4
    assert plans.show_plan(standing.app, VIEWER, "newest").state == "draft"


def test_ctrl_c_stops_only_the_looking(
    rackseed: Command, served: None, standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("appliance.cli.flow.time.sleep", interrupted)
    left = rackseed("replace", "disk", "N11", "--yes")
    newest = plans.show_plan(standing.app, VIEWER, "newest")
    assert left.code == 130
    assert left.err == (
        f"rackseed: plan {newest.hash[:12]} goes on without this command; look again: "
        f"rackseed plan show {newest.hash[:12]}\n"
    )
    assert newest.state == "accepted"


def test_taking_it_back(rackseed: Command, served: None, standing: Standing) -> None:
    rackseed("replace", "disk", "N11", "--plan-only")
    back = rackseed("replace", "disk", "N11", "--cancel")
    assert (back.code, back.err) == (0, "")
    assert back.out.startswith("disk N11 of node1 shall not be replaced any more\nNo changes")


def test_what_is_refused(rackseed: Command, served: None, standing: Standing, golden: Golden) -> None:
    """Every mistake with its words and its exit code; nothing is recorded."""
    m1 = standing.machine(1)
    system = standing.members[m1].inventory.disks[0]
    standing.put_in(m1, "N21")
    cases = {
        "unknown-disk": ("replace", "disk", "NOPE"),
        "two-disks": ("replace", "disk", "N21"),
        "no-osds-disk": ("replace", "disk", f"node1/{system.serial}"),
        "not-wanted": ("replace", "disk", "N11", "--cancel"),
        "yes-and-plan-only": ("replace", "disk", "N11", "--yes", "--plan-only"),
        "host-is-needed": ("remove", "host", "node3"),
        "own-place": ("replace", "node", "node3", "node3"),
        "not-in-the-site-file": ("replace", "node", "node3", "node2"),
        "unknown-host": ("remove", "host", "node9"),
        "unknown-machine": ("add", "disk", "node9"),
    }
    lines = []
    for name, words in cases.items():
        result = rackseed(*words)
        assert result.out == "", name
        lines.append(f"$ rackseed {' '.join(words)}\n{result.err}(exit code {result.code})\n")
    golden.check("cli/verbs-refused.txt", "\n".join(lines))
    assert replacements.list_replacements(standing.app, VIEWER) == ()
    assert show_machine(standing.app, VIEWER, "node3").view.machine.policy is Policy.USE


@pytest.mark.parametrize(
    "command", ["replace", "replace disk", "replace node", "add", "add disk", "add host", "remove host"]
)
def test_help(command: str, rackseed: Command, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "URL", "TOKEN", "CA"):
        monkeypatch.delenv(f"RACKSEED_{name}", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    result = rackseed(*command.split(), "--help")
    assert result.code == 0
    golden.check(f"cli/help-{command.replace(' ', '-')}.txt", result.out)


def test_adding_a_disk_says_of_every_other_why_not(rackseed: Command, served: None, worked: Standing) -> None:
    none = rackseed("add", "disk")
    assert none.code == 0
    assert none.out.startswith("no disk becomes part of Ceph by this plan\n")
    worked.put_in(worked.machine(3), "N33")
    made = rackseed("add", "disk", "node3", "--yes")
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("1 disks become part of Ceph\n  + node3: N33 SAMSUNG MZQL23T8 as osd: ")
    assert len(worked.sim.osds) == 7
    assert rackseed("add", "disk", "node3").code == 0


def test_adding_a_host_uses_it(rackseed: Command, served: None, standing: Standing) -> None:
    assert rackseed("machine", "hold", "node2").code == 0
    back = rackseed("add", "host", "node2", "--plan-only")
    assert (back.code, back.err) == (0, "")
    assert back.out.startswith("node2 shall be used\n")
    assert show_machine(standing.app, VIEWER, "node2").view.machine.policy is Policy.USE


def test_the_api(person: Callable[[str], Person], standing: Standing) -> None:
    operator, viewer = person("operator"), person("viewer")
    assert viewer.post("/api/v1/replacements", {"disk": "N11"}).status_code == 403
    assert viewer.post(f"/api/v1/machines/{standing.machine(1)}/leave", {}).status_code == 403
    wrong = operator.post("/api/v1/replacements", {"disk": "N11", "now": True})
    assert wrong.status_code == 422
    made = operator.post("/api/v1/replacements", {"disk": "N11"})
    assert (made.status_code, made.headers["Location"]) == (201, "/api/v1/replacements")
    assert made.json["state"] == "wanted"
    assert made.json["osds"] == [standing.osd_of("N11")]
    assert [one["serial"] for one in viewer.get("/api/v1/replacements").json["replacements"]] == ["N11"]
    refused = operator.post(f"/api/v1/machines/{standing.machine(1)}/leave", {})
    assert refused.status_code == 409
    assert "3 copies need 3 hosts" in refused.json["detail"]
    back = operator.post("/api/v1/replacements/cancel", {"disk": "N11"})
    assert back.status_code == 200
    again = operator.post("/api/v1/replacements/cancel", {"disk": "N11"})
    assert again.status_code == 409


@pytest.fixture
def browser(app: Appliance, web: Flask) -> FlaskClient:
    client = web.test_client()
    sign_in(client, sessions.make_token(app, SYSTEM, "bea", Role.OPERATOR))
    return client


def test_the_buttons_of_a_machines_page(browser: FlaskClient, standing: Standing, app: Appliance, web: Flask) -> None:
    m1, number = standing.machine(1), standing.osd_of("N12")
    shown = page(browser, f"/machines/{m1}")
    assert shown.count("<button>Replace</button>") == 2, "of the two drives, not of the system disk"
    assert f"osd.{number}" in shown
    disk = f"{m1}/{next(d.wwn for d in standing.members[m1].inventory.disks if d.serial == 'N12')}"
    forged: Any = browser.post(f"/machines/{m1}/disks/replace", data={"disk": disk}, base_url=HOST)
    assert forged.status_code == 403
    assert replacements.list_replacements(app, VIEWER) == ()
    sent = send(browser, f"/machines/{m1}/disks/replace", disk=disk)
    assert sent.status_code == 303
    assert f"drain osd.{number}" in page(browser, sent.location)
    after = page(browser, f"/machines/{m1}")
    assert "is being replaced" in after
    assert after.count("<button>Replace</button>") == 1
    looking = web.test_client()
    sign_in(looking, sessions.make_token(app, SYSTEM, "vic", Role.VIEWER))
    assert "<button>Take it back</button>" not in page(looking, f"/machines/{m1}")
    back = send(browser, f"/machines/{m1}/disks/keep", disk=disk)
    assert back.status_code == 303
    assert page(browser, f"/machines/{m1}").count("<button>Replace</button>") == 2


def test_an_old_osd_is_removed(rackseed: Command, served: None, worked: Standing) -> None:
    refused = rackseed("remove", "osd", str(worked.osd_of("N21")))
    assert refused.code == 1 and "take the disk or its machine out instead" in refused.err
    worked.sim.osds[70] = OsdState(
        number=70, uuid="0" * 8, host="", device_class="hdd", up=False, in_=False, weight=1.0, pgs=0, safe=True
    )
    worked.look()
    only = rackseed("remove", "osd", "70", "--plan-only")
    assert only.code == 4, only.err
    assert only.out.startswith("osd.70 shall be removed\n")
    assert "remove osd.70 with its number and place; no plan has it [NOT reversible]" in only.out
    kept = rackseed("remove", "osd", "70", "--cancel", "--plan-only")
    assert (kept.code, kept.out.splitlines()[0]) == (0, "osd.70 shall not be removed any more")
    done = rackseed("remove", "osd", "70", "--yes")
    assert (done.code, done.err) == (0, "")
    assert 70 not in worked.sim.osds
