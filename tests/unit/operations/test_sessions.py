"""Signing in: the first token, sessions, CSRF, socket peers, throttling; and what is kept of secrets."""

from __future__ import annotations

import os
import stat

import pytest

from appliance.effects.clock import FakeClock
from appliance.operations import sessions
from appliance.operations.audit import list_audit
from appliance.operations.context import Appliance, Role
from appliance.operations.errors import NotFound, NotSignedIn, PermissionDenied, TooMany
from appliance.store import schema
from tests.unit.operations.lab import ADMIN, OPERATOR, VIEWER


@pytest.fixture(autouse=True)
def throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_throttle", sessions.Throttle())


def _token(app: Appliance) -> str:
    path = sessions.first_start_token(app)
    assert path is not None
    return path.read_text().strip()


def test_the_first_token_is_for_the_owner_only_and_made_once(app: Appliance) -> None:
    token = _token(app)
    assert stat.S_IMODE(sessions.token_path(app).stat().st_mode) == 0o600
    assert sessions.first_start_token(app) is None
    actor = sessions.actor_of_token(app, token)
    assert (actor.name, actor.role, actor.via) == ("admin", Role.ADMIN, "token")


def test_secrets_are_not_in_the_database(app: Appliance) -> None:
    token = _token(app)
    login = sessions.login(app, token)
    with app.store.read() as connection:
        rows = [str(row) for t in schema.metadata.sorted_tables for row in connection.execute(t.select())]
    assert not [row for row in rows if token in row or login.cookie in row]


def test_a_session_ends_by_time_and_by_logout(app: Appliance, clock: FakeClock) -> None:
    login = sessions.login(app, _token(app))
    found = sessions.actor_of_session(app, login.cookie)
    assert (found.actor.name, found.actor.via, found.csrf) == ("admin", "session", login.csrf)
    clock.advance(sessions.SESSION_SECONDS)
    with pytest.raises(NotSignedIn):
        sessions.actor_of_session(app, login.cookie)
    clock.advance(-10.0)
    sessions.logout(app, login.cookie)
    sessions.logout(app, login.cookie)
    with pytest.raises(NotSignedIn):
        sessions.actor_of_session(app, login.cookie)
    assert [row.verb for row in list_audit(app, ADMIN)] == ["session.logout", "session.login", "token.make"]


def test_a_form_from_elsewhere_is_refused(app: Appliance) -> None:
    login = sessions.login(app, _token(app))
    session = sessions.actor_of_session(app, login.cookie)
    sessions.check_csrf(session, login.csrf)
    for wrong in ("", "x", login.csrf[:-1], "ü"):
        with pytest.raises(PermissionDenied):
            sessions.check_csrf(session, wrong)


def test_guessing_is_slowed_down_by_address(app: Appliance, clock: FakeClock) -> None:
    token = _token(app)
    for _ in range(sessions.FAILURES):
        with pytest.raises(NotSignedIn):
            sessions.login(app, "wrong", "10.0.0.9")
    with pytest.raises(TooMany):
        sessions.login(app, token, "10.0.0.9")
    assert sessions.login(app, token, "10.0.0.8").actor.role is Role.ADMIN
    clock.advance(sessions.WINDOW + 1)
    assert sessions.login(app, token, "10.0.0.9").actor.role is Role.ADMIN


def test_tokens_for_others_and_their_end(app: Appliance) -> None:
    token = sessions.make_token(app, ADMIN, "vera", Role.VIEWER)
    login = sessions.login(app, token)
    assert login.actor.role is Role.VIEWER
    with pytest.raises(PermissionDenied):
        sessions.make_token(app, OPERATOR, "eve", Role.ADMIN)
    assert sessions.revoke_tokens(app, ADMIN, "vera") == 1
    with pytest.raises(NotSignedIn):
        sessions.actor_of_token(app, token)
    with pytest.raises(NotSignedIn):
        sessions.actor_of_session(app, login.cookie)
    with pytest.raises(NotFound):
        sessions.revoke_tokens(app, ADMIN, "vera")


def test_the_socket_is_for_root_and_ourselves(app: Appliance) -> None:
    assert sessions.actor_of_peer(app, 0).role is Role.ADMIN
    assert sessions.actor_of_peer(app, os.geteuid()).via == "socket"
    with pytest.raises(PermissionDenied):
        sessions.actor_of_peer(app, 54321)


def test_who_may_read_the_audit_trail(app: Appliance) -> None:
    with pytest.raises(PermissionDenied):
        list_audit(app, VIEWER)
