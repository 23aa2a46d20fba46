"""Which versions of which packages an image is made of: asked once, kept, so that builds repeat and need no network.

A lock is the answer of the archive to one request. It is kept in the cache and asked again after two weeks, when
``RACKSEED_REFRESH`` is set, or when the mirror no longer has one of its packages.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.document import WireError, decode, encode
from images.aptroot import SUITE, AptRoot, Deb
from images.cache import Cache, key_of
from images.errors import MirrorError
from images.progress import Progress, silent

FRESH = 14 * 86400.0
T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an image needs. ``optional`` packages (firmware) may be absent from the mirror. ``architecture`` is Debian's."""

    names: tuple[str, ...]
    optional: tuple[str, ...] = ()
    dependencies: bool = True
    architecture: str = "amd64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """``asked`` is when, ``released`` the date of the package archive (seconds since the epoch)."""

    asked: float
    released: int
    debs: tuple[Deb, ...]

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """(name, version) of every package."""
        return tuple((deb.name, deb.version) for deb in self.debs)

    @property
    def hashes(self) -> list[str]:
        """What a cache key is made of: the content of every package."""
        return [deb.sha256 for deb in self.debs]

    def version(self, name: str) -> str:
        """Version of a package; KeyError when it is not in the lock."""
        return dict(self.versions)[name]


def build_locked(cache: Cache, request: Request, build: Callable[[Lock], T], progress: Progress = silent) -> T:
    """``build(lock)`` with the kept lock; once more with a new one when the mirror has removed a version since."""
    lock = _kept(cache, request)
    if lock is not None:
        try:
            return build(lock)
        except MirrorError as error:
            log.info("step=lock why=the kept versions can't be fetched any more: %s", error)
    return build(ask(cache, request, progress))


def ask(cache: Cache, request: Request, progress: Progress = silent) -> Lock:
    """Ask the archive now, and keep the answer. Raises `MirrorError`."""
    apt = AptRoot(cache, request.architecture)
    apt.update(progress)
    debs = {deb.name: deb for deb in apt.resolve(request.names, dependencies=request.dependencies)}
    for name in request.optional:
        try:
            debs |= {deb.name: deb for deb in apt.resolve([name], dependencies=False)}
        except MirrorError:
            log.warning("package=%s step=leave-out why=the mirror does not have it", name)
    lock = Lock(asked=time.time(), released=apt.released(), debs=tuple(debs[name] for name in sorted(debs)))
    path = _path(cache, request)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(encode(lock))
    temporary.replace(path)
    return lock


def _kept(cache: Cache, request: Request) -> Lock | None:
    if os.environ.get("RACKSEED_REFRESH"):
        return None
    try:
        lock = decode(Lock, _path(cache, request).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, WireError) as error:
        log.warning("step=lock why=the kept lock can't be read: %s", error)
        return None
    return lock if 0 <= time.time() - lock.asked < FRESH else None


def _path(cache: Cache, request: Request) -> Path:
    named = os.environ.get("RACKSEED_MIRROR", "")
    key = key_of(SUITE, named, request.architecture, request.dependencies, list(request.names), list(request.optional))
    return cache.path / "locks" / f"{key[:32]}.json"
