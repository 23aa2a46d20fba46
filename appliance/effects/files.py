"""Files that must be whole or absent, whatever happens: written beside, synced, then renamed or linked into place."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o600


def write_new(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Make ``path`` with ``mode`` from its first moment, and sync it. `FileExistsError` when it is there already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def replace(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Put ``content`` at ``path``: a reader sees the old file or the new one, never half of it."""
    beside = _beside(path)
    try:
        write_new(beside, content, mode)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def create_once(path: Path, content: bytes, mode: int = PRIVATE) -> bytes:
    """Make ``path`` unless it exists, and return what is in it. Of several processes, the first one's content stays."""
    beside = _beside(path)
    write_new(beside, content, mode)
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        return path.read_bytes()
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)
    return content


def sync_folder(folder: Path) -> None:
    """Make names in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file at ``path``; the kernel gives it back when the process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
