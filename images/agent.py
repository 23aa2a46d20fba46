"""The agent image: kernel and initrd that every machine boots first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from images.cache import Cache
from images.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentImage:
    """``packages`` lists ``(name, version)``; ``built`` is the date of the package archive it was made from (seconds since
    the epoch): equal input gives equal images, and the agent never sets its clock below it."""

    kernel: Path
    kernel_sha256: str
    kernel_size: int
    initrd: Path
    initrd_sha256: str
    initrd_size: int
    packages: tuple[tuple[str, str], ...]
    built: int


def build(cache: Cache, progress: Progress = silent) -> AgentImage:
    """The current image, from the cache or built. Raises `ImageBuildError`."""
    raise NotImplementedError
