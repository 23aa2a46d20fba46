"""CRUSH rules of pools: one for each device class, failure domain, root, and way to spread.

``min_size`` and ``max_size`` are not written: Ceph 17 dropped them from rules. Every rule may draw `TRIES` times for a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from appliance.model.ceph import PoolLayout, RuleLayout
from appliance.model.place import Level
from appliance.plan.crush.crushmap import ROOT
from appliance.plan.crush.domains import TRIES
from appliance.plan.crush.spread import Spread
from appliance.plan.order import natural

FIRST = 1
"""Rule 0 is the ``replicated_rule`` that every new cluster has."""
MAX_RULES = 256
LEAF_TRIES = 5
"""Ceph's own value for coded rules."""


def rule_name(device_class: str, root: str, fit: Spread) -> str:
    """``nvme-host``, ``hdd-rack-z1`` (below zone z1), ``ec-hdd-3zones-x2``: what the rule does, and nothing that changes."""
    spread = fit.level.value if fit.each == 1 else f"{-(-fit.copies.size // fit.each)}{fit.level}s-x{fit.each}"
    words = ("ec" if fit.copies.erasure else "", device_class, spread, "" if root == ROOT else root)
    return "-".join(word for word in words if word)


def rules(
    pools: Iterable[PoolLayout], standing: Sequence[RuleLayout] = (), *, stretch: bool = False
) -> tuple[RuleLayout, ...]:
    """The rules that ``pools`` name, by number. A rule that stands keeps its number; a new one gets the lowest free.

    In ``stretch`` mode a rule takes no device class. Once a site is lost, Ceph asks of every placement group that the site
    that is left is above its OSDs, and looks below what the rule takes; below a class's shadow tree it never finds that
    site: every group stays ``undersized+peered``, and nothing can be read (seen on 18.2.7)."""
    makers = {pool.rule: pool for pool in sorted(pools, key=lambda pool: natural(pool.name), reverse=True)}
    numbers = {rule.name: rule.number for rule in standing if rule.name in makers}
    free = (n for n in range(FIRST, MAX_RULES) if n not in {rule.number for rule in standing})
    for name in sorted(makers, key=natural):
        if name not in numbers:
            numbers[name] = next(free)
    made = (
        RuleLayout(
            number=numbers[name], name=name, erasure=pool.erasure is not None, steps=steps(pool, classed=not stretch)
        )
        for name, pool in makers.items()
    )
    return tuple(sorted(made, key=lambda rule: rule.number))


def steps(pool: PoolLayout, *, classed: bool = True) -> tuple[str, ...]:
    """The lines of a rule. Coded pools need ``indep``: the place of a chunk matters, and a lost one leaves a hole."""
    how = "indep" if pool.erasure else "firstn"
    lines = [f"step set_chooseleaf_tries {LEAF_TRIES}"] if pool.erasure else []
    taken = f"step take {pool.root} class {pool.device_class}" if classed else f"step take {pool.root}"
    lines += [f"step set_choose_tries {TRIES}", taken]
    if pool.per_domain == 1:
        lines.append(f"step chooseleaf {how} 0 type {pool.domain}")
    else:
        lines.append(f"step choose {how} {-(-pool.size // pool.per_domain)} type {pool.domain}")
        inner = "choose" if pool.domain is Level.HOST else "chooseleaf"
        below = "osd" if pool.domain is Level.HOST else Level.HOST.value
        lines.append(f"step {inner} {how} {pool.per_domain} type {below}")
    return (*lines, "step emit")
