"""The table of all rules as Markdown, for ``docs/lint.md``: ``python -m appliance.plan.lint.table``."""

from __future__ import annotations

import sys

from appliance.plan.lint import AREAS, ERROR, RULES


def table() -> str:
    """One section for each area, errors first, with what each rule says and what a person does about it."""
    parts = []
    for module in AREAS:
        area = module.__name__.rpartition(".")[2]
        rules = sorted((r for r in RULES.values() if r.area == area), key=lambda r: (r.severity != ERROR, r.name))
        title = (module.__doc__ or "").split("\n\n")[0].replace("\n", " ").rstrip(".")
        rows = [f"| `{r.name}` | {r.severity} | {_cell(r.says)} | {_cell(r.remedy)} |" for r in rules]
        parts.append(
            "\n".join(
                [f"## {title}", "", "| rule | severity | what must hold | what to do |", "|---|---|---|---|", *rows]
            )
        )
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    """Docstrings mark code as reStructuredText does."""
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(table())
