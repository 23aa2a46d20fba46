"""The layout of a plan in the API and on the pages: pictures without scripts, explanations, colours of the diff."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.cli import flow
from appliance.model.plan import Plan
from appliance.operations import sessions, sites
from appliance.operations.context import SYSTEM, Appliance, Role
from appliance.plan.crush import crushmap
from appliance.plan.diff.text import render
from appliance.store import plans as table
from appliance.store.plans import PlanState
from tests.unit.plan.conftest import Workshop
from tests.unit.plan.scenes import SCENES, Scene, eight, mesh, plain
from tests.unit.web.conftest import PLANNED, Person
from tests.unit.web.test_access import sign_in
from tests.unit.web.test_pages import page


def keep(app: Appliance, scene: Scene, plan: Plan | None = None) -> str:
    """The scene's plan as a draft that the appliance has; returns its hash."""
    sites.load_site_text(app, SYSTEM, PLANNED, "site.yaml")
    found = plan or scene.plan
    text = render(found, scene.observed, scene.before)
    with app.store.write() as connection:
        table.put_draft(connection, found, lint=(), diff=text, made_by="otto", made=app.clock.now())
    return found.hash


@pytest.fixture
def browser(app: Appliance, web: Flask) -> FlaskClient:
    client = web.test_client()
    sign_in(client, sessions.make_token(app, SYSTEM, "bea", Role.OPERATOR))
    return client


@pytest.mark.parametrize("name", SCENES)
def test_the_pages_of_every_scene(name: str, app: Appliance, browser: FlaskClient) -> None:
    scene = SCENES[name](Workshop())
    hash_ = keep(app, scene)
    shown = page(browser, f"/plans/{hash_}")
    laid_out = page(browser, f"/plans/{hash_}/layout")
    for disk in scene.plan.disks:
        assert disk.serial in shown, "every disk is there by its serial"
    for text in (shown, laid_out):
        assert " style=" not in text
        assert "<style" not in text
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            assert ET.fromstring(svg)[0].text, "it has a title"  # noqa: S314 - our own text
    assert ("<svg" in laid_out) == (name != "plain")
    assert ('class="line-assign"' in shown) == (name != "plain")
    assert 'class="line-destroy"' in shown


def test_who_wrote_the_names_writes_only_text(app: Appliance, browser: FlaskClient) -> None:
    attack = "<script>x</script>\"'onload="
    scene = mesh(Workshop())
    nodes = tuple(replace(node, name=attack, cluster=attack) for node in scene.plan.desired.nodes)
    hash_ = keep(app, scene, replace(scene.plan, desired=replace(scene.plan.desired, nodes=nodes)))
    shown = page(browser, f"/plans/{hash_}/layout")
    assert "<script>x" not in shown
    assert "&lt;script&gt;x" in shown


def test_explain_on_the_pages(app: Appliance, browser: FlaskClient) -> None:
    hash_ = keep(app, eight(Workshop()))
    assert "Why is it planned so?" in page(browser, f"/plans/{hash_}/explain")
    shown = page(browser, f"/plans/{hash_}/explain?what=DB04")
    assert "slot 3: DB of osd.19" in shown
    near = browser.get(
        f"/plans/{hash_}/explain?what=NV04Z", base_url="https://10.20.0.1:8443", headers={"Accept": "text/html"}
    )
    assert near.status_code == 404
    assert "did you mean NV04A" in near.text
    assert "<h1>Why?" in near.text, "the question can be asked again"


def test_layout_and_explain_in_the_api(app: Appliance, person: Callable[[str], Person]) -> None:
    viewer = person("viewer")
    assert viewer.get("/api/v1/plans/newest").status_code == 404
    hash_ = keep(app, eight(Workshop()))
    layout = viewer.get(f"/api/v1/plans/{hash_[:12]}/layout")
    assert (layout.status_code, layout.json["hash"]) == (200, hash_)
    assert len(layout.json["desired"]["ceph"]["osds"]) == 40
    found = viewer.get("/api/v1/plans/newest/explain?what=osd.3")
    assert found.json["lines"][0] == {"kind": "heading", "text": "disk NV01D of n1 (m-1)", "machine": ""}
    assert found.json["text"].startswith("disk NV01D of n1 (m-1)\n")
    assert viewer.get("/api/v1/plans/newest/explain?what=NV04").status_code == 404
    assert viewer.get("/api/v1/plans/newest/explain").status_code == 422
    assert viewer.get("/api/v1/plans/ffffffffffff/layout").status_code == 404


def test_the_crush_map(app: Appliance, person: Callable[[str], Person], browser: FlaskClient) -> None:
    viewer = person("viewer")
    scene = eight(Workshop())
    hash_ = keep(app, scene)
    found = viewer.get(f"/api/v1/plans/{hash_}/crush").json
    assert found["hash"] == hash_
    assert found["text"] == crushmap.text(scene.plan.desired.ceph)
    assert f'href="/plans/{hash_}/crush.txt"' in page(browser, f"/plans/{hash_}/layout")
    text = browser.get(f"/plans/{hash_}/crush.txt", base_url="https://10.20.0.1:8443")
    assert (text.mimetype, text.text) == ("text/plain", found["text"])
    without = viewer.get(f"/api/v1/plans/{keep(app, plain(Workshop()))}/crush")
    assert without.status_code == 404
    assert "has no Ceph" in without.json["detail"]


def test_only_another_layout(app: Appliance, person: Callable[[str], Person], browser: FlaskClient) -> None:
    """No steps, but the layout is not the accepted one: that can be applied, and is then the accepted one."""
    scene = eight(Workshop())
    plan = replace(scene.plan, steps=(), hash="ab" * 32, facts=())
    hash_ = keep(app, scene, plan)
    operator = person("operator")
    made = operator.get(f"/api/v1/plans/{hash_}").json
    assert (made["changes"], made["relaid"]) == (True, True)
    assert flow.exit_code(made) == 4
    assert "applying this plan records it" in page(browser, f"/plans/{hash_}")
    with app.store.write() as connection:
        table.accept(connection, hash_, by="otto", at=app.clock.now())
        table.set_state(connection, hash_, PlanState.DONE)
    again = replace(plan, parent=hash_, hash="cd" * 32, changes=False)
    keep(app, replace(scene, before=plan.desired), again)
    made = operator.get(f"/api/v1/plans/{again.hash}").json
    assert (made["changes"], made["relaid"]) == (False, False)
    assert flow.exit_code(made) == 0
    assert "Nothing to do" in page(browser, f"/plans/{again.hash}")


def test_a_plan_without_a_layout(app: Appliance, browser: FlaskClient) -> None:
    hash_ = keep(app, plain(Workshop()))
    assert "This plan has no layout" in page(browser, f"/plans/{hash_}/layout")
    assert "The whole layout" not in page(browser, f"/plans/{hash_}")
