"""Who asks, decided once per request of the people's listener, before any handler; and the headers of every answer.

Three proofs: the Unix socket (the kernel tells the user id), an access token, or a browser's session cookie. A changing
request that a cookie signs must also carry the session's CSRF value, as header ``X-CSRF-Token`` or form field ``csrf``.
"""

from __future__ import annotations

import logging
import socket
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from appliance.operations import sessions
from appliance.operations.context import Actor, Appliance
from appliance.operations.errors import NotFound, NotSignedIn, PermissionDenied
from appliance.serve.listener import peer_uid
from appliance.ui.session import COOKIE

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
UNSIGNED = frozenset({"ui.login", "enrolments.enrol"})
"""Changing requests that nobody can be signed in for yet."""

MACHINES = frozenset({"enrolments.enrol", "enrolments.enrolment_state", "people.get_time", "healthz"})
"""All that machines need of this listener before they are approved."""

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

log = logging.getLogger(__name__)


def install(app: Flask, appliance: Appliance) -> None:
    """Recognise the actor before every request; add security headers after it."""

    @app.before_request
    def recognise() -> None:
        g.actor, g.csrf = None, ""
        if appliance.settings.people_local and request.endpoint not in MACHINES and _from_the_rack(appliance):
            raise NotFound("pages and the people's API are not served on this address")
        _check_origin()
        g.actor = _actor(appliance)

    app.after_request(protect)


def protect(response: Response) -> Response:
    """Security headers of every answer; documents are not kept by caches unless the handler said otherwise."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _actor(appliance: Appliance) -> Actor | None:
    connection = request.environ.get("gunicorn.socket")
    if isinstance(connection, socket.socket) and (uid := peer_uid(connection)) is not None:
        return sessions.actor_of_peer(appliance, uid)
    remote = request.remote_addr or ""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return sessions.actor_of_token(appliance, token, remote)
    cookie = request.cookies.get(COOKIE, "")
    if not cookie:
        return None
    try:
        session = sessions.actor_of_session(appliance, cookie)
    except NotSignedIn:
        return None
    g.csrf = session.csrf
    if request.method not in SAFE and request.endpoint not in UNSIGNED:
        sessions.check_csrf(session, request.headers.get("X-CSRF-Token", "") or _form_value())
    return session.actor


def _from_the_rack(appliance: Appliance) -> bool:
    """Whether the connection came in on the provisioning address (never true of 127.0.0.1, where people come from)."""
    connection = request.environ.get("gunicorn.socket")
    if not isinstance(connection, socket.socket) or connection.family == socket.AF_UNIX:
        return False
    return bool(connection.getsockname()[0] == str(appliance.settings.address) != "127.0.0.1")


def _form_value() -> str:
    """The CSRF field of a form; a JSON body has none, and is not read here."""
    forms = {"application/x-www-form-urlencoded", "multipart/form-data"}
    return request.form.get("csrf", "") if request.mimetype in forms else ""


def _check_origin() -> None:
    """A browser says where a changing request comes from; another place than ourselves is refused outright."""
    if request.method in SAFE:
        return
    origin = request.headers.get("Origin", "")
    foreign = origin not in ("", "null") and urlsplit(origin).netloc != request.host
    if origin == "null" or foreign or request.headers.get("Sec-Fetch-Site", "") in {"cross-site", "same-site"}:
        log.warning("path=%s why=refused a request from the site %s", request.path, origin or "(hidden)")
        raise PermissionDenied("this request comes from another site")
