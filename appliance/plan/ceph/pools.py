"""Pools and CRUSH rules from what the site file asks for: where copies are, how many may be lost, how many PGs.

A pool that cannot keep its promise is refused, never planned smaller: after the loss of any one failure domain each PG has
at least ``min_size`` copies, and ``min_size`` is at least two. What stands keeps its rule, its size and its PGs; only a
value that the site file names moves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from appliance.model.ceph import CephSpec, OsdLayout, PoolLayout, PoolSpec, RuleLayout
from appliance.model.ceph import Spread as Zoning
from appliance.model.place import Level
from appliance.model.plan import Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.ceph import poolwish
from appliance.plan.ceph.pgcount import Draft, count, too_many
from appliance.plan.ceph.poolparts import RGW_ROOT, Part, parts
from appliance.plan.crush.crushmap import MAX_WEIGHT, ROOT, TIB, bucket_names, tree
from appliance.plan.crush.domains import Terrain
from appliance.plan.crush.rules import rule_name, rules
from appliance.plan.crush.spread import DOWNWARD, Copies, Spread, Wish, spread
from appliance.plan.order import natural


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """Pools by name, the rules that they need by number, and what was refused."""

    pools: tuple[PoolLayout, ...] = ()
    rules: tuple[RuleLayout, ...] = ()
    waits: tuple[Wait, ...] = ()


def plan_pools(
    site: Site,
    spec: CephSpec,
    members: Sequence[Candidate],
    osds: Sequence[OsdLayout],
    standing: tuple[PoolLayout, ...],
    *,
    standing_rules: tuple[RuleLayout, ...] = (),
    terrain: Terrain | None = None,
) -> PoolPlan:
    """All pools of ``spec``. ``standing`` pools and rules come from the accepted parent plan; without the rules their
    numbers may change. ``terrain`` saves a second look at the tree to those who have it."""
    terrain = terrain or Terrain(tree(site, members, osds), osds)
    heavy = sum(terrain.classes().values()) / TIB
    if heavy > MAX_WEIGHT:
        text = f"the OSDs weigh {heavy:.0f} TiB together, a CRUSH bucket holds {MAX_WEIGHT}: make two Ceph clusters of them"
        wait = Wait(about=spec.name, reason=WaitReason.LAYOUT, text=text)
        kept = rules(standing, standing_rules, stretch=spec.stretch)
        return PoolPlan(pools=standing, rules=kept, waits=(wait,))
    planner = _Planner(
        site=site,
        spec=spec,
        members=members,
        terrain=terrain,
        standing={pool.name: pool for pool in standing},
    )
    planner.plan()
    pools = count(tuple(planner.drafts.values()), planner.terrain)
    waits = (*planner.waits, *too_many(spec.name, pools, planner.terrain))
    return PoolPlan(pools=pools, rules=rules(pools, standing_rules, stretch=spec.stretch), waits=waits)


@dataclass(slots=True, kw_only=True)
class _Planner:
    """Goes through the pools of the site file in their order and collects drafts and waits. ``stretched`` is the level of
    the two sites in stretch mode."""

    site: Site
    spec: CephSpec
    members: Sequence[Candidate]
    terrain: Terrain
    standing: Mapping[str, PoolLayout]
    drafts: dict[str, Draft] = field(default_factory=dict)
    waits: list[Wait] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    stretched: Level | None = None

    def plan(self) -> None:
        if self.spec.stretch:
            self.stretched = self._two_sites()
        for spec in self.spec.pools:
            wrong = poolwish.contradiction(spec, self.spec.stretch)
            if wrong:
                self.asked.update(part.name for part in parts(spec, spec.name))
                self._wait(spec.name, WaitReason.LAYOUT, wrong)
                continue
            for base, root in self._roots(spec):
                self._service(spec, base, root)
        for name in sorted(self.standing, key=natural):
            old = self.standing[name]
            if name not in self.drafts:
                left = Draft(pool=old, owner=name, share=old.share, pgs=old.pg_num, standing=old.pg_num)
                self.drafts[name] = self._keep(old, left)
                if name not in self.asked:
                    self._wait(name, WaitReason.LAYOUT, "it stands and the site file does not ask for it: it stays")

    def _wait(self, about: str, reason: WaitReason, text: str) -> None:
        self.waits.append(Wait(about=about, reason=reason, text=text))

    # ------------------------------------------------------------ where

    def _two_sites(self) -> Level | None:
        """The largest level with exactly two sites; says so when there is none, when they weigh differently (Ceph's
        ``enable_stretch_mode`` compares the weights), or when OSDs are of several classes, which its rules can't tell apart
        (`appliance.plan.crush.rules`)."""
        classes = self.terrain.classes()
        if len(classes) > 1:
            shown = ", ".join(sorted(classes, key=natural))
            text = f"stretch mode knows no device classes, and there are OSDs of {shown}: leave all but one class out"
            self._wait(self.spec.name, WaitReason.LAYOUT, text)
            return None
        for level in DOWNWARD[:-1]:
            weights = self._weights(level)
            if len(weights) != 2:
                continue
            if len(set(weights.values())) > 1:
                shown = ", ".join(f"{n} has {weights[n] / TIB:.2f} TiB" for n in sorted(weights, key=natural))
                text = f"stretch mode needs two {level}s of equal weight, {shown}: Ceph will refuse to turn it on"
                self._wait(self.spec.name, WaitReason.LAYOUT, text)
            return level
        text = "stretch mode needs exactly two zones or datacenters, and every machine with OSDs in one of them"
        self._wait(self.spec.name, WaitReason.TOO_FEW_DOMAINS, text)
        return None

    def _weights(self, level: Level) -> dict[str, int]:
        """Bytes of the buckets of a level over all classes; nothing when a host is in none of them."""
        weights: dict[str, int] = {}
        for device_class in self.terrain.classes():
            domains = self.terrain.domains(ROOT, device_class, level)
            if domains.strays:
                return {}
            for name, weight in domains.weights.items():
                weights[name] = weights.get(name, 0) + weight
        return weights

    def _roots(self, spec: PoolSpec) -> Iterator[tuple[str, str]]:
        """Base names of pools and the buckets that they take: one for each zone, or one for all."""
        zones = self.terrain.zones
        if self.spec.stretch:
            if self.stretched:
                yield spec.name, ROOT
            else:
                self.asked.update(part.name for part in parts(spec, spec.name))
            return
        if poolwish.zoning(spec) is Zoning.ZONES or not zones or self._stands(spec, spec.name, ROOT):
            yield spec.name, ROOT
            return
        names = bucket_names(self.site, self.members)
        peopled = {names[((Level.ZONE, zone),)] for member in self.members if (zone := member.place.zone)}
        if len(peopled | {rack.zone for rack in self.site.racks if rack.zone}) == 1:
            strays = any(self.terrain.domains(ROOT, name, Level.ZONE).strays for name in self.terrain.classes())
            yield spec.name, ROOT if strays else zones[0]
            return
        for zone in sorted(peopled, key=natural):
            base = spec.name if self._stands(spec, spec.name, zone) else f"{spec.name}-{zone}"
            if zone in zones:
                yield base, zone
            else:
                self._wait(base, WaitReason.NO_OSDS, f"no machine in {zone} has an OSD: give it disks for Ceph")

    def _stands(self, spec: PoolSpec, base: str, root: str) -> bool:
        old = self.standing.get(parts(spec, base)[0].name)
        return old is not None and old.root == root

    # ------------------------------------------------------------ what

    def _service(self, spec: PoolSpec, base: str, root: str) -> None:
        """All pools of one service below one root, or none of them; those that stand stay."""
        made: dict[str, Draft] = {}
        bulk: Draft | None = None
        headers = poolwish.headers(spec, base)
        for part in parts(spec, base):
            self.asked.add(part.name)
            if part.name in self.drafts:
                if part.name == RGW_ROOT:
                    continue
                text = f"{self.drafts[part.name].owner} has a pool of this name: give one of them another"
                self._wait(part.name, WaitReason.NAME_TAKEN, text)
                return
            draft = self._part(spec, part, root, bulk.pool if bulk else None)
            if draft is None:
                return
            if part.name == headers:
                draft = self._spaces(spec, draft)
            made[part.name] = draft
            bulk = bulk or draft
        self.drafts |= made

    def _spaces(self, spec: PoolSpec, draft: Draft) -> Draft:
        """The pool with its namespaces. One that leaves the site file stays, as a pool does: there are images in it."""
        old = self.standing.get(draft.pool.name)
        left = sorted(set(old.namespaces if old else ()) - set(spec.namespaces), key=natural)
        for name in left:
            text = "the namespace stands and the site file does not ask for it: it stays, with its key"
            self._wait(f"{draft.pool.name}/{name}", WaitReason.LAYOUT, text)
        wanted = tuple(sorted({*spec.namespaces, *left}, key=natural))
        return draft if wanted == draft.pool.namespaces else replace(draft, pool=replace(draft.pool, namespaces=wanted))

    def _part(self, spec: PoolSpec, part: Part, root: str, bulk: PoolLayout | None) -> Draft | None:
        """One pool: as it stands, or made; None with a wait when it can't be."""
        old = self.standing.get(part.name)
        share = spec.share if part.bulk else 0.0
        if old is None:
            return self._make(spec, part, root, bulk)
        kept = Draft(pool=old, owner=spec.name, share=share, pgs=part.pgs, standing=old.pg_num)
        if poolwish.recoded(spec, part, old):
            was = f"{old.erasure.k}+{old.erasure.m}" if old.erasure else f"{old.size} copies"
            text = f"it stands with {was}, which no pool can change: make one of another name and move the data"
            self._wait(part.name, WaitReason.LAYOUT, text)
            return self._keep(old, kept)
        split = self.stretched and (old.domain, old.per_domain) != (self.stretched, 2)
        if not split and not poolwish.moved(spec, part, old):
            return self._keep(old, kept)
        return self._make(spec, part, root, bulk, old) or self._keep(old, kept)

    def _keep(self, old: PoolLayout, draft: Draft) -> Draft:
        """A standing pool, with what it can lose today; its reason is the old one as long as that is the same."""
        held = Copies(size=old.size, min_size=old.min_size, erasure=old.erasure)
        wish = Wish(root=old.root, device_class=old.device_class, copies=held, domain=old.domain, each=old.per_domain)
        fit = spread(self.terrain, wish)
        if isinstance(fit, str):
            self._wait(old.name, WaitReason.TOO_FEW_DOMAINS, f"it stands, but {fit}: bring the missing back")
            number = len(self.terrain.domains(old.root, old.device_class, old.domain))
            return replace(draft, pool=replace(old, domains=number, heals=False, why=fit))
        if (fit.domains, fit.heals) == (old.domains, old.heals):
            return draft
        return replace(draft, pool=replace(old, domains=fit.domains, heals=fit.heals, why=fit.why))

    def _make(
        self, spec: PoolSpec, part: Part, root: str, bulk: PoolLayout | None, old: PoolLayout | None = None
    ) -> Draft | None:
        """A pool as the site file and the hardware want it. ``old`` keeps what the site file does not name."""
        weights = self.terrain.classes(root)
        classes = poolwish.classes(spec, weights, bulk.device_class if bulk else "")
        if old is not None and not (part.bulk and spec.device_class):
            classes = (old.device_class,)
        if not classes:
            self._wait(part.name, WaitReason.NO_OSDS, _no_osds(spec.device_class, weights, root))
            return None
        reasons = []
        for name in classes:
            wish = self._wish(spec, part, root, name, old)
            fit = spread(self.terrain, wish)
            if isinstance(fit, str):
                reasons.append(f"{fit} (OSDs of class {name})")
            elif bulk is not None and name != bulk.device_class and _narrower(fit.level, bulk.domain):
                reasons.append(f"OSDs of class {name} are only on enough {fit.level}s, not {bulk.domain}s")
            else:
                known = replace(fit, why=fit.why + self._unused(wish))
                return _draft(spec, part, wish, known, old, "" if self.stretched else name)
        smaller = spec.domain is not None and spec.domain is not Level.HOST
        remedy = "name a smaller domain" if smaller else "add machines with OSDs, or move disks between them"
        self._wait(part.name, WaitReason.TOO_FEW_DOMAINS, f"{'; '.join(reasons)}: {remedy}")
        return None

    def _unused(self, wish: Wish) -> str:
        """Says which hosts are in no zone while every pool of a service is in one."""
        outside = self.terrain.domains(ROOT, wish.device_class, Level.ZONE).strays if wish.root != ROOT else ()
        names = ", ".join(sorted(outside, key=natural))
        return f"; the OSDs of {names} hold nothing of it, they are in no zone" if names else ""

    def _wish(self, spec: PoolSpec, part: Part, root: str, device_class: str, old: PoolLayout | None) -> Wish:
        wanted = poolwish.copies(spec, part, len(self.terrain.zones))
        if wanted is None and old is not None:
            wanted = Copies(size=old.size, min_size=old.min_size, erasure=old.erasure)
        wish = Wish(root=root, device_class=device_class, copies=wanted, domain=spec.domain)
        if self.stretched:
            return replace(wish, copies=poolwish.STRETCH, domain=self.stretched, each=2)
        across = root == ROOT and poolwish.zoning(spec) is Zoning.ZONES
        return replace(wish, first=Level.ZONE) if across else wish


def _draft(  # noqa: PLR0917 - a pool is made of so many things
    spec: PoolSpec, part: Part, wish: Wish, fit: Spread, old: PoolLayout | None, taken: str
) -> Draft:
    """``taken`` is the class that its rule takes, or empty."""
    pool = PoolLayout(
        name=part.name,
        service=spec.service,
        application=part.application,
        rule=rule_name(taken, wish.root, fit),
        root=wish.root,
        device_class=wish.device_class,
        size=fit.copies.size,
        min_size=fit.copies.min_size,
        erasure=fit.copies.erasure,
        domain=fit.level,
        domains=fit.domains,
        per_domain=fit.each,
        pg_num=part.pgs,
        share=0.0,
        heals=fit.heals,
        why=fit.why,
    )
    share = spec.share if part.bulk else 0.0
    return Draft(pool=pool, owner=spec.name, share=share, pgs=part.pgs, standing=old.pg_num if old else 0)


def _no_osds(device_class: str, weights: Mapping[str, int], root: str) -> str:
    where = "" if root == ROOT else f" in {root}"
    there = ", ".join(sorted(weights, key=natural)) or "none at all"
    wanted = f"of class {device_class}" if device_class else "of any class"
    return f"no OSD {wanted}{where} (there are: {there}): name another device class, or add disks"


def _narrower(level: Level, than: Level) -> bool:
    return DOWNWARD.index(level) > DOWNWARD.index(than)
