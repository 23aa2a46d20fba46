"""People signing in: the first admin token, tokens for others, browser sessions with CSRF values, socket peers.

Tokens and cookies are 256 random bits; only their SHA-256 is stored, so a copy of the database signs nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from appliance.effects import files
from appliance.effects.clock import Clock
from appliance.operations import audit
from appliance.operations.context import SYSTEM, Actor, Appliance, Role
from appliance.operations.errors import Invalid, NotFound, NotSignedIn, PermissionDenied, TooMany
from appliance.store import sessions, tokens
from appliance.store.sessions import SessionRow
from appliance.store.tokens import TokenRow

SESSION_SECONDS = 12 * 3600.0
FAILURES, WINDOW = 10, 60.0
TOKEN_PREFIX = "rackseed-"  # noqa: S105 - makes tokens findable for secret scanners; not a secret itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """``cookie`` is the session's secret, ``csrf`` what changing requests must carry, ``expires`` seconds."""

    cookie: str
    csrf: str
    actor: Actor
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in browser."""

    actor: Actor
    csrf: str
    expires: float


class Throttle:
    """Lets a caller fail `FAILURES` times in `WINDOW` seconds, per process and key (an address)."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def check(self, clock: Clock, key: str) -> None:
        """Raise `TooMany` when this caller has failed too often."""
        now = clock.now()
        with self._lock:
            times = self._recent(key, now)
            if len(times) >= FAILURES:
                wait = max(1.0, times[0] + WINDOW - now)
                raise TooMany(f"too many failed sign-ins; try again in {wait:.0f} seconds", wait)

    def failed(self, clock: Clock, key: str) -> None:
        """Count a failure."""
        with self._lock:
            if len(self._failures) > 10_000:
                self._failures.clear()
            self._failures.setdefault(key, deque(maxlen=FAILURES)).append(clock.now())

    def _recent(self, key: str, now: float) -> deque[float]:
        times = self._failures.get(key, deque())
        while times and times[0] <= now - WINDOW:
            times.popleft()
        return times


_throttle = Throttle()


def token_path(app: Appliance) -> Path:
    """Where the first admin token lies."""
    return app.settings.state / "admin-token"


def first_start_token(app: Appliance) -> Path | None:
    """At the very first start, make an admin token and write it to ``<state>/admin-token`` (mode 0600).

    Returns the path when it was made now, else None. Safe when several processes start at once, and when one was
    killed between writing the file and committing: the file is written first, and made anew then.
    """
    with app.store.write() as connection:
        if tokens.count(connection):
            return None
        token = _new_token()
        path = token_path(app)
        files.replace(path, f"{token}\n".encode())
        row = TokenRow(sha256=_digest(token), actor="admin", role=Role.ADMIN, created=app.clock.now())
        tokens.add(connection, row)
        audit.record(connection, app, SYSTEM, "token.make", "admin", role=Role.ADMIN.value)
        return path


def make_token(app: Appliance, actor: Actor, name: str, role: Role) -> str:
    """Make a token for somebody and return it; it is shown this once. Admins only."""
    actor.require(Role.ADMIN, "make access tokens")
    if not name.isprintable() or not 1 <= len(name) <= 64:
        raise Invalid("a name has 1 to 64 printable characters", (("name", "has 1 to 64 printable characters"),))
    token = _new_token()
    with app.store.write() as connection:
        tokens.add(connection, TokenRow(sha256=_digest(token), actor=name, role=role, created=app.clock.now()))
        audit.record(connection, app, actor, "token.make", name, role=role.value)
    return token


def revoke_tokens(app: Appliance, actor: Actor, name: str) -> int:
    """End all tokens and sessions of somebody; returns how many tokens. Admins only."""
    actor.require(Role.ADMIN, "revoke access tokens")
    with app.store.write() as connection:
        ended = tokens.revoke(connection, name, at=app.clock.now())
        sessions.remove_of(connection, name)
        if not ended:
            raise NotFound(f"{name} has no access token")
        audit.record(connection, app, actor, "token.revoke", name, tokens=ended)
    return ended


def actor_of_token(app: Appliance, token: str, remote: str = "") -> Actor:
    """Who has this token (``Authorization: Bearer …``). Raises `NotSignedIn` or `TooMany`."""
    _throttle.check(app.clock, remote)
    digest = _digest(token.strip())
    with app.store.read() as connection:
        row = tokens.get(connection, digest)
    if row is None or row.revoked is not None or not hmac.compare_digest(row.sha256, digest):
        _throttle.failed(app.clock, remote)
        raise NotSignedIn("this access token is not known; the first one lies in the state folder: admin-token")
    return Actor(name=row.actor, role=Role(row.role), via="token")


def login(app: Appliance, token: str, remote: str = "") -> Login:
    """Exchange a token for a browser session. Raises `NotSignedIn` or `TooMany`."""
    who = actor_of_token(app, token, remote)
    actor = Actor(name=who.name, role=who.role, via="session")
    cookie, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(32), app.clock.now()
    row = SessionRow(
        id_sha256=_digest(cookie),
        actor=actor.name,
        role=actor.role,
        csrf=csrf,
        created=now,
        expires=now + SESSION_SECONDS,
    )
    with app.store.write() as connection:
        sessions.remove_expired(connection, now)
        sessions.add(connection, row)
        audit.record(connection, app, actor, "session.login", actor.name, remote=remote)
    return Login(cookie=cookie, csrf=csrf, actor=actor, expires=row.expires)


def actor_of_session(app: Appliance, cookie: str) -> Session:
    """The session of a cookie. Raises `NotSignedIn` when it is unknown or has expired."""
    with app.store.read() as connection:
        row = sessions.get(connection, _digest(cookie))
    if row is None or row.expires <= app.clock.now():
        raise NotSignedIn("the session is unknown or has ended: sign in again")
    return Session(actor=Actor(name=row.actor, role=Role(row.role), via="session"), csrf=row.csrf, expires=row.expires)


def check_csrf(session: Session, value: str) -> None:
    """A changing request of a browser must carry the session's CSRF value; else `PermissionDenied`."""
    if not hmac.compare_digest(session.csrf.encode(), value.encode()):
        raise PermissionDenied("the form is out of date or came from another site: reload the page and try again")


def logout(app: Appliance, cookie: str) -> None:
    """End a session; one that is unknown is no error."""
    with app.store.write() as connection:
        row = sessions.get(connection, _digest(cookie))
        if row and sessions.remove(connection, row.id_sha256):
            actor = Actor(name=row.actor, role=Role(row.role), via="session")
            audit.record(connection, app, actor, "session.logout", row.actor)


def actor_of_peer(app: Appliance, uid: int) -> Actor:
    """Who is at the other end of the Unix socket: root and the service's own user are admin, nobody else is let in."""
    if uid not in (0, os.geteuid()):
        raise PermissionDenied(f"the user with uid {uid} may not use the socket: run this as root, or use a token")
    return Actor(name="root" if uid == 0 else f"uid-{uid}", role=Role.ADMIN, via="socket")


def _new_token() -> str:
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
