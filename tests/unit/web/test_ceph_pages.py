"""How fast Ceph's pools are: on the page, as a picture and in the API."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.model.ceph import CephLayout, Throughput
from appliance.model.measured import Flow, Measured
from appliance.operations import sessions
from appliance.operations.context import SYSTEM, Appliance, Role
from appliance.operations.measurements import Measuring, PoolSpeed, SpeedView
from appliance.store import measurements, plans
from appliance.store.orders import OrderState
from appliance.store.plans import PlanState
from appliance.ui.pictures.speed import speed_picture
from tests.conftest import Golden
from tests.unit.plan.conftest import Workshop
from tests.unit.plan.scenes import eight, plain
from tests.unit.web.conftest import HOST, Person
from tests.unit.web.test_access import csrf_of, sign_in
from tests.unit.web.test_layout_pages import keep
from tests.unit.web.test_pages import page
from tests.unit.web.test_pictures import inside, pretty

MB = 1_000_000


def promise(pool: str, write: int, read: int) -> Throughput:
    return Throughput(
        pool=pool,
        write_bound=write,
        write_expected=write * 6 // 10,
        read_bound=read,
        read_expected=read * 6 // 10,
        limit="writing: the network between hosts; reading: one client's port",
    )


def measured(promised: Throughput, write: float, read: float, at: float = 1_790_000_000.0) -> Measured:
    """Parts of the bounds."""
    return Measured(
        fsid="7d0f3a52-0c52-5a53-8a3e-1b0a34f3c0de",
        plan="c" * 64,
        pool=promised.pool,
        machine="m-1",
        at=at,
        write=Flow(bytes=int(promised.write_bound * write * 10), seconds=10.0),
        read=Flow(bytes=int(promised.read_bound * read * 10), seconds=10.0),
        promise=promised,
    )


def speeds() -> tuple[PoolSpeed, ...]:
    """As expected, low and above, never measured."""
    fast, small = promise("vms", 1_250 * MB, 3_125 * MB), promise("objects.rgw.buckets.data", 400 * MB, 900 * MB)
    return (
        PoolSpeed(pool=fast.pool, promise=fast, measured=measured(fast, 0.66, 0.9)),
        PoolSpeed(pool=small.pool, promise=small, measured=measured(small, 0.2, 1.2)),
        PoolSpeed(pool="shares_data", promise=promise("shares_data", 700 * MB, 3_125 * MB)),
    )


def test_the_picture(golden: Golden) -> None:
    text = speed_picture(speeds(), "ceph")
    root = inside(text)
    golden.check("pictures/speed.svg", pretty(text))
    classes = [found.attrib.get("class", "") for found in root.iter()]
    assert classes.count("speed-bound") == 6
    bars = [name for name in classes if name.startswith("speed-measured")]
    assert sorted(bars) == [
        "speed-measured speed-above",
        *["speed-measured speed-fine"] * 2,
        "speed-measured speed-low",
    ]
    assert "vms, write: 0.825 of at most 1.25 GB/s, 0.75 expected." in text
    assert "shares_data, write: not measured; about 0.42, at most 0.7 GB/s" in text


@pytest.mark.parametrize("rate", [1, 999, 25 * MB, 99 * MB, 100 * MB, 12_345_678_901])
def test_the_scale_has_few_marks_at_round_numbers(rate: int) -> None:
    one = promise("p", rate, rate)
    text = speed_picture((PoolSpeed(pool="p", promise=one, measured=measured(one, 0.5, 0.5)),), "ceph")
    root = inside(text)
    marks = [found for found in root.iter() if found.attrib.get("class") == "rule"]
    assert 2 <= len(marks) <= 6


def test_words_of_pools_are_only_text() -> None:
    attack = promise("<script>x</script>\"'&", 5 * MB, 5 * MB)
    text = speed_picture((PoolSpeed(pool=attack.pool, promise=attack),), "<b>")
    assert "<script>" not in text and "<b>" not in text
    ET.fromstring(text)  # noqa: S314 - our own text


# ---------------------------------------------------------------- pages and API


@pytest.fixture
def layout(app: Appliance) -> CephLayout:
    """A plan with Ceph holds, and its pools were measured once."""
    scene = eight(Workshop())
    hash_ = keep(app, scene)
    found = scene.plan.desired.ceph
    assert found is not None
    with app.store.write() as connection:
        plans.accept(connection, hash_, by="t", at=app.clock.now())
        plans.set_state(connection, hash_, PlanState.DONE)
        for one in found.throughput:
            row = measured(one, 0.1, 0.7, at=app.clock.now())
            measurements.add(connection, replace(row, fsid=found.fsid, plan=hash_))
    return found


@pytest.fixture
def browser(app: Appliance, web: Flask) -> FlaskClient:
    client = web.test_client()
    sign_in(client, sessions.make_token(app, SYSTEM, "bea", Role.OPERATOR))
    return client


def test_the_page(browser: FlaskClient, layout: CephLayout) -> None:
    text = page(browser, "/ceph")
    (svg,) = re.findall(r"<svg[^>]*class=\"drawing speed\".*?</svg>", text, re.DOTALL)
    assert "Throughput of " in svg
    assert "writing is less than half of what is expected" in text
    assert "Measure now" in text
    assert " style=" not in text
    assert 'href="/ceph"' in page(browser, "/plans/newest")
    assert 'href="/ceph"' in page(browser, "/plans/newest/layout")


def test_a_viewer_sees_no_button(app: Appliance, web: Flask, layout: CephLayout) -> None:
    client = web.test_client()
    sign_in(client, sessions.make_token(app, SYSTEM, "vic", Role.VIEWER))
    assert "Measure now" not in page(client, "/ceph")


def test_without_ceph(app: Appliance, browser: FlaskClient, person: Callable[[str], Person]) -> None:
    assert "There is no Ceph yet" in page(browser, "/ceph")
    keep(app, plain(Workshop()))
    assert person("viewer").get("/api/v1/ceph/throughput").status_code == 404


def test_the_button_says_why_not(browser: FlaskClient, layout: CephLayout) -> None:
    """Nobody has heard of this Ceph."""
    answer = browser.post("/ceph/measure", base_url=HOST, data={"csrf": csrf_of(browser)})
    assert answer.status_code == 503
    assert "was not heard of for 300 s" in answer.text


def test_the_api(person: Callable[[str], Person], layout: CephLayout) -> None:
    found = person("viewer").get("/api/v1/ceph/throughput").json
    assert (found["cluster"], found["fsid"], found["measuring"]) == (layout.name, layout.fsid, None)
    one = found["pools"][0]
    assert one["measured"]["write"]["verdict"] == "low"
    assert one["measured"]["write"]["rate"] == pytest.approx(one["write_bound"] * 0.1, abs=2)
    assert one["measured"]["read"]["verdict"] == "fine"
    assert len(found["history"]) == len(layout.throughput)
    assert person("viewer").post("/api/v1/ceph/throughput").status_code == 403
    assert person("operator").post("/api/v1/ceph/throughput", {"pools": ["nothing"]}).status_code == 404
    assert person("operator").post("/api/v1/ceph/throughput", {"pool": 3}).status_code == 422
    assert person("operator").post("/api/v1/ceph/throughput").status_code == 503


def view(state: OrderState, message: str) -> SpeedView:
    """What is seen while a measurement is in this state."""
    last = Measuring(state=state, machine="m-1", name="h1", fraction=0.5, message=message, started=1.0)
    return SpeedView(name="ceph", fsid="f", plan="c" * 64, pools=speeds(), last=last, history=(), names={"m-1": "h1"})
