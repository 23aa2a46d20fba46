"""Built artefacts outside the tree, addressed by what they were built from.

An entry is a folder ``<cache>/<kind>/<key>/`` with its files and ``entry.json`` (size and SHA-256 of each). The key is a
hash of every input, so an entry never changes; it appears by one rename, complete or not at all. Two builders of one key
wait for each other by a lock, and the second finds the work done. A damaged entry is built anew, never used: sizes are
compared on every use, and a file is hashed again whenever its inode, time of change or size is not what it was when
it was last hashed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.errors import CacheError

ENTRY = "entry.json"
STAMP = "verified.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedFile:
    """One file of an entry."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A complete, verified entry. ``files`` maps names relative to ``path``."""

    path: Path
    key: str
    files: dict[str, CachedFile]


def key_of(*parts: Any) -> str:
    """The key for these inputs: JSON data, or bytes. 64 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True, separators=(",", ":")).encode()
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def default_path() -> Path:
    """``RACKSEED_CACHE``, or ``rackseed`` in the user's cache folder."""
    named = os.environ.get("RACKSEED_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rackseed"


class Cache:
    """The cache in one folder, which is made when it is missing. Raises `CacheError` when that is not possible."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = (path or default_path()).absolute()
        try:
            for name in ("tmp", "lock"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CacheError(f"{self.path} can't be used ({error.strerror}): set RACKSEED_CACHE") from error
        self._sweep()

    def find(self, kind: str, key: str) -> Entry | None:
        """The entry, verified; None when it is absent or damaged."""
        folder = self.path / kind / key
        try:
            recorded = json.loads((folder / ENTRY).read_bytes())["files"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("cache=%s/%s step=refuse why=its record can't be read: %s", kind, key[:12], error)
            return None
        wrong = _verify(folder, recorded)
        if wrong:
            log.warning("cache=%s/%s step=refuse why=%s", kind, key[:12], wrong)
            return None
        files = {
            name: CachedFile(path=folder / name, size=facts["size"], sha256=facts["sha256"])
            for name, facts in recorded.items()
        }
        return Entry(path=folder, key=key, files=files)

    def make(self, kind: str, key: str, build: Callable[[Path], None]) -> Entry:
        """The entry, built by ``build(empty folder)`` when it is not there. Whatever ``build`` raises is passed on, and
        nothing remains of its work."""
        found = self.find(kind, key)
        if found:
            return found
        with self.lock(f"{kind}-{key}"):
            found = self.find(kind, key)
            if found:
                return found
            with self.scratch() as scratch:
                work = scratch / "entry"
                work.mkdir()
                build(work)
                _record(work)
                self._publish(work, self.path / kind / key)
        made = self.find(kind, key)
        if made is None:
            raise CacheError(f"{self.path / kind / key} was damaged while it was written: is the disk full or broken?")
        return made

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Only one process at a time holds a name; the kernel gives it back when the process dies."""
        try:
            descriptor = os.open(self.path / "lock" / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CacheError(f"{self.path}/lock can't be written ({error.strerror}): set RACKSEED_CACHE") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the cache's filesystem, removed afterwards; also by the next process if this one is killed."""
        folder = self.path / "tmp" / f"{os.getpid()}-{secrets.token_hex(6)}"
        with self.lock("tmp"):
            folder.mkdir()
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            remove(folder)
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what killed builders left: a scratch folder whose lock is free belongs to nobody."""
        with self.lock("tmp"):
            for folder in (self.path / "tmp").iterdir():
                try:
                    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                except OSError:
                    continue
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    log.info("cache=%s step=sweep why=its builder is gone", folder.name)
                    remove(folder)
                except BlockingIOError:
                    pass
                finally:
                    os.close(descriptor)

    def _publish(self, work: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rename(work.parent / "damaged")
        try:
            work.rename(target)
        except OSError as error:
            raise CacheError(f"{target} can't be written: {error.strerror}") from error


def remove(folder: Path) -> None:
    """Remove a folder with everything in it, also read-only folders."""
    shutil.rmtree(folder, ignore_errors=True)


def _record(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    facts = {name: {"size": path.stat().st_size, "sha256": file_sha256(path)} for name, path in names.items()}
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    with (folder / ENTRY).open("w", encoding="utf-8") as file:
        json.dump({"files": facts}, file, sort_keys=True, indent=1)
        file.flush()
        os.fsync(file.fileno())
    _write_stamp(folder, {name: _marks(path) for name, path in names.items()})


def _verify(folder: Path, recorded: dict[str, Any]) -> str:
    """What is wrong with an entry, or the empty string."""
    try:
        stamp = json.loads((folder / STAMP).read_bytes())
    except (OSError, ValueError):
        stamp = {}
    fresh: dict[str, list[int]] = {}
    for name, facts in recorded.items():
        path = folder / name
        try:
            marks = _marks(path)
            if path.stat().st_size != facts["size"]:
                return f"{name} has {path.stat().st_size} bytes instead of {facts['size']}"
            if stamp.get(name) != marks and file_sha256(path) != facts["sha256"]:
                return f"{name} is damaged"
        except (OSError, KeyError, TypeError) as error:
            return f"{name} can't be read: {error}"
        fresh[name] = marks
    if fresh != stamp:
        _write_stamp(folder, fresh)
    return ""


def _marks(path: Path) -> list[int]:
    """What changes when a file is written to; nobody can set the time of change back."""
    facts = path.stat()
    return [facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]


def _write_stamp(folder: Path, stamp: dict[str, list[int]]) -> None:
    temporary = folder / f".{STAMP}.{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(stamp, sort_keys=True), encoding="utf-8")
        temporary.replace(folder / STAMP)
