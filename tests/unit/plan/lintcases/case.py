"""What breaks which rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.unit.plan.lintcases.sane import Sane


@dataclass(frozen=True, slots=True)
class Case:
    """``spoil`` breaks one thing of a sane site; then ``rule`` is found, and with it exactly ``also``."""

    rule: str
    spoil: Callable[[Sane], object]
    also: frozenset[str] = frozenset()


CASES: list[Case] = []


def case(rule: str, *spoils: Callable[[Sane], object], also: str = "") -> None:
    """Registers ways to break ``rule``; ``also`` are the names of rules that are broken with it, with blanks between."""
    CASES.extend(Case(rule, spoil, frozenset(also.split())) for spoil in spoils)
