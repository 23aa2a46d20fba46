"""The pages without JavaScript: every one is rendered, forms do what they say, nothing in them is code of a stranger."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent import wire
from appliance.operations import enrolment, machines, sessions, sites
from appliance.operations.context import SYSTEM, Appliance, Role
from appliance.ui import words
from appliance.ui.picture import rack
from tests.unit.operations.lab import Box
from tests.unit.web.conftest import HOST, PLANNED
from tests.unit.web.test_access import csrf_of, sign_in

STATIC = Path(words.__file__).parent / "static"
VENDORED = {
    "htmx-2.0.11.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "htmx-ext-sse-2.2.4.min.js": "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136",
}
"""From the packages htmx.org and htmx-ext-sse of the npm registry (both Zero-Clause BSD)."""


@pytest.fixture
def browser(app: Appliance, web: Flask) -> FlaskClient:
    client = web.test_client()
    sign_in(client, sessions.make_token(app, SYSTEM, "bea", Role.OPERATOR))
    return client


def page(client: FlaskClient, path: str) -> str:
    answer = client.get(path, base_url=HOST, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def send(client: FlaskClient, path: str, **form: str):  # type: ignore[no-untyped-def]
    data = {"csrf": csrf_of(client), **form}
    return client.post(path, data=data, base_url=HOST, headers={"Accept": "text/html"})


def test_vendored_files_are_what_was_recorded() -> None:
    scripts = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in STATIC.glob("*.js")}
    assert scripts == VENDORED


def test_empty_pages(browser: FlaskClient) -> None:
    assert "No machine was seen yet" in page(browser, "/machines")
    assert "No plan was made yet" in page(browser, "/plans")
    assert "No site file is loaded" in page(browser, "/site")
    page(browser, "/events")


def test_approving_with_the_code(app: Appliance, browser: FlaskClient, pending: Box) -> None:
    assert "WM21000002" in page(browser, "/machines")
    shown = page(browser, "/machines/n2")
    assert "Let this machine in" in shown
    assert pending.code not in shown
    wrong = send(browser, "/machines/n2/approve", code="AAAA-AAAA-AAA")
    assert wrong.status_code == 422
    assert "not the code" in wrong.text
    assert send(browser, "/machines/n2/approve", code=pending.code).status_code == 303
    assert machines.show_machine(app, SYSTEM, "n2").view.machine.phase == "approved"


def test_approving_without_the_code_warns(app: Appliance, browser: FlaskClient, pending: Box) -> None:
    assert "nothing proves" in page(browser, "/machines/n2")
    assert send(browser, "/machines/n2/approve", without_code="yes").status_code == 303
    assert "machine.approve" in page(browser, "/events")


def test_policy_and_retire(app: Appliance, browser: FlaskClient, ready: str) -> None:
    generation = str(machines.show_machine(app, SYSTEM, ready).view.machine.generation)
    assert send(browser, f"/machines/{ready}/policy", policy="hold", generation=generation).status_code == 303
    stale = send(browser, f"/machines/{ready}/retire", generation=generation)
    assert stale.status_code == 412
    assert "look again" in stale.text
    generation = str(machines.show_machine(app, SYSTEM, ready).view.machine.generation)
    assert send(browser, f"/machines/{ready}/retire", generation=generation).status_code == 303
    assert "Retired" in page(browser, "/machines")


def test_two_machines_with_one_uuid(app: Appliance, browser: FlaskClient, box: Callable[..., Box]) -> None:
    sites.load_site_text(app, SYSTEM, PLANNED, "site.yaml")
    first = box(3)
    first.enrol()
    send(browser, f"/machines/{machines.list_machines(app, SYSTEM)[0].machine.id}/approve", without_code="yes")
    first.report(machines.list_machines(app, SYSTEM)[0].machine.id)
    second = box(4, uuid=first.inventory.board.system_uuid, serial=first.inventory.board.serial)
    enrolment.enrol(app, second.request(), "10.20.0.51")
    views = machines.list_machines(app, SYSTEM)
    other = next(view for view in views if view.conflicts and view.pending)
    shown = page(browser, f"/machines/{other.machine.id}")
    assert "Which machine is it?" in shown
    assert "identity-conflict" in shown
    assert send(browser, f"/machines/{other.machine.id}/split").status_code == 303
    assert "Which machine is it?" not in page(browser, f"/machines/{other.machine.id}")


def test_timeline_and_hardware(browser: FlaskClient, ready: str) -> None:
    shown = page(browser, f"/machines/{ready}")
    for words_ in (
        "Timeline",
        "AMD EPYC",
        "/dev/sda",
        "480\N{NO-BREAK SPACE}GB",
        "128\N{NO-BREAK SPACE}GiB",
        "ac:1f:6b:00:01:01",
        "Why this profile",
    ):
        assert words_ in shown


def test_a_plan_is_applied_only_as_it_was_read(app: Appliance, browser: FlaskClient, ready: str) -> None:
    made = send(browser, "/plans")
    assert made.status_code == 303
    hash_ = made.location.rsplit("/", 1)[1]
    shown = page(browser, made.location)
    assert hash_ in shown
    assert "What waits" in shown
    for form in ({}, {"hash": hash_}, {"hash": "0" * 64, "understood": "yes"}):
        assert send(browser, f"/plans/{hash_}/apply", **form).status_code == 422
    assert hash_[:12] in page(browser, "/plans")


def test_what_a_machine_claims_is_only_text(app: Appliance, browser: FlaskClient, box: Callable[..., Box]) -> None:
    """Whoever is on the wire chooses these strings."""
    attack = "<script>alert(1)</script>\"' onload=x"
    machine = box(5)
    board = replace(machine.inventory.board, vendor=attack, name=attack, serial=attack)
    disk = wire.Disk(path=attack, size=1, serial=attack, model=attack)
    machine.inventory = replace(machine.inventory, board=board, disks=(disk,), hostname=attack)
    machine.enrol()
    key = machines.list_machines(app, SYSTEM)[0].machine.id
    for path in ("/machines", f"/machines/{key}", "/events"):
        shown = page(browser, path)
        assert "<script>alert" not in shown
        assert not re.search(r"<[^>]*\sonload=", shown)


def test_no_inline_code_or_style(browser: FlaskClient, ready: str) -> None:
    """The content security policy would stop it; so it must not be needed."""
    for path in ("/login", "/machines", f"/machines/{ready}", "/plans", "/events", "/site"):
        shown = page(browser, path)
        assert not re.search(r"<script(?![^>]*\ssrc=)", shown)
        assert not re.search(r"<[^>]*\s(on\w+|style)=", shown)
        assert "<style" not in shown
        for link in re.findall(r'(?:src|href|action)="([^"]+)"', shown):
            assert link.startswith(("/", "#")), link


def test_somebody_who_is_not_signed_in_is_led_to_the_form(anonymous: FlaskClient) -> None:
    answer = anonymous.get("/machines/n1", base_url=HOST, headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.location == "/login?next=/machines/n1"
    live = anonymous.get("/machines", base_url=HOST, headers={"Accept": "text/html", "HX-Request": "true"})
    assert live.status_code == 401
    assert live.headers["HX-Redirect"].startswith("/login")


def test_errors_are_pages_for_people(browser: FlaskClient) -> None:
    answer = browser.get("/machines/m-x", base_url=HOST, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert "there is no machine" in answer.text


def test_words() -> None:
    assert words.size(480_103_981_056) == "480\N{NO-BREAK SPACE}GB"
    assert words.size(999) == "999\N{NO-BREAK SPACE}B"
    assert words.size(7_681_501_126_656) == "7.68\N{NO-BREAK SPACE}TB"
    assert words.span(3_725) == "1 h 2 min"
    assert words.span(0.2) == "0 s"
    assert words.ago(0.0, 10.0) == "never"
    assert words.content(wire.Content(blank=True)) == "blank"
    table = wire.Content(table="gpt", partitions=(), signatures=(wire.Signature(kind="zfs_member", owner="tank"),))
    assert words.content(table) == "GPT table, 0 partitions; zfs_member of tank"
    assert words.content(wire.Content()) == "data that nobody recognises"


def test_the_rack_is_as_high_as_its_machines(app: Appliance, ready: str) -> None:
    views = machines.list_machines(app, SYSTEM)
    picture = rack(views, {ready: 0.5})
    assert len(picture.units) == 1
    assert picture.units[0].bar > 0
    assert rack((), {}).height > 0
