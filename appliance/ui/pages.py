"""The pages: machines, one machine, events, the site file. Plain HTML forms; htmx only keeps them fresh."""

from __future__ import annotations

import json
import typing

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for

from appliance.model.machine import Policy
from appliance.operations import audit, events, identities, machines, progress, sites, timeline
from appliance.operations.context import Role
from appliance.ui import cephpages, diskpages, layoutpages, planpages, session, words
from appliance.ui.picture import rack
from appliance.ui.session import appliance, asking

EVENTS = 200

blueprint = Blueprint("ui", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
session.add_routes(blueprint)
planpages.add_routes(blueprint)
layoutpages.add_routes(blueprint)
cephpages.add_routes(blueprint)
diskpages.add_routes(blueprint)
for _name, _filter in words.FILTERS.items():
    blueprint.add_app_template_filter(_filter, _name)


@blueprint.app_context_processor
def context() -> dict[str, typing.Any]:
    """What every template may use."""
    actor = g.get("actor")
    return {
        "actor": actor,
        "csrf": g.get("csrf", ""),
        "operator": actor is not None and actor.may(Role.OPERATOR),
        "now": appliance().clock.now(),
        "way": [phase.value for phase in words.WAY],
    }


@blueprint.get("/")
def start() -> Response:
    return typing.cast(Response, redirect(url_for("ui.list_machines")))


@blueprint.get("/machines")
def list_machines() -> str:
    """All machines as a rack and as a table."""
    views = machines.list_machines(appliance(), asking())
    busy = progress.progress_of(appliance(), asking(), (view.machine.id for view in views))
    return render_template(
        "machines.html",
        views=[view for view in views if view.machine.phase.value != "retired"],
        retired=[view for view in views if view.machine.phase.value == "retired"],
        busy=busy,
        picture=rack(views, {key: item.fraction for key, item in busy.items()}),
        site=sites.current_site(appliance()),
    )


@blueprint.get("/machines/<key>")
def show_machine(key: str) -> str:
    """One machine: what to do, its timeline, its hardware."""
    detail = machines.show_machine(appliance(), asking(), key)
    machine = detail.view.machine
    return render_template(
        "machine.html",
        detail=detail,
        view=detail.view,
        machine=machine,
        history=timeline.timeline(appliance(), asking(), machine.id),
        busy=progress.progress_of(appliance(), asking(), (machine.id,)).get(machine.id),
        policies=[policy.value for policy in Policy],
        osds=diskpages.osds_by_disk(appliance(), asking(), machine.id),
        wishes=diskpages.wishes_by_disk(appliance(), asking(), machine.id),
    )


@blueprint.post("/machines/<key>/approve")
def approve(key: str) -> Response:
    """With the code that was typed, or by the button that says what it means to do without."""
    without = request.form.get("without_code", "") == "yes"
    view = machines.approve(
        appliance(), asking(), key, "" if without else request.form.get("code", ""), without_code=without
    )
    return _back(view.machine.id)


@blueprint.post("/machines/<key>/policy")
def set_policy(key: str) -> Response:
    """Hold, use, drain, expunge."""
    wanted = request.form.get("policy", "")
    policy = Policy(wanted) if wanted in set(Policy) else Policy.HOLD
    return _back(machines.set_policy(appliance(), asking(), key, policy, generation=_generation()).machine.id)


@blueprint.post("/machines/<key>/retire")
def retire(key: str) -> Response:
    return _back(machines.retire(appliance(), asking(), key, generation=_generation()).machine.id)


@blueprint.post("/machines/<key>/split")
def split(key: str) -> Response:
    """The machine is one of its own."""
    return _back(identities.split(appliance(), asking(), key, generation=_generation()).machine.id)


@blueprint.post("/machines/<key>/merge")
def merge(key: str) -> Response:
    """This record is the same machine as the one that was chosen, which stays."""
    kept = identities.merge(appliance(), asking(), request.form.get("keep", ""), key, generation=_generation())
    return _back(kept.machine.id)


@blueprint.get("/events")
def list_events() -> str:
    """The newest events, and for operators who changed what."""
    last = events.last_event(appliance(), asking())
    found = events.events_since(appliance(), asking(), max(0, last - EVENTS), EVENTS)
    names = {
        view.machine.id: view.machine.name or view.expected for view in machines.list_machines(appliance(), asking())
    }
    trail = audit.list_audit(appliance(), asking(), limit=50) if asking().may(Role.OPERATOR) else ()
    return render_template("events.html", events=tuple(reversed(found)), names=names, trail=trail)


@blueprint.get("/site")
def show_site() -> str:
    """The site file that holds."""
    return render_template("site.html", row=sites.current_text(appliance(), asking()))


def error_page(answer: Response) -> Response:
    """A problem document as a page; somebody who is not signed in is led to the sign-in page."""
    problem = json.loads(answer.get_data())
    if problem["status"] == 401:
        target = url_for("ui.login", next=request.full_path.rstrip("?") if request.method == "GET" else "/machines")
        if request.headers.get("HX-Request"):
            answer.headers["HX-Redirect"] = target
            return answer
        return typing.cast(Response, redirect(target, 303))
    page = make_response(render_template("error.html", problem=problem), problem["status"])
    for name in ("Retry-After", "Allow"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page


def _back(machine: str) -> Response:
    return typing.cast(Response, redirect(url_for("ui.show_machine", key=machine), 303))


def _generation() -> int | None:
    """The generation of the record that the person was looking at."""
    text = request.form.get("generation", "")
    return int(text) if text.isdecimal() and len(text) < 18 else None
