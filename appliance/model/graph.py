"""The graph of a machine's phases as Mermaid text, made from `LIFECYCLE`: ``python -m appliance.model.graph``."""

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


def mermaid() -> str:
    """A state diagram. Arrows from a phase to itself are left out; phases with a deadline say so."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.SEEN}"]
    events: dict[tuple[Phase, Phase], list[str]] = {}
    for (before, event), after in LIFECYCLE.items():
        if before is not after:
            events.setdefault((before, after), []).append(event.value)
    for (before, after), names in events.items():
        lines.append(f"    {before} --> {after}: {', '.join(names)}")
    for phase, seconds in DEADLINE_SECONDS.items():
        lines.append(f"    note right of {phase}: at most {seconds / 60:.0f} minutes")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(mermaid(), end="")
