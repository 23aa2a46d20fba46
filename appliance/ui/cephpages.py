"""The page of Ceph: how fast its pools are, as a picture, and the button that measures them."""

from __future__ import annotations

import typing

from flask import Blueprint, Response, redirect, render_template, url_for
from markupsafe import Markup

from appliance.operations import measurements
from appliance.operations.errors import NotFound
from appliance.ui.pictures.speed import speed_picture
from appliance.ui.session import appliance, asking


def add_routes(blueprint: Blueprint) -> None:
    """``/ceph`` and what is below it."""
    blueprint.add_url_rule("/ceph", "show_ceph", show_ceph)
    blueprint.add_url_rule("/ceph/measure", "measure_ceph", measure_ceph, methods=["POST"])


def show_ceph() -> str:
    """What one client can get of each pool. Without Ceph a page that says so."""
    try:
        view = measurements.show_speed(appliance(), asking())
    except NotFound:
        return render_template("ceph.html", view=None, picture="")
    picture = Markup(speed_picture(view.pools, view.name)) if view.pools else ""  # noqa: S704 - made of escaped parts
    return render_template("ceph.html", view=view, picture=picture)


def measure_ceph() -> Response:
    """All pools for large data."""
    measurements.measure(appliance(), asking())
    return typing.cast(Response, redirect(url_for("ui.show_ceph"), 303))
