"""Builds that are commands of their own: stages as they begin, then what was made."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from images.errors import ImageBuildError
from images.progress import Progress


def build_told(name: str, build: Callable[[Progress], str]) -> int:
    """Build it and say how long it took. ``build`` returns what it made, in words. Exit code 1 when it can't be had (no
    mirror, no network, not root)."""
    begin = time.monotonic()
    stages: list[str] = []

    def tell(stage: str, _fraction: float) -> None:
        if stage not in stages:
            stages.append(stage)
            print(f"{name}: {stage} ({time.monotonic() - begin:.0f} s)", file=sys.stderr)

    try:
        made = build(tell)
    except ImageBuildError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    print(f"{name}: {made} ({time.monotonic() - begin:.1f} s)")
    return 0
