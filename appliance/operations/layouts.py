"""What a plan makes of the site in the end: its layout, its CRUSH map as text, and why it is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.model.machine import Phase
from appliance.model.plan import Desired
from appliance.model.site import Site
from appliance.operations import sites
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import NotFound
from appliance.operations.plans import find_plan, observe_all, site_in
from appliance.plan.crush import crushmap
from appliance.plan.diff.lines import DiffLine, to_text
from appliance.plan.explain import answer
from appliance.store import machines, plans


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutView:
    """The layout of a plan, and what draws it: the site file that holds now (None: none is loaded; it may be newer than
    the plan), and the phases of machines by id."""

    hash: str
    desired: Desired
    site: Site | None
    phases: Mapping[str, Phase]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a plan knows about ``what``. ``text`` is the lines as plain text."""

    hash: str
    what: str
    lines: tuple[DiffLine, ...]

    @property
    def text(self) -> str:
        return to_text(self.lines)


def show_layout(app: Appliance, actor: Actor, hash_: str) -> LayoutView:
    """What a plan makes of the site in the end. Raises `NotFound`."""
    actor.require(Role.VIEWER, "look at plans")
    with app.store.read() as connection:
        row = find_plan(connection, hash_)
        return LayoutView(
            hash=row.hash,
            desired=row.plan.desired,
            site=sites.current_in(connection),
            phases={found.machine.id: found.machine.phase for found in machines.everything(connection)},
        )


def show_crush(app: Appliance, actor: Actor, hash_: str) -> tuple[str, str]:
    """The plan's hash, and its CRUSH map as text that ``crushtool -c`` compiles. Raises `NotFound` (no such plan, or one
    without Ceph)."""
    actor.require(Role.VIEWER, "look at plans")
    with app.store.read() as connection:
        row = find_plan(connection, hash_)
    if row.plan.desired.ceph is None:
        raise NotFound(
            f"plan {row.hash[:12]} has no Ceph, and so no CRUSH map: see what waits, or the site file (ceph: …)"
        )
    return row.hash, crushmap.text(row.plan.desired.ceph)


def explain_plan(app: Appliance, actor: Actor, hash_: str, what: str) -> Explanation:
    """Everything that a plan knows about a machine, disk, step, pool or cluster, seen with what is now.

    Raises `NotFound` (no such plan, or nothing is called so; close names are in the message), `Unavailable` (no site).
    """
    actor.require(Role.VIEWER, "look at plans")
    with app.store.read() as connection:
        row, site, observed = find_plan(connection, hash_), site_in(connection), observe_all(connection)
        parent = plans.get(connection, row.plan.parent)
    before = parent.plan.desired if parent else None
    try:
        lines = answer.explain(row.plan, observed, site, what, app.profiles, before=before)
    except answer.ExplainError as error:
        raise NotFound(str(error)) from error
    return Explanation(hash=row.hash, what=what.strip(), lines=lines)
