"""Pages of plans: the list, one plan with every disk that it erases, and the button that does exactly that."""

from __future__ import annotations

import typing

from flask import Blueprint, Response, redirect, render_template, request, url_for

from appliance.model.plan import DiskFate
from appliance.operations import machines, plans, sites
from appliance.operations.errors import Invalid
from appliance.operations.layouts import LayoutView
from appliance.ui import layoutpages
from appliance.ui.session import appliance, asking

SHOWN = 30


def add_routes(blueprint: Blueprint) -> None:
    """``/plans`` and what is below it."""
    blueprint.add_url_rule("/plans", "list_plans", list_plans)
    blueprint.add_url_rule("/plans", "make_plan", make_plan, methods=["POST"])
    blueprint.add_url_rule("/plans/<hash_>", "show_plan", show_plan)
    blueprint.add_url_rule("/plans/<hash_>/apply", "apply_plan", apply_plan, methods=["POST"])


def list_plans() -> str:
    """Plans, the newest first."""
    return render_template("plans.html", plans=plans.list_plans(appliance(), asking(), SHOWN))


def make_plan() -> Response:
    """Plan now, and show it."""
    made = plans.make_plan(appliance(), asking())
    return typing.cast(Response, redirect(url_for("ui.show_plan", hash_=made.hash), 303))


def show_plan(hash_: str) -> str:
    """One plan."""
    view = plans.show_plan(appliance(), asking(), hash_)
    listed = machines.list_machines(appliance(), asking())
    lines, more = layoutpages.diff_lines(view.diff)
    known = {item.machine.id: item.machine.name or item.expected or item.machine.id for item in listed}
    return render_template(
        "plan.html",
        plan=view,
        erased=[disk for disk in view.disks if disk.fate is DiskFate.ERASE],
        kept=[disk for disk in view.disks if disk.fate is DiskFate.KEEP],
        assigned=[disk for disk in view.disks if disk.fate is DiskFate.ASSIGN],
        errors=[finding for finding in view.lint if finding.severity == "error"],
        names=known | dict(view.names),
        running=view.state.value == "accepted",
        pictures=layoutpages.small_pictures(
            LayoutView(
                hash=view.hash,
                desired=view.desired,
                site=sites.current_site(appliance()),
                phases={item.machine.id: item.machine.phase for item in listed},
            )
        ),
        laid_out=bool(view.desired.nodes),
        diff=lines,
        diff_more=more,
    )


def apply_plan(hash_: str) -> Response:
    """Accept exactly the plan that was shown: the form names its whole hash, and the person says that they read it."""
    if request.form.get("hash", "") != hash_ or request.form.get("understood", "") != "yes":
        message = "tick the box that you have read the list of disks, then apply"
        raise Invalid(message, (("understood", message),))
    view = plans.apply_plan(appliance(), asking(), hash_)
    return typing.cast(Response, redirect(url_for("ui.show_plan", hash_=view.hash), 303))
