"""Signing in and out of the pages."""

from __future__ import annotations

import hmac
import secrets
import typing
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, g, make_response, redirect, render_template, request, url_for

from appliance.operations import sessions
from appliance.operations.context import Actor, Appliance
from appliance.operations.errors import NotSignedIn, PermissionDenied, TooMany

COOKIE = "__Host-rackseed"
"""The prefix makes browsers insist on Secure, on path / and on this very host (RFC 6265bis §4.1.3.2)."""
LOGIN_COOKIE = "__Host-rackseed-login"
"""Holds the value that the sign-in form must carry, so that nobody can be signed in from another site."""


def appliance() -> Appliance:
    """The appliance that this process serves."""
    return typing.cast(Appliance, current_app.extensions["rackseed"])


def asking() -> Actor:
    """Who looks at the page; `NotSignedIn` leads to the sign-in page."""
    actor: Actor | None = g.get("actor")
    if actor is None:
        raise NotSignedIn("sign in first")
    return actor


def add_routes(blueprint: Blueprint) -> None:
    """``/login`` and ``/logout``."""
    blueprint.add_url_rule("/login", "login", login, methods=["GET", "POST"])
    blueprint.add_url_rule("/logout", "logout", logout, methods=["POST"])


def login() -> Response:
    """The form, and what it sends: a token for a session."""
    if request.method == "GET":
        return form()
    sent, kept = request.form.get("csrf", ""), request.cookies.get(LOGIN_COOKIE, "")
    if not kept or not hmac.compare_digest(sent.encode(), kept.encode()):
        raise PermissionDenied("the sign-in page is out of date: open it again (cookies must be allowed)")
    try:
        made = sessions.login(appliance(), request.form.get("token", ""), request.remote_addr or "")
    except (NotSignedIn, TooMany) as error:
        return form(str(error), error.status)
    response = typing.cast(Response, redirect(local_path(request.form.get("next", "")), 303))
    lifetime = int(made.expires - appliance().clock.now())
    response.set_cookie(COOKIE, made.cookie, max_age=lifetime, secure=True, httponly=True, samesite="Strict", path="/")
    response.delete_cookie(LOGIN_COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
    return response


def form(problem: str = "", status: int = 200) -> Response:
    """The sign-in page, with a fresh value against forgery."""
    value = secrets.token_urlsafe(24)
    following = local_path(request.values.get("next", ""))
    page = render_template("login.html", problem=problem, login_csrf=value, following=following)
    response = make_response(page, status)
    response.set_cookie(LOGIN_COOKIE, value, max_age=3600, secure=True, httponly=True, samesite="Strict", path="/")
    return response


def logout() -> Response:
    """End the session."""
    sessions.logout(appliance(), request.cookies.get(COOKIE, ""))
    response = typing.cast(Response, redirect(url_for("ui.login"), 303))
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
    return response


def local_path(text: str) -> str:
    """A path of ours to go on to after signing in; never another site."""
    parts = urlsplit(text)
    safe = text.startswith("/") and not text.startswith("//") and "\\" not in text and not parts.netloc
    return text if safe and text.isprintable() else "/machines"
