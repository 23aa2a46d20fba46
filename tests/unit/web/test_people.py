"""The people's API: documents, errors, conditions, replays, pages, streams."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from appliance.api import stream
from appliance.api.problem import MEDIA_TYPE
from tests.unit.operations.lab import Box
from tests.unit.web.conftest import HOST, PLANNED, Person


def test_time_is_public(anonymous: FlaskClient) -> None:
    assert anonymous.get("/api/v1/time", base_url=HOST).json == {"time": pytest.approx(1_700_000_000, rel=1)}


def test_a_machine_from_its_request_to_ready(person: Callable[[str], Person], pending: Box) -> None:
    operator = person("operator")
    [listed] = operator.get("/api/v1/machines").json["machines"]
    assert (listed["phase"], listed["pending"], listed["trusted"]) == ("enrolled", True, False)
    shown = operator.get(f"/api/v1/machines/{listed['id']}")
    assert shown.headers["ETag"] == f'"{listed["generation"]}"'
    assert pending.code not in shown.text, "the code is for the console only"
    wrong = operator.post(f"/api/v1/machines/{listed['id']}/approve", {"code": "AAAA-AAAA-AAA"})
    assert (wrong.status_code, wrong.json["errors"][0]["at"]) == (422, "code")
    right = operator.post(f"/api/v1/machines/{listed['id']}/approve", {"code": pending.code.lower()})
    assert right.status_code == 200
    assert right.json["phase"] == "approved"
    pending.report(listed["id"])
    found = operator.get(f"/api/v1/machines/{listed['expected']}").json
    assert found["machine"]["phase"] == "ready"
    assert found["machine"]["phase_since"].endswith("Z")
    assert found["inventory"]["disks"][0]["size"] == 480_103_981_056
    entries = operator.get(f"/api/v1/machines/{listed['id']}/timeline").json["entries"]
    assert [entry["seq"] for entry in entries] == sorted(entry["seq"] for entry in entries)
    verbs = [entry["verb"] for entry in operator.get("/api/v1/audit").json["entries"]]
    assert "machine.approve" in verbs


def test_if_match(person: Callable[[str], Person], pending: Box) -> None:
    operator = person("operator")
    [machine] = operator.get("/api/v1/machines").json["machines"]
    path = f"/api/v1/machines/{machine['id']}/policy"
    stale = operator.post(path, {"policy": "hold"}, **{"If-Match": '"999"'})
    assert stale.status_code == 412
    good = operator.post(path, {"policy": "hold"}, **{"If-Match": f'"{machine["generation"]}"'})
    assert good.json["policy"] == "hold"
    assert good.headers["ETag"] != f'"{machine["generation"]}"'
    assert operator.post(path, {"policy": "use"}, **{"If-Match": "nonsense"}).status_code == 422


def test_idempotency_key(person: Callable[[str], Person], pending: Box) -> None:
    operator = person("operator")
    [machine] = operator.get("/api/v1/machines").json["machines"]
    path, key = f"/api/v1/machines/{machine['id']}/approve", {"Idempotency-Key": "key-12345678"}
    first = operator.post(path, {"code": pending.code}, **key)
    again = operator.post(path, {"code": pending.code}, **key)
    assert first.status_code == again.status_code == 200
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == first.json
    assert operator.post(path, {"code": "other"}, **key).status_code == 409
    assert operator.post(path, {"code": pending.code}, **{"Idempotency-Key": "short"}).status_code == 422
    without = operator.post(path, {"code": pending.code})
    assert without.status_code == 409, "it was approved already"


BAD = [
    ('{"policy": "use", "more": 1}', "application/json", 422, "more"),
    ('{"policy": 7}', "application/json", 422, "policy"),
    ("{}", "application/json", 422, "policy"),
    ("[", "application/json", 422, ""),
    ('{"policy": "use"}', "text/plain", 415, None),
    ('"' + "x" * 70_000 + '"', "application/json", 413, None),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[0][:20])
def test_bad_bodies(person: Callable[[str], Person], pending: Box, case: tuple[str, str, int, str | None]) -> None:
    body, kind, status, at = case
    operator = person("operator")
    answer = operator.client.post(
        "/api/v1/machines/n2/policy", data=body, content_type=kind, headers=operator.headers, base_url=HOST
    )
    assert answer.status_code == status
    assert answer.mimetype == MEDIA_TYPE
    assert answer.json["status"] == status
    if at is not None:
        assert answer.json["errors"][0]["at"] == at


def test_pages_of_lists(person: Callable[[str], Person], pending: Box, box: Callable[..., Box]) -> None:
    for number in range(3, 8):
        box(number).enrol()
    viewer, found, cursor = person("viewer"), [], ""
    while True:
        page = viewer.get(f"/api/v1/machines?limit=4&cursor={cursor}").json
        found += [item["id"] for item in page["machines"]]
        cursor = page["next"]
        if not cursor:
            break
    assert len(found) == len(set(found)) == 6
    assert viewer.get("/api/v1/machines?limit=0").status_code == 422
    assert viewer.get("/api/v1/machines?limit=many").status_code == 422
    assert viewer.get("/api/v1/machines?cursor=nonsense").status_code == 422
    first = viewer.get("/api/v1/events?limit=3").json
    second = viewer.get(f"/api/v1/events?limit=3&cursor={first['next']}").json
    assert second["events"][0]["seq"] > first["events"][-1]["seq"]


def test_errors_are_problems(person: Callable[[str], Person]) -> None:
    viewer = person("viewer")
    for path, status in (("/api/v1/machines/m-x", 404), ("/api/v1/nothing", 404), ("/api/v1/sites/current", 404)):
        answer = viewer.get(path)
        assert (answer.status_code, answer.mimetype) == (status, MEDIA_TYPE)
        assert set(answer.json) == {"title", "status", "detail", "errors"}
    wrong = viewer.client.put("/api/v1/machines", headers=viewer.headers, base_url=HOST)
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["Allow"]


def test_site_and_plan(person: Callable[[str], Person], ready: str) -> None:
    operator = person("operator")
    broken = operator.post("/api/v1/sites", {"text": PLANNED.replace("10.20.0.0/24", "10.20.0.0/99"), "path": "s.yaml"})
    assert broken.status_code == 422
    assert broken.json["errors"][0]["at"].startswith("s.yaml:")
    made = operator.post("/api/v1/plans")
    assert made.status_code == 201
    plan = made.json
    assert made.headers["Location"] == f"/api/v1/plans/{plan['hash']}"
    assert operator.post("/api/v1/plans").json["hash"] == plan["hash"]
    assert operator.get(f"/api/v1/plans/{plan['hash'][:12]}").json["hash"] == plan["hash"]
    assert {wait["about"] for wait in plan["waits"]} >= {"n2"}
    listed = operator.get("/api/v1/plans").json["plans"][0]
    assert listed["hash"] == plan["hash"]
    assert {name: listed[name] for name in ("steps", "waits")} == {name: len(plan[name]) for name in ("steps", "waits")}
    assert listed["assigned"] == sum(disk["fate"] == "assign" for disk in plan["disks"])
    assert listed["erased"] == sum(disk["fate"] == "erase" for disk in plan["disks"])
    assert listed["warnings"] == sum(finding["severity"] == "warning" for finding in plan["lint"])
    assert operator.post("/api/v1/plans/ffffffffffff/apply").status_code == 404


def read_stream(person: Person, path: str, **headers: str) -> list[tuple[int, dict[str, object]]]:
    answer = person.get(path, **headers)
    assert answer.mimetype == "text/event-stream"
    blocks = [block.splitlines() for block in answer.text.split("\n\n") if "data: " in block]
    answer.close()
    return [(int(block[0].removeprefix("id: ")), json.loads(block[2].removeprefix("data: "))) for block in blocks]


def test_streams_resume(person: Callable[[str], Person], pending: Box) -> None:
    viewer = person("viewer")
    everything = read_stream(viewer, "/api/v1/events/stream", **{"Last-Event-ID": "0"})
    assert len(everything) >= 3
    middle = everything[1][0]
    rest = read_stream(viewer, "/api/v1/events/stream", **{"Last-Event-ID": str(middle)})
    assert rest == everything[2:]
    assert read_stream(viewer, "/api/v1/events/stream") == [], "without an id it begins now"
    machine = viewer.get("/api/v1/machines").json["machines"][0]["id"]
    own = read_stream(viewer, f"/api/v1/events/stream?since=0&machine={machine}")
    assert own
    assert all(event["machine"] == machine for _, event in own)
    assert viewer.get("/api/v1/events/stream?since=x").status_code == 422


def test_streams_are_limited_and_given_back(person: Callable[[str], Person]) -> None:
    viewer = person("viewer")
    held = [viewer.client.get("/api/v1/events/stream", headers=viewer.headers, base_url=HOST) for _ in range(40)]
    assert viewer.get("/api/v1/events/stream").status_code == 429
    for answer in held:
        answer.close()
    last = viewer.get("/api/v1/events/stream")
    assert last.status_code == 200
    last.close()
    assert stream.STREAMS == 40
