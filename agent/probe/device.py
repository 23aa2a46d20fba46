"""A disk as bytes, behind one open descriptor."""

from __future__ import annotations

import array
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BLKGETSIZE64 = 0x80081272
BLKSSZGET = 0x1268


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """``size`` and ``sector`` (logical) in bytes. Everything is read through ``fd``: what was verified is what is read."""

    fd: int
    size: int
    sector: int = 512

    @classmethod
    def of(cls, fd: int, sector: int = 512) -> Device:
        """A block device tells its size and sector; for a file (tests, images) ``sector`` is taken."""
        status = os.fstat(fd)
        if not stat.S_ISBLK(status.st_mode):
            return cls(fd=fd, size=status.st_size, sector=sector)
        size, logical = array.array("Q", [0]), array.array("i", [0])
        fcntl.ioctl(fd, BLKGETSIZE64, size)
        fcntl.ioctl(fd, BLKSSZGET, logical)
        return cls(fd=fd, size=size[0], sector=logical[0])

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at ``offset``; shorter at the end of the device. Raises OSError."""
        parts: list[bytes] = []
        while length > 0 and offset < self.size:
            part = os.pread(self.fd, min(length, self.size - offset), offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)


@contextmanager
def opened(path: Path, sector: int = 512) -> Iterator[Device]:
    """Read only. O_NONBLOCK: a drive without medium answers instead of waiting."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield Device.of(fd, sector)
    finally:
        os.close(fd)
