"""How builds tell how far they are."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with the name of the stage in words, and the fraction of it that is done (0.0 to 1.0)."""


def silent(stage: str, fraction: float) -> None:
    """Tells nobody."""
