"""What the demo shows while machines work: one row per machine, redrawn in place, or one line per change in a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

COLOURS = {
    "off": "bright_black",
    "booting": "yellow",
    "seen": "yellow",
    "enrolled": "magenta",
    "approved": "cyan",
    "inspected": "cyan",
    "ready": "blue",
    "deploying": "bright_blue",
    "deployed": "green",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One machine now. ``fraction`` is 0..1 of its install; ``said`` the last line of its console."""

    name: str
    what: str
    phase: str
    trouble: str = ""
    stage: str = ""
    fraction: float = 0.0
    said: str = ""


class Board:
    """Use as a context manager. On a terminal the table is redrawn; elsewhere every change of a phase is one line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._before: dict[str, tuple[str, str, str]] = {}

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)
            self._live = None

    def show(self, rows: Sequence[Row], elapsed: float, note: str = "") -> None:
        """Draw ``rows``; ``elapsed`` is seconds since the start, ``note`` a line below the table."""
        for row in rows:
            now = (row.phase, row.stage, row.trouble)
            if self._before.get(row.name) != now:
                self._tell(row, elapsed)
            self._before[row.name] = now
        if self._live is not None:
            self._live.update(table(rows, note))

    def _tell(self, row: Row, elapsed: float) -> None:
        before = self._before.get(row.name)
        if before is None or before[0] != row.phase or before[2] != row.trouble or not self._console.is_terminal:
            self._console.print(change(row, elapsed))


def change(row: Row, elapsed: float) -> Text:
    """One line for the log: time, machine, phase, what it does."""
    line = Text.assemble((f"{clock(elapsed)} ", "bright_black"), (f"{row.name:<5}", "bold"))
    line.append(row.phase, COLOURS.get(row.phase, ""))
    if row.stage:
        line.append(f" ({row.stage})")
    if row.trouble:
        line.append(f" trouble: {row.trouble}", "red")
    return line


def table(rows: Sequence[Row], note: str = "") -> RenderableType:
    """The live table."""
    grid = Table(expand=True, box=None, padding=(0, 1), header_style="bright_black")
    for heading, ratio in (("machine", 0), ("what", 0), ("phase", 0), ("install", 0), ("console", 1)):
        grid.add_column(heading, ratio=ratio or None, no_wrap=True, overflow="ellipsis")
    for row in rows:
        grid.add_row(
            Text(row.name, "bold"),
            Text(row.what, "bright_black"),
            Text(row.phase, COLOURS.get(row.phase, "")),
            _bar(row),
            Text(row.trouble or row.said, "red" if row.trouble else "bright_black"),
        )
    return Group(grid, Text(note, "italic")) if note else grid


def _bar(row: Row) -> RenderableType:
    if row.phase == "deployed":
        return Text("done", "green")
    if row.phase != "deploying":
        return Text("")
    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=1.0, completed=row.fraction, width=18), Text(f"{row.fraction:4.0%} {row.stage}"))
    return grid


def clock(seconds: float) -> str:
    """``3:07`` for 187 seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def summary(rows: Sequence[Mapping[str, Any]], footer: Sequence[tuple[str, str]]) -> RenderableType:
    """The table at the end. Keys of a row: name, what, approved, enrolled, deployed (seconds), starts, cpu (seconds)."""
    grid = Table(title="three bare machines, installed", title_justify="left", header_style="bright_black")
    for heading in ("machine", "what", "approved by", "enrolled", "deployed", "CPU"):
        grid.add_column(heading, justify="right" if heading in ("enrolled", "deployed", "CPU") else "left")
    for row in rows:
        grid.add_row(
            Text(row["name"], "bold"),
            row["what"],
            row["approved"],
            clock(row["enrolled"]),
            Text(clock(row["deployed"]), "green"),
            f"{row['cpu']:.0f} s",
        )
    facts = Table.grid(padding=(0, 2))
    for name, value in footer:
        facts.add_row(Text(name, "bright_black"), value)
    return Group(grid, facts)
