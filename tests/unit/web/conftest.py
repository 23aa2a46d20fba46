"""The web applications over a real appliance on a temporary folder, without sockets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from appliance.api import stream
from appliance.operations import sessions, sites
from appliance.operations.context import SYSTEM, Appliance, Role
from appliance.serve import agents, people, public
from tests.unit.operations.conftest import app, box, clock, keys
from tests.unit.operations.lab import SITE, Box

__all__ = ["app", "box", "clock", "keys"]

HOST = "https://10.20.0.1:8443"
PLANNED = (
    SITE
    + """\
machines:
  n1: {serial: WM21000001}
  n2: {serial: WM21000002}
"""
)


class Person:
    """A program with an access token of one role."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **headers: str):  # type: ignore[no-untyped-def]
        return self.client.get(path, base_url=HOST, headers={**self.headers, **headers})

    def post(self, path: str, body: object = None, **headers: str):  # type: ignore[no-untyped-def]
        return self.client.post(
            path, json={} if body is None else body, base_url=HOST, headers={**self.headers, **headers}
        )


@pytest.fixture
def web(app: Appliance) -> Flask:
    return people.make_app(app)


@pytest.fixture
def anonymous(web: Flask) -> FlaskClient:
    return web.test_client()


@pytest.fixture
def person(app: Appliance, web: Flask) -> Callable[[str], Person]:
    """A person of a role: ``person("viewer")``."""

    def make(role: str) -> Person:
        return Person(web.test_client(), sessions.make_token(app, SYSTEM, f"the-{role}", Role(role)))

    return make


@pytest.fixture
def agent_web(app: Appliance) -> FlaskClient:
    return agents.make_app(app).test_client()


@pytest.fixture
def public_web(app: Appliance) -> Flask:
    return public.make_app(app)


@pytest.fixture
def ready(app: Appliance, box: Callable[..., Box]) -> str:
    """A machine that was approved and has reported; the site file expects it."""
    sites.load_site_text(app, SYSTEM, PLANNED + "approve:\n  - expected: true\n", "site.yaml")
    machine = box(1)
    reply = machine.enrol()
    machine.report(reply.machine)
    return reply.machine


@pytest.fixture
def pending(app: Appliance, box: Callable[..., Box]) -> Box:
    """A machine whose request waits for a person."""
    sites.load_site_text(app, SYSTEM, PLANNED, "site.yaml")
    machine = box(2)
    machine.enrol()
    return machine


@pytest.fixture(autouse=True)
def nobody_failed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_throttle", sessions.Throttle())


@pytest.fixture(autouse=True)
def short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST", 0.3)
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.05)


@pytest.fixture
def artefact_file(tmp_path: Path) -> Path:
    path = tmp_path / "kernel"
    path.write_bytes(bytes(range(256)) * 4096)
    return path
