"""Lines of a plan in words: what a line is about, how it is marked, and the words that all parts of the diff share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from appliance.plan.order import natural


class LineKind(StrEnum):
    """What a line is about. ``destroy`` can't be taken back; ``assign`` is a disk that is erased later, when the cluster
    that it is meant for is formed."""

    SUMMARY = "summary"
    HEADING = "heading"
    MACHINE = "machine"
    CREATE = "create"
    CHANGE = "change"
    DESTROY = "destroy"
    ASSIGN = "assign"
    KEEP = "keep"
    FACT = "fact"
    WHY = "why"
    WAIT = "wait"
    SAME = "same"


MARKS = {
    LineKind.SUMMARY: "",
    LineKind.HEADING: "",
    LineKind.MACHINE: "",
    LineKind.CREATE: "  + ",
    LineKind.CHANGE: "  ~ ",
    LineKind.DESTROY: "  - ",
    LineKind.ASSIGN: "  > ",
    LineKind.KEEP: "  = ",
    LineKind.FACT: "    ",
    LineKind.WHY: "      ",
    LineKind.WAIT: "  ! ",
    LineKind.SAME: "  = ",
}
_WIDTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """One line. ``machine`` is the id that it belongs to, or empty."""

    kind: LineKind
    text: str
    machine: str = ""


_BY_MARK = {mark: kind for kind, mark in MARKS.items() if mark and kind is not LineKind.SAME}
BLANK = DiffLine(kind=LineKind.SUMMARY, text="")


def to_text(lines: Iterable[DiffLine]) -> str:
    """Lines as plain text, ending in a newline."""
    return "".join(f"{MARKS[line.kind]}{line.text}\n" for line in lines)


def kind_of(text: str) -> LineKind:
    """What a line of `to_text` is about, by its mark: whoever colours stored text asks this."""
    if text.startswith(MARKS[LineKind.WHY]):
        return LineKind.WHY
    return _BY_MARK.get(text[:_WIDTH], LineKind.SUMMARY)


def heading(text: str) -> Iterator[DiffLine]:
    """An empty line and a heading."""
    yield BLANK
    yield DiffLine(kind=LineKind.HEADING, text=text)


def why(text: str, machine: str = "") -> DiffLine:
    """More about the line above."""
    return DiffLine(kind=LineKind.WHY, text=text, machine=machine)


def create(text: str, machine: str = "") -> DiffLine:
    """Something that comes to be."""
    return DiffLine(kind=LineKind.CREATE, text=text, machine=machine)


def changed(about: str, *pairs: tuple[str, object, object]) -> Iterator[DiffLine]:
    """One line for all values (name, before, after) that differ, or none."""
    words = [f"{name} {_shown(old)} → {_shown(new)}" for name, old, new in pairs if old != new]
    if words:
        yield DiffLine(kind=LineKind.CHANGE, text=f"{about}: {', '.join(words)}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "none"


def count(number: int, noun: str) -> str:
    """``1 disk``, ``2 disks``."""
    return f"{number} {noun}{'' if number == 1 or noun.endswith('s') else 's'}"


_NUMBERED = re.compile(r"(.*?)(\d+)")
_LONGEST_LIST = 3
"""So many names in a row are written out; more become ``first…last``."""


def ranges(names: Iterable[str]) -> str:
    """Names in natural order; runs of consecutive numbers as ``n1…n8``. Nothing in between is left out silently: ``n1…n4,
    n6`` has no n5."""
    runs: list[list[str]] = []
    last: re.Match[str] | None = None
    for name in sorted(set(names), key=natural):
        here = _NUMBERED.fullmatch(name)
        if last is not None and here is not None and _follows(last, here):
            runs[-1].append(name)
        else:
            runs.append([name])
        last = here
    return ", ".join(f"{run[0]}…{run[-1]}" if len(run) > _LONGEST_LIST else ", ".join(run) for run in runs)


def _follows(last: re.Match[str], here: re.Match[str]) -> bool:
    """Whether ``n10`` is the next name after ``n9`` (and ``n010`` after ``n009``, but not ``n10``)."""
    padded = last[2].startswith("0") or here[2].startswith("0")
    same = last[1] == here[1] and (not padded or len(last[2]) == len(here[2]))
    return same and int(here[2]) == int(last[2]) + 1


def grouped(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(name, text) pairs → (names, text) with equal texts joined, in the order of the first name of each."""
    ordered = sorted(pairs, key=lambda pair: (pair[1], natural(pair[0])))
    joined = [(ranges(name for name, _ in run), text) for text, run in groupby(ordered, key=lambda pair: pair[1])]
    yield from sorted(joined, key=lambda pair: natural(pair[0]))


def show_bytes(number: int) -> str:
    """Bytes with three digits, up to exabytes: ``447 TB``, ``1.23 PB``."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if abs(value) < 999.5 or unit == "PB":
            break
        value /= 1000
    return f"{value:.3g} {unit}"


def show_rate(number: int) -> str:
    """Bytes per second: ``1.2 GB/s``."""
    return f"{show_bytes(number)}/s"
