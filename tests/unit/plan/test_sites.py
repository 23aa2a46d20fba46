"""Golden sites: what a person reads before they approve, for every shape and every kind of refusal; and what must hold of
each of them, whatever its text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from appliance.model.observed import Observed
from appliance.model.plan import Desired, DiskFate, Plan, StepKind
from appliance.model.site import Site
from appliance.plan.diff.text import render
from appliance.plan.facts import same_layout
from appliance.plan.lint import ERROR, lint
from appliance.plan.make import plan
from appliance.rehearsal import fleet
from appliance.site.load import load_text
from hwprofiles.loader import load_profiles
from tests.oracle.crush import Oracle
from tests.unit.plan.sites import SCENES, Scene

PROFILES = load_profiles()


def load(text: str) -> Site:
    return load_text(text, "site.yaml", PROFILES, ("debian-13",))


def played(scene: Scene) -> tuple[Site, Observed, Plan, Plan | None]:
    """Site, what is seen, the plan, and the parent that was carried out before."""
    parent, machines = None, scene.machines
    if scene.before is not None:
        text, first = scene.before
        seen = fleet.observed(first)
        parent = plan(load(text), PROFILES, seen, None)
        machines = fleet.accepted(parent, seen).machines
        machines = scene.again(machines) if scene.again else machines
    site, seen = load(scene.text), fleet.observed(machines)
    return site, seen, plan(site, PROFILES, seen, parent), parent


@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__.replace("_", "-"))
def test_golden(make: Callable[[], Scene], golden: object) -> None:
    scene = make()
    site, seen, made, parent = played(scene)
    text = [scene.text, "---\n", render(made, seen, parent.desired if parent else Desired())]
    text += [f"{f.severity}: {f.about}: {f.text} ({f.rule})\n" for f in lint(site, made, seen, PROFILES)]
    golden.check(f"sites/{make.__name__.replace('_', '-')}.txt", "".join(text))


@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__.replace("_", "-"))
def test_laws(make: Callable[[], Scene]) -> None:
    """Order-free, no errors of lint, converges, and stands still when it was carried out (Ceph of its own is formed then, by
    the next plan)."""
    site, seen, made, parent = played(make())
    assert [finding for finding in lint(site, made, seen, PROFILES) if finding.severity == ERROR] == []
    turned = replace(seen, machines=tuple(reversed(seen.machines)))
    assert plan(site, PROFILES, turned, parent) == made
    after = fleet.accepted(made, seen)
    again = plan(site, PROFILES, after, made)
    formed = any(step.kind is StepKind.CEPH for step in again.steps)
    assert {step.kind for step in again.steps} <= {StepKind.CEPH}
    assert again.changes == formed
    assert same_layout(again.desired, made.desired)
    owners = (
        [(o.machine, o.data.serial, o.data.wwn, o.part) for o in made.desired.ceph.osds] if made.desired.ceph else []
    )
    assert len(owners) == len(set(owners))
    assert formed or not [choice for choice in again.disks if choice.fate is DiskFate.ERASE]


@pytest.mark.parametrize("make", SCENES, ids=lambda make: make.__name__.replace("_", "-"))
def test_ceph_agrees(make: Callable[[], Scene], oracle: Oracle) -> None:
    """The map compiles, and Ceph's own tools place every copy as the layout promises."""
    _, _, made, _ = played(make())
    if made.desired.ceph is not None:
        assert oracle.check(made.desired.ceph) == []
