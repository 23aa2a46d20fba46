"""Which profile a machine is of: the most specific rule that holds wins, a tie is an error that names both.

Specificity: each condition of a rule has a digit of a base-3 number, 2 where a pattern without wildcards held and 1
where one with wildcards held. From the highest: device tree ``compatible``, board name, board vendor, system product,
system vendor, CPU, counts of disks, count of ports, firmware, architecture. So a board always beats a product name,
which integrators overwrite, and what only counts parts never beats what knows the board.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from agent.wire import Disk, Inventory
from hwprofiles.normal import clean, text_key, vendor_key
from hwprofiles.profile import Count, Kind, Profile, Rule

WEIGHTS = {
    name: 3**power
    for power, name in enumerate(
        (
            "architecture",
            "firmware",
            "nics",
            "disks",
            "cpu",
            "system_vendor",
            "system_product",
            "board_vendor",
            "board_name",
            "compatible",
        )
    )
}
WORDS = {name: name.replace("_", " ") for name in WEIGHTS} | {"cpu": "CPU", "nics": "network ports"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One profile against one machine. ``score`` is 0 when it does not match. ``held`` and ``failed`` say why, for the
    rule that came nearest; ``absent`` counts conditions on facts that the machine does not have."""

    profile: str
    score: int
    held: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    absent: int = 0

    @property
    def nearness(self) -> int:
        """How near a rule came that did not match. A fact that the machine does not have says less than a wrong one,
        so rules about other facts tell more."""
        return len(self.held) - len(self.failed) - 2 * self.absent

    @property
    def text(self) -> str:
        """One line: ``epyc-compute matches: …`` or ``arm-storage does not: …``."""
        if self.score:
            return f"{self.profile} matches (score {self.score}): {'; '.join(self.held)}"
        return f"{self.profile} does not match: {'; '.join(self.failed) or 'has no rules: name it in the site file'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The result. ``tie`` names the profiles that matched equally well (then ``profile`` is None). ``reasons`` has one
    line for every profile: the winner first, then the other matches, then near misses by how much of them held."""

    profile: Profile | None
    tie: tuple[str, ...]
    reasons: tuple[str, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def text(self) -> str:
        """The first thing to tell a person."""
        if self.tie:
            return (
                f"profiles {' and '.join(self.tie)} match equally well; name one in the site file, "
                "or make one of them more specific"
            )
        if self.profile is None:
            return "no profile matches; " + "; ".join(self.reasons[:2])
        return self.reasons[0]


def match(inventory: Inventory, profiles: Iterable[Profile]) -> Match:
    """Try every profile. Pure; the order of ``profiles`` does not matter. Machines that are alike in all that rules look
    at share one result, so that a thousand machines of a kind are judged once."""
    table = {profile.name: profile for profile in profiles}
    return _matcher(tuple(table.values())).match(inventory)


class _Matcher:
    """Some profiles, and the results that they gave. It holds the profiles, so their `id` stays theirs."""

    def __init__(self, profiles: tuple[Profile, ...]) -> None:
        self.profiles = profiles
        rules = [rule for profile in profiles for rule in profile.match]
        self.counts_disks = any(rule.disks for rule in rules)
        self.counts_ports = any(rule.nics for rule in rules)
        self.known: dict[tuple[object, ...], Match] = {}

    def match(self, inventory: Inventory) -> Match:
        board = inventory.board
        key = (
            *(board.vendor, board.name, board.model, board.system_vendor, board.system_product, board.compatible),
            *(inventory.cpu.model, inventory.architecture, inventory.firmware),
            _kinds(inventory.disks) if self.counts_disks else None,
            len(inventory.nics) if self.counts_ports else None,
        )
        found = self.known.get(key)
        if found is None:
            if len(self.known) >= _ALIKE:
                self.known.clear()
            found = self.known[key] = _match(inventory, self.profiles)
        return found


_ALIKE, _SETS = 1 << 12, 8
"""Bounds: results that are kept for a set of profiles, and sets of profiles. One site has one set."""
_matchers: dict[tuple[int, ...], _Matcher] = {}


def _matcher(profiles: tuple[Profile, ...]) -> _Matcher:
    """The matcher of exactly these objects: to compare profiles by value would cost more than to judge one machine."""
    key = tuple(map(id, profiles))
    found = _matchers.get(key)
    if found is None:
        if len(_matchers) >= _SETS:
            _matchers.clear()
        found = _matchers[key] = _Matcher(profiles)
    return found


def _kinds(disks: tuple[Disk, ...]) -> tuple[tuple[Kind, int], ...]:
    return tuple(sorted(Counter(map(disk_kind, disks)).items()))


def _match(inventory: Inventory, profiles: tuple[Profile, ...]) -> Match:
    table = {profile.name: profile for profile in profiles}
    verdicts = sorted(
        (judge(inventory, profile) for profile in profiles),
        key=lambda v: (-v.score, -v.nearness, v.profile),
    )
    best = verdicts[0].score if verdicts else 0
    winners = tuple(verdict.profile for verdict in verdicts if best and verdict.score == best)
    return Match(
        profile=table[winners[0]] if len(winners) == 1 else None,
        tie=winners if len(winners) > 1 else (),
        reasons=tuple(verdict.text for verdict in verdicts),
        verdicts=tuple(verdicts),
    )


def judge(inventory: Inventory, profile: Profile) -> Verdict:
    """The best rule of one profile: the one with the highest score, else the one of which most held."""
    facts = _facts(inventory)
    verdicts = [_try(profile.name, rule, inventory, facts) for rule in profile.match]
    return max(
        verdicts,
        key=lambda v: (v.score, v.nearness),
        default=Verdict(profile=profile.name, score=0),
    )


def _facts(inventory: Inventory) -> dict[str, tuple[str, ...]]:
    """What texts are compared, by condition: normalised, placeholders absent."""
    board, cpu = inventory.board, inventory.cpu
    one: dict[str, str] = {
        "board_vendor": vendor_key(board.vendor),
        "board_name": text_key(board.name) or text_key(board.model),
        "system_vendor": vendor_key(board.system_vendor),
        "system_product": text_key(board.system_product),
        "cpu": text_key(cpu.model),
        "architecture": inventory.architecture.casefold(),
        "firmware": inventory.firmware.value,
    }
    facts: dict[str, tuple[str, ...]] = {name: (value,) if value else () for name, value in one.items()}
    facts["compatible"] = tuple(entry.casefold() for entry in board.compatible if clean(entry))
    return facts


def _try(name: str, rule: Rule, inventory: Inventory, facts: dict[str, tuple[str, ...]]) -> Verdict:
    held: list[str] = []
    failed: list[str] = []
    score = absent = 0
    for field in reversed(WEIGHTS):
        wanted = getattr(rule, field)
        if not wanted:
            continue
        if field in ("disks", "nics"):
            counts = wanted if isinstance(wanted, tuple) else (wanted,)
            result, why = _counts(field, counts, inventory)
        else:
            result, why = _patterns(field, wanted, facts[field])
            absent += not facts[field]
        score += result * WEIGHTS[field]
        (held if result else failed).append(why)
    return Verdict(profile=name, score=0 if failed else score, held=tuple(held), failed=tuple(failed), absent=absent)


def _patterns(field: str, wanted: tuple[str, ...], seen: tuple[str, ...]) -> tuple[int, str]:
    """2 for a literal that held, 1 for a pattern, 0 for none; and why."""
    fold: Callable[[str], str] = vendor_key if field.endswith("vendor") else text_key
    best, by = 0, ""
    for pattern in wanted:
        literal = not any(mark in pattern for mark in "*?[")
        # Wildcards must survive folding, which for vendors keeps letters and digits only.
        folded = fold(pattern) if literal else pattern.casefold()
        if any(fnmatchcase(value, folded) for value in seen) and (1 + literal) > best:
            best, by = 1 + literal, pattern
    shown = ", ".join(seen) or "absent"
    if best:
        return best, f"{WORDS[field]} {shown!r} fits {by!r}"
    return 0, f"{WORDS[field]} is {shown!r}, not {' or '.join(repr(pattern) for pattern in wanted)}"


def _counts(field: str, wanted: tuple[Count, ...], inventory: Inventory) -> tuple[int, str]:
    """All counts must hold; they are worth 1 like a pattern."""
    lines = []
    good = True
    for count in wanted:
        if field == "nics":
            number, what = len(inventory.nics), "network ports"
        else:
            number = sum(1 for disk in inventory.disks if count.kind in (Kind.ANY, disk_kind(disk)))
            what = "disks" if count.kind is Kind.ANY else f"{count.kind} disks"
        fits = number >= count.min and (count.max is None or number <= count.max)
        limit = f"at least {count.min}" if count.max is None else f"{count.min} to {count.max}"
        lines.append(f"{number} {what} ({limit} wanted)")
        good = good and fits
    return int(good), ", ".join(lines)


def disk_kind(disk: Disk) -> Kind:
    """NVMe, other flash, or spinning; removable media count as none of them (``any``)."""
    if disk.removable:
        return Kind.ANY
    if disk.transport == "nvme":
        return Kind.NVME
    return Kind.HDD if disk.rotational else Kind.SSD
