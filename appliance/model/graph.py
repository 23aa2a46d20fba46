"""The graph of a machine's phases, made from `LIFECYCLE`, as DOT text: ``python -m appliance.model.graph | dot -Tsvg``."""

from __future__ import annotations

from appliance.model.machine import DEADLINE_SECONDS, LIFECYCLE, Phase


def reachable(start: Phase) -> frozenset[Phase]:
    """Every phase that a machine in ``start`` can come to, itself included."""
    found = {start}
    while True:
        further = found | {after for (before, _), after in LIFECYCLE.items() if before in found}
        if further == found:
            return frozenset(found)
        found = further


def arrows() -> dict[tuple[Phase, Phase], list[str]]:
    """The events that lead from one phase to another; arrows from a phase to itself are left out."""
    found: dict[tuple[Phase, Phase], list[str]] = {}
    for (before, event), after in LIFECYCLE.items():
        if before is not after:
            found.setdefault((before, after), []).append(event.value)
    return found


def dot() -> str:
    """The graph for Graphviz. A phase with a deadline is a box with the minutes, a resting place is an ellipse."""
    lines = [
        "digraph lifecycle {",
        "  rankdir=TB; node [fontname=sans, fontsize=11]; edge [fontname=sans, fontsize=9];",
    ]
    for phase in Phase:
        if phase in DEADLINE_SECONDS:
            minutes = DEADLINE_SECONDS[phase] / 60
            lines.append(
                f'  "{phase}" [shape=box, style=filled, fillcolor="#fff3d6", label="{phase}\\n{minutes:.0f} min"];'
            )
        else:
            lines.append(f'  "{phase}" [style=filled, fillcolor="#e4efe7"];')
    for (before, after), names in arrows().items():
        lines.append(f'  "{before}" -> "{after}" [label="{", ".join(names)}"];')
    return "\n".join([*lines, "}"]) + "\n"


if __name__ == "__main__":
    print(dot(), end="")
