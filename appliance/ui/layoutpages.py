"""Pages of a plan's layout: racks, CRUSH tree and cabling as pictures with their tables; and why something is planned so."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, render_template, request, url_for
from markupsafe import Markup

from appliance.operations import layouts
from appliance.operations.errors import NotFound
from appliance.operations.layouts import LayoutView
from appliance.plan.diff.ceph import capacity_text, host_osds, pool_text, throughput_text
from appliance.plan.diff.layout import CABLE_WORDS, names_of, place_text, quorum_text
from appliance.plan.diff.lines import DiffLine, grouped, kind_of
from appliance.ui.pictures.cabling import cabling_picture
from appliance.ui.pictures.crush import crush_picture
from appliance.ui.pictures.racks import SHOWN, rack_picture, racks_of
from appliance.ui.session import appliance, asking

SMALL = 64
"""Machines up to which a plan's own page shows the pictures."""
DIFF_LINES = 3000
"""Lines of a diff on a page; the command line shows all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """SVG of the pages; empty where there is nothing to draw. ``later`` and ``earlier`` are the first racks of the pictures
    before and after this one, None where there are none."""

    racks: Markup
    crush: Markup
    cabling: Markup
    earlier: int | None = None
    later: int | None = None

    def __bool__(self) -> bool:
        return bool(self.racks or self.crush or self.cabling)


def add_routes(blueprint: Blueprint) -> None:
    """``/plans/<hash>/layout``, ``/plans/<hash>/crush.txt`` and ``/plans/<hash>/explain``."""
    blueprint.add_url_rule("/plans/<hash_>/layout", "show_layout", show_layout)
    blueprint.add_url_rule("/plans/<hash_>/crush.txt", "show_crush", show_crush)
    blueprint.add_url_rule("/plans/<hash_>/explain", "explain_plan", explain_plan)


def show_layout(hash_: str) -> str:
    """The site as it is to be in the end."""
    view = layouts.show_layout(appliance(), asking(), hash_)
    first = request.args.get("rack", "0")
    desired, names = view.desired, names_of((), view.desired)
    ceph = desired.ceph
    return render_template(
        "planlayout.html",
        view=view,
        desired=desired,
        names=names,
        pictures=pictures(view, int(first) if first.isdecimal() and len(first) < 6 else 0),
        hosts=list(grouped((names.get(who, who), text) for who, text in host_osds(ceph.osds if ceph else ()).items())),
        capacity={entry.pool: capacity_text(entry) for entry in (ceph.capacity if ceph else ())},
        throughput={entry.pool: throughput_text(entry) for entry in (ceph.throughput if ceph else ())},
        pool_text=pool_text,
        quorum_text=quorum_text,
        place_text=place_text,
        cable_words=CABLE_WORDS,
        ports={port.mac: port.name for node in desired.nodes for port in node.network.ports},
    )


def show_crush(hash_: str) -> Response:
    """The CRUSH map as text."""
    _, text = layouts.show_crush(appliance(), asking(), hash_)
    return Response(text, mimetype="text/plain")


def explain_plan(hash_: str) -> tuple[str, int] | str:
    """The answer, or the question again with what comes near."""
    what = request.args.get("what", "").strip()
    if not what:
        layouts.show_layout(appliance(), asking(), hash_)
        return render_template("explain.html", hash_=hash_, what="", lines=(), problem="")
    try:
        found = layouts.explain_plan(appliance(), asking(), hash_, what)
    except NotFound as error:
        return render_template("explain.html", hash_=hash_, what=what, lines=(), problem=str(error)), error.status
    return render_template("explain.html", hash_=found.hash, what=what, lines=found.lines, problem="")


def pictures(view: LayoutView, first: int = 0) -> Pictures:
    """All pictures of a layout; of the racks those from number ``first`` on."""
    desired, number = view.desired, len(racks_of(view.desired, view.site))
    first = min(first, max(0, number - 1)) // SHOWN * SHOWN

    def link(machine: str) -> str:
        return url_for("ui.show_machine", key=machine)

    return Pictures(
        racks=_safe(rack_picture(desired, view.site, view.phases, link, first) if desired.nodes else ""),
        crush=_safe(crush_picture(desired.ceph) if desired.ceph and desired.ceph.buckets else ""),
        cabling=_safe(cabling_picture(desired, view.site)),
        earlier=first - SHOWN if first else None,
        later=first + SHOWN if first + SHOWN < number else None,
    )


def small_pictures(view: LayoutView) -> Pictures | None:
    """The pictures for a plan's own page; None for a layout that needs a page of its own, or has nothing to draw."""
    return pictures(view) if 0 < len(view.desired.nodes) <= SMALL else None


def diff_lines(text: str) -> tuple[list[DiffLine], int]:
    """The stored text of a diff as lines with their kinds, as many as a page shows; and how many more there are."""
    found = text.rstrip("\n").split("\n")
    return [DiffLine(kind=kind_of(line), text=line) for line in found[:DIFF_LINES]], max(0, len(found) - DIFF_LINES)


def _safe(svg: str) -> Markup:
    """`appliance.ui.pictures.svg` escapes every word of a machine or a site file."""
    return Markup(svg)  # noqa: S704 - made of escaped parts only
