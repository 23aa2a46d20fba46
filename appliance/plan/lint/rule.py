"""What a rule is, and the table of all rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from appliance.plan.lint.scene import Scene
from appliance.plan.order import natural

ERROR = "error"
WARNING = "warning"
_SHOWN = 5

Findings = Iterator[tuple[str, str]]
"""Pairs of what a finding is about, and its text."""
Check = Callable[[Scene], Findings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: ``check`` finds what breaks it, ``says`` is what must hold (and its source), ``remedy`` what a person
    does about it, ``area`` the noun that it belongs to."""

    name: str
    severity: str
    area: str
    says: str
    remedy: str
    check: Check


RULES: dict[str, Rule] = {}


def rule(severity: str, remedy: str) -> Callable[[Check], Check]:
    """Registers a check under its function's name, with hyphens; its docstring is the rule."""

    def register(check: Check) -> Check:
        name = check.__name__.replace("_", "-")
        if name in RULES:
            raise ValueError(f"two rules are called {name}")
        RULES[name] = Rule(
            name=name,
            severity=severity,
            area=check.__module__.rpartition(".")[2],
            says=" ".join((check.__doc__ or "").split()),
            remedy=remedy,
            check=check,
        )
        return check

    return register


def listed(names: Iterable[str]) -> str:
    """Names in words, the first few of them: ``n1, n2, n3 and 7 more``."""
    ordered = sorted(set(names), key=natural)
    if len(ordered) <= _SHOWN + 1:
        return ", ".join(ordered)
    return f"{', '.join(ordered[:_SHOWN])} and {len(ordered) - _SHOWN} more"


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 disk``, ``3 disks``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def tebibytes(weight: float) -> str:
    """A CRUSH weight for people: ``14.6 TiB``."""
    return f"{weight:.3g} TiB"
