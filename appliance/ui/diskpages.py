"""Buttons of a machine's page: replace a disk of Ceph, and take that back. The plan that follows shows what happens."""

from __future__ import annotations

import typing

from flask import Blueprint, Response, redirect, request, url_for

from appliance.operations import plans, replacements
from appliance.operations.context import Actor, Appliance
from appliance.operations.replacements import ReplacementView
from appliance.ui.session import appliance, asking

DiskName = tuple[str, str]
"""Serial and WWN, as the machine reports them."""


def add_routes(blueprint: Blueprint) -> None:
    """Below a machine's page."""
    blueprint.add_url_rule("/machines/<key>/disks/replace", "replace_disk", replace_disk, methods=["POST"])
    blueprint.add_url_rule("/machines/<key>/disks/keep", "keep_disk", keep_disk, methods=["POST"])


def replace_disk(key: str) -> Response:
    """Record the wish, and show the plan that follows from it."""
    del key
    replacements.replace_disk(appliance(), asking(), request.form.get("disk", ""))
    return _planned()


def keep_disk(key: str) -> Response:
    """Take the wish back, and show what the plan is now."""
    del key
    replacements.cancel(appliance(), asking(), request.form.get("disk", ""))
    return _planned()


def osds_by_disk(app: Appliance, actor: Actor, machine: str) -> dict[DiskName, str]:
    """``osd.3, osd.4`` by the disk that carries their data, as far as the accepted layout has any on this machine."""
    found: dict[DiskName, list[str]] = {}
    for osd in replacements.osds_of(app, actor, machine):
        found.setdefault((osd.data.serial, osd.data.wwn), []).append(f"osd.{osd.number}")
    return {disk: ", ".join(names) for disk, names in found.items()}


def wishes_by_disk(app: Appliance, actor: Actor, machine: str) -> dict[DiskName, ReplacementView]:
    """Disks of this machine that are to be replaced, or were."""
    found = replacements.list_replacements(app, actor, machine)
    return {(view.row.serial, view.row.wwn): view for view in found}


def _planned() -> Response:
    made = plans.make_plan(appliance(), asking())
    return typing.cast(Response, redirect(url_for("ui.show_plan", hash_=made.hash), 303))
