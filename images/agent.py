"""The agent image: kernel and initrd that every machine boots first.

The initrd is two archives, one behind the other: the base (zstd; Debian 13 userland and kernel modules, cached for weeks)
and the layer (the agent's code). The appliance adds a third, ``site.cpio``, which never is part of the cached image.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from images.agentbase import AgentBase, build_base
from images.agentlayer import agent_sources, layer, layer_key
from images.cache import Cache, CachedFile
from images.progress import Progress, silent

KIND = "agent"
INITRD = "agent.initrd"


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
    base = build_base(cache, progress)
    sources = agent_sources()
    key = layer_key(base, sources)

    def join(out: Path) -> None:
        progress("agent image: the agent's code", 0.0)
        archive = layer(cache, base, sources, key)
        with (out / INITRD).open("wb") as file:
            with base.initrd.open("rb") as first:
                shutil.copyfileobj(first, file, 2**20)
            file.write(archive)
        progress("agent image: the agent's code", 1.0)

    return _describe(base, cache.make(KIND, key, join).files[INITRD])


def _describe(base: AgentBase, initrd: CachedFile) -> AgentImage:
    return AgentImage(
        kernel=base.kernel,
        kernel_sha256=base.kernel_sha256,
        kernel_size=base.kernel_size,
        initrd=initrd.path,
        initrd_sha256=initrd.sha256,
        initrd_size=initrd.size,
        packages=base.packages,
        built=base.built,
    )
