"""Serial ports that a console can be on."""

from __future__ import annotations

from agent.probe.tree import Tree

TTYS = "sys/class/tty"


def uarts(tree: Tree) -> tuple[str, ...]:
    """Names such as ``ttyS0``: ports behind which the kernel's serial core found a chip. The 8250 driver registers four
    ``ttyS`` whatever the board has; those without a chip have the type 0 (PORT_UNKNOWN of serial_core.h)."""
    return tuple(name for name in tree.names(TTYS) if tree.number(f"{TTYS}/{name}/type") > 0)
