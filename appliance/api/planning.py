"""``/api/v1``: site files, plans, timelines, and who is asking."""

from __future__ import annotations

from appliance.api.documents import Nothing, instant
from appliance.api.paging import Page, paged, position, size
from appliance.api.plandocs import (
    CrushDocument,
    ExplainDocument,
    LayoutDocument,
    PlanDocument,
    PlanList,
    SessionDocument,
    SiteDocument,
    SiteText,
    TimelineDocument,
    What,
    explain_document,
    plan_document,
    plan_summary,
    timeline_document,
)
from appliance.api.route import Api, Reply, appliance, asking
from appliance.operations import layouts, plans, sites, timeline
from appliance.operations.errors import NotFound

NEWEST = 500

api = Api("planning", __name__, url_prefix="/api/v1")


@api.route_for("GET", "/machines/<machine>/timeline", errors=(401, 403, 404))
def show_timeline(machine: str) -> TimelineDocument:
    """Everything that happened to a machine, and the step that is missing."""
    return timeline_document(timeline.timeline(appliance(), asking(), machine))


@api.route_for("POST", "/plans", status=201, errors=(401, 403, 503), idempotent=True)
def make_plan(body: Nothing) -> Reply[PlanDocument]:
    """Plan from the site file and what was observed. The same facts give the same plan."""
    del body
    view = plans.make_plan(appliance(), asking())
    return Reply(value=plan_document(view), location=f"/api/v1/plans/{view.hash}")


@api.route_for("GET", "/plans", errors=(401, 403, 422))
def list_plans(query: Page) -> PlanList:
    """Plans in numbers, the newest first."""
    wanted = min(NEWEST, position(query) + size(query) + 1)
    found, following = paged(plans.list_plans(appliance(), asking(), wanted), query)
    return PlanList(plans=tuple(map(plan_summary, found)), next=following)


@api.route_for("GET", "/plans/<hash_>", errors=(401, 403, 404))
def show_plan(hash_: str) -> PlanDocument:
    """A plan by its hash, by its beginning (six letters or more), or the ``newest``, with the state of its steps."""
    return plan_document(plans.show_plan(appliance(), asking(), hash_))


@api.route_for("GET", "/plans/<hash_>/layout", errors=(401, 403, 404))
def show_layout(hash_: str) -> LayoutDocument:
    """What the plan makes of the site in the end: nodes with their networks, clusters, Ceph, backbone, availability."""
    view = layouts.show_layout(appliance(), asking(), hash_)
    return LayoutDocument(hash=view.hash, desired=view.desired)


@api.route_for("GET", "/plans/<hash_>/crush", errors=(401, 403, 404))
def show_crush(hash_: str) -> CrushDocument:
    """The CRUSH map of the plan as text for ``crushtool -c``. 404 where the plan has no Ceph."""
    found, text = layouts.show_crush(appliance(), asking(), hash_)
    return CrushDocument(hash=found, text=text)


@api.route_for("GET", "/plans/<hash_>/explain", errors=(401, 403, 404, 422, 503))
def explain_plan(hash_: str, query: What) -> ExplainDocument:
    """Everything that the plan knows about a machine, a disk, a step, a pool or a cluster, and why. 404 names close ones."""
    return explain_document(layouts.explain_plan(appliance(), asking(), hash_, query.what))


@api.route_for("POST", "/plans/<hash_>/apply", status=202, errors=(401, 403, 404, 409, 422, 503), idempotent=True)
def apply_plan(hash_: str, body: Nothing) -> Reply[PlanDocument]:
    """Accept exactly this plan; the worker carries it out. 409 when it is stale or facts have changed."""
    del body
    view = plans.apply_plan(appliance(), asking(), hash_)
    return Reply(value=plan_document(view), location=f"/api/v1/plans/{view.hash}")


@api.route_for("POST", "/sites", status=201, errors=(401, 403, 413), limit=8 << 20, idempotent=True)
def load_site(body: SiteText) -> Reply[SiteDocument]:
    """Load a site file. 422 names every problem with file:line:column."""
    sites.load_site_text(appliance(), asking(), body.text, body.path)
    return Reply(value=show_site(), location="/api/v1/sites/current")


@api.route_for("GET", "/sites/current", errors=(401, 403, 404, 503))
def show_site() -> SiteDocument:
    """The site file that holds."""
    row = sites.current_text(appliance(), asking())
    site = sites.current_site(appliance())
    if row is None or site is None:
        raise NotFound("no site file is loaded: rackseed site load FILE")
    return SiteDocument(
        site=site.name,
        machines=len(site.machines),
        sha256=row.sha256,
        path=row.path,
        loaded=instant(row.loaded),
        text=row.text,
    )


@api.route_for("GET", "/sessions/current", errors=(401,))
def show_session() -> SessionDocument:
    """Who is asking."""
    actor = asking()
    return SessionDocument(name=actor.name, role=actor.role.value, via=actor.via)
