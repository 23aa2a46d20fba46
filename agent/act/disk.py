"""The granted disk: found, opened exclusively, verified on that descriptor, written through it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.act import gpt
from agent.act.guard import Verdict, judge, judge_content
from agent.errors import DiskRefusedError, InstallError
from agent.probe.content import content
from agent.probe.device import Device
from agent.probe.disks import disks, identity
from agent.probe.machine import look
from agent.probe.tree import Tree
from agent.wire import Disk, DiskGrant

BLKRRPART = 0x125F
BLKFLSBUF = 0x1261
SYSFS_SECTOR = 512
PATIENCE = 15.0
"""Seconds in which the kernel and udev must have let go of the old partitions and shown the new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDisk:
    """``base`` is its folder in sysfs by device number: it names the object behind the descriptor, not a link in /dev."""

    device: Device
    path: str
    base: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A partition of the kernel, verified: ``rdev`` is what the node was when it was found."""

    path: Path
    rdev: int

    def verified(self) -> str:
        """The path, if it still is that partition. Asked right before every use by name."""
        status = self.path.stat()
        if not stat.S_ISBLK(status.st_mode) or status.st_rdev != self.rdev:
            raise InstallError(f"{self.path} is another device than before: something renames disks")
        return str(self.path)


@contextmanager
def granted(tree: Tree, grant: DiskGrant, permit: str, machine: str) -> Iterator[OpenDisk]:
    """Raises `DiskRefusedError` when the guard says no, before or after opening. The disk is closed at the end."""
    present, _ = disks(tree, look, lambda _node, _transport: None)
    verdict = judge(grant, permit, machine, present)
    if verdict.disk is None:
        raise DiskRefusedError(f"{verdict.refusal}: {verdict.reason}")
    fd = _open_exclusively(tree.path(verdict.disk.path.lstrip("/")))
    try:
        yield _verified(tree, fd, verdict.disk, grant, permit)
    finally:
        os.close(fd)


def _open_exclusively(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise DiskRefusedError(f"in-use: {path} is held by something else") from error
        raise DiskRefusedError(f"read-only: {path} can't be opened for writing: {error.strerror}") from error


def _verified(tree: Tree, fd: int, seen: Disk, grant: DiskGrant, permit: str) -> OpenDisk:
    """All facts once more, from the kernel's object behind the descriptor and from bytes read through it."""
    status = os.fstat(fd)
    if not stat.S_ISBLK(status.st_mode):
        raise DiskRefusedError(f"no-disk: {seen.path} is not a block device")
    base = f"sys/dev/block/{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    who, device = identity(tree, base), Device.of(fd)
    if tree.exists(f"{base}/partition"):
        raise DiskRefusedError(f"no-disk: {seen.path} is a partition")
    opened = Disk(
        path=seen.path,
        size=device.size,
        serial=who.serial,
        wwn=who.wwn,
        model=who.model,
        read_only=tree.text(f"{base}/ro") == "1",
        content=content(device),
    )
    verdict = judge_content(grant, permit, opened)
    if verdict.disk is None:
        raise DiskRefusedError(f"{verdict.refusal}: after opening, {verdict.reason}")
    return OpenDisk(device=device, path=seen.path, base=base, verdict=verdict)


def partition(disk: OpenDisk, layout: gpt.Layout) -> None:
    """Write the table through the descriptor, read it back from the disk (not from the cache), tell the kernel."""
    try:
        gpt.write(disk.device, layout)
        fcntl.ioctl(disk.device.fd, BLKFLSBUF)
        gpt.check(disk.device, layout)
    except OSError as error:
        raise InstallError(f"writing the partition table of {disk.path} failed: {error.strerror}") from error
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.ioctl(disk.device.fd, BLKRRPART)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                raise InstallError(
                    f"the kernel does not read the new table of {disk.path}: {error.strerror}"
                ) from error
        time.sleep(0.2)


def partition_nodes(tree: Tree, disk: OpenDisk, layout: gpt.Layout) -> dict[str, Node]:
    """Role → node of every partition, found in sysfs below the very disk, with the place that was written."""
    end = time.monotonic() + PATIENCE
    while True:
        shown = _shown(tree, disk.base)
        if all((part.spec.number, part.start, part.size) in shown for part in layout.partitions):
            break
        if time.monotonic() > end:
            raise InstallError(f"the kernel does not show the new partitions of {disk.path}")
        time.sleep(0.1)
    return {
        part.spec.role: _node(tree, disk.base, shown[part.spec.number, part.start, part.size])
        for part in layout.partitions
    }


def _shown(tree: Tree, base: str) -> dict[tuple[int, int, int], str]:
    """(number, start, size) → the partition's kernel name."""
    found: dict[tuple[int, int, int], str] = {}
    for name in tree.names(base):
        number = tree.number(f"{base}/{name}/partition")
        if number:
            start = tree.number(f"{base}/{name}/start") * SYSFS_SECTOR
            found[number, start, tree.number(f"{base}/{name}/size") * SYSFS_SECTOR] = name
    return found


def _node(tree: Tree, base: str, name: str) -> Node:
    """The node in /dev; made here when neither devtmpfs nor udev did."""
    major, _, minor = tree.text(f"{base}/{name}/dev").partition(":")
    rdev = os.makedev(int(major), int(minor))
    path = tree.path(f"dev/{name}")
    if not path.exists():
        os.mknod(path, 0o600 | stat.S_IFBLK, rdev)
    node = Node(path=path, rdev=rdev)
    node.verified()
    return node
