"""Named rules that a good plan and site keep. They look again at what the planner made, with their own eyes: an error
refuses ``apply``, whatever the planner thought.

Rules stand in modules by noun; each is a function that yields what breaks it. ``docs/lint.md`` is the table of all.
"""

from __future__ import annotations

from collections.abc import Iterable

from appliance.model.observed import Observed
from appliance.model.plan import LintFinding, Plan
from appliance.model.site import Site
from appliance.plan.lint import (
    addresses,
    backbone,
    clusters,
    corosync,
    crush,
    disks,
    grants,
    machines,
    media,
    members,
    network,
    osds,
    pools,
    ports,
    promises,
    rules,
    services,
    steps,
    storage,
)
from appliance.plan.lint import site as site_rules
from appliance.plan.lint.rule import ERROR, RULES, WARNING, Rule
from appliance.plan.lint.scene import Scene
from hwprofiles.profile import Profile

__all__ = ["ERROR", "RULES", "WARNING", "Rule", "lint"]

AREAS = (
    steps,
    disks,
    grants,
    machines,
    addresses,
    ports,
    network,
    backbone,
    clusters,
    corosync,
    members,
    osds,
    media,
    crush,
    rules,
    pools,
    promises,
    services,
    storage,
    site_rules,
)
"""Modules of rules in the order in which people read them."""
MOST = 50
"""Findings of one rule that are told; the others are only counted, so that one fault can't fill the store."""


def lint(site: Site, plan: Plan, observed: Observed, profiles: Iterable[Profile] = ()) -> tuple[LintFinding, ...]:
    """All findings, errors first. ``profiles`` add the rules that compare a machine with its profile."""
    scene = Scene(
        site=site,
        plan=plan,
        machines={machine.machine.id: machine for machine in observed.machines},
        profiles={profile.name: profile for profile in profiles},
    )
    found = [finding for rule in RULES.values() for finding in _findings(rule, scene)]
    return tuple(sorted(found, key=lambda f: (f.severity != ERROR, f.rule, f.about, f.text)))


def _findings(rule: Rule, scene: Scene) -> list[LintFinding]:
    """What breaks one rule, each thing once."""
    pairs = sorted(set(rule.check(scene)))
    if len(pairs) > MOST:
        more = f"and {len(pairs) - MOST} more findings of this rule"
        pairs = [*pairs[:MOST], (pairs[MOST][0], more)]
    return [LintFinding(rule=rule.name, severity=rule.severity, about=about, text=text) for about, text in pairs]
