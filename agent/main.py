"""Entry of ``rackseed-agent`` and of the agent image's /init."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """``rackseed-agent [--installed]``: never returns in the agent image."""
    raise NotImplementedError(argv)
