"""Root images: what is streamed onto the system disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from images.cache import Cache
from images.progress import Progress, silent

CHUNK_SIZE = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class RootManifest:
    """The facts of `wire.ImageRef` (all but the URL), and the packages as ``(name, version)``."""

    name: str
    size: int
    sha256: str
    chunk_size: int
    chunks: tuple[str, ...]
    unpacked: int
    packages: tuple[tuple[str, str], ...]
    built: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RootImage:
    """``path`` is the zstd-compressed tar."""

    path: Path
    manifest: RootManifest


def build(cache: Cache, os_name: str = "debian-13", progress: Progress = silent) -> RootImage:
    """The root image of an operating system, from the cache or built (root needed). Raises `ImageBuildError`."""
    raise NotImplementedError
