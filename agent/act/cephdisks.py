"""Disks of OSDs: found, judged, opened exclusively, judged again on that descriptor, and erased through it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from agent.act import cephfiles as files
from agent.act import gpt
from agent.act.cephguard import Claim, Found, Verdict, locate
from agent.act.disk import BLKFLSBUF, BLKRRPART
from agent.document import encode
from agent.errors import CephError, DiskRefusedError
from agent.probe.content import content
from agent.probe.device import Device
from agent.wire import Content, Disk

MEBI, GIBI = 2**20, 2**30
LABEL_COPIES = tuple(size * GIBI for size in (1, 10, 100, 1000))
"""Where BlueStore keeps copies of its label since Ceph 20; harmless to clear under others."""
SUPERBLOCK_COPIES = (64 * MEBI, 256 * GIBI)
"""btrfs."""
BUSY_PATIENCE = 10.0
"""udev opens a disk for a moment after every change."""

Disks = Callable[[], Sequence[Disk]]
Judge = Callable[[Claim, Disk], Verdict]


def accepted(verdict: Verdict) -> tuple[Disk, Found]:
    """Raises `DiskRefusedError` with the guard's reason."""
    if verdict.disk is None or verdict.found is None:
        raise DiskRefusedError(f"{verdict.refusal}: {verdict.reason}")
    return verdict.disk, verdict.found


@contextmanager
def opened(claim: Claim, disks: Disks, judge_content: Judge) -> Iterator[tuple[Device, Disk]]:
    """The disk that the grant names, held exclusively (so neither mounted, nor assembled, nor an OSD that runs), with what
    its own descriptor says. Raises `DiskRefusedError`."""
    seen, _ = accepted(_found(claim, disks))
    fd = _open_exclusively(seen.path)
    try:
        status = os.fstat(fd)
        again, _ = accepted(_found(claim, disks))  # the identity once more, now that nobody can take it away
        if not stat.S_ISBLK(status.st_mode) or Path(again.path).stat().st_rdev != status.st_rdev:
            raise DiskRefusedError(f"no-disk: {seen.path} became another device while it was opened")
        device = Device.of(fd)
        now = replace(again, size=device.size, content=content(device, in_use=again.content.in_use))
        accepted(judge_content(claim, now))
        yield device, now
    finally:
        os.close(fd)


def _found(claim: Claim, disks: Disks) -> Verdict:
    verdict = locate(claim, disks())
    return verdict if verdict.disk is None else replace(verdict, found=Found.FRESH)


def _open_exclusively(path: str) -> int:
    end = time.monotonic() + BUSY_PATIENCE
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise DiskRefusedError(f"read-only: {path} can't be opened for writing: {error.strerror}") from error
            if time.monotonic() > end:
                raise DiskRefusedError(f"in-use: {path} is held by something else: an OSD that runs?") from error
        time.sleep(0.2)


def erase(claim: Claim, device: Device, disk: Disk, judge_content: Judge) -> None:
    """Make an opened disk blank, so that a power cut at any point is recognised: noted first, then marked, then wiped."""
    if disk.content.blank:
        return
    note(claim)
    marker = gpt.Layout(guid=claim.marker, size=device.size, sector=device.sector, partitions=())
    try:
        gpt.write(device, marker)
        os.fsync(device.fd)
        for start in sorted(_spots(disk.content, device.size)):
            _zero(device, start, MEBI)
        os.fsync(device.fd)
        _zero(device, device.size - 16 * MEBI, 16 * MEBI)
        os.fsync(device.fd)
        _zero(device, 0, 16 * MEBI)
        os.fsync(device.fd)
        fcntl.ioctl(device.fd, BLKFLSBUF)
    except OSError as error:
        raise CephError(f"{disk.path} can't be erased: {error.strerror}; is the disk failing?") from error
    with contextlib.suppress(OSError):  # no partitions known to the kernel: nothing to forget
        fcntl.ioctl(device.fd, BLKRRPART)
    left = content(device)
    if not left.blank:
        raise CephError(f"{disk.path} was erased and still is not blank: {', '.join(_words(left))}")
    accepted(judge_content(claim, replace(disk, content=left)))


def _spots(seen: Content, size: int) -> set[int]:
    """Starts of MiBs that may hold a signature beside both ends of the disk."""
    spots = {*LABEL_COPIES, *SUPERBLOCK_COPIES}
    for part in seen.partitions:
        spots |= {part.start, part.start + part.size - MEBI}
    return {start for start in spots if start >= 0 and start + MEBI <= size}


def _zero(device: Device, start: int, length: int) -> None:
    start = max(0, start)
    end = min(device.size, start + length)
    zeros = bytes(MEBI)
    while start < end:
        start += os.pwrite(device.fd, zeros[: end - start], start)


def _words(left: Content) -> list[str]:
    return [left.table or "no table", *(item.kind for item in left.signatures)]


# ---------------------------------------------------------------- notes


def note(claim: Claim) -> None:
    """On this machine's own disk, before the first write: this disk is being erased by this grant."""
    files.make_folder(files.NOTES, files.Owner(uid=0, gid=0), 0o700)
    files.write(_note_path(claim), _note_text(claim), mode=0o600)


def is_noted(claim: Claim) -> bool:
    """Only when all facts of the grant are the same (another plan may have come to it)."""
    try:
        return _note_path(claim).read_text("ascii") == _note_text(claim)
    except OSError:
        return False


def forget(claim: Claim) -> None:
    """The work is done: the note must not allow anything later."""
    _note_path(claim).unlink(missing_ok=True)


def _note_path(claim: Claim) -> Path:
    name = hashlib.sha256(f"{claim.osd}/{claim.use}/{claim.grant.serial}/{claim.grant.wwn}".encode()).hexdigest()
    return files.NOTES / f"{name[:32]}.erasing"


def _note_text(claim: Claim) -> str:
    return encode(replace(claim.grant, plan="")).decode("ascii")
