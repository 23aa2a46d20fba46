"""The site as a whole."""

from __future__ import annotations

from appliance.model.availability import TIERS
from appliance.plan.lint.rule import WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene


@rule(WARNING, "see the availability report for what is missing, or want less")
def tier_not_reached(scene: Scene) -> Findings:
    """The site reaches the availability tier that its file wants (tiers of the architecture draft)."""
    found = scene.plan.desired.availability
    if found is None:
        return
    wanted = found.wanted or scene.site.availability
    if wanted is not None and TIERS.index(found.reached) < TIERS.index(wanted):
        missing = [gap for gap in found.gaps if TIERS.index(gap.tier) <= TIERS.index(wanted)]
        first = f": {missing[0].about}: {missing[0].text}" if missing else ""
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        yield "availability", f"tier {wanted} is wanted, {found.reached} reached{first}{more}"


@rule(WARNING, "make sure that the appliance has them before you apply")
def secrets_needed(scene: Scene) -> Findings:
    """The secrets that the site file names exist: a plan never has their values."""
    names = set(scene.site.secrets)
    if names:
        yield "secrets", f"{counted(len(names), 'secret')} must exist before this is carried out: {listed(names)}"


@rule(WARNING, "lay a second feed, or declare it")
def rack_power(scene: Scene) -> Findings:
    """Racks of cluster members have two power feeds, where feeds are declared at all."""
    feeds = {rack.name: len(set(rack.power)) for rack in scene.site.racks}
    used = {scene.nodes[who].place.rack for who in scene.members if who in scene.nodes}
    single = [name for name, count in feeds.items() if count < 2 and name in used]
    if single and any(feeds.values()):
        yield "racks", f"{counted(len(single), 'rack')} with less than two power feeds: {listed(single)}"
