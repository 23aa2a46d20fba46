"""Colours of a plan's text on a terminal: green what comes, red what goes for good, yellow what changes or waits.

Plain where the output is no terminal, or where NO_COLOR is set (no-color.org).
"""

from __future__ import annotations

import os
import sys

import click

from appliance.plan.diff.lines import LineKind, kind_of

STYLES: dict[LineKind, dict[str, object]] = {
    LineKind.CREATE: {"fg": "green"},
    LineKind.CHANGE: {"fg": "yellow"},
    LineKind.DESTROY: {"fg": "red", "bold": True},
    LineKind.ASSIGN: {"fg": "magenta"},
    LineKind.WAIT: {"fg": "yellow"},
    LineKind.WHY: {"dim": True},
}


def wanted() -> bool:
    """Whether standard output shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_plan(text: str) -> None:
    """Lines of a diff or an explanation, each in the colour of its mark."""
    coloured = wanted()
    for line in text.rstrip("\n").split("\n"):
        style = STYLES.get(kind_of(line)) if coloured else None
        click.echo(click.style(line, **style) if style else line, color=coloured)  # type: ignore[arg-type]
