"""Over which failure domain the copies of a pool are spread: the largest that can heal, else the largest that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from appliance.model.ceph import Erasure
from appliance.model.place import Level
from appliance.plan.crush.crushmap import ABOVE_HOST, ROOT, TIB
from appliance.plan.crush.domains import Domains, Terrain, even, findable, healable
from appliance.plan.order import natural

DOWNWARD = (*ABOVE_HOST, Level.HOST)
_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What is spread: ``size`` copies, or k + m chunks, of which ``min_size`` must be left after a loss."""

    size: int
    min_size: int
    erasure: Erasure | None = None

    @property
    def word(self) -> str:
        return f"the chunks of {self.erasure.k}+{self.erasure.m}" if self.erasure else f"{self.size} copies"

    @property
    def unit(self) -> str:
        return "chunks" if self.erasure else "copies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a pool wants. ``copies`` None: an erasure code by the number of domains. ``domain`` is the only level allowed
    when it is given. ``first`` is a level that is taken whenever copies fit on it, also several to one (zones).
    ``each`` more than 0 asks for exactly so many copies in each domain (stretch mode, or what stands)."""

    root: str
    device_class: str
    copies: Copies | None
    domain: Level | None = None
    first: Level | None = None
    each: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The decision. ``each`` copies at most are in one domain; ``why`` is one sentence without a dot."""

    copies: Copies
    level: Level
    domains: int
    each: int
    heals: bool
    why: str = ""


def spread(terrain: Terrain, wish: Wish) -> Spread | str:
    """The failure domain of a pool, or why there is none (with the numbers)."""
    refused: dict[Level, str] = {}
    found: list[Spread] = []
    for level in _levels(terrain, wish):
        domains = terrain.domains(wish.root, wish.device_class, level)
        if len(domains) < 2 and level is not wish.domain and level is not Level.HOST:
            continue
        fit = fits(domains, wish.copies or by_number(len(domains)), wish.each)
        skewed = "" if isinstance(fit, str) else _skewed(domains, fit)
        if isinstance(fit, str):
            refused[level] = fit
        elif skewed and level is not wish.domain and level is not Level.HOST:
            refused[level] = skewed
        else:
            found.append(replace(fit, why=f"{_promise(fit)}; but {skewed}" if skewed else _promise(fit)))
            if level is wish.first:
                break
    chosen = _choose(found, wish)
    if chosen is None:
        return "; ".join(refused.values())
    refused |= {fit.level: f"{fit.domains} {fit.level}s would not heal" for fit in found if not fit.heals}
    wider = [refused[level] for level in DOWNWARD[: DOWNWARD.index(chosen.level)] if level in refused]
    return replace(chosen, why="; ".join((chosen.why, *(f"not wider: {text}" for text in wider))))


def _levels(terrain: Terrain, wish: Wish) -> Iterator[Level]:
    if wish.domain is not None:
        yield wish.domain
        return
    for level in DOWNWARD:
        if level is Level.HOST or (level.value in terrain.levels and not (level is Level.ZONE and wish.root != ROOT)):
            yield level


def _choose(found: Sequence[Spread], wish: Wish) -> Spread | None:
    """Of those that fit, from the largest level to the smallest."""
    first = next((fit for fit in found if fit.level is wish.first), None)
    apart = [fit for fit in found if fit.each == 1]
    healing = next((fit for fit in apart if fit.heals), None)
    return first or healing or next(iter(apart), None) or next(iter(found), None)


def fits(domains: Domains, copies: Copies, each: int = 0) -> Spread | str:
    """How copies fit on the domains of one level: one in each, or several where one alone does not do."""
    level, number, size = domains.level, len(domains), copies.size
    if domains.strays:
        have = "have" if len(domains.strays) > 1 else "has"
        return f"{_some(domains.strays)} {have} no {level} (say where in the site file)"
    if number == 0:
        return f"there is no {level}"
    each = each or -(-size // number)
    needed = -(-size // each)
    left = size - each
    if number < needed or left < copies.min_size:
        least = next((n for n in range(1, size + 1) if size - -(-size // n) >= copies.min_size), size)
        there = f"{_are(number)} ({_some(domains.inside)})"
        return f"{copies.word} need {least} {level}s to lose one and keep min_size {copies.min_size}, there {there}"
    narrow = [name for name, parts in domains.inside.items() if each > 1 and not findable(parts, each)]
    if narrow:
        inner = "OSDs" if level is Level.HOST else "hosts"
        return f"{each} of {copies.word} need {each} {inner} in each {level}: not so in {_some(narrow)}"
    weights = domains.weights
    if not findable(weights.values(), needed):
        return f"with {_weights(weights.values())} TiB CRUSH would not find {needed} {level}s for every PG"
    heals = each == 1 and healable(weights.values(), size)
    return Spread(copies=copies, level=level, domains=number, each=each, heals=heals)


def _skewed(domains: Domains, fit: Spread) -> str:
    """What is wrong with the weights of these domains, or empty. Several copies to a domain need as even an inside."""
    needed = -(-fit.copies.size // fit.each)
    uneven = not even(domains.weights.values(), needed)
    inside = fit.each > 1 and not all(even(parts, fit.each) for parts in domains.inside.values())
    if not uneven and not inside:
        return ""
    return f"{domains.level}s of {_weights(domains.weights.values())} TiB would waste over a third of the space"


def by_number(domains: int) -> Copies:
    """The erasure code for so many domains: as much net space as can heal, with at least two chunks to lose.

    ======= ===== ==================================================================================
    domains k + m why
    ======= ===== ==================================================================================
    ≥ 12    8 + 3 73 % net; 12 heal. Wider codes gain little, and every read waits for more disks
    6-11    4 + 2 67 % net; 6 place it (no healing), 7 heal
    4-5     2 + 2 50 % net; 4 place it (no healing), 5 heal
    1-3     3 + 3 50 % net, two chunks to a domain: the loss of one leaves 4 = k + 1; 4 + 2 would be one short
    ======= ===== ==================================================================================
    """
    k, m = (8, 3) if domains >= 12 else (4, 2) if domains >= 6 else (2, 2) if domains >= 4 else (3, 3)
    return Copies(size=k + m, min_size=k + 1, erasure=Erasure(k=k, m=m))


def _promise(fit: Spread) -> str:
    where = f"{fit.copies.word} on {fit.domains} {fit.level}s"
    if fit.each > 1:
        return f"{where}, {fit.each} in each: one may be lost, its {fit.copies.unit} wait until it is back"
    if fit.heals:
        return f"{where}: complete again after the loss of one"
    more = f"{fit.copies.size + 1} of equal weight would heal"
    return f"{where}: one may be lost, its {fit.copies.unit} wait until it is back ({more})"


def _are(number: int) -> str:
    return "is 1" if number == 1 else f"are {number}"


def _some(names: Iterable[str]) -> str:
    known = sorted(names, key=natural)
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + more


def _weights(weights: Iterable[int]) -> str:
    shown = [f"{weight / TIB:.1f}" for weight in sorted(weights, reverse=True)]
    return ":".join(shown if len(shown) <= 2 * _NAMED else (*shown[:_NAMED], "…", *shown[-_NAMED:]))
