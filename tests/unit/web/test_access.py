"""Who may do what, on which listener, and what a browser is protected from."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.operations import sessions
from appliance.operations.context import SYSTEM, Appliance, Role
from appliance.serve import access, people
from appliance.ui.session import COOKIE, LOGIN_COOKIE
from tests.unit.operations.lab import Box
from tests.unit.web.conftest import HOST, Person

RACK = IPv4Address("127.0.0.2")
ROLES = ("viewer", "operator", "admin")
LOOK = [
    ("GET", "/api/v1/machines"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/events/stream"),
    ("GET", "/api/v1/plans"),
    ("GET", "/api/v1/artefacts"),
    ("GET", "/api/v1/sites/current"),
    ("GET", "/api/v1/sessions/current"),
    ("GET", "/machines"),
    ("GET", "/plans"),
    ("GET", "/events"),
    ("GET", "/site"),
    ("GET", "/ceph"),
]
CHANGE = [
    ("POST", "/api/v1/machines/MACHINE/approve", {"without_code": True}),
    ("POST", "/api/v1/machines/MACHINE/policy", {"policy": "hold"}),
    ("POST", "/api/v1/machines/MACHINE/retire", None),
    ("POST", "/api/v1/machines/MACHINE/merge", {"gone": "MACHINE"}),
    ("POST", "/api/v1/machines/MACHINE/split", {}),
    ("POST", "/api/v1/plans", {}),
    ("POST", "/api/v1/plans/abcdef123456/apply", {}),
    ("POST", "/api/v1/sites", {"text": "site: x"}),
    ("POST", "/api/v1/ceph/throughput", {}),
    ("GET", "/api/v1/audit", None),
]


@pytest.mark.parametrize(("method", "path"), LOOK)
def test_everybody_who_is_signed_in_may_look(
    person: Callable[[str], Person], anonymous: FlaskClient, pending: Box, method: str, path: str
) -> None:
    assert anonymous.open(path, method=method, base_url=HOST).status_code == 401
    for role in ROLES:
        answer = person(role).get(path)
        assert answer.status_code == 200, (role, answer.text)
        answer.close()


@pytest.mark.parametrize("case", CHANGE, ids=lambda case: case[1])
def test_only_operators_change(
    person: Callable[[str], Person], anonymous: FlaskClient, pending: Box, case: tuple[str, str, object]
) -> None:
    method, path, body = case
    machine = person("viewer").get("/api/v1/machines").json["machines"][0]["id"]
    path = path.replace("MACHINE", machine)
    assert anonymous.open(path, method=method, json=body, base_url=HOST).status_code == 401
    refused = person("viewer").client.open(
        path, method=method, json=body, base_url=HOST, headers=person("viewer").headers
    )
    assert refused.status_code == 403
    assert "viewer" in refused.json["detail"]
    for role in ("operator", "admin"):
        someone = person(role)
        answer = someone.client.open(path, method=method, json=body, base_url=HOST, headers=someone.headers)
        assert answer.status_code not in (401, 403), answer.text


def test_files_of_the_appliance_are_registered_over_its_socket_only(person: Callable[[str], Person]) -> None:
    body = {"kind": "loader", "name": "x", "path": "/etc/shadow", "sha256": "0" * 64, "size": 1, "document": {}}
    answer = person("admin").post("/api/v1/artefacts", body)
    assert answer.status_code == 403


def test_a_token_that_was_revoked_opens_nothing(app: Appliance, person: Callable[[str], Person]) -> None:
    someone = person("operator")
    assert someone.get("/api/v1/machines").status_code == 200
    sessions.revoke_tokens(app, SYSTEM, "the-operator")
    assert someone.get("/api/v1/machines").status_code == 401


def test_guessing_tokens_is_slowed_down(anonymous: FlaskClient) -> None:
    guess = {"Authorization": "Bearer rackseed-guess"}
    statuses = [anonymous.get("/api/v1/machines", base_url=HOST, headers=guess).status_code for _ in range(12)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def sign_in(client: FlaskClient, token: str, **form: str):  # type: ignore[no-untyped-def]
    page = client.get("/login", base_url=HOST)
    value = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert value is not None
    return client.post("/login", data={"token": token, "csrf": value[1], **form}, base_url=HOST)


@pytest.fixture
def browser(app: Appliance, web: Flask) -> FlaskClient:
    client = web.test_client()
    assert sign_in(client, sessions.make_token(app, SYSTEM, "bea", Role.OPERATOR)).status_code == 303
    return client


def csrf_of(client: FlaskClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/machines", base_url=HOST).text)
    assert found is not None
    return found[1]


def test_signing_in_and_out(app: Appliance, web: Flask) -> None:
    client = web.test_client()
    wrong = sign_in(client, "rackseed-wrong")
    assert wrong.status_code == 401
    assert "not known" in wrong.text
    right = sign_in(client, sessions.make_token(app, SYSTEM, "bea", Role.VIEWER), next="/plans")
    assert right.location == "/plans"
    cookie = next(text for text in right.headers.getlist("Set-Cookie") if text.startswith(f"{COOKIE}="))
    for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
        assert word in cookie
    assert "Domain" not in cookie
    assert client.get("/machines", base_url=HOST).status_code == 200
    assert client.post("/logout", data={"csrf": csrf_of(client)}, base_url=HOST).status_code == 303
    assert client.get("/machines", base_url=HOST).status_code == 401


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/\nx"]
)
def test_signing_in_leads_nowhere_else(app: Appliance, web: Flask, target: str) -> None:
    token = sessions.make_token(app, SYSTEM, "bea", Role.VIEWER)
    assert sign_in(web.test_client(), token, next=target).location == "/machines"


def test_nobody_is_signed_in_from_another_site(app: Appliance, web: Flask) -> None:
    token = sessions.make_token(app, SYSTEM, "bea", Role.VIEWER)
    answer = web.test_client().post("/login", data={"token": token, "csrf": ""}, base_url=HOST)
    assert answer.status_code == 403
    assert LOGIN_COOKIE not in str(answer.headers)


FORMS = ["/plans", "/plans/abcdef123456/apply", "/machines/m-x/approve", "/machines/m-x/policy", "/logout"]


@pytest.mark.parametrize("path", FORMS)
def test_a_form_needs_the_value_of_its_session(browser: FlaskClient, path: str) -> None:
    assert browser.post(path, data={}, base_url=HOST).status_code == 403
    assert browser.post(path, data={"csrf": "x" * 43}, base_url=HOST).status_code == 403
    assert browser.post(path, data={"csrf": csrf_of(browser)}, base_url=HOST).status_code != 403


def test_the_api_needs_it_too_when_a_cookie_signs(browser: FlaskClient) -> None:
    assert browser.post("/api/v1/plans", json={}, base_url=HOST).status_code == 403
    headers = {"X-CSRF-Token": csrf_of(browser)}
    assert browser.post("/api/v1/plans", json={}, headers=headers, base_url=HOST).status_code == 503


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_other_sites_are_refused_even_with_the_value(browser: FlaskClient, headers: dict[str, str]) -> None:
    data = {"csrf": csrf_of(browser)}
    assert browser.post("/plans", data=data, headers=headers, base_url=HOST).status_code == 403
    own = {"Origin": HOST, "Sec-Fetch-Site": "same-origin"}
    assert browser.post("/plans", data=data, headers=own, base_url=HOST).status_code != 403


def test_a_viewer_sees_no_buttons(app: Appliance, web: Flask, pending: Box) -> None:
    client = web.test_client()
    sign_in(client, sessions.make_token(app, SYSTEM, "vera", Role.VIEWER))
    machine = client.get("/api/v1/machines", base_url=HOST).json["machines"][0]["id"]
    page = client.get(f"/machines/{machine}", base_url=HOST).text
    assert "Approve" not in page
    assert "Retire" not in page


@pytest.mark.parametrize("path", ["/login", "/static/style.css", "/api/v1/time", "/api/v1/machines", "/nowhere"])
def test_every_answer_carries_the_headers(anonymous: FlaskClient, path: str) -> None:
    answer = anonymous.get(path, base_url=HOST)
    for name, value in access.HEADERS.items():
        assert answer.headers[name] == value
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    answer.close()


def test_listeners_do_not_mix(anonymous: FlaskClient, agent_web: FlaskClient, public_web: Flask) -> None:
    """People's API and pages only on the people's listener, the agents' API only on the agents', files only on HTTP."""
    for path in ("/api/v1/machines", "/api/v1/time", "/login", "/machines", "/artefacts/0/x"):
        assert agent_web.get(path).status_code == 404, path
    for path in ("/agent/v1/order?nonce=0", "/agent/v1/report"):
        assert anonymous.get(path, base_url=HOST).status_code == 404, path
        assert public_web.test_client().get(path).status_code == 404, path
    for path in ("/api/v1/machines", "/api/v1/time", "/api/v1/enrolments/x", "/login", "/machines"):
        assert public_web.test_client().get(path).status_code == 404, path
    for path in ("/site.cpio", "/autoexec.ipxe", "/boot/script.ipxe"):
        assert anonymous.get(path, base_url=HOST).status_code == 404, path


def test_the_socket_lets_root_and_the_service_in(web: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        environ = {"gunicorn.socket": left}
        answer = web.test_client().get("/api/v1/sessions/current", environ_overrides=environ)
        assert answer.json["role"] == "admin"
        assert answer.json["via"] == "socket"
        monkeypatch.setattr(access, "peer_uid", lambda _connection: 12345)
        assert web.test_client().get("/api/v1/sessions/current", environ_overrides=environ).status_code == 403


def test_the_rack_may_only_enrol_where_people_are_local(app: Appliance) -> None:
    local = people.make_app(replace(app, settings=replace(app.settings, people_local=True, address=RACK)))
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.2", 0)) as other:
        for server, status in ((listener, 401), (other, 404)):
            with socket.create_connection(server.getsockname()), server.accept()[0] as connection:
                environ = {"gunicorn.socket": connection}
                client = local.test_client()
                assert client.get("/api/v1/machines", environ_overrides=environ).status_code == status
                assert (client.get("/login", environ_overrides=environ).status_code == 404) == (status == 404)
                assert client.get("/api/v1/time", environ_overrides=environ).status_code == 200
                assert client.get("/api/v1/enrolments/x", environ_overrides=environ).json["detail"].startswith("this")
