"""Run the sections of the bench that exist and print one table with ratios: ``python -m bench.run [section …]``.

A section is a module of this folder with ``run() -> list[Row]``. One that can't run here
says why and does not stop the rest.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.row import Row

ORDER = ("plan", "dhcp", "tftp", "http", "image", "enrol")


def sections() -> tuple[str, ...]:
    """Names of the sections that exist, in the order of the table."""
    folder = Path(__file__).resolve().parent
    return tuple(name for name in ORDER if (folder / f"{name}.py").exists())


def number(value: float | None) -> str:
    """Three significant digits, plain."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: list[Row]) -> Table:
    """The rows as one table; a ratio on the good side of 1 is green."""
    drawn = Table(title="rackseed bench: ours against the reference, same machine, same run")
    for heading in ("section", "measurement", "unit", "ours", "reference", "", "ratio", "note"):
        drawn.add_column(heading, justify="right" if heading in ("ours", "reference", "ratio") else "left")
    for row in rows:
        ratio = ""
        if row.ratio is not None:
            good = row.ratio >= 1 if row.better == "higher" else row.ratio <= 1
            ratio = f"[{'green' if good else 'yellow'}]{row.ratio:.2f}×[/]"
        drawn.add_row(
            row.section, row.what, row.unit, number(row.ours), number(row.reference), row.against, ratio, row.note
        )
    return drawn


def main(names: list[str]) -> int:
    """Exit code 1 when a section failed."""
    rows: list[Row] = []
    failed = False
    for name in names or sections():
        started = time.monotonic()
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            rows += importlib.import_module(f"bench.{name}").run()
        except Exception:
            traceback.print_exc()
            failed = True
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else 150).print(table(rows))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
